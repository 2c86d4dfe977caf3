//! A broker's questions over a socket, as the plugin sends them.

use std::time::{SystemTime, UNIX_EPOCH};

use kernel::{Clock, Secret};
use policy::{
    AuditOptions, CacheOptions, LimitOptions, PolicyOptions, PolicySource, oidc::OidcOptions,
    rules::RuleOptions,
};
use serde_json::json;
use testkit::oidc::{Algorithm, Issuer, Key};
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Channel};
use web::{App, AppInfo, AppOptions, Listener, ListenerOptions};

use super::*;
use crate::pb::brokers::auth_service_client::AuthServiceClient;

struct World {
    client: AuthServiceClient<Channel>,
    issuer: Issuer,
    key: Key,
    shutdown: CancellationToken,
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(http: HttpOptions) -> Self {
        Self::within(http, LimitOptions::default()).await
    }

    async fn within(http: HttpOptions, limits: LimitOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rules = directory.path().join("rules.json");
        let rule = json!({"subjects": {}, "topics": ["a/#"], "actions": "*"});
        std::fs::write(&rules, json!({"celine": {"mqtt": {"acl": {"rules": [rule]}}}}).to_string()).unwrap();
        let key = Key::generate("k", Algorithm::ES256);
        let issuer = Issuer::start([key.clone()]);
        let options = PolicyOptions {
            source: PolicySource::Rules(Some(rules), RuleOptions::default()),
            oidc: OidcOptions {
                issuers: vec![issuer.url()],
                algorithms: vec![Algorithm::ES256],
                ..OidcOptions::default()
            },
            cache: CacheOptions::default(),
            audit: AuditOptions::default(),
            limits,
            bindings: None,
            denied: None,
            require_verified_username: false,
            version: String::new(),
        };
        let policy = Policy::open(options, None, Clock::system()).unwrap();
        let others = routes(policy.clone(), http.clone());
        let [version, commit, build_time, instance_id] = [const { String::new() }; 4];
        let info = AppInfo { version, commit, build_time, instance_id };
        let table = vec![policy::http::routes(policy, http)];
        let app = App::with_options(table, info, AppOptions { others, ..AppOptions::default() });
        let at = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(at, ListenerOptions::default()).await.unwrap();
        let url = format!("http://{}", listener.local_addr());
        let shutdown = CancellationToken::new();
        tokio::spawn(listener.serve(app, shutdown.clone()));
        let client = AuthServiceClient::connect(url).await.unwrap();
        Self { client, issuer, key, shutdown, _directory: directory }
    }

    fn token(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "the token must hold by the clock of the service")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims =
            self.issuer.claims(i64::try_from(now).unwrap(), &json!({"sub": "u", "groups": ["viewers"]}));
        self.key.sign(&claims)
    }

    async fn log_in(&mut self, password: String) -> Result<bool, Code> {
        let request = GetUserRequest { username: "u".to_owned(), password, clientid: "c".to_owned() };
        self.client
            .get_user(request)
            .await
            .map(|answer| answer.into_inner().ok)
            .map_err(|status| status.code())
    }

    async fn may(&mut self, topic: &str, acc: i32) -> bool {
        let [username, topic, clientid] = ["u", topic, "c"].map(str::to_owned);
        let request = CheckAclRequest { username, topic, clientid, acc };
        self.client.check_acl(request).await.unwrap().into_inner().ok
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_answered_over_grpc() {
    let mut world = World::start(HttpOptions::default()).await;
    let token = world.token();
    assert!(!world.may("a/b", 4).await, "it has not logged in");
    assert_eq!(world.log_in("secret".to_owned()).await, Ok(false));
    assert_eq!(world.log_in(token).await, Ok(true));
    assert!(world.may("a/#", 4).await && world.may("a/b", 1).await);
    assert!(!world.may("a/b", 2).await && !world.may("b", 1).await && !world.may("a/b", 17).await);
    let superuser = GetSuperuserRequest { username: "u".to_owned() };
    assert!(!world.client.get_superuser(superuser).await.unwrap().into_inner().ok);
    assert_eq!(world.client.get_name(()).await.unwrap().into_inner().name, "trunkline");
    world.client.halt(()).await.unwrap();
    assert!(world.may("a/b", 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_say_is_an_error_and_brokers_that_may_not_ask_are_refused() {
    let mut world = World::start(HttpOptions::default()).await;
    world.issuer.go_away(true);
    let token = world.token();
    assert_eq!(world.log_in(token).await, Err(Code::Unavailable));

    let http = HttpOptions { broker_secret: Some(Secret::new("s".to_owned())), ..HttpOptions::default() };
    let mut world = World::start(http).await;
    let token = world.token();
    assert_eq!(world.log_in(token).await, Err(Code::PermissionDenied));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_an_error_that_the_plugin_does_not_remember() {
    let none = std::num::NonZeroU64::new(0);
    let one = std::num::NonZeroU64::MIN;
    let limits = LimitOptions { questions: none, failures: Some(one) };
    let mut world = World::within(HttpOptions::default(), limits).await;
    // So many that they do not fit into the time that they take.
    let mut outcomes = Vec::new();
    for number in 0..50 {
        outcomes.push(world.log_in(format!("eyJhbGciOiJub25lIn0.e30.{number}")).await);
    }
    assert_eq!(outcomes[0], Ok(false));
    assert!(outcomes.contains(&Err(Code::ResourceExhausted)), "{outcomes:?}");

    let limits = LimitOptions { questions: Some(one), failures: none };
    let mut world = World::within(HttpOptions::default(), limits).await;
    let mut outcomes = Vec::new();
    for _ in 0..50 {
        outcomes.push(world.log_in("eyJhbGciOiJub25lIn0.e30.x".to_owned()).await);
    }
    assert!(outcomes.contains(&Err(Code::ResourceExhausted)), "{outcomes:?}");
}
