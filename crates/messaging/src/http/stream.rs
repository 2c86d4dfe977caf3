//! Server-sent events, for a browser that only reads.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use tokio::time::timeout;

use crate::engine::{Ended, Reader};
use crate::wire::Publish;

/// How often a line goes out when there is no message, so that nobody in between takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// First of all: how long a browser waits before it comes again, in milliseconds.
const GREETING: &[u8] = b"retry: 3000\n\n";

/// The data of an event.
#[derive(Serialize)]
struct Data<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    retained: bool,
}

/// Where a stream is.
enum Step {
    Greet(Reader),
    /// The last message counts as read when the connection asks for the next.
    Go(Reader, Option<Publish>),
    Over,
}

/// Answers with the stream.
pub(super) fn serve(reader: Reader) -> Response {
    let events = stream::unfold(Step::Greet(reader), |step| async move {
        let (bytes, next) = match step {
            Step::Greet(reader) => (Bytes::from_static(GREETING), Step::Go(reader, None)),
            Step::Go(mut reader, last) => {
                if let Some(last) = &last {
                    reader.acknowledge(last);
                }
                match timeout(HEARTBEAT, reader.next()).await {
                    Err(_) => (Bytes::from_static(b": still here\n\n"), Step::Go(reader, None)),
                    Ok(Ok(message)) => (event(&message), Step::Go(reader, Some(message))),
                    Ok(Err(ended)) => (farewell(ended), Step::Over),
                }
            }
            Step::Over => return None,
        };
        Some((Ok::<_, Infallible>(bytes), next))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A buffering proxy would hold events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(events)).into_response()
}

/// One event; JSON has no line breaks of its own.
fn event(message: &Publish) -> Bytes {
    let text = std::str::from_utf8(&message.payload).ok();
    let data = Data {
        topic: message.topic.as_str(),
        payload: text,
        base64: text.is_none().then(|| general_purpose::STANDARD.encode(&message.payload)),
        retained: message.retain,
    };
    let json = serde_json::to_string(&data).unwrap_or_default();
    Bytes::from(format!("data: {json}\n\n"))
}

/// Why the stream ends; a browser comes again by itself unless the page closes it.
fn farewell(ended: Ended) -> Bytes {
    Bytes::from(format!("event: end\ndata: {ended}\n\n"))
}
