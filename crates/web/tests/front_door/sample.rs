//! A tiny service whose handlers do whatever the tests need, and a caller.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{OriginalUri, State},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use kernel::{ClientId, Kind, Metadata, Name, Operation, Rng};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;
use utoipa::{IntoParams, ToSchema};
use web::{
    App, AppInfo, AppOptions, Bearer, Connection, Created, Empty, Error, Guard, Json, Path, Payload, Query,
    RequestId, Route, Routes, Rule,
};

pub(crate) const VIEW: Operation = Operation::new("clients", "view");
pub(crate) const CREATE: Operation = Operation::new("domains", "create_clients");

/// The client that is there.
pub(crate) const KNOWN: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

/// What the handlers share.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    /// Lets `/slow` answer.
    pub(crate) go: Arc<tokio::sync::Notify>,
    /// Says that `/slow` was entered.
    pub(crate) entered: Arc<tokio::sync::Notify>,
}

/// A new client.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewClient {
    /// Its display name.
    name: Name,
    /// How many there are.
    #[serde(default)]
    count: u8,
    #[serde(default)]
    nested: Option<Box<Nested>>,
    /// What the user attaches.
    #[serde(default)]
    metadata: Metadata,
}

/// Something inside.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Nested {
    name: Name,
}

/// A client as it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientView {
    /// Its id.
    id: ClientId,
    /// Its display name.
    name: Name,
    /// What the user attaches.
    metadata: Metadata,
}

#[derive(Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// How many rows to pass over.
    #[serde(default)]
    offset: u64,
}

/// The table of the service.
pub(crate) fn routes(sample: Sample) -> Routes {
    Routes::new("clients")
        .add(
            Route::post("/{domain}/clients", create)
                .named("register_clients")
                .rule(Rule::Operations(&[CREATE]))
                .summary("Create a client")
                .description("Emits `client.create`.")
                .takes::<NewClient>()
                .answers::<ClientView>(201),
        )
        .add(
            Route::get("/{domain}/clients", list)
                .named("list_clients")
                .rule(Rule::SignedIn("only clients that the caller may see are listed"))
                .summary("List clients")
                .queries::<ListQuery>()
                .answers_list::<ClientView>(200),
        )
        .add(
            Route::get("/{domain}/clients/{client}", view)
                .named("view_client")
                .rule(Rule::Operations(&[VIEW]))
                .answers::<ClientView>(200),
        )
        .add(
            Route::delete("/{domain}/clients/{client}", delete)
                .named("delete_client")
                .rule(Rule::Operations(&[VIEW, CREATE]))
                .answers_empty(204),
        )
        .add(Route::get("/fail/{kind}", fail).named("fail").rule(PUBLIC))
        .add(Route::get("/panic", panic).named("panic").rule(PUBLIC))
        .add(Route::get("/forgets", forgets).named("forgets").rule(Rule::Operations(&[VIEW])))
        .add(Route::get("/unsigned", forgets).named("unsigned").rule(Rule::SignedIn("a test")))
        .add(Route::get("/slow", slow).named("slow").rule(PUBLIC))
        .add(
            Route::post("/bytes", bytes)
                .named("bytes")
                .rule(PUBLIC)
                .takes_bytes("application/octet-stream")
                .answers::<u64>(202),
        )
        .add(Route::get("/bare", bare).named("bare").rule(PUBLIC))
        .add(Route::get("/whoami", whoami).named("whoami").rule(PUBLIC))
        .with(sample)
}

const PUBLIC: Rule = Rule::Public("a test");

async fn create(
    guard: Guard,
    Path(_domain): Path<String>,
    Json(new): Json<NewClient>,
) -> web::Result<Created<ClientView>> {
    assert!(guard.declares(CREATE) && !guard.declares(VIEW));
    guard.mark_authorized();
    let inner = new.nested.map(|nested| nested.name);
    assert!(inner.is_none_or(|name| !name.is_empty()) && new.count < u8::MAX);
    let id = ClientId::generate(&Rng::seeded(1));
    Ok(Created(format!("/clients/{id}"), ClientView { id, name: new.name, metadata: new.metadata }))
}

async fn list(guard: Guard, Query(query): Query<ListQuery>) -> Json<u64> {
    guard.mark_signed_in();
    Json(query.offset)
}

async fn view(guard: Guard, Path((_domain, id)): Path<(String, ClientId)>) -> web::Result<Json<ClientView>> {
    if id.to_string() != KNOWN {
        return Err(kernel::Error::not_found().into());
    }
    guard.mark_authorized();
    Ok(Json(ClientView { id, name: Name::default(), metadata: Metadata::default() }))
}

async fn delete(guard: Guard) -> Empty {
    guard.mark_authorized();
    Empty(StatusCode::NO_CONTENT)
}

async fn fail(Path(kind): Path<String>) -> web::Result<Empty> {
    let kinds = [
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::Denied,
        Kind::NotFound,
        Kind::Conflict,
        Kind::TooLarge,
        Kind::MediaType,
        Kind::Unprocessable,
        Kind::Limited,
        Kind::Unavailable,
        Kind::Internal,
    ];
    let kind = kinds.into_iter().find(|one| format!("{one:?}") == kind).unwrap();
    let error = kernel::Error::new(kind, "the public words").cause(std::io::Error::other("the secret cause"));
    Err(Error::from(error).retry_after(7))
}

async fn panic() -> Empty {
    panic!("the secret text")
}

async fn forgets() -> Json<&'static str> {
    Json("what nobody was allowed to see")
}

async fn slow(State(sample): State<Sample>) -> Empty {
    sample.entered.notify_one();
    sample.go.notified().await;
    Empty(StatusCode::OK)
}

async fn bytes(Payload(bytes): Payload) -> Json<usize> {
    Json(bytes.len())
}

async fn bare() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn whoami(
    Bearer(token): Bearer,
    id: RequestId,
    from: Connection,
    OriginalUri(uri): OriginalUri,
) -> Json<Value> {
    Json(serde_json::json!({
        "token": token.map(|token| token.expose().clone()),
        "request_id": id.as_str(),
        "loopback": from.peer.ip().is_loopback(),
        "service": from.service,
        "uri": uri.to_string(),
    }))
}

/// What the service says of itself; who asks for it is about to start one.
pub(crate) fn info() -> AppInfo {
    crate::log::listen();
    AppInfo {
        version: "0.1.0".into(),
        commit: "0c88c69".into(),
        build_time: "2026-11-24_18:00:00".into(),
        instance_id: "9d3c0a1e-0000-4000-8000-000000000000".into(),
    }
}

/// The service under the default options.
pub(crate) fn app() -> App {
    app_with(AppOptions::default())
}

pub(crate) fn app_with(options: AppOptions) -> App {
    App::with_options(vec![routes(Sample::default())], info(), options)
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `message` of an error, after checking what holds for every error.
    pub(crate) fn message(&self) -> String {
        let body = self.json();
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        body["message"].as_str().unwrap().to_owned()
    }

    /// The `error` field of an error.
    pub(crate) fn detail(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn send(app: &App, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(text.to_vec()).unwrap(),
    }
}

pub(crate) async fn call(app: &App, method: &str, path: &str) -> Answer {
    send(app, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn get(app: &App, path: &str) -> Answer {
    call(app, "GET", path).await
}

pub(crate) async fn post_json(app: &App, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json;charset=utf-8");
    send(app, request.body(body.into()).unwrap()).await
}
