//! What is around every answer: ids, headers, slashes, `HEAD`, `OPTIONS`, time.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request};
use web::{AppOptions, Connection, Cors};

use crate::sample::{app, app_with, call, get, send};

#[tokio::test]
async fn the_request_id_is_the_callers_or_a_fresh_one() {
    let with = |id: &str| Request::get("/whoami").header("x-request-id", id).body(Body::empty()).unwrap();
    let answer = send(&app(), with("trace-17")).await;
    assert_eq!(
        (answer.header("x-request-id"), answer.json()["request_id"].as_str()),
        ("trace-17", Some("trace-17"))
    );

    for bad in ["a b", "<script>", &"x".repeat(129)] {
        let answer = send(&app(), with(bad)).await;
        assert_eq!(answer.header("x-request-id").len(), 36);
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    for path in ["/health", "/nowhere", "/fail/Internal", "/panic"] {
        let answer = get(&app(), path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
    }
    let encrypted = Connection { tls: true, ..Connection::default() };
    let request = Request::get("/health").extension(encrypted).body(Body::empty()).unwrap();
    let answer = send(&app(), request).await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=63072000; includeSubdomains");
}

#[tokio::test]
async fn a_trailing_slash_changes_nothing() {
    assert_eq!(get(&app(), "/plant/clients/?offset=4").await.text, "4\n");
    assert_eq!(get(&app(), "/health/").await.status, 200);
    assert_eq!(get(&app(), "/whoami/").await.json()["uri"], "/whoami/");
}

#[tokio::test]
async fn the_bare_address_leads_to_the_documentation() {
    let answer = get(&app(), "/").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/docs"));
}

#[tokio::test]
async fn options_is_answered_for_any_path() {
    for path in ["/plant/clients", "/nowhere"] {
        let answer = call(&app(), "OPTIONS", path).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
        assert_eq!(answer.header("content-type"), "text/plain");
        assert_eq!(answer.header("access-control-allow-methods"), "*");
        assert_eq!(answer.header("access-control-allow-headers"), "*, Authorization");
    }
}

#[tokio::test]
async fn an_allow_list_lets_in_only_who_is_on_it() {
    let home = "https://console.example.org";
    let cors = Cors::Origins(vec![HeaderValue::from_static(home)]);
    let app = app_with(AppOptions { cors, ..AppOptions::default() });
    let from = |origin: &str| Request::get("/health").header("origin", origin).body(Body::empty()).unwrap();

    let answer = send(&app, from(home)).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (home, "origin"));
    let answer = send(&app, from("https://evil.example")).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("", "origin"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let answer = call(&app(), "HEAD", "/health").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    let length = get(&app(), "/health").await.text.len().to_string();
    assert_eq!(answer.header("content-length"), length);

    let answer = call(&app(), "HEAD", "/nowhere").await;
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
}

#[tokio::test]
async fn only_an_exact_bearer_header_is_a_token() {
    for (header, token) in [
        ("Bearer abc", Some("abc")),
        ("bearer abc", None),
        ("Basic abc", None),
        ("Bearer ", None),
        ("Bearer", None),
    ] {
        let request = Request::get("/whoami").header("authorization", header).body(Body::empty()).unwrap();
        assert_eq!(send(&app(), request).await.json()["token"].as_str(), token, "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up() {
    let app = app_with(AppOptions { request_timeout: Duration::from_secs(3), ..AppOptions::default() });
    let answer = get(&app, "/slow").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.message(), "the answer took longer than 3 seconds and was given up");
}
