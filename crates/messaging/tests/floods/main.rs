//! What floods cost: the memory of the process stays within what the bounds allow. In a program of its own, one test at
//! a time, because memory is measured for all of it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the steps of a test that are not its subject must work"
)]

#[path = "../broker/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the broker")]
mod client;
#[path = "../broker/gate.rs"]
#[expect(dead_code, reason = "shared with the tests of the broker")]
mod gate;

use std::{future::Future, sync::Arc, sync::atomic::Ordering::SeqCst, time::Duration};

use kernel::Clock;
use messaging::wire::{Connect, Packet, QoS, Text, Version};
use messaging::{Engine, Limits, mqtt::Listener};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use client::Client;
use gate::{Plant, TestGate};

/// One flood at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

async fn reaches(what: &str, counter: &std::sync::atomic::AtomicU64, least: u64) {
    soon(what, async {
        while counter.load(SeqCst) < least {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Memory of this process that is in use now, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() * 1024
}

struct Broker {
    engine: Engine,
    plant: Plant,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Broker {
    async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let alone = ALONE.lock().await;
        let plant = Plant::new();
        let mut limits = Limits::default();
        change(&mut limits);
        let gate = Arc::new(TestGate::new(&plant));
        let engine = Engine::new(gate, Clock::system(), limits);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(engine.clone(), stop.clone()));
        Self { engine, plant, address, stop, before: memory(), _alone: alone }
    }

    async fn named(&self, name: &str, number: usize, version: Version) -> Client {
        let connect = Connect { client_id: Text::from(name), ..self.plant.connect(version, number) };
        let (client, connack) = Client::connect(self.address, connect).await;
        assert!(!connack.reason.is_failure(), "{connack:?}");
        client
    }

    fn topic(&self, below: &str) -> String {
        format!("m/{}/c/{}{below}", self.plant.domain, self.plant.channel)
    }

    /// The flood has cost no more than this.
    fn has_cost_at_most(&self, bytes: usize) {
        let cost = memory().saturating_sub(self.before);
        assert!(cost <= bytes, "{} MiB were allowed and {} MiB were taken", bytes / MIB, cost / MIB);
    }

    /// Somebody else is served all the while.
    async fn serves_others(&self) {
        let mut other = self.named("other", 3, Version::V5).await;
        let topic = "m/plant/c/other/x";
        other.subscribe(topic, QoS::AtLeastOnce).await;
        let own = other.message(topic, "x", QoS::AtMostOnce);
        other.send(Packet::Publish(own)).await;
        assert_eq!(other.take().await.payload, "x");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Each has sent nearly all of a CONNECT of 64 KiB, and waits.
#[tokio::test]
async fn connects_that_never_end_cost_what_was_sent_of_them() {
    const CONNECTIONS: usize = 200;
    let broker = Broker::with(|_| {}).await;
    let mut half = b"\x10\xfc\xff\x03\x00\x04MQTT\x04\x02\x00\x00\xff\xf0".to_vec();
    half.resize(65_000, b'x');
    let mut waiting = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(broker.address).await.unwrap();
        soon("a write", stream.write_all(&half)).await.unwrap();
        waiting.push(stream);
    }
    reaches("all of them", &broker.engine.stats().accepted, CONNECTIONS as u64).await;
    broker.serves_others().await;
    broker.has_cost_at_most(2 * CONNECTIONS * (64 << 10) + 16 * MIB);
}

/// Subscribers that read nothing, while far more is published than they may have waiting.
#[tokio::test]
async fn subscribers_that_never_read_cost_their_output_and_no_more() {
    const SUBSCRIBERS: usize = 60;
    const OUTPUT: usize = 64 << 10;
    let broker = Broker::with(|limits| {
        limits.output_bytes = OUTPUT;
        limits.sessions_per_identity = SUBSCRIBERS + 1;
    })
    .await;
    let mut deaf = Vec::new();
    for number in 0..SUBSCRIBERS {
        let mut client = broker.named(&format!("deaf {number}"), 0, Version::V311).await;
        client.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
        deaf.push(client.into_stream());
    }
    // Sockets hold some megabytes each; what is dropped has found both them and the output full.
    let mut publisher = broker.named("publisher", 1, Version::V311).await;
    let payload = "x".repeat(60_000);
    let dropped = &broker.engine.stats().dropped_slow;
    soon("all outputs full", async {
        while dropped.load(SeqCst) < 20 * SUBSCRIBERS as u64 {
            publisher.publish(&broker.topic("/x"), &payload, QoS::AtMostOnce).await;
            publisher.has_nothing().await;
        }
    })
    .await;
    broker.serves_others().await;
    broker.has_cost_at_most(SUBSCRIBERS * 3 * (OUTPUT + 60_000) + 32 * MIB);
}

/// As many filters as a session may have, each as long as it may be, made anew again and again.
#[tokio::test]
async fn subscriptions_that_come_and_go_leave_nothing_behind() {
    const ROUNDS: usize = 20;
    const FILTERS: usize = 500;
    let broker = Broker::with(|limits| limits.subscriptions = FILTERS).await;
    let mut client = broker.named("flooder", 0, Version::V311).await;
    let base = broker.topic("/");
    let rest = "x".repeat(900 - base.len());
    for round in 0..ROUNDS {
        let mut subscribe = b"\0\x01".to_vec();
        let mut unsubscribe = b"\0\x02".to_vec();
        for number in 0..FILTERS {
            let filter = format!("{base}{rest}/{round}/{number}");
            let length = u16::try_from(filter.len()).unwrap().to_be_bytes();
            for packet in [&mut subscribe, &mut unsubscribe] {
                packet.extend_from_slice(&length);
                packet.extend_from_slice(filter.as_bytes());
            }
            subscribe.push(1);
        }
        for (first, body) in [(0x82, &subscribe), (0xA2, &unsubscribe)] {
            // Between 16,384 and 2,097,151 bytes have a length of three bytes.
            let [low, middle, high] =
                [body.len() & 0x7f | 0x80, body.len() >> 7 & 0x7f | 0x80, body.len() >> 14];
            let length = [low, middle, high].map(|byte| u8::try_from(byte).unwrap());
            client.send_bytes(&[&[first][..], &length, body].concat()).await;
            assert!(matches!(client.receive().await, Packet::SubAck(_) | Packet::UnsubAck(_)));
        }
    }
    assert_eq!(broker.engine.stats().subscriptions.load(SeqCst), 0);
    broker.serves_others().await;
    // 20 rounds have named 9 MiB of filters; one round has half a megabyte.
    broker.has_cost_at_most(8 * MIB);
}
