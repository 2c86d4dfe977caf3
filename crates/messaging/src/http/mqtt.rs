//! MQTT over WebSocket (MQTT 5.0 §6, reference 05 §4.3): the frames are a stream of bytes, wherever packets begin.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::extract::ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection};
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use kernel::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use web::{ClientCertificate, Connection, Route, Rule};

use super::socket::bounded;
use crate::engine::Engine;
use crate::mqtt::serve_stream;

/// Sub-protocols, the preferred one first.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Most bytes of one frame that goes out; a frame is copied once.
const FRAME: usize = 64 << 10;

pub(super) fn route(path: &'static str, name: &'static str) -> Route<Engine> {
    Route::get(path, upgrade)
        .named(name)
        .rule(Rule::Public("who connects is asked in the CONNECT packet of MQTT"))
        .summary("MQTT over WebSocket")
        .description("Sub-protocol `mqtt` or `mqttv3.1`, binary frames. Packets may span frames.")
        .answers_empty(101)
}

async fn upgrade(
    State(engine): State<Engine>,
    from: Connection,
    ClientCertificate(certificate): ClientCertificate,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> web::Result<Response> {
    let upgrade = upgrade.map_err(|error| Error::invalid(error.body_text()))?;
    let upgrade = upgrade.protocols(PROTOCOLS);
    if upgrade.selected_protocol().is_none() {
        // The client must ask for one ([MQTT-6.0.0-3]).
        return Err(Error::invalid("the WebSocket needs the sub-protocol `mqtt`").into());
    }
    let largest = usize::try_from(engine.limits().packet_bytes).unwrap_or(usize::MAX);
    let upgrade = bounded(upgrade, largest);
    let peer: SocketAddr = from.peer;
    Ok(upgrade.on_upgrade(move |socket| async move {
        serve_stream(&engine, Frames { socket, rest: Bytes::new() }, peer, certificate).await;
    }))
}

/// A WebSocket as a stream of bytes.
struct Frames {
    socket: WebSocket,
    /// What is left of the last frame.
    rest: Bytes,
}

impl AsyncRead for Frames {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                // Anything but binary closes the connection ([MQTT-6.0.0-1]).
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest.split_to(count));
        if !self.rest.has_remaining() {
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Frames {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let frame = buf.get(..FRAME).unwrap_or(buf);
        let message = Message::Binary(Bytes::copy_from_slice(frame));
        Pin::new(&mut self.socket).start_send(message).map_err(io::Error::other)?;
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io::Error::other)
    }
}
