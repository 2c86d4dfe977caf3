//! Brokers that ask too much, and credentials that fail too often.

use std::num::NonZeroU64;

use super::*;

fn world(questions: u64, failures: u64) -> World {
    World::with(|options, _| {
        options.limits =
            LimitOptions { questions: NonZeroU64::new(questions), failures: NonZeroU64::new(failures) };
    })
}

const TOO_MANY: &str = "too many questions, try again in 1 seconds";

#[tokio::test]
async fn a_broker_that_asks_too_much_gets_an_answer_that_is_not_remembered_and_others_are_not_held_up() {
    let world = world(3, 0);
    let token = world.service();
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await.0, 200);
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);
    assert_eq!(world.publish("svc-digital-twin", "c").await, (503, TOO_MANY.to_owned()));
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await, (503, TOO_MANY.to_owned()));
    let request = post("/mqtt/user", FORM, format!("username=x&password={token}"));
    assert_eq!(world.send_from("10.0.0.2:1", request).await.0, StatusCode::OK);
    world.clock.advance(Duration::from_millis(334));
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 503);
    // Probes are no questions.
    for path in ["/health", "/ready"] {
        assert_eq!(world.send(Request::get(path).body(String::new()).unwrap()).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn every_broker_is_told_in_its_own_words_that_it_asks_too_much() {
    let world = world(1, 0);
    let admin = format!("Bearer {}", world.admin());
    let topic =
        json!({"resource": {"type": "topic", "id": TOPIC}, "action": {"name": "publish"}}).to_string();
    assert_eq!(world.log_in("x", "a.b.c", "c").await.0, 403);
    let allowed = json!({"result": "allow"});
    for (path, body, status, answer) in [
        ("/mqtt/user", "{}", 503, TOO_MANY),
        ("/acl", "{}", 503, TOO_MANY),
        ("/superuser", "{}", 503, TOO_MANY),
        ("/emqx/authn", "{}", 200, r#"{"result":"deny"}"#),
        ("/emqx/authz", "{}", 200, r#"{"result":"deny"}"#),
        ("/emqx4/auth", "{}", 503, TOO_MANY),
        ("/emqx4/superuser", "{}", 503, TOO_MANY),
        ("/emqx4/acl", "{}", 503, TOO_MANY),
        ("/rmqtt/auth", "{}", 200, "deny"),
        ("/rmqtt/acl", "{}", 200, "deny"),
        ("/rabbitmq/user", "{}", 503, ""),
        ("/rabbitmq/vhost", "{}", 503, ""),
        ("/rabbitmq/resource", "{}", 503, ""),
        ("/rabbitmq/topic", "{}", 503, ""),
        ("/vernemq", "{}", 200, "not_allowed"),
        ("/auth/authenticate", "{}", 503, ""),
        ("/auth/authorize", "{}", 503, ""),
        ("/authorize", topic.as_str(), 429, TOO_MANY),
        ("/dataset/access", "{}", 429, TOO_MANY),
        ("/explain", r#"{"subject":{"type":"user","id":"u"},"action":"read"}"#, 429, TOO_MANY),
        ("/reload", "", 429, TOO_MANY),
    ] {
        let (was, text) = world.send(with_header(post(path, JSON, body), &admin)).await;
        assert!(was == status && text.contains(answer), "{path}: {was} {text}");
        assert!(!text.contains(&allowed.to_string()), "{path}: {text}");
    }
}

#[tokio::test]
async fn too_many_tokens_that_fail_hold_up_new_ones_alone() {
    let world = world(0, 3);
    let token = world.service();
    let bad = |number: u32| {
        let other = Key::generate("k", Algorithm::ES256);
        other.sign(&world.issuer.claims(START, &json!({"sub": format!("u-{number}")})))
    };
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await.0, 200);
    let first = bad(0);
    // The same one again costs nothing and is not counted again.
    for _ in 0..10 {
        assert_eq!(world.log_in("u", &first, "c").await, denied("invalid credentials"));
    }
    for number in 1..3 {
        assert_eq!(world.log_in("u", &bad(number), "c").await, denied("invalid credentials"));
    }
    let words = "too many failed attempts, try again in 1 seconds";
    let fresh = world.token(&json!({"sub": "u-1", "groups": ["admins"]}));
    assert_eq!(world.log_in("u-1", &fresh, "c2").await, (503, words.to_owned()));
    assert_eq!(world.log_in("u", &first, "c").await, denied("invalid credentials"));
    // Who is known goes on.
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await.0, 200);
    assert_eq!(world.publish("svc-digital-twin", "c").await.0, 200);
    let (status, body) = world.send(with_header(post("/reload", "", ""), &format!("Bearer {fresh}"))).await;
    assert!(status == StatusCode::TOO_MANY_REQUESTS && body.contains(words), "{status} {body}");
    // Another broker has failed nothing.
    let request = post("/mqtt/user", FORM, format!("username=u-1&password={fresh}"));
    assert_eq!(world.send_from("10.0.0.2:1", request).await.0, StatusCode::OK);
    world.clock.advance(Duration::from_millis(334));
    assert_eq!(world.log_in("u-1", &world.admin(), "c2").await.0, 200);
}
