//! What strangers may send.

use super::*;

/// Whether the answer is a refusal that does not stand for a fault of ours.
async fn is_refused(world: &World, request: Request<String>) -> bool {
    let (status, _) = world.send(request).await;
    status.is_client_error()
}

#[tokio::test]
async fn bodies_and_tokens_of_strangers_are_refused_and_harm_nobody() {
    let world = World::new();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(60_000), "]".repeat(60_000));
    let long = "x".repeat(60_000);
    let claims = format!("{{\"iss\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let nested = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims);
    for path in ["/mqtt/user", "/mqtt/acl", "/mqtt/superuser", "/emqx4/auth", "/emqx4/acl"] {
        for (content_type, body) in [
            (JSON, deep.clone()),
            (JSON, format!("{{\"username\":\"{long}\",\"password\":\"{long}\",\"topic\":\"a\",\"acc\":2}}")),
            (JSON, format!("{{\"password\":\"{long}.{long}.{long}\",\"topic\":\"a\",\"acc\":1}}")),
            (JSON, format!("{{\"password\":\"e30.{nested}.e30\",\"topic\":\"a\",\"acc\":1}}")),
            (JSON, "[".repeat(1000)),
            (JSON, r#"{"topic":"a","acc":1e999}"#.to_owned()),
            (JSON, r#"{"topic":"a","acc":99999999999999999999}"#.to_owned()),
            (JSON, r#"{"topic":"a","topic":"b","acc":1,"acc":2}"#.to_owned()),
            (FORM, "topic=a&topic=b&acc=1&acc=2".to_owned()),
            (FORM, "%ff%fe=%00&acc=%".to_owned()),
            (FORM, "&".repeat(60_000)),
            ("", "\u{0}".repeat(1000)),
        ] {
            let request = post(path, content_type, body.clone());
            assert!(
                is_refused(&world, request).await,
                "{path} {}",
                body.chars().take(60).collect::<String>()
            );
        }
    }
    // The service goes on.
    assert_eq!(world.log_in("svc-digital-twin", &world.service(), "c").await.0, 200);
}

#[tokio::test]
async fn a_topic_of_as_many_levels_as_there_can_be_is_decided() {
    let world = World::new();
    world.replace_rules(&json!({"celine": {"mqtt": {"acl": {"rules": [
        {"subjects": {}, "topics": ["/#"], "actions": ["publish"]}]}}}}));
    let header = format!("Bearer {}", world.service());
    for (topic, status) in
        [("/".repeat(65_535), 200), (format!("a{}", "/".repeat(65_534)), 403), ("/".repeat(65_536), 403)]
    {
        let question = post("/mqtt/acl", JSON, json!({"topic": topic, "acc": 2}).to_string());
        assert_eq!(world.ask(with_header(question, &header)).await.0, status, "{}", topic.len());
    }
}

#[tokio::test]
async fn a_login_counts_at_its_own_broker_and_for_its_own_client_alone() {
    let world = World::new();
    let token = world.service();
    let log_in = |broker: &str, username: &str, clientid: &str| {
        let form = format!("clientid={clientid}&password={token}&username={username}");
        post(&format!("/mqtt/user?broker={broker}"), FORM, form)
    };
    let publish = |broker: &str, username: &str, clientid: &str| {
        let form =
            format!("acc=2&clientid={clientid}&topic={}&username={username}", TOPIC.replace('/', "%2F"));
        post(&format!("/mqtt/acl?broker={broker}"), FORM, form)
    };
    assert_eq!(world.ask(log_in("one", "bob", "c")).await.0, 200);
    assert_eq!(world.ask(publish("one", "bob", "c")).await.0, 200);
    for (broker, username, clientid) in [
        ("two", "bob", "c"),
        ("one", "bob", "d"),
        ("one", "Bob", "c"),
        ("one", "", "c"),
        ("one", "bob%00", "c"),
        ("one", "bobc", ""),
        ("", "bob", "c"),
    ] {
        let (status, _) = world.ask(publish(broker, username, clientid)).await;
        assert_eq!(status, 403, "{broker} {username} {clientid}");
    }
}

#[tokio::test]
async fn a_file_of_twenty_thousand_rules_is_read_and_decides() {
    let world = World::new();
    let rule = |number: usize| json!({"subjects": {"scopes": ["mqtt.write"]}, "topics": [format!("t/{number}/+")], "actions": ["publish"]});
    let rules: Vec<_> = (0..20_000).map(rule).collect();
    world.replace_rules(&json!({"celine": {"mqtt": {"acl": {"rules": rules}}}}));
    let header = format!("Bearer {}", world.service());
    for (topic, status) in [("t/19999/x", 200), ("t/20000/x", 403)] {
        let question = post("/mqtt/acl", JSON, json!({"topic": topic, "acc": 2}).to_string());
        assert_eq!(world.ask(with_header(question, &header)).await.0, status);
    }
}

#[tokio::test]
async fn a_broker_that_is_named_is_none_that_is_known_by_its_address_or_its_handles() {
    let world = World::new();
    let token = world.service();
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await.0, 200);
    let form = format!("acc=2&clientid=c&topic={}&username=svc-digital-twin", TOPIC.replace('/', "%2F"));
    let ask = async |path: &str| world.send_from("10.0.0.9:1", post(path, FORM, form.clone())).await.0;
    assert_eq!(ask("/mqtt/acl?broker=127.0.0.1").await, StatusCode::FORBIDDEN);

    // Whoever knows the name of somebody who has logged in has no handle of it.
    let login = json!({"client_id": "c", "username": "svc-digital-twin", "password": token});
    let (_, answer) = world.send(post("/auth/authenticate", JSON, login.to_string())).await;
    assert!(answer.contains("true"), "{answer}");
    for path in ["/mqtt/user?broker=callout", "/mqtt/user?broker=handle"] {
        let form = format!("clientid=&username=svc-digital-twin&password={token}");
        assert_eq!(world.post(path, FORM, form).await.0, 200);
    }
    let question = json!({"external_id": "svc-digital-twin", "topic": TOPIC, "action": "publish"});
    let (_, answer) = world.send(post("/auth/authorize", JSON, question.to_string())).await;
    assert!(answer.contains(r#""authorized":false"#), "{answer}");
}

#[tokio::test]
async fn names_of_any_length_take_no_memory_for_a_day() {
    let world = World::new();
    let token = world.service();
    for (broker, username, clientid) in [(1, 1, 60_000), (1, 60_000, 1), (3000, 1, 1), (1000, 1000, 1000)] {
        let text = |length| "n".repeat(length);
        let form = format!("clientid={}&username={}&password={token}", text(clientid), text(username));
        let path = format!("/mqtt/user?broker={}", text(broker));
        let (status, reason) = world.post(&path, FORM, form).await;
        assert!(status == 403 && reason.contains("too long"), "{status} {reason}");
    }
    let kept = std::fs::read_to_string(world.directory.path().join("bindings.jsonl")).unwrap();
    assert!(kept.len() < 10_000, "{}", kept.len());
    assert_eq!(world.log_in(&"n".repeat(1000), &token, &"c".repeat(1000)).await.0, 200);
}
