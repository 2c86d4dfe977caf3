//! Rules, policies and the list of the denied change while brokers ask.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::RegoOptions;

#[tokio::test]
async fn a_changed_file_is_noticed() {
    let world = World::new();
    let shutdown = tokio_util::sync::CancellationToken::new();
    world.log_in("svc-digital-twin", &world.service(), "c").await;
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);
    // Also if it was changed after it was read and before anybody looks.
    std::fs::write(world.directory.path().join("rules.json"), "{}").unwrap();
    world.policy.start(&shutdown);
    testkit::wait_until_async("the rules are read anew", async || {
        world.publish("svc-digital-twin", "c").await.0 == 403
    })
    .await;
    shutdown.cancel();
}

#[tokio::test]
async fn a_policy_in_rego_answers_brokers_and_a_broken_one_leaves_the_one_before() {
    let world = World::with(|options, _| {
        let policies = options.bindings.as_ref().unwrap().with_file_name("acl.rego");
        std::fs::write(
            &policies,
            "package mine\nallow if input.resource.id == \"a/b\"\nreason := \"only a/b\" if not allow\n",
        )
        .unwrap();
        options.source = PolicySource::Rego(RegoOptions {
            policies,
            data: None,
            package: "mine".to_owned(),
            superuser_groups: Vec::new(),
            superuser_scopes: Vec::new(),
        });
    });
    let token = world.service();
    let acl = async |topic: &str| {
        let question = post("/mqtt/acl", JSON, json!({"topic": topic, "acc": 2}).to_string());
        world.ask(with_header(question, &format!("Bearer {token}"))).await
    };
    assert_eq!(acl("a/b").await.0, 200);
    let (status, answer) = acl("a/c").await;
    assert!(status == 403 && answer.contains("only a/b"), "{answer}");
    let write = |text: &str| std::fs::write(world.directory.path().join("acl.rego"), text).unwrap();
    write("package mine\nallow if {\n");
    let fault = world.policy.reload().unwrap_err();
    assert!(fault.file.ends_with("acl.rego") && fault.line > 0, "{fault}");
    assert!(world.policy.is_outdated());
    assert_eq!(acl("a/b").await.0, 200);
    // One that fails says neither yes nor no, so that no broker remembers it.
    write("package mine\nallow if to_number(input.resource.id) > 0\n");
    world.policy.reload().unwrap();
    assert_eq!(acl("a/b").await.0, 503);
}

