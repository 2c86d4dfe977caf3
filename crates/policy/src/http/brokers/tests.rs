//! Each broker's own words, with one service that may publish and one that may only read.

use serde_json::json;

use super::super::tests::{FORM, JSON, START, TOPIC, World, post};

const FILTER: &str = "celine/digital-twin/#";

fn world() -> World {
    let world = World::new();
    let rules = json!({"celine": {"mqtt": {"acl": {"rules": [
        {"subjects": {"scopes": ["mqtt.write"]}, "topics": ["celine/digital-twin/events/#"], "actions": ["publish"]},
        {"subjects": {"scopes": ["mqtt.read"]}, "topics": ["celine/digital-twin/#"], "actions": ["subscribe", "read"]},
        {"subjects": {"scopes": ["mqtt.read"]}, "topics": ["blind/#"], "actions": ["subscribe"]},
        {"subjects": {"scopes": ["mqtt.read"]}, "topics": ["celine/digital-twin/secret"], "actions": ["read"],
         "effect": "deny"}]}}}});
    world.replace_rules(&rules);
    world
}

/// A service with this scope.
fn token(world: &World, scope: &str) -> String {
    world.token(&json!({"client_id": format!("svc-{scope}"), "scope": scope}))
}

async fn json_of(world: &World, path: &str, body: serde_json::Value) -> serde_json::Value {
    let (status, text) = world.send(post(path, JSON, body.to_string())).await;
    assert_eq!(status.as_u16(), 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn text_of(world: &World, path: &str, form: &str) -> String {
    let (status, text) = world.send(post(path, FORM, form)).await;
    assert_eq!(status.as_u16(), 200, "{text}");
    text
}

#[tokio::test]
async fn emqx_is_answered_by_its_result_and_never_by_a_status() {
    let world = world();
    let authn = async |username: &str, password: &str| {
        json_of(&world, "/emqx/authn", json!({"username": username, "password": password, "clientid": "c"}))
            .await
    };
    let authz = async |username: &str, action: &str, topic: &str| {
        let body =
            json!({"username": username, "clientid": "c", "action": action, "topic": topic, "qos": "1"});
        json_of(&world, "/emqx/authz", body).await["result"].as_str().unwrap().to_owned()
    };
    assert_eq!(authn("w", "x").await, json!({"result": "deny"}));
    let login = authn("w", &token(&world, "mqtt.write")).await;
    assert_eq!(login, json!({"result": "allow", "is_superuser": false, "expire_at": START + 3630}));
    let admin = world.token(&json!({"sub": "adm", "groups": ["admins"]}));
    assert_eq!(authn("a", &admin).await["is_superuser"], true);
    assert_eq!(authz("w", "publish", TOPIC).await, "allow");
    assert_eq!(authz("w", "publish", "other").await, "deny");
    assert_eq!(authz("nobody", "publish", TOPIC).await, "deny");
    assert_eq!(authz("w", "fly", TOPIC).await, "deny");
    // The header is the broker's own.
    let request = super::super::tests::with_header(
        post(
            "/emqx/authz",
            JSON,
            json!({"username": "x", "clientid": "c", "action": "publish", "topic": TOPIC}).to_string(),
        ),
        &format!("Bearer {}", token(&world, "mqtt.write")),
    );
    assert!(world.send(request).await.1.contains("deny"));

    authn("r", &token(&world, "mqtt.read")).await;
    assert_eq!(authz("r", "subscribe", "celine/digital-twin/events/+").await, "allow");
    assert_eq!(authz("r", "subscribe", "$queue/celine/digital-twin/events/+").await, "allow");
    // What it may not read it may not subscribe to, where nobody asks again.
    assert_eq!(authz("r", "subscribe", FILTER).await, "deny");
    assert_eq!(authz("r", "subscribe", "blind/x").await, "deny");
    world.issuer.go_away(true);
    assert_eq!(authn("x", "a.b.c").await["result"], "deny");
}

#[tokio::test]
async fn emqx_4_and_rmqtt_are_answered_in_their_words() {
    let world = world();
    let login = format!("clientid=c&username=w&password={}", token(&world, "mqtt.write"));
    let status = async |path: &str, form: &str| world.send(post(path, FORM, form)).await.0.as_u16();
    assert_eq!(status("/emqx4/auth", &login).await, 200);
    assert_eq!(status("/emqx4/auth", "clientid=c&username=w&password=x").await, 403);
    let acl = |access: u8, topic: &str| {
        format!("access={access}&username=w&clientid=c&ipaddr=1.2.3.4&topic={topic}")
    };
    assert_eq!(status("/emqx4/acl", &acl(2, TOPIC)).await, 200);
    assert_eq!(status("/emqx4/acl", &acl(1, TOPIC)).await, 403);
    assert_eq!(status("/emqx4/superuser", "clientid=c&username=w").await, 403);

    assert_eq!(text_of(&world, "/rmqtt/auth", &login).await, "allow");
    assert_eq!(text_of(&world, "/rmqtt/auth", "clientid=c&username=w&password=x").await, "deny");
    assert_eq!(text_of(&world, "/rmqtt/acl", &acl(2, TOPIC)).await, "allow");
    assert_eq!(text_of(&world, "/rmqtt/acl", &acl(1, TOPIC)).await, "deny");
}

#[tokio::test]
async fn rabbitmq_is_answered_in_text() {
    let world = world();
    let say = async |path: &str, form: &str| text_of(&world, path, form).await;
    assert_eq!(say("/rabbitmq/vhost", "username=w&vhost=%2F&ip=1.2.3.4&client_id=c").await, "deny");
    let login = format!("username=w&password={}&vhost=%2F&client_id=c", token(&world, "mqtt.write"));
    assert_eq!(say("/rabbitmq/user", &login).await, "allow");
    assert_eq!(say("/rabbitmq/user", "username=w&password=x&client_id=c").await, "deny");
    assert_eq!(say("/rabbitmq/vhost", "username=w&vhost=%2F&ip=1.2.3.4&client_id=c").await, "allow");
    let resource = |kind: &str, name: &str, permission: &str| {
        format!("username=w&vhost=%2F&resource={kind}&name={name}&permission={permission}&client_id=c&tags=")
    };
    assert_eq!(
        say("/rabbitmq/resource", &resource("queue", "mqtt-subscription-cqos0", "configure")).await,
        "allow"
    );
    assert_eq!(
        say("/rabbitmq/resource", &resource("queue", "mqtt-subscription-dqos0", "configure")).await,
        "deny"
    );
    assert_eq!(say("/rabbitmq/resource", &resource("exchange", "amq.topic", "write")).await, "allow");
    assert_eq!(say("/rabbitmq/resource", &resource("exchange", "amq.topic", "configure")).await, "deny");
    let topic = |permission: &str, exchange: &str, key: &str| {
        format!(
            "username=w&vhost=%2F&resource=topic&name={exchange}&permission={permission}&routing_key={key}&tags=&\
             variable_map.client_id=c&variable_map.username=w"
        )
    };
    assert_eq!(
        say("/rabbitmq/topic", &topic("write", "amq.topic", "celine.digital-twin.events.1")).await,
        "allow"
    );
    assert_eq!(
        say("/rabbitmq/topic", &topic("write", "amq.topic", "celine.digital-twin.events%2F1")).await,
        "deny"
    );
    assert_eq!(
        say("/rabbitmq/topic", &topic("write", "other", "celine.digital-twin.events.1")).await,
        "deny"
    );
    assert_eq!(say("/rabbitmq/topic", &topic("read", "amq.topic", "celine.digital-twin.%23")).await, "deny");
    world.issuer.go_away(true);
    let unknown = world.key.sign_as(
        testkit::oidc::Algorithm::ES256,
        Some("unknown"),
        &world.issuer.claims(START, &json!({"sub": "u"})),
    );
    world.clock.advance(std::time::Duration::from_secs(30));
    let (status, _) =
        world.send(post("/rabbitmq/user", FORM, format!("username=u&password={unknown}"))).await;
    assert_eq!(status.as_u16(), 503);
}

#[tokio::test]
async fn vernemq_is_answered_hook_by_hook() {
    let world = world();
    let hook = async |hook: &str, body: serde_json::Value| {
        let mut request = post("/vernemq", JSON, body.to_string());
        request.headers_mut().insert("vernemq-hook", hook.parse().unwrap());
        let (status, text) = world.send(request).await;
        assert_eq!(status.as_u16(), 200);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let (ok, refused) = (json!({"result": "ok"}), json!({"result": {"error": "not_allowed"}}));
    let client = |more: serde_json::Value| {
        let mut body = json!({"username": "r", "client_id": "c", "mountpoint": "", "password": null});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(hook("auth_on_register", client(json!({}))).await, refused);
    let login = client(json!({"password": token(&world, "mqtt.read"), "clean_session": false}));
    assert_eq!(hook("auth_on_register", login.clone()).await, ok);
    assert_eq!(hook("auth_on_register_m5", login).await, ok);
    assert_eq!(
        hook("auth_on_publish", client(json!({"topic": TOPIC, "qos": 0, "payload": ""}))).await,
        refused
    );
    let topics = json!([{"topic": "celine/digital-twin/state/+", "qos": 1}, {"topic": "other", "qos": 1}]);
    let marked = |code: u8| json!([{"topic": "celine/digital-twin/state/+", "qos": 1}, {"topic": "other", "qos": code}]);
    assert_eq!(
        hook("auth_on_subscribe", client(json!({"topics": topics}))).await,
        json!({"result": "ok", "topics": marked(128)})
    );
    assert_eq!(
        hook("auth_on_subscribe_m5", client(json!({"topics": topics}))).await,
        json!({"result": "ok", "modifiers": {"topics": marked(135)}})
    );
    let fine = json!([{"topic": "celine/digital-twin/state/+", "qos": 1}]);
    assert_eq!(hook("auth_on_subscribe", client(json!({"topics": fine}))).await, ok);
    // Another mountpoint has other clients.
    assert_eq!(
        hook("auth_on_subscribe", client(json!({"topics": fine, "mountpoint": "b"}))).await["topics"][0]["qos"],
        128
    );
    assert_eq!(hook("on_client_gone", client(json!({}))).await, json!({}));
    assert_eq!(hook("auth_on_subscribe", client(json!({"topics": fine}))).await["topics"][0]["qos"], 128);
    assert_eq!(hook("something_else", client(json!({}))).await, refused);
}

#[tokio::test]
async fn a_callout_gives_a_handle_and_decides_by_it() {
    let world = world();
    let login = async |password: &str| {
        json_of(
            &world,
            "/auth/authenticate",
            json!({"client_id": "c", "username": "w", "password": password, "protocol": "mqtt"}),
        )
        .await
    };
    let may = async |id: &str, action: &str| {
        let body = json!({"external_id": id, "topic": TOPIC, "action": action});
        json_of(&world, "/auth/authorize", body).await["authorized"].as_bool().unwrap()
    };
    assert_eq!(login("x").await["authenticated"], false);
    let answer = login(&token(&world, "mqtt.write")).await;
    assert_eq!(answer["authenticated"], true);
    let id = answer["id"].as_str().unwrap();
    assert!(may(id, "publish").await);
    assert!(!may(id, "subscribe").await);
    assert!(!may("w", "publish").await, "a name is no handle");
    assert!(!may("", "publish").await);
}

#[tokio::test]
async fn emqx_is_told_at_the_login_what_it_need_not_ask_about() {
    let world = world();
    let authn = async |query: &str, scope: &str| {
        let body = json!({"username": scope, "password": token(&world, scope), "clientid": "c"});
        json_of(&world, &format!("/emqx/authn{query}"), body).await["acl"].clone()
    };
    let allow = |action: &str, topic: &str| json!({"permission": "allow", "action": action, "topic": topic});
    assert_eq!(authn("", "mqtt.write").await, json!(null));
    let events = "celine/digital-twin/events/#";
    assert_eq!(authn("?acl=true", "mqtt.write").await, json!([allow("publish", events)]));
    // A filter that reaches a denied topic, or one that may not be read, is asked about.
    assert_eq!(authn("?acl=true", "mqtt.read").await, json!([]));
    let both = json!(["subscribe", "read"]);
    world.replace_rules(&json!({"celine": {"mqtt": {"acl": {"rules": [
        {"subjects": {}, "topics": ["a/#", "b/+/c", "#", "own/${subject.id}", "$SYS/#"], "actions": both},
        {"subjects": {"groups": ["others"]}, "topics": ["d"], "actions": both},
        {"subjects": {}, "topics": ["x/secret"], "actions": ["read"], "effect": "deny"}]}}}}));
    assert_eq!(
        authn("?acl=true", "mqtt.read").await,
        json!([allow("subscribe", "a/#"), allow("subscribe", "eq b/+/c")])
    );
}
