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

use crate::{Bounds, Gone, Incoming, NodeId, Peers, Transport, Unsent};

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
    /// A node, and what those others send to it.
    fn node<const N: usize>(
        &self,
        id: NodeId,
        others: [NodeId; N],
    ) -> (Peers, [mpsc::Receiver<Incoming>; N]) {
        self.with_key(id, others, b"key of the cluster")
    }

    fn with_key<const N: usize>(
        &self,
        id: NodeId,
        others: [NodeId; N],
        key: &[u8],
    ) -> (Peers, [mpsc::Receiver<Incoming>; N]) {
        let bounds = Bounds { message: 10_000, fragment: 500, waiting: 20_000 };
        let peers = Peers::new(id, bounds, key, Arc::new(self.clone()));
        let inboxes = others.map(|other| peers.admit(other).unwrap());
        self.0.nodes.lock().unwrap().insert(id, peers.clone());
        (peers, inboxes)
    }
}

fn text(incoming: &Incoming) -> String {
    String::from_utf8(incoming.message.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_two_nodes_send_to_a_third_arrives_in_the_order_of_each() {
    let network = Network::default();
    let (a, _of_a) = network.node(A, [B, C]);
    let (b, _of_b) = network.node(B, [A, C]);
    let (_c, inboxes) = network.node(C, [A, B]);
    for (name, peers) in [("a", a), ("b", b)] {
        tokio::spawn(async move {
            for number in 0..200 {
                peers.send(C, Bytes::from(format!("{name}{number}"))).await.unwrap();
            }
        });
    }
    for (name, mut inbox) in ["a", "b"].into_iter().zip(inboxes) {
        for number in 0..200 {
            let incoming = inbox.recv().await.unwrap();
            assert_eq!(text(&incoming), format!("{name}{number}"));
            incoming.done();
        }
        let more = timeout(Duration::from_secs(60), inbox.recv()).await;
        assert!(more.is_err(), "nothing comes twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_network_is_only_a_wait() {
    let network = Network::default();
    let (a, _of_a) = network.node(A, [B]);
    let (_b, [mut inbox]) = network.node(B, [A]);
    network.0.cut.store(true, Relaxed);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    let early = timeout(Duration::from_secs(600), inbox.recv()).await;
    assert!(early.is_err(), "the network is cut");
    network.0.cut.store(false, Relaxed);
    inbox.recv().await.unwrap().done();
    sent.processed().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sender_learns_that_its_message_is_processed_and_not_only_received() {
    let network = Network::default();
    let (a, _of_a) = network.node(A, [B]);
    let (_b, [mut inbox]) = network.node(B, [A]);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    let incoming = inbox.recv().await.unwrap();
    let mut processed = std::pin::pin!(sent.processed());
    let early = timeout(Duration::from_secs(60), processed.as_mut()).await;
    assert!(early.is_err(), "the message is held");
    incoming.done();
    assert_eq!(processed.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_nothing_holds_up_its_senders_and_nobody_else() {
    let network = Network::default();
    let (a, _of_a) = network.node(A, [B, C]);
    let (_b, [mut b_inbox]) = network.node(B, [A]);
    let (_c, [mut c_inbox]) = network.node(C, [A]);
    let message = Bytes::from(vec![7; 10_000]);
    let mut taken = 0;
    while timeout(Duration::from_secs(60), a.send(B, message.clone())).await.is_ok() {
        taken += 1;
        assert!(taken < 10, "memory has no bound");
    }
    a.send(C, Bytes::from_static(b"text")).await.unwrap();
    assert_eq!(text(&c_inbox.recv().await.unwrap()), "text");
    b_inbox.recv().await.unwrap().done();
    timeout(Duration::from_secs(60), a.send(B, message)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_node_that_is_dismissed_learns_that_it_has_gone() {
    let network = Network::default();
    let (a, _inbox) = network.node(A, [B]);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    a.dismiss(B);
    assert_eq!(sent.processed().await, Err(Gone));
    assert_eq!(a.send(B, Bytes::new()).await.err(), Some(Unsent::Gone));
    assert!(a.nodes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_from_a_node_that_was_not_admitted_until_it_is() {
    let network = Network::default();
    let (a, _of_a) = network.node(A, [B]);
    let (b, []) = network.node(B, []);
    let sent = a.send(B, Bytes::from_static(b"text")).await.unwrap();
    let mut processed = std::pin::pin!(sent.processed());
    assert!(timeout(Duration::from_secs(60), processed.as_mut()).await.is_err());
    let mut inbox = b.admit(A).unwrap();
    assert!(b.admit(A).is_none(), "it is admitted already");
    let incoming = inbox.recv().await.unwrap();
    assert_eq!(text(&incoming), "text");
    incoming.done();
    processed.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_from_somebody_who_has_not_the_key() {
    let network = Network::default();
    let (stranger, _inbox) = network.with_key(A, [B], b"a guess");
    let (_b, [mut inbox]) = network.node(B, [A]);
    let sent = stranger.send(B, Bytes::from_static(b"text")).await.unwrap();
    assert!(timeout(Duration::from_secs(60), sent.processed()).await.is_err());
    assert!(inbox.try_recv().is_err());
}

#[tokio::test]
async fn a_message_that_no_link_takes_is_refused() {
    let (a, _inbox) = Network::default().node(A, [B]);
    let refused = a.send(B, Bytes::from(vec![0; 10_001])).await.err();
    assert_eq!(refused, Some(Unsent::TooLong));
    // Less than an address.
    a.arrived(Bytes::from_static(b"text"));
}
