//! The broker over real sockets, spoken to packet by packet.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the steps of a test that are not its subject must work"
)]

mod bounds;
mod client;
mod cluster;
mod conformance;
mod figures;
mod floods;
mod flow;
mod gate;
mod http;
mod mapping;
mod messages;
mod node;
mod observer;
mod pressure;
mod proxied;
mod rates;
mod readers;
mod retained;
mod rights;
mod sessions;
mod stored;
mod wills;

use std::{
    future::Future, sync::Arc, sync::atomic::AtomicU64, sync::atomic::Ordering::SeqCst, time::Duration,
};

use kernel::Clock;
use messaging::{Engine, Limits, mqtt::Listener, wire::Connect, wire::Version};
use tokio_util::sync::CancellationToken;

use client::Client;
use gate::{Plant, TestGate};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must happen.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Waits until a number has this value.
async fn becomes(what: &str, counter: &AtomicU64, expected: u64) {
    soon(what, async {
        while counter.load(SeqCst) != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A broker of its own for each test.
struct Broker {
    engine: Engine,
    gate: Arc<TestGate>,
    plant: Plant,
    address: std::net::SocketAddr,
    stop: CancellationToken,
}

impl Broker {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let plant = Plant::new();
        let gate = Arc::new(TestGate::new(&plant));
        let mut limits = Limits::default();
        change(&mut limits);
        let engine = Engine::new(Arc::clone(&gate) as Arc<dyn messaging::Gate>, Clock::system(), limits);
        Self::serve(engine, gate, plant)
    }

    fn serve(engine: Engine, gate: Arc<TestGate>, plant: Plant) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(engine.clone(), stop.clone()));
        Self { engine, gate, plant, address, stop }
    }

    /// Client number `number` of the plant, connected with a clean session.
    async fn client(&self, version: Version, number: usize) -> Client {
        self.connect(self.plant.connect(version, number)).await
    }

    /// Connects, and expects to be let in.
    async fn connect(&self, connect: Connect) -> Client {
        let (client, connack) = Client::connect(self.address, connect).await;
        assert!(!connack.reason.is_failure(), "{connack:?}");
        client
    }

    /// The topic of the plant's channel, spelled with ids, and what stands below it.
    fn topic(&self, below: &str) -> String {
        format!("m/{}/c/{}{below}", self.plant.domain, self.plant.channel)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
