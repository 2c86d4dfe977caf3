//! What operators and their programs ask, and what is on record.

use super::*;

#[tokio::test]
async fn every_decision_is_on_record_without_what_was_shown() {
    let world = World::with(|options, _| {
        let file = options.bindings.as_ref().unwrap().with_file_name("audit.jsonl");
        options.audit = AuditOptions { enabled: true, file: Some(file), inputs: false };
    });
    let token = world.service();
    world.log_in("svc-digital-twin", &token, "c1").await;
    world.publish("svc-digital-twin", "c1").await;
    world.publish("svc-digital-twin", "c1").await;
    world.post("/mqtt/superuser", JSON, json!({"username": token}).to_string()).await;
    world.log_in("x", "no-token-at-all", "c1").await;
    let file = world.directory.path().join("audit.jsonl");
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    testkit::wait_until("all decisions are written", || lines().len() == 5);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&token) && !text.contains("no-token-at-all"), "{text}");
    let lines = lines();
    let facts = |line: &Value| {
        ["allowed", "reason", "subject_id", "action", "cached", "level"]
            .map(|name| line[name].clone())
            .to_vec()
    };
    assert_eq!(
        facts(&lines[0]),
        [
            json!(true),
            json!("authenticated"),
            json!("svc-digital-twin"),
            json!("connect"),
            json!(false),
            json!("info")
        ]
    );
    assert_eq!(facts(&lines[1])[3..5], [json!("publish"), json!(false)]);
    assert_eq!(facts(&lines[2])[3..5], [json!("publish"), json!(true)]);
    assert_eq!(facts(&lines[3])[..2], [json!(false), json!("not superuser")]);
    assert_eq!(
        facts(&lines[4]),
        [
            json!(false),
            json!("invalid credentials"),
            Value::Null,
            json!("connect"),
            json!(false),
            json!("warning")
        ]
    );
    assert_eq!(lines[1]["resource_id"], TOPIC);
    assert_eq!(lines[1]["event"], "policy_decision");
    assert_eq!(lines[1]["source_service"], "mosquitto");
    assert!(lines[1]["request_id"].as_str().unwrap().len() > 8);
}

#[tokio::test]
async fn operators_are_told_which_rule_decides() {
    let world = World::new();
    let explain = async |token: &str, body: Value| {
        let request = with_header(post("/explain", JSON, body.to_string()), &format!("Bearer {token}"));
        let (status, body) = world.send(request).await;
        (status.as_u16(), serde_json::from_str::<Value>(&body).unwrap())
    };
    let question = json!({"subject": {"type": "service", "id": "x", "scopes": ["mqtt.write"]}, "action": "publish", "topic": TOPIC});
    assert_eq!(explain(&world.service(), question.clone()).await.0, 403);
    let (status, answer) = explain(&world.admin(), question).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({"allowed": true, "reason": "authorized", "rule": 1, "policy": "celine.mqtt.acl"})
    );
    let superuser =
        json!({"subject": {"type": "user", "id": "x", "groups": ["admins"]}, "action": "superuser"});
    assert_eq!(explain(&world.admin(), superuser).await.1["allowed"], true);
    assert_eq!(
        explain(&world.admin(), json!({"subject": {"type": "x", "id": "x"}, "action": "read"})).await.0,
        400
    );
}

