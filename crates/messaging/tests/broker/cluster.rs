//! Several nodes are one broker: whatever one of them takes reaches whoever is at another, and a session is wherever its
//! client comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::cluster::{Listening, Network, NodeId, Peers, Transport};
use bytes::Bytes;
use db::testing::TestDb;
use db::{Db, Options, Sharing};
use futures_util::future::BoxFuture;
use kernel::{Clock, Secret};
use messaging::wire::{Ack, Connect, Packet, Publish, QoS, ReasonCode, Version};
use messaging::{Engine, Limits, MIGRATIONS, Setup};
use tokio::runtime::Runtime;

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
}

impl Transport for Wires {
    fn send(&self, to: NodeId, datagram: Bytes) -> BoxFuture<'_, ()> {
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
    nodes: Vec<Option<(Runtime, Broker)>>,
}

impl Cluster {
    pub(crate) async fn start(db: &TestDb, nodes: usize) -> Self {
        let shared = db.url().starts_with("sqlite:").then(|| db.db());
        let plant = Plant::new();
        let gate = Arc::new(TestGate::new(&plant));
        db.migrate(MIGRATIONS).await.unwrap();
        let url = db.url().to_owned();
        let mut cluster = Self { url, shared, wires: Wires::default(), plant, gate, nodes: Vec::new() };
        for _ in 0..nodes {
            cluster.join().await;
        }
        cluster
    }

    /// One node more.
    async fn join(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (url, shared) = (self.url.clone(), self.shared.clone());
        let (gate, plant) = (Arc::clone(&self.gate), self.plant.clone());
        let network = Arc::new(self.wires.clone());
        let started = runtime.spawn(async move {
            let db = match shared {
                Some(db) => db,
                None => {
                    let options = Options { sharing: Sharing::Nodes, connections: 4, ..Options::default() };
                    Db::open(&url, options).await.unwrap()
                }
            };
            let setup = Setup { network, key: Secret::new([7; 32]), lease: LEASE };
            let rules = Arc::clone(&gate) as Arc<dyn messaging::Gate>;
            let engine =
                Engine::clustered(rules, Clock::system(), Limits::default(), None, db, setup).await.unwrap();
            Broker::serve(engine, gate, plant)
        });
        let broker = soon("a node that joins", started).await.unwrap();
        self.nodes.push(Some((runtime, broker)));
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
        let connect =
            Connect { clean_start: false, session_expiry: 3_600, ..self.plant.connect(Version::V5, number) };
        let (client, connack) = Client::connect(self.node(node).address, connect).await;
        assert!(!connack.reason.is_failure(), "{connack:?}");
        (client, connack.session_present)
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

const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

db::both_databases! {
    async fn a_message_reaches_the_subscribers_of_every_node_once(db: TestDb) {
        let cluster = Cluster::start(&db, 3).await;
        let filter = cluster.topic("/#");
        let mut live = Vec::new();
        for node in 0..3 {
            let mut client = cluster.client(node, node).await;
            client.subscribe(&filter, QoS::ExactlyOnce).await;
            live.push(client);
        }
        let (mut lasting, _) = cluster.lasting(1, 3).await;
        lasting.subscribe(&filter, QoS::ExactlyOnce).await;
        for node in 0..3 {
            for qos in ALL_QOS {
                let payload = format!("{node} {qos:?}");
                live[node].send(Packet::Publish(Publish { retain: false, ..publish(&cluster, &payload, qos) })).await;
                // Its own copy and what belongs to the exchange come in any order.
                let mut came = 0;
                let mut open = match qos { QoS::AtMostOnce => 0, QoS::AtLeastOnce => 1, QoS::ExactlyOnce => 2 };
                let mut unreleased = 0;
                while came < 1 || open > 0 || unreleased > 0 {
                    match live[node].receive().await {
                        Packet::Publish(publish) => {
                            assert_eq!(text(&publish), payload);
                            came += 1;
                            match publish.qos {
                                QoS::AtMostOnce => {}
                                QoS::AtLeastOnce => {
                                    live[node].send(Packet::PubAck(Ack::new(publish.packet_id.unwrap()))).await;
                                }
                                QoS::ExactlyOnce => {
                                    unreleased += 1;
                                    live[node].send(Packet::PubRec(Ack::new(publish.packet_id.unwrap()))).await;
                                }
                            }
                        }
                        Packet::PubRel(release) => {
                            unreleased -= 1;
                            live[node].send(Packet::PubComp(Ack::new(release.packet_id))).await;
                        }
                        Packet::PubAck(ack) => { assert_eq!(ack.reason, ReasonCode::SUCCESS); open -= 1 }
                        Packet::PubRec(ack) => {
                            assert_eq!(ack.reason, ReasonCode::SUCCESS);
                            open -= 1;
                            live[node].send(Packet::PubRel(Ack::new(ack.packet_id))).await;
                        }
                        Packet::PubComp(_) => open -= 1,
                        other => panic!("unexpected: {other:?}"),
                    }
                }
                for other in (0..3).filter(|other| *other != node) {
                    assert_eq!(taken(&mut live[other], 1).await, [payload.as_str()]);
                }
                assert_eq!(taken(&mut lasting, 1).await, [payload]);
            }
        }
        for client in &mut live {
            client.has_nothing().await;
        }
        lasting.has_nothing().await;
    }

    async fn a_lasting_session_moves_to_where_its_client_comes_with_what_waits_for_it(db: TestDb) {
        let cluster = Cluster::start(&db, 3).await;
        let (mut away, present) = cluster.lasting(0, 0).await;
        assert!(!present);
        away.subscribe(&cluster.topic("/#"), QoS::ExactlyOnce).await;
        away.disconnect(ReasonCode::SUCCESS).await;
        let mut expected = Vec::new();
        for node in [0, 1, 2] {
            let mut publisher = cluster.client(node, 1).await;
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let payload = format!("{node} {qos:?}");
                assert_eq!(publisher.publish(&cluster.topic("/x"), &payload, qos).await, ReasonCode::SUCCESS);
                expected.push(payload);
            }
        }
        let (mut back, present) = cluster.lasting(2, 0).await;
        assert!(present);
        let mut came = taken(&mut back, expected.len()).await;
        came.sort_unstable();
        assert_eq!(came, expected);
        let mut publisher = cluster.client(1, 1).await;
        publisher.publish(&cluster.topic("/x"), "later", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut back, 1).await, ["later"]);
        back.has_nothing().await;
    }

