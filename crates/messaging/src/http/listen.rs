//! Reading over HTTP: the same path as publishing, with GET. A WebSocket is asked for by its upgrade, server-sent events
//! by `Accept: text/event-stream` (reference 05 §6).

use axum::extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection};
use axum::response::Response;
use http::{HeaderMap, Uri, header};
use kernel::{Error, Kind};
use serde::Deserialize;
use utoipa::IntoParams;
use web::{Query, Route};

use super::caller::Caller;
use super::{READ_RULE, socket, stream, topic_of};
use crate::engine::{Engine, Reader, Reading};
use crate::protocol::Protocol;
use crate::topic::Filter;
use crate::wire::QoS;

pub(super) fn route(path: &'static str, name: &'static str) -> Route<Engine> {
    Route::get(path, listen)
        .named(name)
        .rule(READ_RULE)
        .summary("Read messages by WebSocket or server-sent events")
        .description(
            "The path is the topic filter, whose last levels may be the wildcards `+` and `%23`. With a WebSocket \
             upgrade each message comes as a binary frame with its payload, and each frame that is sent is published \
             to the topic. With `Accept: text/event-stream` each message comes as an event whose data is JSON: `topic`, \
             `payload` (text) or `base64`, `retained`. A reader begins with the retained messages. Nothing is repeated: \
             `Last-Event-ID` is not looked at, and whoever comes back has missed what came meanwhile.",
        )
        .queries::<Listening>()
        .answers_bytes(200, "text/event-stream")
}

/// How messages are read.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Listening {
    /// What the `Authorization` header would say, for browsers that cannot send one.
    authorization: Option<String>,
    /// 0: messages that this reader is too slow for are dropped. 1: publishers wait for it.
    #[serde(default)]
    qos: u8,
}

async fn listen(
    State(engine): State<Engine>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(listening): Query<Listening>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> web::Result<Response> {
    let qos = match listening.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => return Err(Error::invalid("qos must be 0 or 1").into()),
    };
    let is_socket = headers.contains_key(header::UPGRADE);
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_socket && !accepts.contains("text/event-stream") {
        let advice = "reading takes a WebSocket, or `Accept: text/event-stream`; publishing takes POST";
        // Who has no right here learns nothing of the path but that.
        caller
            .or_query(listening.authorization)
            .authenticate(&engine, &filter(&engine, topic_of(&uri))?.address)
            .await?;
        return Err(Error::invalid(advice).into());
    }
    let topic = topic_of(&uri).to_owned();
    let caller = caller.or_query(listening.authorization);
    let (protocol, no_local) =
        if is_socket { (Protocol::WebSocket, true) } else { (Protocol::Events, false) };
    let mut reader = attach(&engine, &caller, &topic, protocol).await?;
    reader.subscribe(&topic, Reading { qos, no_local, no_retained: false }).await?;
    if is_socket {
        let upgrade = upgrade.map_err(|error| Error::invalid(error.body_text()))?;
        Ok(socket::serve(&engine, upgrade, reader, topic))
    } else {
        Ok(stream::serve(reader))
    }
}

fn filter<'a>(engine: &Engine, topic: &'a str) -> kernel::Result<Filter<'a>> {
    let parsed =
        engine.filter_of(topic).map_err(|error| Error::invalid(format!("failed to subscribe : {error}")))?;
    match parsed.group {
        None => Ok(parsed),
        Some(_) => Err(Error::new(Kind::Invalid, "failed to subscribe : malformed topic")),
    }
}

/// Lets a reader in; again, while credentials are being revoked.
async fn attach(engine: &Engine, caller: &Caller, topic: &str, protocol: Protocol) -> kernel::Result<Reader> {
    let filter = filter(engine, topic)?;
    loop {
        let epoch = engine.epoch();
        let identity = caller.authenticate(engine, &filter.address).await?;
        if let Some(reader) = engine.attach_reader(epoch, &identity, protocol)? {
            return Ok(reader);
        }
    }
}
