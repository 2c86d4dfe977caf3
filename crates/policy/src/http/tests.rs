//! The vectors of reference 08 §8, and what surrounds them.

mod changes;
mod hostile;
mod limited;
mod operators;

use std::{net::SocketAddr, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kernel::{Clock, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::oidc::{Algorithm, Issuer, Key};
use tower::ServiceExt;
use web::{App, AppInfo, Connection};

use super::*;
use crate::{
    AuditOptions, CacheOptions, LimitOptions, PolicyOptions, PolicySource, oidc::OidcOptions,
    rules::RuleOptions,
};

pub(super) const START: i64 = 1_800_000_000;
pub(super) const TOPIC: &str = "celine/digital-twin/events/pump/1";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";

pub(super) struct World {
    app: App,
    policy: Policy,
    pub(super) issuer: Issuer,
    pub(super) key: Key,
    pub(super) clock: Clock,
    directory: TempDir,
}

/// The seed's rule about the digital twin, and one for administrators.
fn rules() -> Value {
    json!({"celine": {"mqtt": {"acl": {"rules": [
        {"subjects": {"types": ["service"], "scopes": ["mqtt.write"]},
         "topics": ["celine/digital-twin/events/#", "celine/digital-twin/state/#"], "actions": ["publish"]},
        {"subjects": {"groups": ["admins"]}, "topics": ["#"], "actions": "*"}]}}}})
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&mut PolicyOptions, &mut HttpOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("rules.json"), rules().to_string()).unwrap();
        let key = Key::generate("k", Algorithm::ES256);
        let issuer = Issuer::start([key.clone()]);
        Self::over(directory, issuer, key, Clock::manual(Timestamp::from_micros(START * 1_000_000)), change)
    }

    fn over(
        directory: TempDir,
        issuer: Issuer,
        key: Key,
        clock: Clock,
        change: impl FnOnce(&mut PolicyOptions, &mut HttpOptions),
    ) -> Self {
        let mut options = PolicyOptions {
            source: PolicySource::Rules(Some(directory.path().join("rules.json")), RuleOptions::default()),
            oidc: OidcOptions {
                issuers: vec![issuer.url()],
                algorithms: vec![Algorithm::ES256],
                ..OidcOptions::default()
            },
            cache: CacheOptions::default(),
            audit: AuditOptions::default(),
            limits: LimitOptions::default(),
            bindings: Some(directory.path().join("bindings.jsonl")),
            denied: None,
            require_verified_username: false,
            version: "1.2.3".to_owned(),
        };
        let mut http = HttpOptions::default();
        change(&mut options, &mut http);
        let policy = Policy::open(options, None, clock.clone()).unwrap();
        let [version, commit, build_time, instance_id] = [const { String::new() }; 4];
        let app = App::new(
            vec![routes(policy.clone(), http)],
            AppInfo { version, commit, build_time, instance_id },
        );
        Self { app, policy, issuer, key, clock, directory }
    }

    /// The same service after a restart.
    fn restarted(self) -> Self {
        let Self { issuer, key, clock, directory, .. } = self;
        Self::over(directory, issuer, key, clock, |_, _| {})
    }

    pub(super) fn replace_rules(&self, rules: &Value) {
        std::fs::write(self.directory.path().join("rules.json"), rules.to_string()).unwrap();
        self.policy.reload().unwrap();
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.key.sign(&self.issuer.claims(START, claims))
    }

    /// The service of the vectors.
    fn service(&self) -> String {
        self.token(&json!({"client_id": "svc-digital-twin", "scope": "mqtt.write"}))
    }

    fn admin(&self) -> String {
        self.token(&json!({"sub": "u-adm", "preferred_username": "adm", "groups": ["/admins"]}))
    }

    fn expired(&self) -> String {
        self.token(&json!({"client_id": "svc-digital-twin", "scope": "mqtt.write", "exp": START - 100}))
    }

    pub(super) async fn send(&self, request: Request<String>) -> (StatusCode, String) {
        self.send_from("127.0.0.1:1", request).await
    }

    async fn send_from(&self, peer: &str, request: Request<String>) -> (StatusCode, String) {
        let mut request = request.map(Body::from);
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(Connection { peer, tls: false, service: "policy" });
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The status and the reason.
    async fn ask(&self, request: Request<String>) -> (u16, String) {
        let (status, body) = self.send(request).await;
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        assert_eq!(body["ok"], json!(status == StatusCode::OK), "{body}");
        (status.as_u16(), body["reason"].as_str().unwrap().to_owned())
    }

    async fn post(&self, path: &str, content_type: &str, body: impl Into<String>) -> (u16, String) {
        self.ask(post(path, content_type, body)).await
    }

    /// A login over a form, as the plugin sends it.
    async fn log_in(&self, username: &str, password: &str, clientid: &str) -> (u16, String) {
        let form = format!("clientid={clientid}&password={password}&username={username}");
        self.post("/mqtt/user", FORM, form).await
    }

    async fn publish(&self, username: &str, clientid: &str) -> (u16, String) {
        let topic = TOPIC.replace('/', "%2F");
        self.post("/mqtt/acl", FORM, format!("acc=2&clientid={clientid}&topic={topic}&username={username}"))
            .await
    }
}

pub(super) fn post(path: &str, content_type: &str, body: impl Into<String>) -> Request<String> {
    let request = Request::post(path);
    let request =
        if content_type.is_empty() { request } else { request.header("content-type", content_type) };
    request.body(body.into()).unwrap()
}

pub(super) fn with_header(mut request: Request<String>, value: &str) -> Request<String> {
    request.headers_mut().insert("authorization", value.parse().unwrap());
    request
}

fn granted(reason: &str) -> (u16, String) {
    (200, reason.to_owned())
}

fn denied(reason: &str) -> (u16, String) {
    (403, reason.to_owned())
}

#[tokio::test]
async fn a_login_is_taken_in_every_form_in_which_a_plugin_sends_it() {
    let world = World::new();
    let token = world.service();
    let bearer = format!("Bearer {token}");
    let yes = granted("authenticated");
    // h1, h2: the header, whatever the body.
    for (path, content_type, body) in [
        ("/mqtt/user", JSON, ""),
        ("/user", JSON, "null"),
        ("/user", FORM, ""),
        ("/mqtt/user/", "", ""),
        ("/mqtt/user", JSON, "{broken"),
    ] {
        assert_eq!(
            world.ask(with_header(post(path, content_type, body), &bearer)).await,
            yes,
            "{path} {body}"
        );
    }
    // h3 to h6: the password or the name, in a form or JSON, by any method.
    let json = json!({"clientid": "c1", "password": token, "username": "svc-digital-twin"}).to_string();
    assert_eq!(world.log_in("svc-digital-twin", &token, "c1").await, yes);
    for method in ["POST", "PUT", "GET"] {
        let request = Request::builder().method(method).uri("/mqtt/user").header("content-type", JSON);
        assert_eq!(world.ask(request.body(json.clone()).unwrap()).await, yes, "{method}");
    }
    assert_eq!(
        world.post("/mqtt/user", JSON, json!({"username": token, "password": "any"}).to_string()).await,
        yes
    );
    assert_eq!(world.log_in("x", &format!("Bearer+{token}"), "c").await, yes);
    let query = Request::get(format!("/mqtt/user?password={token}&username=svc-digital-twin"));
    assert_eq!(world.ask(query.body(String::new()).unwrap()).await, yes);
    // h9, h10.
    let basic = with_header(post("/mqtt/user", JSON, json.clone()), "Basic dTpw");
    assert_eq!(world.ask(basic).await, yes);
    assert_eq!(world.ask(with_header(post("/mqtt/user", "", ""), &format!("bearer   {token} "))).await, yes);
    // h7, h8.
    assert_eq!(world.post("/mqtt/user", "", "").await, denied("missing token"));
    let stale = with_header(post("/mqtt/user", JSON, json), &format!("Bearer {}", world.expired()));
    assert_eq!(world.ask(stale).await, denied("invalid credentials"));
    assert_eq!(world.log_in("u", "secret", "c").await, denied("invalid credentials"));
    // A token without any right may connect.
    let nobody = world.token(&json!({"sub": "u-0"}));
    assert_eq!(world.log_in("u-0", &nobody, "c").await, yes);
    let (status, _) = world.send(Request::delete("/mqtt/user").body(String::new()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_topic_is_granted_by_the_rules_and_a_question_that_cannot_be_read_is_400() {
    let world = World::new();
    let bearer = format!("Bearer {}", world.service());
    let ask = async |content_type: &str, body: String| {
        world.ask(with_header(post("/mqtt/acl", content_type, body), &bearer)).await
    };
    let yes = granted("authorized");
    // h12 to h14.
    assert_eq!(ask(JSON, json!({"topic": TOPIC, "acc": 2}).to_string()).await, yes);
    assert_eq!(ask(FORM, json!({"topic": TOPIC, "acc": 2}).to_string()).await, yes);
    assert_eq!(
        ask(JSON, json!({"topic": TOPIC, "acc": 4}).to_string()).await,
        denied("missing capability subscribe")
    );
    assert_eq!(ask(JSON, json!({"topic": TOPIC, "acc": "2"}).to_string()).await, yes);
    assert_eq!(ask(FORM, format!("topic={TOPIC}&acc=2")).await, yes);
    assert_eq!(ask(JSON, json!({"topic": "other", "acc": 2}).to_string()).await, denied("no matching rule"));
    assert_eq!(ask(JSON, json!({"topic": "a/+", "acc": 2}).to_string()).await, denied("invalid topic"));
    assert_eq!(
        ask(JSON, json!({"topic": TOPIC, "acc": 3}).to_string()).await,
        denied("missing capability read")
    );
    // h15, h16.
    for acc in [0, 8, 17, -1] {
        assert_eq!(
            ask(JSON, json!({"topic": TOPIC, "acc": acc}).to_string()).await,
            denied("invalid acc mask")
        );
    }
    for body in [
        json!({"topic": TOPIC, "acc": "x"}).to_string(),
        json!({"acc": 2}).to_string(),
        json!({"topic": TOPIC}).to_string(),
        "{\"topic\":".to_owned(),
        String::new(),
    ] {
        assert_eq!(ask(JSON, body.clone()).await.0, 400, "{body}");
    }
    let (status, _) = world.send(post("/mqtt/acl", FORM, "x".repeat(6 << 20))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn later_questions_are_answered_by_the_login_of_the_client() {
    let world = World::new();
    let token = world.service();
    // h20.
    assert_eq!(world.publish("svc-digital-twin", "c1").await, denied("missing token"));
    // h17, h18.
    world.log_in("svc-digital-twin", &token, "c1").await;
    assert_eq!(world.publish("svc-digital-twin", "c1").await, granted("authorized"));
    assert_eq!(world.publish("svc-digital-twin", "c2").await, granted("authorized"));
    // h19: a name that is not in the token.
    assert_eq!(world.log_in("bob", &token, "c1").await, granted("authenticated"));
    assert_eq!(world.publish("bob", "c1").await, granted("authorized"));
    assert_eq!(world.publish("bob", "c2").await, denied("missing token"));
    // h22: a failed login changes nothing.
    assert_eq!(world.log_in("svc-digital-twin", &world.expired(), "c1").await.0, 403);
    assert_eq!(world.publish("svc-digital-twin", "c1").await, granted("authorized"));
    // h23: no name at all.
    world.log_in("", &token, "c1").await;
    assert_eq!(world.publish("", "c1").await, granted("authorized"));
    // Another subject does not get the name.
    let other = world.token(&json!({"client_id": "svc-other", "scope": "mqtt.write"}));
    assert_eq!(world.log_in("svc-digital-twin", &other, "c9").await, denied("username in use"));
    // Another broker has other clients.
    let form = format!("acc=2&clientid=c1&topic={TOPIC}&username=svc-digital-twin");
    let (status, _) = world.send_from("10.0.0.9:1", post("/mqtt/acl", FORM, form.clone())).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = world.send(post("/mqtt/acl?broker=second", FORM, form)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let world = world.restarted();
    assert_eq!(world.publish("svc-digital-twin", "c7").await, granted("authorized"));
    assert_eq!(world.publish("bob", "c1").await, granted("authorized"));
    // h21.
    world.clock.advance(Duration::from_secs(3630));
    assert_eq!(world.publish("svc-digital-twin", "c1").await.0, 403);
}

#[tokio::test]
async fn a_name_can_be_required_to_be_the_subjects_own() {
    let world = World::with(|options, _| options.require_verified_username = true);
    let token = world.service();
    assert_eq!(world.log_in("bob", &token, "c1").await.0, 403);
    assert_eq!(world.log_in("", &token, "c1").await.0, 403);
    assert_eq!(world.log_in("svc-digital-twin", &token, "c1").await.0, 200);
    let jwt_mode = json!({"username": token, "password": "any", "clientid": "c"}).to_string();
    assert_eq!(world.post("/mqtt/user", JSON, jwt_mode).await.0, 200);
}

#[tokio::test]
async fn superusers_are_told_by_token_or_verified_name() {
    let world = World::new();
    let (admin, service) = (world.admin(), world.service());
    let yes = granted("superuser");
    // h24, h25.
    let bearer = |token: &str, body: &str| {
        with_header(post("/mqtt/superuser", JSON, body), &format!("Bearer {token}"))
    };
    assert_eq!(world.ask(bearer(&admin, "null")).await, yes);
    assert_eq!(world.ask(bearer(&admin, "")).await, yes);
    assert_eq!(world.post("/superuser", JSON, json!({"username": admin}).to_string()).await, yes);
    // h26.
    world.log_in("adm", &admin, "c1").await;
    world.log_in("somebody", &admin, "c2").await;
    assert_eq!(world.post("/mqtt/superuser", FORM, "username=adm").await, yes);
    assert_eq!(world.post("/mqtt/superuser", FORM, "username=somebody").await, denied("missing token"));
    // h27.
    assert_eq!(world.ask(bearer(&service, "null")).await, denied("not superuser"));
    assert_eq!(world.post("/mqtt/superuser", JSON, "null").await, denied("missing token"));
    // The rules stay in force where the broker does not ask.
    let acl = json!({"topic": "$SYS/#", "acc": 4}).to_string();
    assert_eq!(world.ask(with_header(post("/mqtt/acl", JSON, acl), &format!("Bearer {admin}"))).await.0, 403);
}

#[tokio::test]
async fn text_is_answered_where_it_is_asked_for() {
    // h28.
    let world = World::new();
    let bearer = format!("Bearer {}", world.service());
    let ask = async |path: &str, body: &str| world.send(with_header(post(path, JSON, body), &bearer)).await;
    assert_eq!(ask("/mqtt/user?response=text", "").await, (StatusCode::OK, "ok".to_owned()));
    let (status, body) = ask("/mqtt/superuser?response=text", "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_ne!(body, "ok");

    let world = World::with(|_, http| http.text = true);
    let request = with_header(post("/mqtt/user", JSON, ""), &format!("Bearer {}", world.service()));
    assert_eq!(world.send(request).await, (StatusCode::OK, "ok".to_owned()));
}

#[tokio::test]
async fn without_keys_nobody_can_say_and_with_them_the_issuer_may_be_gone() {
    // h29, h30.
    let world = World::new();
    world.issuer.go_away(true);
    let token = world.service();
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await, (503, "cannot decide now".to_owned()));
    let ready = || Request::get("/ready").body(String::new()).unwrap();
    assert_eq!(world.send(ready()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.send(Request::get("/health").body(String::new()).unwrap()).await.0, StatusCode::OK);

    world.issuer.go_away(false);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await.0, 200);
    world.issuer.go_away(true);
    assert_eq!(world.log_in("svc-digital-twin", &token, "c").await.0, 200);
    let (status, body) = world.send(ready()).await;
    assert_eq!(status, StatusCode::OK);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], "healthy");
    assert_eq!(body["policy_count"], 2);
    assert_eq!(body["packages"], json!(["celine.mqtt.acl"]));
    assert_eq!(body["details"]["cache"]["maxsize"], 10_000);
    // A key that nobody knows: "no" only if the issuer has said so.
    let unknown =
        world.key.sign_as(Algorithm::ES256, Some("other"), &world.issuer.claims(START, &json!({"sub": "u"})));
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.log_in("u", &unknown, "c").await.0, 503);
}

#[tokio::test]
async fn a_broker_can_be_asked_for_a_secret_and_an_address() {
    let world = World::with(|_, http| {
        http.broker_secret = Some(Secret::new("s3cret".to_owned()));
        http.brokers = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let form = format!("clientid=c&username=x&password={}", world.service());
    let ask = async |path: &str| world.post(path, FORM, form.clone()).await;
    assert_eq!(ask("/mqtt/user").await, denied("this broker may not ask"));
    assert_eq!(ask("/mqtt/user?secret=wrong").await.0, 403);
    assert_eq!(ask("/mqtt/user?secret=s3cret").await.0, 200);
    // `broker:s3cret`
    let basic = with_header(post("/mqtt/user", FORM, form.clone()), "Basic YnJva2VyOnMzY3JldA==");
    assert_eq!(world.ask(basic).await.0, 200);
    let (status, _) =
        world.send_from("10.0.0.1:9", post("/mqtt/user?secret=s3cret", FORM, form.clone())).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
