//! A raw WebSocket: messages out, messages in (reference 05 §6).
//!
//! Reading and writing go on at the same time, so that two sockets that publish to each other cannot wait for each
//! other for ever. A peer that answers no ping is gone.

use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{CloseCode, CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::engine::{Ended, Engine, Publisher, Reader};
use crate::wire::{Publish, QoS, Text};

/// Time for one frame to leave (reference 05 §6).
const WRITE: Duration = Duration::from_secs(10);
/// How often the peer is asked whether it is there (reference 05 §6), and how long it may say nothing.
const PING: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(75);

/// Bytes that an idle socket keeps for what comes next; the library would keep 128 KiB.
const READ_BUFFER: usize = 2 << 10;

/// Why a socket is closed.
struct End(Option<(CloseCode, &'static str)>);

/// Answers with the upgrade; the socket is then served in a task of its own.
pub(super) fn serve(engine: &Engine, upgrade: WebSocketUpgrade, reader: Reader, topic: String) -> Response {
    let largest = usize::try_from(engine.limits().packet_bytes).unwrap_or(usize::MAX);
    let upgrade = bounded(upgrade, largest);
    upgrade.on_upgrade(move |socket| run(socket, reader, topic))
}

/// A socket that keeps little while it is idle, and takes no larger message than MQTT does.
pub(super) fn bounded(upgrade: WebSocketUpgrade, largest: usize) -> WebSocketUpgrade {
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    upgrade.max_message_size(largest).max_frame_size(largest)
}

async fn run(socket: WebSocket, mut reader: Reader, topic: String) {
    let (mut sink, mut stream) = socket.split();
    let mut publisher = reader.publisher();
    let End(reason) = tokio::select! {
        end = outgoing(&mut reader, &mut sink) => end,
        end = incoming(&mut stream, &mut publisher, topic) => end,
    };
    if let Some((code, reason)) = reason {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _best_effort = timeout(WRITE, sink.send(Message::Close(Some(frame)))).await;
    }
}

/// Sends what comes, and a ping now and then.
async fn outgoing(reader: &mut Reader, sink: &mut (impl Sink<Message, Error = axum::Error> + Unpin)) -> End {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    loop {
        let (frame, message) = tokio::select! {
            next = reader.next() => match next {
                Ok(message) => (Message::Binary(message.payload.clone()), Some(message)),
                Err(ended) => return End::from(ended),
            },
            _ = ping.tick() => (Message::Ping(Bytes::new()), None),
        };
        match timeout(WRITE, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return End(None),
        }
        if let Some(message) = message {
            reader.acknowledge(&message);
        }
    }
}

/// Publishes what the peer sends.
async fn incoming(
    stream: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
    publisher: &mut Publisher,
    topic: String,
) -> End {
    let topic = Text::from(topic);
    loop {
        let payload = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(Message::Binary(payload)))) => payload,
            Ok(Some(Ok(Message::Text(text)))) => Bytes::from(text),
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            // The library answers the peer's close by itself.
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return End(None),
        };
        if payload.is_empty() {
            continue;
        }
        let message = Publish { qos: QoS::AtLeastOnce, topic: topic.clone(), payload, ..Publish::default() };
        if let Err(error) = publisher.publish(&message).await {
            tracing::debug!(%error, "a message of a WebSocket was refused");
            return End(Some((close_code::NORMAL, "client closed")));
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        Self(Some(match ended {
            Ended::Revoked => (close_code::POLICY, "the right to read here has ended"),
            Ended::Expired => (close_code::POLICY, "the token has expired"),
            Ended::TooSlow => (close_code::AGAIN, "messages were not taken in time"),
            Ended::ShuttingDown => (close_code::AWAY, "the server is shutting down"),
            Ended::Unavailable => (close_code::AGAIN, "the server is busy, come again"),
        }))
    }
}
