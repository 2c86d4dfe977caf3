//! Nodes on a network in memory.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{sync::mpsc, time::timeout};

use crate::{Bounds, Gone, Incoming, NodeId, Peers, Refused, Transport};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

/// Loses every third datagram, brings every fifth twice, and nothing while it is cut.
#[derive(Clone, Default)]
struct Network(Arc<Wires>);

#[derive(Default)]
struct Wires {
    nodes: Mutex<HashMap<NodeId, Peers>>,
    cut: AtomicBool,
    count: AtomicU64,
}

impl Transport for Network {
    fn send(&self, to: NodeId, datagram: Bytes) -> BoxFuture<'_, ()> {
        let count = self.0.count.fetch_add(1, Relaxed);
        let arrives = !self.0.cut.load(Relaxed) && count % 3 != 2;
        if let Some(peers) = self.0.nodes.lock().unwrap().get(&to).filter(|_| arrives) {
            peers.arrived(datagram.clone());
            if count % 5 == 4 {
                peers.arrived(datagram);
            }
        }
        Box::pin(std::future::ready(()))
    }
}

impl Network {
    fn node(&self, id: NodeId, others: &[NodeId]) -> (Peers, mpsc::Receiver<Incoming>) {
        let bounds = Bounds { message: 10_000, fragment: 500, waiting: 20_000 };
        let (peers, inbox) = Peers::new(id, bounds, Arc::new(self.clone()));
        for other in others {
            peers.admit(*other);
        }
        self.0.nodes.lock().unwrap().insert(id, peers.clone());
        (peers, inbox)
    }
}

fn text(incoming: &Incoming) -> String {
    String::from_utf8(incoming.message.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_two_nodes_send_to_a_third_arrives_in_the_order_of_each() {
    let network = Network::default();
    let (a, _a_inbox) = network.node(A, &[B, C]);
    let (b, _b_inbox) = network.node(B, &[A, C]);
    let (_c, mut inbox) = network.node(C, &[A, B]);
    for (name, peers) in [("a", a), ("b", b)] {
        tokio::spawn(async move {
            for number in 0..200 {
                peers.send(C, Bytes::from(format!("{name}{number}"))).await.unwrap();
            }
        });
    }
    let mut came: HashMap<NodeId, Vec<String>> = HashMap::new();
    for _ in 0..400 {
        let incoming = inbox.recv().await.unwrap();
        came.entry(incoming.from).or_default().push(text(&incoming));
    }
    for (name, node) in [("a", A), ("b", B)] {
        let sent: Vec<String> = (0..200).map(|number| format!("{name}{number}")).collect();
        assert_eq!(came[&node], sent);
    }
    let more = timeout(Duration::from_secs(60), inbox.recv()).await;
    assert!(more.is_err(), "nothing comes twice");
}

#[tokio::test(start_paused = true)]
async fn a_cut_network_is_only_a_wait() {
    let network = Network::default();
    let (a, _a_inbox) = network.node(A, &[B]);
    let (_b, mut inbox) = network.node(B, &[A]);
    network.0.cut.store(true, Relaxed);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    let early = timeout(Duration::from_secs(600), inbox.recv()).await;
    assert!(early.is_err(), "the network is cut");
    network.0.cut.store(false, Relaxed);
    drop(inbox.recv().await.unwrap());
    sent.processed().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sender_learns_that_its_message_is_processed_and_not_only_received() {
    let network = Network::default();
    let (a, _a_inbox) = network.node(A, &[B]);
    let (_b, mut inbox) = network.node(B, &[A]);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    let incoming = inbox.recv().await.unwrap();
    let mut processed = std::pin::pin!(sent.processed());
    let early = timeout(Duration::from_secs(60), processed.as_mut()).await;
    assert!(early.is_err(), "the message is held");
    drop(incoming);
    assert_eq!(processed.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_nothing_holds_up_its_senders_and_nobody_else() {
    let network = Network::default();
    let (a, _a_inbox) = network.node(A, &[B, C]);
    let (_b, mut b_inbox) = network.node(B, &[A]);
    let (_c, mut c_inbox) = network.node(C, &[A]);
    let message = Bytes::from(vec![7; 10_000]);
    let mut taken = 0;
    while timeout(Duration::from_secs(60), a.send(B, message.clone())).await.is_ok() {
        taken += 1;
        assert!(taken < 10, "memory has no bound");
    }
    a.send(C, Bytes::from_static(b"text")).await.unwrap();
    assert_eq!(text(&c_inbox.recv().await.unwrap()), "text");
    drop(b_inbox.recv().await.unwrap());
    timeout(Duration::from_secs(60), a.send(B, message)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_node_that_is_dismissed_learns_that_it_has_gone() {
    let network = Network::default();
    let (a, _inbox) = network.node(A, &[B]);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    a.dismiss(B);
    assert_eq!(sent.processed().await, Err(Gone));
    assert_eq!(a.send(B, Bytes::new()).await.err(), Some(None));
    assert!(a.nodes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_from_a_node_that_was_not_admitted_until_it_is() {
    let network = Network::default();
    let (a, _a_inbox) = network.node(A, &[B]);
    let (b, mut inbox) = network.node(B, &[]);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    assert!(timeout(Duration::from_secs(60), inbox.recv()).await.is_err());
    b.admit(A);
    assert_eq!(text(&inbox.recv().await.unwrap()), "text");
    sent.processed().await.unwrap();
}

#[tokio::test]
async fn a_message_that_no_link_takes_is_refused() {
    let (a, _inbox) = Network::default().node(A, &[B]);
    let refused = a.send(B, Bytes::from(vec![0; 10_001])).await.err();
    assert_eq!(refused, Some(Some(Refused::TooLong)));
    // Less than an address.
    a.arrived(Bytes::from_static(b"text"));
}
