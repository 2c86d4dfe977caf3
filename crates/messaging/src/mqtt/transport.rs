//! What carries the bytes of a connection: TCP, or something around it.
//!
//! To plain TCP any task may write, so that a message leaves in the turn of its publisher. TLS and WebSocket have a
//! state that only the connection's own task may change: for them the session's output always says that it is full,
//! which wakes that task, and it takes what waits in turns ([`Session::begin_turn`](crate::engine::session::Session)).
//! Bytes of a turn count as unsent until they are out.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tls::Certificate;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::io::poll_read_buf;

use super::input::{Rest, read_into};
use crate::engine::output::{OwnerOnly, Pipe};

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// Time for a last packet that is not waited for otherwise.
const LAST: Duration = Duration::from_secs(1);

/// The other end.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// What it has shown in the handshake of TLS.
    pub(super) certificate: Option<Arc<Certificate>>,
}

/// A stream and who may write to it.
pub(super) enum Transport {
    /// Everybody.
    Plain(Arc<TcpStream>),
    /// The owner alone.
    Owned(Box<Owned>),
}

/// A stream that only its owner writes to.
pub(super) struct Owned {
    io: Box<dyn ByteStream>,
    turn: Option<Turn>,
}

/// Bytes on their way out.
struct Turn {
    buffer: Vec<u8>,
    written: usize,
    /// When some of them went last.
    since: Instant,
}

/// What has become possible, or has been done.
pub(super) enum Ready {
    /// Bytes came; none at the end of the stream.
    Input(Bytes),
    /// Plain TCP takes bytes again.
    Writable,
    /// The turn is out: its buffer, and how much of it was written.
    Sent(Vec<u8>, usize),
}

impl Transport {
    pub(super) fn owned(io: impl ByteStream) -> Self {
        Self::Owned(Box::new(Owned { io: Box::new(io), turn: None }))
    }

    /// How the session writes.
    pub(super) fn pipe(&self) -> Box<dyn Pipe> {
        match self {
            Self::Plain(stream) => Box::new(Arc::clone(stream)),
            Self::Owned(_) => Box::new(OwnerOnly),
        }
    }

    /// Whether the owner should take a turn when the output is blocked.
    pub(super) fn wants_turn(&self) -> bool {
        matches!(self, Self::Owned(owned) if owned.turn.is_none())
    }

    /// Begins to send a turn.
    pub(super) fn send(&mut self, (buffer, written): (Vec<u8>, usize)) {
        if let Self::Owned(owned) = self {
            owned.turn = Some(Turn { buffer, written, since: Instant::now() });
        }
    }

    /// Since when a turn has not moved; `None` also for plain TCP, where the session knows.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        match self {
            Self::Plain(_) => None,
            Self::Owned(owned) => owned.turn.as_ref().map(|turn| turn.since),
        }
    }

    /// Whether the session knows how long the stream has been full.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Waits for one of these: the stream takes bytes (`writes`, or a turn), or has some (`reads`). May be dropped.
    pub(super) async fn ready(&mut self, writes: bool, reads: bool, rest: &mut Rest) -> io::Result<Ready> {
        poll_fn(|cx| self.poll_ready(cx, writes, reads, rest)).await
    }

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        writes: bool,
        reads: bool,
        rest: &mut Rest,
    ) -> Poll<io::Result<Ready>> {
        match self {
            Self::Plain(stream) => {
                if writes && stream.poll_write_ready(cx)?.is_ready() {
                    return Poll::Ready(Ok(Ready::Writable));
                }
                if !reads {
                    return Poll::Pending;
                }
                loop {
                    ready!(stream.poll_read_ready(cx))?;
                    match rest.read(|buffer| read_into(stream, buffer)) {
                        // The socket is not readable any more, and says when it is.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        outcome => return Poll::Ready(outcome.map(Ready::Input)),
                    }
                }
            }
            Self::Owned(owned) => {
                if let Poll::Ready(sent) = owned.poll_send(cx) {
                    return Poll::Ready(sent);
                }
                if !reads {
                    return Poll::Pending;
                }
                let outcome = rest.read(|buffer| match poll_read_buf(Pin::new(&mut owned.io), cx, buffer) {
                    Poll::Ready(read) => read,
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                });
                match outcome {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    outcome => Poll::Ready(outcome.map(Ready::Input)),
                }
            }
        }
    }

    /// A last packet, as far as it can leave at once.
    pub(super) async fn send_last(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(stream) => {
                let _best_effort = stream.try_write(bytes);
            }
            Self::Owned(owned) if owned.turn.is_none() => {
                let sending = async {
                    owned.io.write_all(bytes).await?;
                    owned.io.flush().await
                };
                let _best_effort = timeout(LAST, sending).await;
            }
            // Half a packet is under way, which nothing may follow.
            Self::Owned(_) => {}
        }
    }

    /// Says goodbye in the words of what stands around TCP.
    pub(super) async fn finish(&mut self) {
        if let Self::Owned(owned) = self {
            let _best_effort = timeout(LAST, owned.io.shutdown()).await;
        }
    }
}

impl Owned {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let Some(turn) = &mut self.turn else { return Poll::Pending };
        while let Some(rest) = turn.buffer.get(turn.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            turn.written += count;
            turn.since = Instant::now();
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        match self.turn.take() {
            Some(turn) => Poll::Ready(Ok(Ready::Sent(turn.buffer, turn.written))),
            None => Poll::Pending,
        }
    }
}
