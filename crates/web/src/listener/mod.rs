//! From the socket to the [`App`]: accept, bound, serve, and end in order.
//!
//! With certificates a port speaks HTTPS. Beside it the same port may go on speaking plain HTTP ([`Encryption::Welcome`]):
//! the first byte tells which of the two a client has begun.

mod activity;
mod connection;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use ::tls::Certificate;
use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{App, TrustedProxies, proxy_protocol};

/// What one listener allows.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// The service whose port this is: `/health` is answered in its name. The front door speaks as `clients`
    /// (reference 07 §7.1).
    pub service: &'static str,
    /// How long a client may take to send the head of a request, and to send its first; 5 s.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request; 60 s.
    pub idle_timeout: Duration,
    /// The most connections at a time; further ones wait in the kernel's queue. 10,000.
    pub max_connections: usize,
    /// How long requests in flight may still take after shutdown began; 5 s (reference 07 §6).
    pub grace: Duration,
    /// Whether connections are encrypted; they are not.
    pub encryption: Encryption,
    /// Proxies whose connections begin with a PROXY header; none.
    pub proxy_protocol: TrustedProxies,
}

/// Whether connections of a listener are encrypted.
#[derive(Debug, Clone, Default)]
pub enum Encryption {
    /// Never.
    #[default]
    Off,
    /// As the client begins.
    Welcome(::tls::Server),
    /// Always.
    Required(::tls::Server),
}

impl Encryption {
    /// The words of the start-up line (reference 07 §6).
    const fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Off => ("http", "without TLS"),
            Self::Welcome(_) => ("http", "with and without TLS"),
            Self::Required(_) => ("https", "with TLS"),
        }
    }

    /// The server for a connection that has begun, if it is to be encrypted.
    async fn of(&self, stream: &TcpStream) -> io::Result<Option<::tls::Server>> {
        match self {
            Self::Off => Ok(None),
            Self::Required(server) => Ok(Some(server.clone())),
            Self::Welcome(server) => {
                let mut first = [0];
                let peeked = stream.peek(&mut first).await?;
                Ok((peeked == 1 && first == [TLS_HANDSHAKE]).then(|| server.clone()))
            }
        }
    }
}

/// How a record of a handshake begins (RFC 8446 §5.1); no method of HTTP does.
const TLS_HANDSHAKE: u8 = 22;

/// The certificate that a client has shown in the handshake; a handler may take it as an argument.
#[derive(Debug, Clone, Default)]
pub struct ClientCertificate(pub Option<Arc<Certificate>>);

impl<S: Sync> FromRequestParts<S> for ClientCertificate {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            service: "clients",
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            max_connections: 10_000,
            grace: Duration::from_secs(5),
            encryption: Encryption::Off,
            proxy_protocol: TrustedProxies::default(),
        }
    }
}

/// Who is asking and by which door; a handler may take it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The other end of the connection. Without a socket (in tests) it is `127.0.0.1:0`.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The service whose port was asked.
    pub service: &'static str,
}

impl Default for Connection {
    fn default() -> Self {
        Self { peer: SocketAddr::from(([127, 0, 0, 1], 0)), tls: false, service: "clients" }
    }
}

impl<S: Sync> FromRequestParts<S> for Connection {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

/// A bound port that serves HTTP/1 and, to clients that begin with it, HTTP/2.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: ListenerOptions,
}

impl Listener {
    /// Binds the address; port 0 takes any free one, see [`Listener::local_addr`].
    pub async fn bind(address: SocketAddr, options: ListenerOptions) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, options })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`. Then `/ready` says no, the port closes, requests in flight end within the grace period,
    /// and what is still open after it is cut.
    pub async fn serve(self, app: App, shutdown: CancellationToken) {
        let Self { socket, address, options } = self;
        let service = options.service;
        let (scheme, mode) = options.encryption.words();
        tracing::info!("{service} service {scheme} server listening at {address} {mode}");
        let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
        let slots = Arc::new(Semaphore::new(options.max_connections));
        let accepting = async {
            loop {
                // The semaphore is never closed.
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let (stream, peer) = accept(&socket).await;
                let (app, options, shutdown, cut) =
                    (app.clone(), options.clone(), shutdown.clone(), cut.clone());
                let serving = serve_stream(stream, peer, app, options, shutdown);
                connections.spawn(async move {
                    cut.run_until_cancelled(serving).await;
                    drop(slot);
                });
            }
        };
        shutdown.run_until_cancelled(accepting).await;
        app.drain();
        drop(socket);
        connections.close();
        if timeout(options.grace, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "connections outlived the grace period and are cut");
            cut.cancel();
            connections.wait().await;
        }
        tracing::info!("{service} service http server at {address} stopped");
    }
}

/// Serves one connection, after the handshake of TLS where there is one. Whoever says nothing is cut.
async fn serve_stream(
    mut stream: TcpStream,
    peer: SocketAddr,
    app: App,
    options: ListenerOptions,
    shutdown: CancellationToken,
) {
    let service = options.service;
    let begun = timeout(options.header_timeout, async {
        let peer = match options.proxy_protocol.trusts(peer.ip()) {
            true => proxy_protocol::origin(&mut stream, peer).await?,
            false => peer,
        };
        Ok::<_, io::Error>((peer, options.encryption.of(&stream).await?))
    });
    let (peer, tls) = match begun.await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a connection has not begun as it should"),
        Err(_) => return,
    };
    let Some(tls) = tls else {
        let connection = Connection { peer, tls: false, service };
        return connection::serve(stream, connection, ClientCertificate(None), app, options, shutdown).await;
    };
    // Boxed, so that the memory of the handshake does not stay with the connection.
    match Box::pin(tls.accept(stream)).await {
        Ok((stream, certificate)) => {
            let connection = Connection { peer, tls: true, service };
            let certificate = ClientCertificate(certificate);
            connection::serve(stream, connection, certificate, app, options, shutdown).await;
        }
        Err(error) => tracing::debug!(%peer, %error, "a handshake of TLS failed"),
    }
}

/// The next connection. Failures are waited out: they come from a client that is gone again, or from this process being
/// short of file descriptors or memory, which passes when connections close.
async fn accept(socket: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        let error = match socket.accept().await {
            Ok((stream, peer)) => {
                // Without it a small answer may wait for the acknowledgement of the one before. A socket that refuses
                // is already dead and is found so at its first read.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => error,
        };
        let kind = error.kind();
        if matches!(kind, io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            continue;
        }
        tracing::error!(%error, "cannot accept connections, trying again in 100 ms");
        sleep(Duration::from_millis(100)).await;
    }
}
