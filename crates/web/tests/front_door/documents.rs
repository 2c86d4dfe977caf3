//! Health, readiness, metrics, the OpenAPI document and its page.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::body::Body;
use http::Request;
use web::{App, AppOptions, Connection, Metrics};

use crate::sample::{app, app_with, call, get, send};

#[tokio::test]
async fn health_has_six_fields_and_speaks_for_the_port_that_was_asked() {
    let answer = get(&app(), "/health").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/health+json"));
    insta::assert_snapshot!(answer.text, @r#"{"status":"pass","version":"0.1.0","commit":"0c88c69","description":"clients service","build_time":"2026-11-24_18:00:00","instance_id":"9d3c0a1e-0000-4000-8000-000000000000"}"#);

    let door = Connection { service: "channels", ..Connection::default() };
    let request = Request::get("/health").extension(door).body(Body::empty()).unwrap();
    assert_eq!(send(&app(), request).await.json()["description"], "channels service");
    assert_eq!(call(&app(), "POST", "/health").await.status, 405);
}

#[tokio::test]
async fn readiness_asks_the_parts_and_liveness_does_not() {
    let up = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&up);
    let options =
        AppOptions::default().needs("database", move || {
            let up = asked.load(Ordering::Relaxed);
            async move {
                if up { Ok(()) } else { Err(kernel::Error::unavailable(std::io::Error::other("refused"))) }
            }
        });
    let app = app_with(options);

    for path in ["/ready", "/health?ready"] {
        let answer = get(&app, path).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (503, "{\"status\":\"not ready\",\"missing\":[\"database\"]}\n")
        );
    }
    assert_eq!(get(&app, "/health").await.status, 200);
    up.store(true, Ordering::Relaxed);
    let answer = get(&app, "/ready").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "{\"status\":\"ready\"}\n"));
    app.drain();
    let answer = get(&app, "/ready").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "{\"status\":\"draining\"}\n"));
    assert_eq!(get(&app, "/health").await.status, 200);
}

#[tokio::test]
async fn metrics_count_each_route_under_both_names() {
    assert_eq!(get(&app(), "/metrics").await.status, 404);
    let metrics = Metrics::install().unwrap();
    let options = AppOptions { metrics: Some(metrics), ..AppOptions::default() };
    let app: App = app_with(options);
    get(&app, "/plant/clients").await;
    get(&app, "/fail/Conflict").await;

    let answer = get(&app, "/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "# TYPE clients_api_request_count counter",
        r#"clients_api_request_count{method="list_clients"} 1"#,
        "# TYPE clients_api_request_latency_microseconds summary",
        r#"clients_api_request_latency_microseconds{method="list_clients",quantile="0.99"} "#,
        r#"clients_api_request_latency_microseconds_count{method="list_clients"} 1"#,
        "# TYPE http_request_duration_seconds histogram",
        r#"http_request_duration_seconds_count{service="clients",method="list_clients",status="200"} 1"#,
        r#"http_request_duration_seconds_count{service="clients",method="fail",status="409"} 1"#,
    ] {
        assert!(answer.text.contains(line), "{line} is not in\n{}", answer.text);
    }
}

#[tokio::test]
async fn the_openapi_document_says_what_the_table_says() {
    let mut document = get(&app(), "/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object_mut().unwrap();
    paths.retain(|path, _| path.starts_with("/{domain}/clients") || path == "/bytes");
    insta::assert_json_snapshot!(document["paths"]);
    insta::assert_json_snapshot!(document["components"]);
    assert_eq!(document["tags"], serde_json::json!([{"name": "clients"}, {"name": "platform"}]));
}

#[tokio::test]
async fn the_documentation_page_loads_nothing_from_elsewhere() {
    let page = get(&app(), "/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    let style = get(&app(), "/docs/docs.css").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    let script = get(&app(), "/docs/docs.js").await;
    assert_eq!((script.status, script.header("content-type")), (200, "text/javascript; charset=utf-8"));
    for text in [&page.text, &style.text, &script.text] {
        assert!(!text.contains("://") && !text.contains("innerHTML"), "{text}");
    }
    assert!(!page.text.contains("<style") && !page.text.contains("style=") && !page.text.contains("onclick"));
}
