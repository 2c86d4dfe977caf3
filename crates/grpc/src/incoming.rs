//! Connections as they come in: bounded in number, encrypted where that is wanted, and none that stays silent for ever.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// What a client says before anything else, in bytes (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// How long connections may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From its opening to the first words of a client.
    pub(crate) first: Duration,
    /// After that. Our own pings make every living client speak up more often.
    pub(crate) then: Duration,
}

/// A connection that holds its slot, and ends when its client is silent for too long, or when it is cut.
pub(crate) struct Bounded {
    stream: TcpStream,
    peer: SocketAddr,
    _slot: OwnedSemaphorePermit,
    patience: Patience,
    heard: usize,
    silent_until: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// The connections of a socket whose handshakes have succeeded, of which at most `at_once` are under way.
pub(crate) fn connections(
    opened: impl Stream<Item = Bounded>,
    tls: Option<tls::Server>,
    at_once: usize,
) -> impl Stream<Item = io::Result<Connection>> {
    let shaken = opened.map(move |bounded| {
        let tls = tls.clone();
        async move {
            let Some(tls) = tls else { return Some(Connection::Plain(bounded)) };
            match tls.accept(bounded).await {
                Ok((stream, _)) => Some(Connection::Encrypted(Box::new(stream))),
                Err(error) => {
                    tracing::debug!(%error, "a gRPC client is not connected");
                    None
                }
            }
        }
    });
    shaken.buffer_unordered(at_once).filter_map(async |connection| connection.map(Ok))
}

/// What has come to a socket. While no slot is free the rest waits in the kernel's queue.
pub(crate) fn opened(
    socket: Arc<TcpListener>,
    slots: Arc<Semaphore>,
    patience: Patience,
    cut: CancellationToken,
) -> impl Stream<Item = Bounded> {
    stream::unfold((socket, slots, cut), move |(socket, slots, cut)| async move {
        // The semaphore is never closed.
        let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
        let (stream, peer) = accept(&socket).await;
        let bounded = Bounded {
            stream,
            peer,
            _slot: slot,
            patience,
            heard: 0,
            silent_until: Box::pin(sleep(patience.first)),
            cut: Box::pin(cut.clone().cancelled_owned()),
        };
        Some((bounded, (socket, slots, cut)))
    })
}

/// The next connection. Failures are waited out: they come from a client that is gone again, or from this process being
/// short of file descriptors, which passes when connections close.
async fn accept(socket: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                // A socket that refuses is already dead and is found so at its first read.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept gRPC connections, trying again in 100 ms");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Bounded {
    /// Why a connection that has nothing to say must end, if it must.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the server stops"));
        }
        let silent = self.silent_until.as_mut().poll(cx);
        silent.map(|()| io::Error::new(io::ErrorKind::TimedOut, "the client was silent for too long"))
    }
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_pending() {
            return this.poll_end(cx).map(Err);
        }
        this.heard = this.heard.saturating_add(buf.filled().len() - before);
        if this.heard >= PREFACE {
            this.silent_until.as_mut().reset(Instant::now() + this.patience.then);
        }
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection that calls can come on.
pub(crate) enum Connection {
    /// Without TLS.
    Plain(Bounded),
    /// With it.
    Encrypted(Box<tls::Stream<Bounded>>),
}

impl Connection {
    fn bounded(&self) -> &Bounded {
        match self {
            Self::Plain(bounded) => bounded,
            Self::Encrypted(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(bounded) => Pin::new(bounded).poll_read(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(bounded) => Pin::new(bounded).poll_write(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(bounded) => Pin::new(bounded).poll_write_vectored(cx, bufs),
            Self::Encrypted(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(bounded) => bounded.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(bounded) => Pin::new(bounded).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(bounded) => Pin::new(bounded).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { local_addr: None, remote_addr: Some(self.bounded().peer) }
    }
}
