//! Three nodes against a naive broker: whatever clients do wherever, each gets what one broker would have given it.

use std::collections::BTreeMap;

use db::testing::TestDb;
use messaging::wire::{Connect, QoS, ReasonCode, Text, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Cluster, taken};
use crate::client::Client;

const NODES: usize = 3;
const CLIENTS: usize = 3;
const FILTERS: [&str; 3] = ["/#", "/a", "/+"];
const TOPICS: [&str; 2] = ["/a", "/a/b"];

#[derive(Debug, Clone)]
enum Step {
    Come { client: usize, node: usize, lasting: bool },
    Go { client: usize },
    Subscribe { client: usize, filter: usize, qos: QoS },
    Unsubscribe { client: usize, filter: usize },
    Publish { node: usize, topic: usize, qos: QoS },
}

fn step() -> impl Strategy<Value = Step> {
    let kept = prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    let any_qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    let (client, filter) = (0..CLIENTS, 0..FILTERS.len());
    prop_oneof![
        3 => (client.clone(), 0..NODES, prop::bool::weighted(0.8))
            .prop_map(|(client, node, lasting)| Step::Come { client, node, lasting }),
        1 => client.clone().prop_map(|client| Step::Go { client }),
        3 => (client.clone(), filter.clone(), any_qos)
            .prop_map(|(client, filter, qos)| Step::Subscribe { client, filter, qos }),
        1 => (client, filter).prop_map(|(client, filter)| Step::Unsubscribe { client, filter }),
        5 => (0..NODES, 0..TOPICS.len(), kept).prop_map(|(node, topic, qos)| Step::Publish { node, topic, qos }),
    ]
}

/// What a broker that is one alone would know of a client.
#[derive(Default)]
struct Naive {
    connected: bool,
    lasting: bool,
    subscriptions: BTreeMap<usize, QoS>,
    waiting: Vec<String>,
}

impl Naive {
    fn matches(filter: &str, topic: &str) -> bool {
        match filter {
            "/#" => true,
            "/+" => topic.matches('/').count() == 1,
            exact => exact == topic,
        }
    }

    fn publish(&mut self, topic: &str, payload: &str) {
        if !self.connected && !self.lasting {
            return;
        }
        let matching =
            self.subscriptions.iter().filter(|(filter, _)| Self::matches(FILTERS[**filter], topic));
        match matching.map(|(_, qos)| *qos).max() {
            Some(QoS::AtMostOnce) if !self.connected => {}
            Some(_) => self.waiting.push(payload.to_owned()),
            None => {}
        }
    }

    /// A connection ends.
    fn go(&mut self) {
        self.connected = false;
        if !self.lasting {
            *self = Self::default();
        }
    }
}

struct World {
    cluster: Cluster,
    publishers: Vec<Client>,
    clients: [Option<Client>; CLIENTS],
    naive: [Naive; CLIENTS],
    published: usize,
}

impl World {
    async fn new(db: &TestDb) -> Self {
        let cluster = Cluster::start(db, NODES).await;
        let mut publishers = Vec::new();
        for node in 0..NODES {
            let client_id = Text::from(format!("publisher at {node}"));
            let connect = Connect { client_id, ..cluster.plant.connect(Version::V5, CLIENTS) };
            publishers.push(cluster.node(node).connect(connect).await);
        }
        Self { cluster, publishers, clients: Default::default(), naive: Default::default(), published: 0 }
    }

    async fn make(&mut self, step: &Step) {
        match *step {
            Step::Come { client, node, lasting } => self.come(client, node, lasting).await,
            Step::Go { client } => {
                if let Some(connection) = self.clients[client].take() {
                    connection.disconnect(ReasonCode::SUCCESS).await;
                    self.naive[client].go();
                }
            }
            Step::Subscribe { client, filter, qos } => {
                if let Some(connection) = &mut self.clients[client] {
                    connection.subscribe(&self.cluster.topic(FILTERS[filter]), qos).await;
                    self.naive[client].subscriptions.insert(filter, qos);
                }
            }
            Step::Unsubscribe { client, filter } => {
                if let Some(connection) = &mut self.clients[client] {
                    connection.unsubscribe(&self.cluster.topic(FILTERS[filter])).await;
                    self.naive[client].subscriptions.remove(&filter);
                }
            }
            Step::Publish { node, topic, qos } => {
                self.published += 1;
                let payload = format!("{:04}", self.published);
                let topic = TOPICS[topic];
                let reason = self.publishers[node].publish(&self.cluster.topic(topic), &payload, qos).await;
                assert_eq!(reason, ReasonCode::SUCCESS);
                self.naive.iter_mut().for_each(|naive| naive.publish(topic, &payload));
            }
        }
    }

    async fn come(&mut self, client: usize, node: usize, lasting: bool) {
        let connect = Connect {
            clean_start: !lasting,
            session_expiry: if lasting { 3_600 } else { 0 },
            ..self.cluster.plant.connect(Version::V5, client)
        };
        let (connection, connack) = Client::connect(self.cluster.node(node).address, connect).await;
        assert!(!connack.reason.is_failure(), "{connack:?}");
        if let Some(mut earlier) = self.clients[client].replace(connection) {
            assert_eq!(earlier.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        }
        let naive = &mut self.naive[client];
        let present = naive.lasting && lasting;
        assert_eq!(connack.session_present, present);
        if !present {
            *naive = Naive::default();
        }
        naive.connected = true;
        naive.lasting = lasting;
    }

    /// Whoever is connected has got what is due, and nothing else.
    async fn check(&mut self) {
        for (client, naive) in self.clients.iter_mut().zip(&mut self.naive) {
            let Some(client) = client else { continue };
            let mut came = taken(client, naive.waiting.len()).await;
            came.sort_unstable();
            assert_eq!(came, std::mem::take(&mut naive.waiting));
            client.has_nothing().await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn three_nodes_and_a_naive_broker_agree(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let db = TestDb::sqlite().await;
            let mut world = World::new(&db).await;
            for step in &steps {
                world.make(step).await;
                world.check().await;
            }
        });
    }
}
