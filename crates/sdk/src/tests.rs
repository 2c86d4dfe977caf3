//! Requests as they go out, and answers as they come in, against a server that notes what it is asked.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use kernel::{ChannelId, ClientId, DomainId, Secret};

use super::*;

mod certs;
mod control_plane;

const DOMAIN: &str = "8353e9c8-5a8b-4e12-9a51-3a3a3b8c5b11";
const CLIENT: &str = "1b6a8c0e-0a5d-4a51-8b0f-6f2f7c1a9d22";
const CHANNEL: &str = "5d0e6f6a-3a44-4f0a-9c40-4b1d9a8e7c33";

/// A server that gives the same answer to everything.
struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    async fn answering(status: u16, body: &'static str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        let answer = move |request: Request<Body>| {
            let note = Arc::clone(&note);
            async move {
                let line = described(request).await;
                note.lock().unwrap().push(line);
                let status = StatusCode::from_u16(status).unwrap();
                Response::builder()
                    .status(status)
                    .header("x-request-id", "r-1")
                    .body(Body::from(body))
                    .unwrap()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { address, asked }
    }

    fn api(&self) -> Api {
        let api = Api::new(Remotes::one(&format!("http://{}/", self.address))).unwrap();
        api.with_token(Secret::new("T".to_owned()))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Method, path, who asks, content type and body in one line.
async fn described(request: Request<Body>) -> String {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let line =
        format!("{} {} | {} | {}", parts.method, parts.uri, header("authorization"), header("content-type"));
    let body = to_bytes(body, 1 << 20).await.unwrap();
    format!("{line} | {}", String::from_utf8_lossy(&body))
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn domain() -> DomainId {
    DomainId::from_str(DOMAIN).unwrap()
}

#[tokio::test]
async fn logging_in_and_refreshing_send_what_the_contract_says() {
    let stub = Stub::answering(201, r#"{"access_token":"a","refresh_token":"r"}"#).await;
    let pair = stub.api().tokens().issue("admin", &secret("pw")).await.unwrap();
    assert_eq!(pair.access_token, secret("a"));
    stub.api().tokens().refresh(&pair.refresh_token).await.unwrap();
    assert_eq!(
        stub.asked(),
        [
            r#"POST /users/tokens/issue | Bearer T | application/json | {"password":"pw","username":"admin"}"#,
            r#"POST /users/tokens/refresh | Bearer r | application/json | {}"#,
        ]
    );
}

#[tokio::test]
async fn a_client_is_read_as_the_platform_writes_it() {
    let stub = Stub::answering(
        200,
        r#"{"id":"1b6a8c0e-0a5d-4a51-8b0f-6f2f7c1a9d22","name":"boiler","domain_id":"8353e9c8-5a8b-4e12-9a51-3a3a3b8c5b11",
            "credentials":{"identity":"sn-1","secret":"s"},"created_at":"2026-01-01T00:00:00.5Z",
            "updated_at":"0001-01-01T00:00:00Z","status":"disabled","something_new":1}"#,
    )
    .await;
    let id = ClientId::from_str(CLIENT).unwrap();
    let client = stub.api().clients(domain()).view(id).await.unwrap();
    assert_eq!((client.id, client.name.as_str(), client.domain_id), (id, "boiler", domain()));
    assert_eq!(client.credentials.secret, Some(secret("s")));
    assert_eq!((client.updated_at, client.status), (None, kernel::Status::Disabled));
    assert_eq!(stub.asked(), [format!("GET /{DOMAIN}/clients/{CLIENT} | Bearer T | - | ")]);
}

#[tokio::test]
async fn a_new_client_carries_its_secret_only_if_it_has_one() {
    let stub = Stub::answering(403, "").await;
    let api = stub.api();
    let mut new = NewClient::named("boiler");
    let _ = api.clients(domain()).create(&new).await;
    new.credentials = Credentials { identity: "sn-1".to_owned(), secret: Some(secret("s")) };
    let _ = api.clients(domain()).create(&new).await;
    let path = format!("POST /{DOMAIN}/clients | Bearer T | application/json");
    assert_eq!(
        stub.asked(),
        [
            format!(r#"{path} | {{"name":"boiler","credentials":{{}},"status":"enabled"}}"#),
            format!(
                r#"{path} | {{"name":"boiler","credentials":{{"identity":"sn-1","secret":"s"}},"status":"enabled"}}"#
            ),
        ]
    );
    assert!(!format!("{new:?}").contains("\"s\""));
}

#[tokio::test]
async fn an_empty_page_may_lack_its_list() {
    let stub = Stub::answering(200, r#"{"total":0,"limit":5}"#).await;
    let query = Query { limit: Some(5), name: Some("a b".to_owned()), ..Query::default() };
    let page = stub.api().channels(domain()).list(&query).await.unwrap();
    assert_eq!((page.total, page.limit, page.items.len()), (0, 5, 0));
    assert_eq!(stub.asked(), [format!("GET /{DOMAIN}/channels?limit=5&name=a+b | Bearer T | - | ")]);
}

#[tokio::test]
async fn connecting_and_publishing_send_what_the_contract_says() {
    let stub = Stub::answering(201, "").await;
    let (channel, client) = (ChannelId::from_str(CHANNEL).unwrap(), ClientId::from_str(CLIENT).unwrap());
    let connections = Connections {
        channel_ids: vec![channel],
        client_ids: vec![client],
        types: vec![ConnectionType::Publish, ConnectionType::Subscribe],
    };
    let api = stub.api();
    api.channels(domain()).connect(&connections).await.unwrap();
    let payload = b"[]".to_vec();
    let messages = api.messages();
    messages
        .publish(domain(), channel, "a/b", &secret("s"), "application/senml+json", payload)
        .await
        .unwrap();
    assert_eq!(
        stub.asked(),
        [
            format!(
                r#"POST /{DOMAIN}/channels/connect | Bearer T | application/json | {{"channel_ids":["{CHANNEL}"],"client_ids":["{CLIENT}"],"types":["publish","subscribe"]}}"#
            ),
            format!("POST /m/{DOMAIN}/c/{CHANNEL}/a/b | Client s | application/senml+json | []"),
        ]
    );
}

#[tokio::test]
async fn what_the_platform_refuses_keeps_status_message_and_request_id() {
    let body = r#"{"message":"route not available","error":"conflict"}"#;
    let stub = Stub::answering(409, body).await;
    let error = stub.api().domains().create(&NewDomain::named("Plant", "plant")).await.unwrap_err();
    assert_eq!(error.to_string(), "route not available (status 409)");
    let Error::Refused { status: 409, detail, request_id, .. } = error else { panic!("{error:?}") };
    assert_eq!((detail.as_deref(), request_id.as_deref()), (Some("conflict"), Some("r-1")));
}

#[tokio::test]
async fn an_answer_of_another_program_is_told_apart() {
    let proxy = Stub::answering(502, "<h1>Bad gateway</h1>").await;
    let error = proxy.api().health().await.unwrap_err();
    assert_eq!(error.to_string(), "<h1>Bad gateway</h1> (status 502)");

    let page = Stub::answering(200, "<h1>Hello</h1>").await;
    let error = page.api().health().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the answer of `http://{}/health` is not from this platform", page.address)
    );

    let nobody = Api::new(Remotes::one("http://127.0.0.1:1")).unwrap();
    let error = nobody.health().await.unwrap_err();
    assert!(error.to_string().starts_with("no answer from `http://127.0.0.1:1/health`"), "{error}");
    assert_eq!(error.status(), None);
}