#[tokio::test]
async fn who_is_on_the_list_of_the_denied_is_refused_whatever_is_remembered() {
    let world = World::with(|options, _| {
        let file = options.bindings.as_ref().unwrap().with_file_name("denied.json");
        std::fs::write(&file, "{}").unwrap();
        options.denied = Some(file);
    });
    let deny = |list: Value| {
        std::fs::write(world.directory.path().join("denied.json"), list.to_string()).unwrap();
        world.policy.reload().map(drop)
    };
    let claims = json!({"client_id": "svc-digital-twin", "scope": "mqtt.write", "jti": "t-1"});
    let token = world.token(&claims);
    assert_eq!(world.log_in("svc-digital-twin", &token, "c1").await.0, 200);
    assert_eq!(world.publish("svc-digital-twin", "c1").await.0, 200);
    for list in
        [json!({"tokens": ["t-1"]}), json!({"subjects": ["svc-digital-twin"]}), json!({"clients": ["c1"]})]
    {
        deny(list.clone()).unwrap();
        assert_eq!(world.publish("svc-digital-twin", "c1").await, denied("invalid credentials"), "{list}");
        assert_eq!(world.log_in("svc-digital-twin", &token, "c1").await.0, 403, "{list}");
        deny(json!({"tokens": ["t-2"], "subjects": ["x"], "clients": ["c2"]})).unwrap();
        assert_eq!(world.publish("svc-digital-twin", "c1").await.0, 200, "{list}");
    }
    // A broken list changes nothing.
    deny(json!({"tokens": ["t-1"]})).unwrap();
    assert!(deny(json!({"token": []})).unwrap_err().to_string().contains("denied.json:1:"));
    assert_eq!(world.publish("svc-digital-twin", "c1").await.0, 403);
    // A login that was kept over a restart knows its token.
    let kept = std::fs::read_to_string(world.directory.path().join("bindings.jsonl")).unwrap();
    assert!(kept.contains(r#""token_id":"t-1""#) && !kept.contains(&token), "{kept}");
}

#[tokio::test]
async fn rules_that_are_moved_away_deny_nobody() {
    let mut place = std::path::PathBuf::new();
    let world = World::with(|options, _| {
        let PolicySource::Rules(Some(rules), _) = &options.source else { panic!("rules in a file") };
        place = rules.with_file_name("policies");
        std::fs::create_dir(&place).unwrap();
        std::fs::rename(rules, place.join("rules.json")).unwrap();
        options.source = PolicySource::Rules(Some(place.clone()), RuleOptions::default());
    });
    world.log_in("plant.line.sensor", &world.service(), "c").await;
    std::fs::rename(place.join("rules.json"), place.join("rules.old")).unwrap();
    let reload = with_header(post("/reload", "", ""), &format!("Bearer {}", world.admin()));
    let (status, body) = world.send(reload).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("there is no file `*.json` here"), "{body}");
    // A name with two dots is a name.
    assert_eq!(world.publish("plant.line.sensor", "c").await.0, 200);
}

#[tokio::test]
async fn rules_are_read_anew_by_administrators_and_broken_ones_change_nothing() {
    let world = World::new();
    let reload = |token: &str| with_header(post("/reload", "", ""), &format!("Bearer {token}"));
    assert_eq!(world.send(post("/reload", "", "")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.send(reload(&world.expired())).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.send(reload(&world.service())).await.0, StatusCode::FORBIDDEN);

    world.log_in("svc-digital-twin", &world.service(), "c").await;
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);
    let file = world.directory.path().join("rules.json");
    std::fs::write(&file, "{\n \"celine\": }").unwrap();
    let (status, body) = world.send(reload(&world.admin())).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], "error");
    assert!(body["error"].as_str().unwrap().contains("rules.json:2:"), "{body}");
    let is_outdated = async || {
        let (_, body) = world.send(Request::get("/health").body(String::new()).unwrap()).await;
        serde_json::from_str::<Value>(&body).unwrap()["details"]["rules_outdated"].clone()
    };
    assert_eq!(is_outdated().await, true, "health says that the file is not what counts");
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);

    std::fs::write(&file, r#"{"celine": {"mqtt": {"acl": {"rules": []}}}}"#).unwrap();
    let (status, body) = world.send(reload(&world.admin())).await;
    assert_eq!((status, body.trim()), (StatusCode::OK, r#"{"status":"success","policy_count":0}"#));
    assert_eq!(is_outdated().await, false);
    // What was remembered is forgotten at once.
    assert_eq!(world.publish("svc-digital-twin", "c").await, denied("no matching rule"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rules_change_every_answer_is_that_of_the_old_or_of_the_new() {
    let world = Arc::new(World::new());
    let token = world.service();
    world.log_in("svc-digital-twin", &token, "c").await;
    // The rules before allow the topic to be published to, those after deny it with a reason of their own.
    let before = rules();
    let mut after = rules();
    after["celine"]["mqtt"]["acl"]["rules"]
        .as_array_mut()
        .unwrap()
        .push(json!({"subjects": {}, "topics": ["#"], "actions": ["publish"], "effect": "deny"}));
    let denial =
        format!("denied by rule {}", after["celine"]["mqtt"]["acl"]["rules"].as_array().unwrap().len());
    let stop = tokio_util::sync::CancellationToken::new();
    let answered = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (world, answered) = (Arc::clone(&world), Arc::clone(&answered));
            let (stop, denial) = (stop.clone(), denial.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let which = match world.publish("svc-digital-twin", "c").await {
                        (200, _) => 0,
                        (403, reason) if reason == denial => 1,
                        other => panic!("{other:?}"),
                    };
                    answered[which].fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..60 {
        if round % 3 == 2 {
            // A broken file in between, which changes nothing.
            std::fs::write(world.directory.path().join("rules.json"), "{").unwrap();
            world.policy.reload().unwrap_err();
        }
        let (rules, status) = if round % 2 == 0 { (&after, 403) } else { (&before, 200) };
        world.replace_rules(rules);
        // What was read counts for the next question.
        assert_eq!(world.publish("svc-digital-twin", "c").await.0, status);
        let which = &answered[(round % 2) ^ 1];
        let known = which.load(Ordering::Relaxed);
        while which.load(Ordering::Relaxed) < known + 20 && asking.iter().all(|asks| !asks.is_finished()) {
            tokio::task::yield_now().await;
        }
    }
    stop.cancel();
    for asked in asking {
        asked.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_reloads_at_once_end_with_what_the_file_says_last() {
    let world = Arc::new(World::new());
    let (token, admin) = (world.service(), world.admin());
    world.log_in("svc-digital-twin", &token, "c").await;
    let file = world.directory.path().join("rules.json");
    for round in 0..10 {
        let (grants, count) = if round % 2 == 0 { (false, 0) } else { (true, 2) };
        let rules = if grants { rules() } else { json!({"celine": {"mqtt": {"acl": {"rules": []}}}}) };
        // As a program replaces a file: never half of it is seen.
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, rules.to_string()).unwrap();
        std::fs::rename(&fresh, &file).unwrap();
        let reloads: Vec<_> = (0..16)
            .map(|_| {
                let (world, bearer) = (Arc::clone(&world), format!("Bearer {admin}"));
                tokio::spawn(async move { world.send(with_header(post("/reload", "", ""), &bearer)).await })
            })
            .collect();
        for reload in reloads {
            let (status, body) = reload.await.unwrap();
            let expected = format!(r#"{{"status":"success","policy_count":{count}}}"#);
            assert_eq!((status, body.trim()), (StatusCode::OK, expected.as_str()), "round {round}");
        }
        let status = if grants { 200 } else { 403 };
        assert_eq!(world.publish("svc-digital-twin", "c").await.0, status, "round {round}");
    }
}
