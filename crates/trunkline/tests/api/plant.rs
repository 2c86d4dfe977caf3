//! A platform for one test, without sockets.

use std::{ops::Index, sync::Arc, time::Duration};

use access::{Access, Ground, crypto::MasterKey, identity::standalone::Standalone};
use axum::body::Body;
use db::{BoxFuture, Tx, params, testing::TestDb};
use events::Outbox;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kernel::{Clock, Rng, Secret, Timestamp};
use provision::{Credentials, Layout};
use serde_json::{Value, json};
use tower::ServiceExt;
use trunkline::compose::Registry;
use users::FirstAdmin;
use web::{App, AppInfo};

/// The key that all others are derived from: the same at each start, as a node has it in a file.
const MASTER: [u8; 32] = [7; 32];

/// 2026-01-02T03:04:05Z.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Plant {
    app: App,
    db: TestDb,
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    pub(crate) admin: Caller,
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Caller {
    app: App,
    pub(crate) token: Option<String>,
    device_key: Option<String>,
    pub(crate) id: String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Plant {
    /// A platform with an administrator who is logged in; anyone else must be registered by the administrator.
    pub(crate) async fn new(db: TestDb) -> Self {
        Self::with_rules(db, false).await
    }

    pub(crate) async fn with_rules(db: TestDb, self_register: bool) -> Self {
        Self::with_settings(db, access::Settings::default(), |rules| rules.self_register = self_register)
            .await
    }

    /// A platform whose users have to verify their addresses.
    pub(crate) async fn with_verified_users_only(db: TestDb) -> Self {
        let settings = access::Settings { allow_unverified_users: false, ..access::Settings::default() };
        Self::with_settings(db, settings, |_| {}).await
    }

    /// A platform whose certificates somebody else signs.
    pub(crate) async fn signed_outside(db: TestDb, outside: certs::OpenBao) -> Self {
        let certificates = certs::Setup { outside: Some(outside), ..certs_setup() };
        let clock = Clock::manual(START);
        let settings = access::Settings::default();
        let (app, registry) = Self::open(&db, settings, |_| {}, &clock, 1, certificates).await;
        let nobody = Caller { app: app.clone(), token: None, device_key: None, id: String::new() };
        let admin = nobody.logged_in("admin").await;
        Self { app, db, clock, registry, admin }
    }

    /// A platform in stand-alone mode, and its one user.
    pub(crate) async fn standalone(db: TestDb, user: &str, token: &str) -> (Self, Caller) {
        let clock = Clock::manual(START);
        let standalone = Standalone { user: user.parse().unwrap(), token: Secret::new(token.to_owned()) };
        let settings = access::Settings { standalone: Some(standalone), ..access::Settings::default() };
        let (app, registry) = Self::open(&db, settings, |_| {}, &clock, 1, certs_setup()).await;
        let nobody = Caller { app: app.clone(), token: None, device_key: None, id: user.to_owned() };
        let admin = nobody.with_token(token);
        (Self { app, db, clock, registry, admin: admin.clone() }, admin)
    }

    /// A platform with other settings.
    pub(crate) async fn with_settings(
        db: TestDb,
        settings: access::Settings,
        change: impl FnOnce(&mut users::Settings),
    ) -> Self {
        let clock = Clock::manual(START);
        let (app, registry) = Self::open(&db, settings, change, &clock, 1, certs_setup()).await;
        let nobody = Caller { app: app.clone(), token: None, device_key: None, id: String::new() };
        let admin = nobody.logged_in("admin").await;
        Self { app, db, clock, registry, admin }
    }

    /// The same platform after a stop and a start, with these settings. Callers from before come to it with
    /// [`Caller::at`].
    pub(crate) async fn restarted(self, settings: access::Settings) -> Self {
        let Self { mut db, clock, admin, .. } = self;
        db.reopen().await;
        let (app, registry) = Self::open(&db, settings, |_| {}, &clock, 2, certs_setup()).await;
        Self { admin: Caller { app: app.clone(), ..admin }, app, db, clock, registry }
    }

    /// The services over a database; `run` tells the ids of one start from those of another.
    async fn open(
        db: &TestDb,
        settings: access::Settings,
        change: impl FnOnce(&mut users::Settings),
        clock: &Clock,
        run: u64,
        certificates: certs::Setup,
    ) -> (App, Registry) {
        let ground = Ground {
            db: db.db(),
            outbox: Outbox::new(),
            master: MasterKey::from_bytes(Secret::new(MASTER)),
            clock: clock.clone(),
            rng: Rng::seeded(run),
        };
        let mut rules = users::Settings::with_password_rule(regex::Regex::new("^.{8,}$").unwrap());
        change(&mut rules);
        let registry = Registry::open(ground, settings, rules, cipher(), certificates).await.unwrap();
        let made = registry
            .users
            .ensure_admin(FirstAdmin {
                username: "admin".parse().unwrap(),
                email: "admin@example.com".parse().unwrap(),
                first_name: "super".parse().unwrap(),
                last_name: "admin".parse().unwrap(),
                password: Some(Secret::new(PASSWORD.to_owned())),
            })
            .await
            .unwrap();
        assert!(made.is_none(), "a given password is not made up");
        (app(&registry), registry)
    }

    /// The same platform with another layout of gateways.
    pub(crate) fn with_provisioning(self, layout: Layout, credentials: Credentials) -> Self {
        let registry = self.registry.laid_out(layout, credentials);
        let app = app(&registry);
        let admin = Caller { app: app.clone(), ..self.admin };
        Self { app, registry, admin, ..self }
    }

    /// A caller without credentials.
    pub(crate) fn nobody(&self) -> Caller {
        Caller { app: self.app.clone(), token: None, device_key: None, id: String::new() }
    }

    /// An ordinary user, registered and logged in.
    pub(crate) async fn user(&self, name: &str) -> Caller {
        self.register(name).await;
        self.nobody().logged_in(name).await
    }

    /// An ordinary user.
    pub(crate) async fn register(&self, name: &str) {
        self.register_by(name, &self.admin).await;
    }

    /// An ordinary user, registered by an administrator.
    pub(crate) async fn register_by(&self, name: &str, admin: &Caller) {
        let body = json!({
            "first_name": name, "last_name": "Test", "email": format!("{name}@example.com"),
            "credentials": {"username": name, "secret": PASSWORD},
        });
        admin.post("/users", body).await.expect(201);
    }

    pub(crate) fn access(&self) -> &Access {
        &self.registry.access
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &web::RouteFacts> {
        self.app.routes()
    }

    /// What has been announced since the last call, oldest first: operation and payload without what every event has.
    pub(crate) async fn events(&self) -> Vec<(String, Value)> {
        let rows = self
            .db
            .write(|tx| {
                Box::pin(async move {
                    let rows = tx.all("SELECT operation, payload FROM outbox ORDER BY id", params![]).await?;
                    tx.execute("DELETE FROM outbox", params![]).await?;
                    Ok(rows)
                })
            })
            .await
            .unwrap();
        rows.iter()
            .map(|row| {
                let mut payload: Value = row.get("payload").unwrap();
                let members = payload.as_object_mut().unwrap();
                for common in ["operation", "occurred_at"] {
                    members.remove(common).unwrap();
                }
                // What happens by itself has no request.
                members.remove("request_id");
                (row.get("operation").unwrap(), payload)
            })
            .collect()
    }

    /// So many groups in a group, as the platform would have made them, without their roles.
    pub(crate) async fn fill_group(&self, domain: &str, parent: &str, count: i64) {
        let (domain, parent) = (domain.to_owned(), parent.to_owned());
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    for n in 0..count {
                        let id = format!("00000000-0000-4000-9000-{n:012}");
                        tx.execute_later(
                            "INSERT INTO groups (id, domain_id, name, tags, metadata, status, created_at, changed_at)
                             VALUES ($1, $2, $1, '[]', '{}', 0, 0, 0)",
                            params![id.as_str(), domain.as_str()],
                        )
                        .await?;
                        for (relation, kind, of) in
                            [("domain", "domain", domain.as_str()), ("parent_group", "group", parent.as_str())]
                        {
                            tx.execute_later(
                                "INSERT INTO relations VALUES ('group', $1, $2, $3, $4)",
                                params![id.as_str(), relation, kind, of],
                            )
                            .await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
    }

    /// From now on the database does not answer.
    pub(crate) async fn lose_database(&self) {
        self.db.close().await;
    }

    /// Runs a statement, to make a state that requests do not lead to.
    pub(crate) async fn sql(&self, sql: &str) {
        let sql = sql.to_owned();
        self.db
            .write(move |tx| Box::pin(async move { tx.execute(&sql, params![]).await.map(drop) }))
            .await
            .unwrap();
    }

    /// Changes the database behind the API's back.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, kernel::Result<T>> + Send + 'static,
    ) -> T {
        self.db.write(job).await.unwrap()
    }

    /// The number of rows that a query counts.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let sql = format!("SELECT count(*) AS n FROM {from}");
        self.db
            .read(move |tx| Box::pin(async move { tx.one(&sql, params![]).await?.get("n") }))
            .await
            .unwrap()
    }
}

impl Caller {
    /// The same caller at a platform that has been started again.
    pub(crate) fn at(&self, plant: &Plant) -> Self {
        Self { app: plant.app.clone(), ..self.clone() }
    }

    pub(crate) async fn logged_in(&self, name: &str) -> Self {
        let answer = self
            .post("/users/tokens/issue", json!({"username": name, "password": PASSWORD}))
            .await
            .expect(201);
        let mut caller =
            Self { token: Some(answer["access_token"].as_str().unwrap().to_owned()), ..self.clone() };
        caller.id = caller.get("/users/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
        caller
    }

    /// A device that shows this external key.
    pub(crate) fn as_device(&self, key: &str) -> Self {
        Self { device_key: Some(key.to_owned()), ..self.clone() }
    }

    /// An answer that is no text.
    pub(crate) async fn get_bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let key = self.device_key.clone().unwrap_or_default();
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Client {key}"));
        let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// With one more header.
    pub(crate) async fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        let request = Request::get(path).header(name, value);
        self.exchange(request.body(Body::empty()).unwrap()).await
    }

    /// As a browser sends a form.
    pub(crate) async fn post_form(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.exchange(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = &self.device_key {
            request = request.header(header::AUTHORIZATION, format!("Client {key}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.exchange(request.body(body).unwrap()).await
    }

    /// Sends bytes, and returns those of the success.
    pub(crate) async fn post_bytes(&self, path: &str, kind: &str, body: Vec<u8>) -> Vec<u8> {
        let request = Request::post(path).header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    async fn exchange(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// A domain of the caller's own; its id.
    pub(crate) async fn domain(&self, route: &str) -> String {
        let answer = self.post("/domains", json!({"name": route, "route": route})).await.expect(201);
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Makes a role on the thing at `path` and gives it to a user.
    pub(crate) async fn grants(&self, path: &str, name: &str, actions: &[&str], user: &Self) {
        let body = json!({"role_name": name, "optional_actions": actions, "optional_members": [user.id]});
        self.post(&format!("{path}/roles"), body).await.expect(201);
    }

    /// A group in a domain, in a parent or in none; its id.
    pub(crate) async fn group(&self, domain: &str, name: &str, parent: Option<&str>) -> String {
        let body = json!({"name": name, "parent_id": parent});
        let answer = self.post(&format!("/{domain}/groups"), body).await.expect(201);
        answer["id"].as_str().unwrap().to_owned()
    }

    /// A client in a domain; its id.
    pub(crate) async fn client(&self, domain: &str, name: &str) -> String {
        let answer = self.post(&format!("/{domain}/clients"), json!({"name": name})).await.expect(201);
        answer["id"].as_str().unwrap().to_owned()
    }

    /// A channel in a domain; its id.
    pub(crate) async fn channel(&self, domain: &str, name: &str) -> String {
        let answer = self.post(&format!("/{domain}/channels"), json!({"name": name})).await.expect(201);
        answer["id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    /// The JSON of the body, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { serde_json::from_str(&self.text).unwrap() }
    }

    /// The `message` of an error, if the status is the expected one.
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> String {
        let json = self.expect(status);
        assert!(json["error"].as_str().is_some_and(|error| !error.is_empty()), "{json}");
        json.index("message").as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn app(registry: &Registry) -> App {
    let info = AppInfo {
        version: "0.1.0".into(),
        commit: "abc".into(),
        build_time: "today".into(),
        instance_id: "test".into(),
    };
    App::new(registry.routes(|_| true), info)
}

/// The cipher of secure bootstrap, under the key that upstream has where none is set.
pub(crate) fn cipher() -> bootstrap::Cipher {
    bootstrap::Cipher::new(Secret::new(b"12345678910111213141516171819202".to_vec())).unwrap()
}

/// Certificates that say where they are asked about, and a secret for programs of the operator.
fn certs_setup() -> certs::Setup {
    certs::Setup {
        limits: certs::Limits { url: Some("https://iot.example.com".to_owned()), ..certs::Limits::default() },
        settings: certs::Settings {
            agent_secret: Some(Secret::new("agents-12345678".to_owned())),
            warn_before: Duration::from_secs(168 * 3600),
        },
        outside: None,
        revoked: certs::Revoked::default(),
        callers: certs::Callers::default(),
    }
}

/// A moment later.
pub(crate) const LATER: Duration = Duration::from_secs(60);

/// Sends the same request many times at once.
pub(crate) async fn at_once<F>(times: usize, send: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let tasks: Vec<_> = (0..times).map(|n| tokio::spawn(send(n))).collect();
    let mut answers = Vec::with_capacity(times);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// Shared by tests that need a callable caller in several tasks.
pub(crate) type Shared = Arc<Caller>;