    async fn a_client_that_comes_to_another_node_takes_its_session_over(db: TestDb) {
        let cluster = Cluster::start(&db, 2).await;
        let (mut first, _) = cluster.lasting(0, 0).await;
        first.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let (mut second, present) = cluster.lasting(1, 0).await;
        assert!(present);
        assert_eq!(first.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        let mut publisher = cluster.client(0, 1).await;
        publisher.publish(&cluster.topic("/x"), "here", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut second, 1).await, ["here"]);

        // Sessions that end with their connection are no different, but that nothing of them is left.
        let mut clean = cluster.client(1, 2).await;
        clean.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let mut other = cluster.client(0, 2).await;
        assert_eq!(clean.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        publisher.publish(&cluster.topic("/x"), "again", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut second, 1).await, ["again"]);
        other.has_nothing().await;

        // A client that starts anew ends its session wherever it is.
        let mut anew = cluster.client(0, 0).await;
        assert_eq!(second.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        publisher.publish(&cluster.topic("/x"), "nobody", QoS::AtLeastOnce).await;
        anew.has_nothing().await;
        anew.disconnect(ReasonCode::SUCCESS).await;
        let (_, present) = cluster.lasting(1, 0).await;
        assert!(!present);
    }

    async fn the_sessions_of_a_dead_node_go_on_elsewhere_with_all_that_was_acknowledged(db: TestDb) {
        let mut cluster = Cluster::start(&db, 3).await;
        let (mut connected, _) = cluster.lasting(0, 0).await;
        connected.subscribe(&cluster.topic("/#"), QoS::ExactlyOnce).await;
        let mut publisher = cluster.client(1, 1).await;
        for payload in ["1", "2"] {
            publisher.publish(&cluster.topic("/x"), payload, QoS::ExactlyOnce).await;
        }
        assert_eq!(text(&connected.delivery().await), "1");
        cluster.kill(0);
        publisher.publish(&cluster.topic("/x"), "3", QoS::ExactlyOnce).await;
        let (mut back, present) = soon("the session is there again", async {
            loop {
                let connect = Connect {
                    clean_start: false,
                    session_expiry: 3_600,
                    ..cluster.plant.connect(Version::V5, 0)
                };
                let (client, connack) = Client::connect(cluster.node(2).address, connect).await;
                if !connack.reason.is_failure() {
                    break (client, connack.session_present);
                }
            }
        })
        .await;
        assert!(present);
        assert_eq!(taken(&mut back, 3).await, ["1", "2", "3"]);
        back.has_nothing().await;
    }

    async fn one_member_of_a_group_gets_a_message_wherever_it_is(db: TestDb) {
        let cluster = Cluster::start(&db, 3).await;
        let filter = format!("$share/group/{}", cluster.topic("/#"));
        let mut members = Vec::new();
        for node in 0..3 {
            let mut client = cluster.client(node, node).await;
            client.subscribe(&filter, QoS::AtLeastOnce).await;
            members.push(client);
        }
        let mut publisher = cluster.client(1, 3).await;
        const MESSAGES: usize = 12;
        for number in 0..MESSAGES {
            publisher.publish(&cluster.topic("/x"), &number.to_string(), QoS::AtLeastOnce).await;
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        for member in &mut members {
            for payload in taken(member, MESSAGES / 3).await {
                *seen.entry(payload).or_default() += 1;
            }
            member.has_nothing().await;
        }
        assert_eq!(seen.len(), MESSAGES, "{seen:?}");
        // One that has left gets nothing more.
        members.pop().unwrap().disconnect(ReasonCode::SUCCESS).await;
        for number in 0..MESSAGES {
            publisher.publish(&cluster.topic("/x"), &number.to_string(), QoS::AtLeastOnce).await;
        }
        let mut came = Vec::new();
        for member in &mut members {
            came.extend(everything(member).await);
        }
        came.sort_unstable_by_key(|payload| payload.parse::<usize>().unwrap());
        assert_eq!(came, (0..MESSAGES).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    async fn a_retained_message_is_found_at_every_node(db: TestDb) {
        let cluster = Cluster::start(&db, 2).await;
        let topic = cluster.topic("/x");
        // Both nodes know the retained messages of the channel before there is one.
        let mut publishers = [cluster.client(0, 0).await, cluster.client(1, 1).await];
        for publisher in &mut publishers {
            publisher.publish(&topic, "seen", QoS::AtLeastOnce).await;
        }
        for (node, payload) in [(0, "first"), (1, "second"), (0, "")] {
            let publisher = &mut publishers[node];
            let message = publisher.message(&topic, payload, QoS::AtLeastOnce);
            publisher.publish_message(Publish { retain: true, ..message }).await;
            for node in 0..2 {
                let mut subscriber = cluster.client(node, 2).await;
                subscriber.subscribe(&topic, QoS::AtLeastOnce).await;
                if !payload.is_empty() {
                    let retained = subscriber.take().await;
                    assert!(retained.retain);
                    assert_eq!(text(&retained), payload);
                }
                subscriber.has_nothing().await;
                subscriber.disconnect(ReasonCode::SUCCESS).await;
            }
        }
    }

    async fn a_cut_between_the_nodes_holds_acknowledgements_back_and_loses_nothing(db: TestDb) {
        let mut cluster = Cluster::start(&db, 2).await;
        let mut subscriber = cluster.client(0, 0).await;
        subscriber.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let mut publisher = cluster.client(1, 1).await;
        cluster.wires.cut.store(true, SeqCst);
        let message = publisher.message(&cluster.topic("/x"), "text", QoS::AtLeastOnce);
        publisher.send(Packet::Publish(message)).await;
        publisher.has_nothing().await;
        cluster.wires.cut.store(false, SeqCst);
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        assert_eq!(taken(&mut subscriber, 1).await, ["text"]);

        // Whoever waits for a node that dies waits no longer than its lease.
        cluster.kill(0);
        assert_eq!(publisher.publish(&cluster.topic("/x"), "gone", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    }

    async fn a_newcomer_knows_what_others_read_and_keep(db: TestDb) {
        let mut cluster = Cluster::start(&db, 1).await;
        let mut live = cluster.client(0, 0).await;
        live.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let (mut away, _) = cluster.lasting(0, 1).await;
        away.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        away.disconnect(ReasonCode::SUCCESS).await;
        cluster.join().await;
        let mut publisher = cluster.client(1, 2).await;
        publisher.publish(&cluster.topic("/x"), "text", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut live, 1).await, ["text"]);
        let (mut back, present) = cluster.lasting(1, 1).await;
        assert!(present);
        assert_eq!(taken(&mut back, 1).await, ["text"]);
    }
}

fn publish(cluster: &Cluster, payload: &str, qos: QoS) -> Publish {
    Publish {
        qos,
        packet_id: (qos > QoS::AtMostOnce).then(|| 7.try_into().unwrap()),
        topic: cluster.topic("/x").as_str().into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        ..Publish::default()
    }
}
