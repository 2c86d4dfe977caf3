//! The endpoint over real sockets, spoken to datagram by datagram, on a real engine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the steps of a test that are not its subject must work"
)]

mod blocks;
mod device;
mod dtls;
mod gate;
mod hostile;
mod observing;
mod publishing;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coap::{Limits, Listener, Stats};
use kernel::Clock;
use messaging::wire::Publish;
use messaging::{Engine, Protocol, Reader, Reading};
use tokio_util::sync::CancellationToken;

use device::Device;
use gate::TestGate;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must happen.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// An endpoint of its own for each test.
struct Scene {
    engine: Engine,
    gate: Arc<TestGate>,
    stats: Arc<Stats>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Scene {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self::of(limits, messaging::Limits::default(), false).await
    }

    /// The same over DTLS.
    async fn secured() -> Self {
        Self::of(Limits::default(), messaging::Limits::default(), true).await
    }

    async fn of(limits: Limits, of_engine: messaging::Limits, is_secured: bool) -> Self {
        let gate = Arc::new(TestGate::new());
        let engine = Engine::new(Arc::clone(&gate) as Arc<dyn messaging::Gate>, Clock::system(), of_engine);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop, stats) =
            (listener.local_addr(), CancellationToken::new(), Arc::<Stats>::default());
        let (served, counted, stopped) = (engine.clone(), Arc::clone(&stats), stop.clone());
        tokio::spawn(async move {
            if is_secured {
                listener.serve_dtls(served, limits, counted, stopped).await.unwrap();
            } else {
                listener.serve(served, limits, counted, stopped).await;
            }
        });
        Self { engine, gate, stats, address, stop }
    }

    async fn device(&self) -> Device {
        Device::of(self.address).await
    }

    /// The path of the channel and what stands below it.
    fn path(&self, below: &str) -> String {
        format!("m/{}/c/{}{below}", self.gate.domain, self.gate.channel)
    }

    /// Somebody who reads the channel by another way.
    async fn witness(&self) -> Reader {
        let epoch = self.engine.epoch();
        let mut reader =
            self.engine.attach_reader(epoch, &self.gate.identity(), Protocol::WebSocket).unwrap().unwrap();
        reader.subscribe(&self.path("/#"), Reading::default()).await.unwrap();
        reader
    }

    /// Publishes by another way.
    async fn publish(&self, below: &str, payload: &[u8]) {
        let topic = self.path(below).as_str().into();
        let message = Publish { topic, payload: payload.to_vec().into(), ..Publish::default() };
        self.engine.publish(&self.gate.identity(), Protocol::Http, &message).await.unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
