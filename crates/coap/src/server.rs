//! The socket of an endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use messaging::Engine;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::endpoint::{Done, Endpoint};
use crate::limits::{DATAGRAM, Limits};
use crate::stats::Stats;

/// How often old things are forgotten.
const SWEEP: Duration = Duration::from_secs(5);
/// Datagrams that are read before anything else is looked at.
const AT_ONCE: usize = 64;
/// A day: until when to sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(24 * 3_600);

/// A UDP port that speaks CoAP.
#[derive(Debug)]
pub struct Listener {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Listener {
    /// Binds the port; port 0 takes a free one. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of the operating system, for example that the port is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled; observers are told.
    pub async fn serve(self, engine: Engine, limits: Limits, stats: Arc<Stats>, shutdown: CancellationToken) {
        let (endpoint, done) = Endpoint::new(engine, Arc::new(limits), stats);
        Server { socket: self.socket, endpoint, done }.run(shutdown).await;
    }
}

struct Server {
    socket: UdpSocket,
    endpoint: Endpoint,
    done: mpsc::Receiver<Done>,
}

impl Server {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut buffer = vec![0; DATAGRAM];
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.send().await;
            let due = self.endpoint.layer.next().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = shutdown.cancelled() => return,
                readable = self.socket.readable() => match readable {
                    Ok(()) => self.read(&mut buffer),
                    Err(error) => tracing::warn!(%error, "the CoAP socket cannot be read"),
                },
                Some(done) = self.done.recv() => {
                    let now = Instant::now();
                    self.endpoint.finish(done, now);
                    for _ in 1..AT_ONCE {
                        let Ok(done) = self.done.try_recv() else { break };
                        self.endpoint.finish(done, now);
                    }
                }
                () = sleep_until(due) => self.endpoint.tick(Instant::now()),
                _ = sweep.tick() => self.endpoint.sweep(Instant::now()),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            match self.socket.try_recv_from(buffer) {
                Ok((len, from)) => {
                    if let Some(datagram) = buffer.get(..len) {
                        self.endpoint.receive(from, datagram, now);
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Sends what waits. What the network does not take is lost, like anything else that it loses.
    async fn send(&mut self) {
        for (to, bytes) in std::mem::take(&mut self.endpoint.layer.out) {
            let _lost = self.socket.send_to(&bytes, to).await;
        }
    }
}
