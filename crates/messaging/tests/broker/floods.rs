//! Floods: whoever asks for more than its part is held to it, and others are served meanwhile.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use messaging::wire::{
    Connect, Packet, QoS, ReasonCode, Subscribe, Subscription, SubscriptionOptions, Text, Unsubscribe,
    Version, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::client::{Client, text};
use crate::{Broker, becomes, soon};

/// Another address of this machine.
const ELSEWHERE: &str = "127.0.0.2:0";

/// A connection from elsewhere on which nothing has been said.
async fn from_elsewhere(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(ELSEWHERE.parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Somebody who is served while others flood: pings, publishes and gets what is published, again and again.
async fn serve_bystander(broker: &Broker, number: usize) {
    let mut bystander = broker.client(Version::V5, number).await;
    let topic = broker.topic(&format!("/bystander/{number}"));
    bystander.subscribe(&topic, QoS::AtMostOnce).await;
    for count in 0..30 {
        bystander.publish(&topic, &count.to_string(), QoS::AtMostOnce).await;
        assert_eq!(text(&bystander.take().await), count.to_string());
        bystander.has_nothing().await;
    }
}

#[tokio::test]
async fn connections_of_one_address_that_say_nothing_leave_room_for_others() {
    let broker = Broker::with(|limits| {
        limits.handshakes = 8;
        limits.handshakes_per_address = 4;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(from_elsewhere(broker.address).await);
    }
    becomes("the silent ones", &broker.engine.stats().accepted, 4).await;
    // Further ones from there are closed as they come.
    for _ in 0..20 {
        let mut refused = from_elsewhere(broker.address).await;
        assert!(matches!(soon("the end", refused.read(&mut [0])).await, Ok(0) | Err(_)));
    }
    assert_eq!(broker.engine.stats().refused.load(SeqCst), 20);
    serve_bystander(&broker, 0).await;
    // A place that is free again is free for everybody.
    drop(silent.pop());
    becomes("room", &broker.engine.stats().connect_failures, 1).await;
    let mut again = from_elsewhere(broker.address).await;
    let mut connect = Vec::new();
    encode(&Packet::Connect(Box::new(broker.plant.connect(Version::V311, 1))), Version::V311, &mut connect)
        .unwrap();
    again.write_all(&connect).await.unwrap();
    let mut connack = [0; 4];
    soon("a CONNACK", again.read_exact(&mut connack)).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
}

/// One byte now and then is not enough: the whole CONNECT must come in time.
#[tokio::test]
async fn a_connect_that_never_ends_is_given_up() {
    let broker = Broker::with(|limits| limits.handshake = Duration::from_millis(100)).await;
    let mut dripping = JoinSet::new();
    for _ in 0..20 {
        let address = broker.address;
        dripping.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // 40,000 bytes are announced, which would be accepted.
            let mut next = &b"\x10\xc0\xb8\x02\x00\x04MQTT\x05"[..];
            loop {
                let (byte, rest) = next.split_first().unwrap_or((&0, b""));
                next = rest;
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                if matches!(stream.try_read(&mut [0]), Ok(0)) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    serve_bystander(&broker, 0).await;
    soon("the end of all", dripping.join_all()).await;
    becomes("all given up", &broker.engine.stats().connect_failures, 20).await;
}

/// The same session is taken over again and again, and clients come and go as fast as they can.
#[tokio::test]
async fn a_flood_of_connects_does_not_starve_others() {
    let broker = Broker::start().await;
    let mut flood = JoinSet::new();
    for flooder in 0..8 {
        let address = broker.address;
        let connect = Connect {
            client_id: Text::from(["same", "a", "b", "c"][flooder % 4]),
            clean_start: flooder % 2 == 0,
            session_expiry: 60,
            ..broker.plant.connect(Version::V5, 0)
        };
        flood.spawn(async move {
            loop {
                let mut client = Client::open(address, Version::V5).await;
                client.send(Packet::Connect(Box::new(connect.clone()))).await;
                client.next().await;
            }
        });
    }
    soon("the bystanders", async { tokio::join!(serve_bystander(&broker, 1), serve_bystander(&broker, 2)) })
        .await;
    flood.shutdown().await;
    assert!(broker.engine.stats().accepted.load(SeqCst) > 8, "there was a flood");
    becomes("the end of all connections", &broker.engine.stats().mqtt.connections, 0).await;
    assert!(broker.engine.stats().sessions.load(SeqCst) <= 4 + 2, "one session for each name");
}

/// SUBSCRIBE and UNSUBSCRIBE with a hundred filters each, as fast as they are taken.
#[tokio::test]
async fn a_flood_of_subscribes_does_not_starve_others_and_makes_no_more_than_its_part() {
    const FILTERS: usize = 100;
    let broker = Broker::with(|limits| limits.subscriptions = 150).await;
    let mut flood = JoinSet::new();
    for flooder in 0..4 {
        let mut client = broker.client(Version::V5, 0).await;
        if flooder > 0 {
            let named = Connect {
                client_id: Text::from(format!("flooder {flooder}")),
                ..broker.plant.connect(Version::V5, 0)
            };
            client = broker.connect(named).await;
        }
        let id = client.packet_id();
        let mut bytes = Vec::new();
        for round in 0..4 {
            let filters: Vec<Text> = (0..FILTERS)
                .map(|number| Text::from(broker.topic(&format!("/{flooder}/{round}/{number}/+"))))
                .collect();
            let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
            let subscribe = Subscribe {
                packet_id: id,
                subscription_id: None,
                user_properties: Vec::new(),
                filters: filters
                    .iter()
                    .map(|filter| Subscription { filter: filter.clone(), options })
                    .collect(),
            };
            encode(&Packet::Subscribe(subscribe), Version::V5, &mut bytes).unwrap();
            // Half of them stay, so that the session is at its bound.
            if round % 2 == 0 {
                let unsubscribe = Unsubscribe { packet_id: id, user_properties: Vec::new(), filters };
                encode(&Packet::Unsubscribe(unsubscribe), Version::V5, &mut bytes).unwrap();
            }
        }
        let (mut answers, mut requests) = client.into_stream().into_split();
        flood.spawn(async move { while requests.write_all(&bytes).await.is_ok() {} });
        flood.spawn(async move {
            let mut sink = vec![0; 64 << 10];
            while matches!(answers.read(&mut sink).await, Ok(count) if count > 0) {}
        });
    }
    soon("the bystanders", async { tokio::join!(serve_bystander(&broker, 1), serve_bystander(&broker, 2)) })
        .await;
    let subscriptions = broker.engine.stats().subscriptions.load(SeqCst);
    assert!((1..=4 * 150 + 2).contains(&subscriptions), "{subscriptions} subscriptions");
    flood.shutdown().await;
}

/// Publishers that send as fast as they can, to a topic that others read and to one that nobody reads.
#[tokio::test]
async fn a_flood_of_messages_does_not_starve_others() {
    let broker = Broker::start().await;
    let mut flood = JoinSet::new();
    for flooder in 0..4 {
        let named = Connect {
            client_id: Text::from(format!("flooder {flooder}")),
            ..broker.plant.connect(Version::V311, 0)
        };
        let mut client = broker.connect(named).await;
        let topic = broker.topic(["/flood", "/nobody"][flooder % 2]);
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce][flooder / 2];
        let publish = client.message(&topic, &"x".repeat(200), qos);
        let mut bytes = Vec::new();
        for _ in 0..100 {
            encode(&Packet::Publish(publish.clone()), Version::V311, &mut bytes).unwrap();
        }
        let (mut answers, mut messages) = client.into_stream().into_split();
        flood.spawn(async move { while messages.write_all(&bytes).await.is_ok() {} });
        flood.spawn(async move {
            let mut sink = vec![0; 64 << 10];
            while matches!(answers.read(&mut sink).await, Ok(count) if count > 0) {}
        });
    }
    let mut reader = broker.client(Version::V311, 3).await;
    reader.subscribe(&broker.topic("/flood"), QoS::AtMostOnce).await;
    flood.spawn(async move { while reader.next().await.is_some() {} });
    soon("the bystanders", async { tokio::join!(serve_bystander(&broker, 1), serve_bystander(&broker, 2)) })
        .await;
    flood.shutdown().await;
}

#[tokio::test]
async fn one_identity_cannot_take_all_sessions() {
    let broker = Broker::with(|limits| limits.sessions_per_identity = 5).await;
    let mut refused = 0;
    for number in 0..50 {
        let connect = Connect {
            client_id: Text::from(format!("session {number}")),
            clean_start: false,
            session_expiry: 60,
            ..broker.plant.connect(Version::V5, 0)
        };
        let (client, connack) = Client::connect(broker.address, connect).await;
        refused += usize::from(connack.reason == ReasonCode::QUOTA_EXCEEDED);
        drop(client);
    }
    assert_eq!(refused, 45);
    assert_eq!(broker.engine.stats().sessions.load(SeqCst), 5);
    serve_bystander(&broker, 1).await;
}
