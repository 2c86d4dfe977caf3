//! Several nodes are one broker: whatever one of them takes reaches whoever is at another, and a session is wherever its
//! client comes.

mod faults;
mod model;
mod routing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::cluster::{Listening, Network, NodeId, Peers, Transport};
use bytes::Bytes;
use db::testing::TestDb;
use db::{Db, Options, Sharing};
use futures_util::future::BoxFuture;
use kernel::{Clock, Secret};
use messaging::wire::{Ack, Connect, Packet, QoS, Version};
use messaging::{Engine, Limits, MIGRATIONS, Setup};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::client::{Client, text};
use crate::gate::{Plant, TestGate};
use crate::{Broker, soon};

/// The shortest that there is, because tests wait for it.
const LEASE: Duration = Duration::from_secs(1);

/// A network in memory.
#[derive(Clone, Default)]
struct Wires {
    nodes: Arc<Mutex<BTreeMap<NodeId, Peers>>>,
    cut: Arc<AtomicBool>,
    /// To whom something was sent.
    tried: Arc<Mutex<BTreeSet<NodeId>>>,
}

impl Transport for Wires {
    fn send(&self, to: NodeId, datagram: Bytes) -> BoxFuture<'_, ()> {
        self.tried.lock().unwrap().insert(to);
        let peers = self.nodes.lock().unwrap().get(&to).cloned();
        if let Some(peers) = peers.filter(|_| !self.cut.load(SeqCst)) {
            peers.arrived(datagram);
        }
        Box::pin(std::future::ready(()))
    }
}

impl Network for Wires {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    fn listen(&self, me: NodeId, peers: Peers) -> BoxFuture<'_, kernel::Result<Listening>> {
        self.nodes.lock().unwrap().insert(me, peers);
        Box::pin(std::future::ready(Ok(Box::new(()) as Listening)))
    }
}

/// Nodes over one database, each in a runtime of its own, so that all of its tasks can end at any point.
pub(crate) struct Cluster {
    url: String,
    /// A SQLite file has one handle, PostgreSQL one for each node.
    shared: Option<Db>,
    wires: Wires,
    pub(crate) plant: Plant,
    gate: Arc<TestGate>,
    limits: Limits,
    nodes: Vec<Option<(Runtime, Broker)>>,
}

impl Cluster {
    pub(crate) async fn start(db: &TestDb, nodes: usize) -> Self {
        Self::with(db, nodes, Limits::default()).await
    }

    pub(crate) async fn with(db: &TestDb, nodes: usize, limits: Limits) -> Self {
        let shared = db.url().starts_with("sqlite:").then(|| db.db());
        let plant = Plant::new();
        let gate = Arc::new(TestGate::new(&plant));
        db.migrate(MIGRATIONS).await.unwrap();
        let url = db.url().to_owned();
        let (wires, nodes_to_join) = (Wires::default(), nodes);
        let mut cluster = Self { url, shared, wires, plant, gate, limits, nodes: Vec::new() };
        for _ in 0..nodes_to_join {
            cluster.join().await;
        }
        cluster
    }

    /// One node more.
    async fn join(&mut self) {
        let (runtime, joining) = self.joining([7; 32]);
        let broker = soon("a node that joins", joining).await.unwrap();
        self.nodes.push(Some((runtime, broker)));
    }

    /// A node that begins to join, with this key.
    fn joining(&self, key: [u8; 32]) -> (Runtime, JoinHandle<Broker>) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (url, shared) = (self.url.clone(), self.shared.clone());
        let (gate, plant) = (Arc::clone(&self.gate), self.plant.clone());
        let (network, limits) = (Arc::new(self.wires.clone()), self.limits.clone());
        let joining = runtime.spawn(async move {
            let db = match shared {
                Some(db) => db,
                None => {
                    let options = Options { sharing: Sharing::Nodes, connections: 4, ..Options::default() };
                    Db::open(&url, options).await.unwrap()
                }
            };
            let setup = Setup { network, key: Secret::new(key), lease: LEASE };
            let rules = Arc::clone(&gate) as Arc<dyn messaging::Gate>;
            let engine = Engine::clustered(rules, Clock::system(), limits, None, db, setup).await.unwrap();
            Broker::serve(engine, gate, plant)
        });
        (runtime, joining)
    }

    pub(crate) fn node(&self, number: usize) -> &Broker {
        &self.nodes[number].as_ref().unwrap().1
    }

    /// Ends a node at once.
    fn kill(&mut self, number: usize) {
        let (runtime, broker) = self.nodes[number].take().unwrap();
        drop(broker);
        runtime.shutdown_background();
    }

    pub(crate) fn topic(&self, below: &str) -> String {
        format!("m/{}/c/{}{below}", self.plant.domain, self.plant.channel)
    }

    /// A client with a session that ends with its connection.
    async fn client(&self, node: usize, number: usize) -> Client {
        self.node(node).client(Version::V5, number).await
    }

    /// A client with a session that outlives its connection.
    async fn lasting(&self, node: usize, number: usize) -> (Client, bool) {
        let (client, connack) = Client::connect(self.node(node).address, self.connect(number)).await;
        assert!(!connack.reason.is_failure(), "{connack:?}");
        (client, connack.session_present)
    }

    fn connect(&self, number: usize) -> Connect {
        Connect { clean_start: false, session_expiry: 3_600, ..self.plant.connect(Version::V5, number) }
    }

    /// The same once the node that had the session is known to be dead.
    async fn again(&self, node: usize, number: usize) -> Client {
        let back = async {
            loop {
                let (client, connack) = Client::connect(self.node(node).address, self.connect(number)).await;
                if !connack.reason.is_failure() {
                    assert!(connack.session_present);
                    return client;
                }
            }
        };
        soon("the session is there again", back).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (runtime, broker) in self.nodes.drain(..).flatten() {
            drop(broker);
            runtime.shutdown_background();
        }
    }
}

/// The payloads of the next messages, acknowledged all the way.
pub(crate) async fn taken(client: &mut Client, messages: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut unreleased = 0;
    while payloads.len() < messages || unreleased > 0 {
        match client.receive().await {
            Packet::Publish(publish) => {
                payloads.push(text(&publish).to_owned());
                match (publish.qos, publish.packet_id) {
                    (QoS::ExactlyOnce, Some(id)) => {
                        unreleased += 1;
                        client.send(Packet::PubRec(Ack::new(id))).await;
                    }
                    (_, Some(id)) => client.send(Packet::PubAck(Ack::new(id))).await,
                    _ => {}
                }
            }
            Packet::PubRel(release) => {
                unreleased -= 1;
                client.send(Packet::PubComp(Ack::new(release.packet_id))).await;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    payloads
}

/// What has been sent to a client with messages of QoS 0 and 1 so far.
async fn everything(client: &mut Client) -> Vec<String> {
    client.send(Packet::PingReq).await;
    let mut payloads = Vec::new();
    loop {
        match client.receive().await {
            Packet::Publish(publish) => {
                payloads.push(text(&publish).to_owned());
                if let Some(id) = publish.packet_id {
                    client.send(Packet::PubAck(Ack::new(id))).await;
                }
            }
            Packet::PingResp => return payloads,
            other => panic!("unexpected: {other:?}"),
        }
    }
}
