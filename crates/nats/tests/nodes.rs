//! Nodes that speak to each other over a real nats-server, which is killed and comes back.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cluster::{Bounds, Incoming, Listening, Network as _, NodeId, Peers};
use nats::{Nats, Settings};
use tokio::sync::mpsc;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

async fn connect(server: &testkit::nats::Nats) -> Nats {
    let settings = Settings {
        urls: vec![server.url().parse().unwrap()],
        credentials: None,
        ca_certs: None,
        event_prefix: "magistrala.".into(),
        instance: "node".into(),
        queue_messages: 100,
        queue_bytes: 1 << 20,
        ack_timeout: Duration::from_millis(500),
    };
    Nats::open(settings).await.unwrap()
}

struct Node {
    peers: Peers,
    inbox: mpsc::Receiver<Incoming>,
    _listening: Listening,
}

async fn node(server: &testkit::nats::Nats, cluster: &str, me: NodeId, other: NodeId) -> Node {
    let transport = connect(server).await.node_transport(cluster).unwrap();
    let peers = Peers::new(me, Bounds::default(), b"key of the cluster", Arc::new(transport.clone()));
    let inbox = peers.admit(other).unwrap();
    let _listening = transport.listen(me, peers.clone()).await.unwrap();
    Node { peers, inbox, _listening }
}

async fn next(node: &mut Node) -> Bytes {
    let incoming = tokio::time::timeout(testkit::PATIENCE, node.inbox.recv()).await;
    let incoming = incoming.unwrap().unwrap();
    let message = incoming.message.clone();
    incoming.done();
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_comes_twice_while_nats_is_away_and_a_long_message_arrives_whole() {
    let mut server = testkit::nats::Nats::start();
    let a = node(&server, "test", A, B).await;
    let mut b = node(&server, "test", B, A).await;
    let number = |number: u32| Bytes::from(number.to_be_bytes().to_vec());
    a.peers.send(B, number(0)).await.unwrap();
    assert_eq!(next(&mut b).await, number(0));
    server.kill();
    for count in 1..500 {
        a.peers.send(B, number(count)).await.unwrap();
    }
    let long = a.peers.send(B, Bytes::from(vec![7; 3 << 20])).await.unwrap();
    server.restart();
    for count in 1..500 {
        assert_eq!(next(&mut b).await, number(count));
    }
    assert_eq!(next(&mut b).await, vec![7; 3 << 20]);
    long.processed().await.unwrap();
    assert!(b.inbox.try_recv().is_err(), "nothing comes twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_on_one_nats_do_not_hear_each_other() {
    let server = testkit::nats::Nats::start();
    let a = node(&server, "one", A, B).await;
    let mut b = node(&server, "one", B, A).await;
    let mut stranger = node(&server, "two", B, A).await;
    let sent = a.peers.send(B, Bytes::from_static(b"text")).await.unwrap();
    assert_eq!(next(&mut b).await, "text");
    sent.processed().await.unwrap();
    assert!(stranger.inbox.try_recv().is_err());
}

#[tokio::test]
async fn a_name_that_is_no_token_of_a_subject_is_refused() {
    let server = testkit::nats::Nats::start();
    let nats = connect(&server).await;
    for name in ["", "a.b", "*", ">", "a b", "ä"] {
        assert!(nats.node_transport(name).is_err(), "{name}");
    }
}