#[tokio::test]
async fn programs_ask_about_other_things_than_topics() {
    let world = World::new();
    let ask = async |path: &str, token: Option<&str>, body: Value| {
        let request = post(path, JSON, body.to_string());
        let request = match token {
            Some(token) => with_header(request, token),
            None => request,
        };
        let (status, body) = world.send(request).await;
        (status.as_u16(), serde_json::from_str::<Value>(&body).unwrap())
    };
    let topic = json!({"resource": {"type": "topic", "id": TOPIC}, "action": {"name": "publish"}});
    let bearer = format!("Bearer {}", world.service());
    let (status, answer) = ask("/authorize", Some(&bearer), topic.clone()).await;
    assert_eq!((status, &answer["allowed"], &answer["reason"]), (200, &json!(true), &json!("authorized")));
    assert!(answer["request_id"].is_string());
    assert_eq!(ask("/authorize", None, topic.clone()).await.1["allowed"], false);
    let (status, answer) = ask("/authorize", Some("Basic x"), topic.clone()).await;
    assert_eq!((status, &answer["detail"]), (401, &json!("Invalid authorization header format")));
    let (status, answer) = ask("/authorize", Some("Bearer a.b.c"), topic).await;
    assert_eq!((status, &answer["detail"]), (401, &json!("Unauthorized")));
    for bad in [
        json!({"resource": {"type": "moon", "id": "x"}, "action": {"name": "read"}}),
        json!({"resource": {"type": "dataset", "id": "x"}, "action": {"name": "read"}}),
        json!({"resource": {"type": "dt", "id": "x"}, "action": {"name": "fly"}}),
        json!({}),
    ] {
        let (status, answer) = ask("/authorize", None, bad.clone()).await;
        assert_eq!(status, 422, "{bad}");
        assert!(answer["detail"][0]["loc"].is_array());
    }
    let open = json!({"dataset_id": "d", "access_level": "open"});
    assert_eq!(
        ask("/dataset/access", None, open.clone()).await.1["reason"],
        "open datasets are publicly readable"
    );
    let filters =
        ask("/dataset/filters", None, json!({"dataset_id": "d", "access_level": "internal"})).await.1;
    assert_eq!(
        filters["filters"],
        json!([{"field": "classification", "operator": "in", "value": ["public"]}])
    );
    let step = json!({"pipeline_id": "p", "from_state": "pending", "to_state": "started"});
    assert_eq!(
        ask("/pipeline/transition", Some(&bearer), step).await.1["reason"],
        "insufficient scope for transition"
    );
    assert_eq!(ask("/dt/access", Some(&bearer), json!({"dt_id": "x"})).await.1["allowed"], false);
    assert_eq!(
        ask("/dt/event", None, json!({"dt_id": "x", "event_type": "e"})).await.1["reason"],
        "anonymous access denied"
    );
    let own = json!({"resource_type": "note", "resource_id": "r", "owner_id": "u-adm"});
    assert_eq!(
        ask("/userdata/access", Some(&format!("Bearer {}", world.admin())), own).await.1["reason"],
        "missing userdata scope for requesting client"
    );
}

/// What is on record in this file.
fn recorded(file: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_record_that_a_crash_has_cut_takes_no_other_along() {
    let mut file = std::path::PathBuf::new();
    let world = World::with(|options, _| {
        file = options.bindings.as_ref().unwrap().with_file_name("audit.jsonl");
        std::fs::write(&file, "{\"event\":\"policy_decision\"}\n{\"event\":\"polic").unwrap();
        options.audit = AuditOptions { enabled: true, file: Some(file.clone()), inputs: false };
    });
    world.log_in("x", "no-token-at-all", "c1").await;
    world.policy.close().await;
    let lines = recorded(&file);
    assert_eq!(lines.len(), 3, "{lines:?}");
    let last: Value = serde_json::from_str(&lines[2]).unwrap();
    assert_eq!(last["reason"], "invalid credentials");
}

#[tokio::test]
async fn when_the_service_ends_every_decision_is_on_record() {
    let mut file = std::path::PathBuf::new();
    let world = World::with(|options, _| {
        file = options.bindings.as_ref().unwrap().with_file_name("audit.jsonl");
        options.audit = AuditOptions { enabled: true, file: Some(file.clone()), inputs: false };
    });
    let source = "s".repeat(20_000);
    for _ in 0..500 {
        world.log_in("x", "no-token-at-all", "c1").await;
    }
    let mut request =
        post("/dataset/access", JSON, json!({"dataset_id": "d", "access_level": "open"}).to_string());
    request.headers_mut().insert("x-source-service", source.parse().unwrap());
    assert_eq!(world.send(request).await.0, StatusCode::OK);
    world.policy.close().await;
    let lines = recorded(&file);
    assert_eq!(lines.len(), 501);
    assert!(lines[500].len() < 10_000, "what a stranger chooses is cut");
}

#[tokio::test]
async fn a_plugin_that_reads_the_token_itself_sends_the_name_along() {
    // `jwt_parse_token`: the header, and the name in a body.
    let world = World::new();
    let (admin, service) = (world.admin(), world.service());
    for (content_type, user, acl) in [
        (
            JSON,
            json!({"username": "svc-digital-twin"}).to_string(),
            json!({"acc": 2, "clientid": "c", "topic": TOPIC, "username": "svc-digital-twin"}).to_string(),
        ),
        (
            FORM,
            "username=svc-digital-twin".to_owned(),
            format!("acc=2&clientid=c&topic={}&username=svc-digital-twin", TOPIC.replace('/', "%2F")),
        ),
    ] {
        let ask = async |path: &str, token: &str, body: &str| {
            world.ask(with_header(post(path, content_type, body), &format!("Bearer {token}"))).await.0
        };
        assert_eq!(ask("/mqtt/user", &service, &user).await, 200);
        assert_eq!(ask("/mqtt/acl", &service, &acl).await, 200);
        assert_eq!(ask("/mqtt/superuser", &service, &user).await, 403);
        // The token decides, whatever the name.
        assert_eq!(ask("/mqtt/superuser", &admin, &user).await, 200);
        assert_eq!(ask("/mqtt/acl", &admin, &acl).await, 200);
    }
}
