//! The one line that the log has per request.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use axum::body::Body;
use http::Request;
use tracing_subscriber::fmt::MakeWriter;

use crate::sample::{app, send};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What the log has about one request, without the duration.
async fn logged(path: &str) -> String {
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
    let _logging = tracing::subscriber::set_default(log.with_writer(lines.clone()).finish());
    let request = Request::get(path).header("authorization", "Bearer hunter2").header("x-request-id", "id-1");
    send(&app(), request.body(Body::empty()).unwrap()).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
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
