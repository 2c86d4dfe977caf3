//! The socket of an endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use messaging::{Engine, Epoch, Identity};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::dtls::{Connections, Opened, Shown};
use crate::endpoint::{Endpoint, Event};
use crate::limits::{DATAGRAM, Limits};
use crate::stats::Stats;

/// How often old things are forgotten.
const SWEEP: Duration = Duration::from_secs(5);
/// How often handshakes are looked at whose peer does not answer.
const HANDSHAKES: Duration = Duration::from_millis(250);
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

    /// Serves until `shutdown` is cancelled.
    pub async fn serve(self, engine: Engine, limits: Limits, stats: Arc<Stats>, shutdown: CancellationToken) {
        self.run(engine, limits, stats, None, shutdown).await;
    }

    /// Serves over DTLS until `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// `Internal`: the library of DTLS cannot be used.
    pub async fn serve_dtls(
        self,
        engine: Engine,
        limits: Limits,
        stats: Arc<Stats>,
        shutdown: CancellationToken,
    ) -> kernel::Result<()> {
        let connections = Connections::new(Arc::new(limits.clone()), Arc::clone(&stats))?;
        self.run(engine, limits, stats, Some(connections), shutdown).await;
        Ok(())
    }

    async fn run(
        self,
        engine: Engine,
        limits: Limits,
        stats: Arc<Stats>,
        connections: Option<Connections>,
        shutdown: CancellationToken,
    ) {
        let (endpoint, events) = Endpoint::new(engine, Arc::new(limits), stats);
        Server { socket: self.socket, endpoint, connections, events }.run(shutdown).await;
    }
}

struct Server {
    socket: UdpSocket,
    endpoint: Endpoint,
    /// Between socket and endpoint, where DTLS is spoken.
    connections: Option<Connections>,
    events: mpsc::Receiver<Event>,
}

impl Server {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut buffer = vec![0; DATAGRAM];
        let (mut sweep, mut tick) = (interval(SWEEP), interval(HANDSHAKES));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.send().await;
            let due = self.endpoint.layer.next().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = shutdown.cancelled() => break,
                readable = self.socket.readable() => match readable {
                    Ok(()) => self.read(&mut buffer),
                    Err(error) => tracing::warn!(%error, "the CoAP socket cannot be read"),
                },
                Some(event) = self.events.recv() => self.finish_with_more(event),
                () = sleep_until(due) => self.endpoint.tick(Instant::now()),
                _ = tick.tick(), if self.connections.is_some() => self.tick(),
                _ = sweep.tick() => self.sweep(),
            }
        }
        if let Some(connections) = &mut self.connections {
            connections.close_all();
        }
        self.send().await;
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            let Ok((len, from)) = self.socket.try_recv_from(buffer) else { return };
            let Some(datagram) = buffer.get(..len) else { return };
            match &mut self.connections {
                None => self.endpoint.receive(from, datagram, now),
                Some(connections) => {
                    let opened = connections.receive(from, datagram, now);
                    self.take(opened, now);
                }
            }
        }
    }

    fn finish_with_more(&mut self, event: Event) {
        let now = Instant::now();
        self.finish(event, now);
        for _ in 1..AT_ONCE {
            let Ok(event) = self.events.try_recv() else { return };
            self.finish(event, now);
        }
    }

    fn finish(&mut self, event: Event, now: Instant) {
        let opened = match (event, &mut self.connections) {
            (Event::Done(done), _) => {
                self.endpoint.finish(done, now);
                return;
            }
            (Event::Key(shown), Some(connections)) => connections.go_on(shown, now),
            (Event::Over { peer, number }, Some(connections)) => connections.close_one(peer, number),
            (Event::Key(_) | Event::Over { .. }, None) => return,
        };
        self.take(opened, now);
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let opened = self.connections.as_mut().map(|connections| connections.tick(now));
        self.take(opened.unwrap_or_default(), now);
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        self.endpoint.sweep(now);
        let Self { endpoint, connections, .. } = self;
        let opened =
            connections.as_mut().map(|connections| connections.sweep(now, |peer| endpoint.observes(peer)));
        self.take(opened.unwrap_or_default(), now);
    }

    /// Does what connections want to be done.
    fn take(&mut self, opened: Vec<Opened>, now: Instant) {
        for opened in opened {
            match opened {
                Opened::Ask { peer, number, name } => self.look_up(peer, number, name),
                Opened::Connected { peer, number, epoch, identity } => {
                    self.connected(peer, number, epoch, identity, now);
                }
                Opened::Data { peer, data } => self.endpoint.receive(peer, &data, now),
                Opened::Ended { peer } => self.endpoint.forget(peer),
            }
        }
    }

    fn look_up(&self, peer: SocketAddr, number: u64, name: String) {
        let (engine, results) = (self.endpoint.engine().clone(), self.endpoint.results());
        tokio::spawn(async move {
            // Before the gate is asked, so that a revocation meanwhile is noticed.
            let epoch = engine.epoch();
            let found = match engine.gate().shared_key(&name, peer.ip()).await {
                Ok(found) => found.map(|found| (epoch, found)),
                Err(error) => {
                    tracing::debug!(%error, "no key for a DTLS handshake");
                    None
                }
            };
            let _ended = results.send(Event::Key(Shown { peer, number, found })).await;
        });
    }

    /// Somebody is there. A reader without subscriptions tells when that ends: a new secret, a client that is gone.
    fn connected(&mut self, peer: SocketAddr, number: u64, epoch: Epoch, identity: Identity, now: Instant) {
        match self.endpoint.engine().attach_reader(epoch, &identity, messaging::Protocol::Coap) {
            Ok(Some(mut reader)) => {
                let results = self.endpoint.results();
                let watch = tokio::spawn(async move {
                    while reader.next().await.is_ok() {}
                    let _ended = results.send(Event::Over { peer, number }).await;
                });
                self.endpoint.connected(peer, identity, watch, now);
            }
            // It may have been revoked meanwhile, or there are too many: it must begin again.
            Ok(None) | Err(_) => {
                if let Some(connections) = &mut self.connections {
                    connections.close_one(peer, number);
                }
            }
        }
    }

    /// Sends what waits. What the network does not take is lost, like anything else that it loses.
    async fn send(&mut self) {
        let now = Instant::now();
        let mut datagrams = std::mem::take(&mut self.endpoint.layer.out);
        if self.connections.is_some() {
            for (to, bytes) in std::mem::take(&mut datagrams) {
                let opened = self.connections.as_mut().map(|connections| connections.send(to, &bytes, now));
                self.take(opened.unwrap_or_default(), now);
            }
            datagrams = self
                .connections
                .as_mut()
                .map(|connections| std::mem::take(&mut connections.out))
                .unwrap_or_default();
        }
        for (to, bytes) in datagrams {
            let _lost = self.socket.send_to(&bytes, to).await;
        }
    }
}
