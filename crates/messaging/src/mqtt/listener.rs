//! Accepts MQTT connections.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tls::Certificate;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use web::{TrustedProxies, proxy_protocol};

use super::transport::{ByteStream, Peer, Transport};
use super::{connection, handshake};
use crate::Engine;
use crate::engine::Core;
use crate::engine::handshakes::Place;
use crate::stats::count;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1_024;
/// Pause after the node has run out of file descriptors or memory for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A port that speaks MQTT.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<tls::Server>,
    proxies: TrustedProxies,
}

impl Listener {
    /// Binds the port; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Those of the operating system, for example that the port is taken.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Accepted sockets inherit it. Without it, an acknowledgement waits for the client's next packet.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, tls: None, proxies: TrustedProxies::default() })
    }

    /// Speaks TLS.
    #[must_use]
    pub fn with_tls(self, tls: tls::Server) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Connections of these proxies begin with a PROXY header.
    #[must_use]
    pub fn with_proxy_protocol(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// The address that it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `shutdown` is cancelled. Open connections go on until
    /// [`Engine::shutdown`](crate::Engine::shutdown).
    pub async fn serve(self, engine: Engine, shutdown: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) if self.proxies.trusts(peer.ip()) => {
                    introduce(&engine.0, stream, peer, self.tls.clone());
                }
                Ok((stream, peer)) => admit(&engine.0, stream, peer, self.tls.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not accept an MQTT connection");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

/// Serves a connection whose bytes come from elsewhere, such as a WebSocket, to its end. `certificate` is what the peer
/// has shown in the handshake of TLS. Closes it at once when there are too many.
pub async fn serve_stream(
    engine: &Engine,
    io: impl ByteStream,
    peer: SocketAddr,
    certificate: Option<Arc<Certificate>>,
) {
    let core = &engine.0;
    let Some(place) = enter(core, peer.ip()) else { return };
    let peer = Peer { address: peer, certificate };
    let serving = serve(Arc::clone(core), Transport::owned(io), peer, place);
    // Its own task, so that the end of the node waits for it.
    let _ended = core.connections.spawn(serving).await;
}

/// Waits for a proxy to say whom it connects for, and goes on as if that one had connected.
fn introduce(core: &Arc<Core>, mut stream: TcpStream, peer: SocketAddr, tls: Option<tls::Server>) {
    let full = core.connections.len() >= core.shared.limits.connections;
    let Some(place) = core.handshakes.begin_unnamed().filter(|_| !full) else {
        return count(&core.shared.stats.refused);
    };
    let core_of_task = Arc::clone(core);
    core.connections.spawn(async move {
        let core = &core_of_task;
        let header = timeout(core.shared.limits.handshake, proxy_protocol::origin(&mut stream, peer));
        let Some(outcome) = core.closing.run_until_cancelled(header).await else { return };
        drop(place);
        match outcome {
            Ok(Ok(origin)) => admit(core, stream, origin, tls),
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a proxy has not said whom it connects for"),
            Err(_) => tracing::debug!(%peer, "a proxy has not said whom it connects for in time"),
        }
    });
}

/// Starts the task of a connection, unless there are too many.
fn admit(core: &Arc<Core>, stream: TcpStream, address: SocketAddr, tls: Option<tls::Server>) {
    let Some(place) = enter(core, address.ip()) else { return };
    let core_of_task = Arc::clone(core);
    let mut peer = Peer { address, certificate: None };
    match tls {
        None => {
            let transport = Transport::Plain(Arc::new(stream));
            core.connections.spawn(serve(core_of_task, transport, peer, place));
        }
        Some(tls) => {
            core.connections.spawn(async move {
                // Boxed for the same reason as the handshake of MQTT.
                let shaken = Box::pin(core_of_task.closing.run_until_cancelled(tls.accept(stream))).await;
                match shaken {
                    Some(Ok((stream, certificate))) => {
                        peer.certificate = certificate;
                        serve(core_of_task, Transport::owned(stream), peer, place).await;
                    }
                    Some(Err(error)) => {
                        count(&core_of_task.shared.stats.tls_failures);
                        tracing::debug!(peer = %address, %error, "a handshake of TLS failed");
                    }
                    None => {}
                }
            });
        }
    }
}

/// Room for one more connection, if there is any.
fn enter(core: &Core, peer: IpAddr) -> Option<Place> {
    let stats = &core.shared.stats;
    let full = core.connections.len() >= core.shared.limits.connections;
    let place = core.handshakes.begin(peer).filter(|_| !full);
    count(if place.is_some() { &stats.accepted } else { &stats.refused });
    place
}

async fn serve(core: Arc<Core>, transport: Transport, peer: Peer, place: Place) {
    // Boxed, so that the memory of the handshake does not stay with an idle connection.
    let established = Box::pin(handshake::let_in(&core, transport, &peer)).await;
    drop(place);
    match established {
        Ok(established) => {
            drop(peer);
            connection::serve(core, established).await;
        }
        Err(reason) => {
            count(&core.shared.stats.connect_failures);
            tracing::debug!(peer = %peer.address, %reason, "an MQTT client was not let in");
        }
    }
}

/// Errors of accept that tell of the connection, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
