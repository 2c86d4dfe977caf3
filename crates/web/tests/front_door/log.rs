//! The one line that the log has per request.

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
};

use axum::body::Body;
use http::Request;

use crate::sample::{app, send};

thread_local! {
    /// What was logged on this thread. A test has a thread of its own, and its runtime stays on it.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what is logged to [`LOGGED`].
///
/// Every test comes through here before it can log, so that no line is reached while nobody listens: `tracing`
/// keeps "nobody listens" for a line that is reached at the very moment that a subscriber is set.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let log = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        log.with_writer(|| Lines).init();
    });
}

/// What the log has about one request, without the duration.
async fn logged(path: &str) -> String {
    let app = app();
    LOGGED.take();
    let request = Request::get(path).header("authorization", "Bearer hunter2").header("x-request-id", "id-1");
    send(&app, request.body(Body::empty()).unwrap()).await;
    let text = String::from_utf8(LOGGED.take()).unwrap();
    let words = text.split(' ').filter(|word| !word.starts_with("duration_ms="));
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_success_is_one_line_with_the_routes_template() {
    let line = logged("/plant/clients?offset=3&secret=hunter2").await;
    assert_eq!(line, " INFO request method=GET route=\"/{domain}/clients\" status=200 request_id=\"id-1\"\n");
}

#[tokio::test]
async fn an_error_of_ours_is_logged_with_its_causes() {
    insta::assert_snapshot!(logged("/fail/Internal").await, @r#"ERROR request method=GET route="/fail/{kind}" status=500 request_id="id-1" error="the public words" cause="the secret cause""#);
    let line = logged("/panic").await;
    assert!(line.contains("cause=\"the handler panicked: the secret text\""), "{line}");
    let line = logged("/forgets").await;
    assert!(line.contains("without the authorization that its route declares"), "{line}");
}

#[tokio::test]
async fn an_error_of_the_callers_is_no_alarm() {
    let line = logged("/plant/clients/x").await;
    assert!(line.ends_with("error=\"invalid id format provided\"\n"), "{line}");
    let line = logged("/fail/Denied").await;
    assert!(line.starts_with(" INFO request ") && line.contains("status=403"), "{line}");
    let line = logged("/no/such/path?token=hunter2").await;
    assert_eq!(line, " INFO request method=GET route=\"-\" status=404 request_id=\"id-1\"\n");
}
