//! The message plane over HTTP: publishing, one message or many, and reading by WebSocket or server-sent events, on the
//! paths of both generations of upstream, each also under `/http` (reference 05 §5 and §6); and MQTT over WebSocket.
//!
//! Everything is checked before anything is published: topic, credentials, content type, payload, and then, in the
//! engine, the right to publish. A message is accepted (202) when it is with its subscribers.
//!
//! `caller.rs` knows the forms of credentials, `send.rs` takes one message, `batch.rs` many, `listen.rs` lets readers in
//! and `socket.rs` and `stream.rs` serve them; `mqtt.rs` hands MQTT over.

mod batch;
mod caller;
mod listen;
mod mqtt;
mod send;
mod socket;
mod stream;

use http::Uri;
use web::{Routes, Rule};

use crate::engine::Engine;

const RULE: Rule =
    Rule::SignedIn("the engine asks its gate whether the caller may publish on the channel of the topic");

const READ_RULE: Rule =
    Rule::SignedIn("the engine asks its gate whether the caller may subscribe to the channel of the topic");

/// Paths whose text is the topic.
const MESSAGE_PATHS: [(&str, &str, &str); 8] = [
    ("/m/{domain}/c/{channel}", "send_message", "read_messages"),
    ("/m/{domain}/c/{channel}/{*subtopic}", "send_message_below", "read_messages_below"),
    ("/channels/{channel}/messages", "send_legacy_message", "read_legacy_messages"),
    ("/channels/{channel}/messages/{*subtopic}", "send_legacy_message_below", "read_legacy_messages_below"),
    ("/http/m/{domain}/c/{channel}", "http_send_message", "http_read_messages"),
    ("/http/m/{domain}/c/{channel}/{*subtopic}", "http_send_message_below", "http_read_messages_below"),
    ("/http/channels/{channel}/messages", "http_send_legacy_message", "http_read_legacy_messages"),
    (
        "/http/channels/{channel}/messages/{*subtopic}",
        "http_send_legacy_message_below",
        "http_read_legacy_messages_below",
    ),
];

/// Paths that only WebSockets ask for.
const SOCKET_PATHS: [(&str, &str); 4] = [
    ("/ws/m/{domain}/c/{channel}", "ws_read_messages"),
    ("/ws/m/{domain}/c/{channel}/{*subtopic}", "ws_read_messages_below"),
    ("/ws/channels/{channel}/messages", "ws_read_legacy_messages"),
    ("/ws/channels/{channel}/messages/{*subtopic}", "ws_read_legacy_messages_below"),
];

/// The routes of the HTTP adapter.
pub fn routes(engine: Engine) -> Routes {
    let mut routes = Routes::new("http-adapter");
    for (path, sends, reads) in MESSAGE_PATHS {
        routes = routes.add(send::route(path, sends)).add(listen::route(path, reads));
    }
    for (path, name) in SOCKET_PATHS {
        routes = routes.add(listen::route(path, name));
    }
    for (path, name) in [("/publish", "publish"), ("/http/publish", "http_publish")] {
        routes = routes.add(send::envelope_route(path, name));
    }
    for (path, name) in [("/publish/batch", "publish_batch"), ("/http/publish/batch", "http_publish_batch")] {
        routes = routes.add(batch::route(path, name));
    }
    for (path, name) in [("/hc/{domain}", "health_message"), ("/http/hc/{domain}", "http_health_message")] {
        routes = routes.add(send::health_route(path, name));
    }
    routes.with(engine)
}

/// The route of MQTT over WebSocket.
pub fn mqtt_routes(engine: Engine) -> Routes {
    Routes::new("mqtt-adapter").add(mqtt::route("/mqtt", "mqtt_over_websocket")).with(engine)
}

/// The path as a topic. The query is no part of it.
fn topic_of(uri: &Uri) -> &str {
    let path = uri.path();
    ["/http/", "/ws/", "/"].into_iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path)
}
