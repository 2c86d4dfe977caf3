//! Accepts MQTT connections.

use std::{io, net::SocketAddr, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{connection, handshake};
use crate::Engine;
use crate::engine::Core;
use crate::engine::handshakes::Place;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1_024;
/// Pause after the node has run out of file descriptors or memory for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A port that speaks MQTT.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
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
        Ok(Self { listener, address })
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
                Ok((stream, peer)) => admit(&engine.0, stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not accept an MQTT connection");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

/// Starts the task of a connection, unless there are too many.
fn admit(core: &Arc<Core>, stream: TcpStream, peer: SocketAddr) {
    let stats = &core.shared.stats;
    if core.connections.len() >= core.shared.limits.connections {
        stats.refused.fetch_add(1, Relaxed);
        return;
    }
    let Some(place) = core.handshakes.begin(peer.ip()) else {
        stats.refused.fetch_add(1, Relaxed);
        return;
    };
    stats.accepted.fetch_add(1, Relaxed);
    let serving = serve(Arc::clone(core), stream, peer, place);
    core.connections.spawn(serving);
}

async fn serve(core: Arc<Core>, stream: TcpStream, peer: SocketAddr, place: Place) {
    // Boxed, so that the memory of the handshake does not stay with an idle connection.
    let established = Box::pin(handshake::let_in(&core, stream)).await;
    drop(place);
    match established {
        Ok(established) => connection::serve(core, established).await,
        Err(reason) => {
            core.shared.stats.connect_failures.fetch_add(1, Relaxed);
            tracing::debug!(%peer, %reason, "an MQTT client was not let in");
        }
    }
}

/// Errors of accept that tell of the connection, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
