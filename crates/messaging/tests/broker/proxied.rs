//! Connections of proxies that speak the PROXY protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use kernel::Clock;
use messaging::mqtt::Listener;
use messaging::wire::{ConnAck, Packet, Version};
use messaging::{Engine, Limits};
use tokio_util::sync::CancellationToken;
use web::TrustedProxies;

use crate::client::Client;
use crate::gate::{Plant, TestGate};
use crate::{Broker, becomes};

/// A broker behind a proxy at `trusted`, which lets one connection of an address be on its way in.
fn broker(trusted: &str) -> Broker {
    let plant = Plant::new();
    let gate = Arc::new(TestGate::new(&plant));
    let limits = Limits { handshakes_per_address: 1, ..Limits::default() };
    let engine = Engine::new(Arc::clone(&gate) as Arc<dyn messaging::Gate>, Clock::system(), limits);
    let proxies = TrustedProxies::new(vec![trusted.parse().unwrap()]);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_proxy_protocol(proxies);
    let (address, stop) = (listener.local_addr(), CancellationToken::new());
    tokio::spawn(listener.serve(engine.clone(), stop.clone()));
    Broker { engine, gate, plant, address, stop }
}

async fn proxied(broker: &Broker, source: &str) -> Client {
    let mut client = Client::open(broker.address, Version::V5).await;
    client.send_bytes(format!("PROXY TCP4 {source} 198.51.100.1 40000 1883\r\n").as_bytes()).await;
    client
}

async fn connected(broker: &Broker, client: &mut Client) -> ConnAck {
    client.send(Packet::Connect(Box::new(broker.plant.connect(Version::V5, 0)))).await;
    match client.receive().await {
        Packet::ConnAck(connack) => *connack,
        other => panic!("expected a CONNACK: {other:?}"),
    }
}

#[tokio::test]
async fn a_connection_counts_for_whom_the_proxy_names() {
    let broker = broker("127.0.0.1");
    let stats = broker.engine.stats();
    let mut first = proxied(&broker, "192.0.2.1").await;
    becomes("the first connection", &stats.accepted, 1).await;
    let mut second = proxied(&broker, "192.0.2.1").await;
    assert_eq!(second.next().await, None, "its address has one on its way in already");
    let mut other = proxied(&broker, "192.0.2.2").await;
    assert!(!connected(&broker, &mut other).await.reason.is_failure());
    assert!(!connected(&broker, &mut first).await.reason.is_failure());
    assert_eq!((stats.accepted.load(SeqCst), stats.refused.load(SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_not_let_in() {
    let broker = broker("127.0.0.0/8");
    let mut client = Client::open(broker.address, Version::V5).await;
    client.send(Packet::Connect(Box::new(broker.plant.connect(Version::V5, 0)))).await;
    assert_eq!(client.next().await, None);
    assert_eq!(broker.engine.stats().accepted.load(SeqCst), 0);
}

#[tokio::test]
async fn nobody_but_the_proxy_can_say_whom_it_connects_for() {
    let broker = broker("192.0.2.0/24");
    // A header is no CONNECT.
    let mut liar = proxied(&broker, "192.0.2.1").await;
    liar.closed().await;
    becomes("the violation", &broker.engine.stats().violations, 1).await;
    let mut honest = Client::open(broker.address, Version::V5).await;
    assert!(!connected(&broker, &mut honest).await.reason.is_failure());
}
