//! One peer cannot make the broker hold more than its bounds, nor keep others waiting.

use std::net::IpAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use messaging::wire::{Ack, Connect, Packet, PacketId, Publish, QoS, ReasonCode, Text, Version};
use messaging::{Action, Credentials, Gate, Identity, Protocol, Revocation};

use crate::client::{Client, text};
use crate::{Broker, becomes, soon};

/// A message of a publisher without a session.
fn message(broker: &Broker, payload: &str) -> Publish {
    Publish {
        qos: QoS::AtLeastOnce,
        topic: Text::from(broker.topic("")),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        ..Publish::default()
    }
}

async fn publisher(broker: &Broker) -> Identity {
    let id = broker.plant.clients[1].to_string();
    let credentials = Credentials::Basic { id: &id, secret: "secret", domain: "" };
    broker.gate.authenticate(credentials, IpAddr::from([127, 0, 0, 1])).await.unwrap()
}

/// A subscriber that reads nothing, once its socket takes no more.
async fn deaf_subscriber(broker: &Broker, connect: Connect) -> Client {
    let mut subscriber = broker.connect(connect).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let identity = publisher(broker).await;
    let flood = Publish { qos: QoS::AtMostOnce, ..message(broker, &"x".repeat(100_000)) };
    soon("a full output", async {
        while broker.engine.stats().dropped_slow.load(SeqCst) == 0 {
            broker.engine.publish(&identity, Protocol::Http, &flood).await.unwrap();
        }
    })
    .await;
    subscriber
}

#[tokio::test]
async fn messages_on_their_way_have_a_bound_in_bytes() {
    let broker = Broker::with(|limits| limits.queue_bytes = 20_000).await;
    let mut subscriber = broker.client(Version::V311, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    let identity = publisher(&broker).await;
    let payload = "x".repeat(8_000);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
        let publish = Publish { qos, ..message(&broker, &payload) };
        broker.engine.publish(&identity, Protocol::Http, &publish).await.unwrap();
    }
    // 8,000 and 16,000 are under the bound, so a third one is sent; it is over the bound.
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(subscriber.delivery().await.packet_id.unwrap());
    }
    subscriber.has_nothing().await;
    subscriber.send(Packet::PubAck(Ack::new(ids[0]))).await;
    ids.push(subscriber.delivery().await.packet_id.unwrap());
    subscriber.has_nothing().await;
    // A message that has arrived is kept no longer, though its identifier is.
    subscriber.send(Packet::PubRec(Ack::new(ids[1]))).await;
    let mut answers = [subscriber.receive().await, subscriber.receive().await];
    answers.sort_by_key(|packet| matches!(packet, Packet::Publish(_)));
    assert_eq!(answers[0], Packet::PubRel(Ack::new(ids[1])));
    assert!(matches!(answers[1], Packet::Publish(_)));
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn what_is_sent_again_goes_in_steps_that_the_output_has_room_for() {
    let broker = Broker::with(|limits| limits.output_bytes = 20_000).await;
    let connect = Connect { clean_start: false, ..broker.plant.connect(Version::V311, 0) };
    let mut subscriber = broker.connect(connect.clone()).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let identity = publisher(&broker).await;
    let payload = "x".repeat(8_000);
    for _ in 0..100 {
        broker.engine.publish(&identity, Protocol::Http, &message(&broker, &payload)).await.unwrap();
        subscriber.delivery().await;
    }
    drop(subscriber);
    becomes("the absence", &broker.engine.stats().mqtt.connections, 0).await;
    // All come again, in order, although each step is small and nothing is acknowledged in between.
    let mut subscriber = broker.connect(connect).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        let again = subscriber.delivery().await;
        assert!(again.dup);
        ids.push(again.packet_id.unwrap().get());
    }
    assert!(ids.is_sorted());
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn acknowledgements_of_nothing_are_no_progress() {
    let broker = Broker::with(|limits| {
        limits.queue_messages = 2;
        limits.inflight = 1;
        limits.slow_subscriber = Duration::from_millis(100);
    })
    .await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    let identity = publisher(&broker).await;
    let publishing = async {
        for _ in 0..4 {
            let publish = Publish { qos: QoS::ExactlyOnce, ..message(&broker, "x") };
            broker.engine.publish(&identity, Protocol::Http, &publish).await.unwrap();
        }
    };
    let babbling = async {
        let id = subscriber.delivery().await.packet_id.unwrap();
        let unknown = PacketId::new(id.get() + 1).unwrap();
        loop {
            // The first PUBREC is one, all that follows is not.
            for packet in [
                Packet::PubRec(Ack::new(id)),
                Packet::PubRec(Ack::new(unknown)),
                Packet::PubAck(Ack::new(unknown)),
                Packet::PubComp(Ack::new(unknown)),
            ] {
                subscriber.send(packet).await;
            }
            for _ in 0..2 {
                match subscriber.receive().await {
                    Packet::PubRel(_) => {}
                    Packet::Disconnect(disconnect) => return disconnect.reason,
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    let (reason, ()) = soon("the end", async { tokio::join!(babbling, publishing) }).await;
    assert_eq!(reason, ReasonCode::QUOTA_EXCEEDED);
}

#[tokio::test]
async fn a_publisher_without_a_connection_does_not_wait_for_ever_for_a_slow_subscriber() {
    const MESSAGES: usize = 400;
    let broker = Broker::with(|limits| {
        limits.queue_messages = MESSAGES;
        limits.inflight = 1;
        limits.slow_subscriber = Duration::from_millis(100);
    })
    .await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let identity = publisher(&broker).await;
    let publishing = async {
        for _ in 0..=MESSAGES {
            broker.engine.publish(&identity, Protocol::Http, &message(&broker, "x")).await.unwrap();
        }
    };
    // One message now and then: that is progress, but half the queue would take seconds.
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    let mut taken = 0;
    let taking = async {
        loop {
            subscriber.take().await;
            taken += 1;
            pace.tick().await;
        }
    };
    tokio::select! {
        () = publishing => {}
        () = taking => {}
    }
    assert!(taken < MESSAGES / 2, "it has waited for room");
    assert_eq!(broker.engine.stats().slow_closed.load(SeqCst), 0);
}

#[tokio::test]
async fn what_an_absent_client_may_not_have_any_more_is_not_sent_again() {
    let broker = Broker::start().await;
    let connect = Connect { session_expiry: 60, clean_start: false, ..broker.plant.connect(Version::V5, 0) };
    let mut subscriber = broker.connect(connect.clone()).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    subscriber.subscribe("m/plant/c/other/#", QoS::AtLeastOnce).await;
    let identity = publisher(&broker).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let publish = Publish { qos, ..message(&broker, "lost") };
        broker.engine.publish(&identity, Protocol::Http, &publish).await.unwrap();
        subscriber.delivery().await;
    }
    let kept = Publish { topic: Text::from("m/plant/c/other"), ..message(&broker, "kept") };
    broker.engine.publish(&identity, Protocol::Http, &kept).await.unwrap();
    subscriber.delivery().await;
    subscriber.disconnect(ReasonCode::SUCCESS).await;
    becomes("the absence", &broker.engine.stats().mqtt.connections, 0).await;

    broker.gate.deny(0, Action::Subscribe);
    broker.engine.revoke(Revocation::Channel(broker.plant.channel));
    becomes("the end of the subscription", &broker.engine.stats().subscriptions, 1).await;
    let mut subscriber = broker.connect(connect).await;
    assert_eq!(text(&subscriber.take().await), "kept");
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_connection_that_is_full_of_messages_it_may_not_have_any_more_is_closed() {
    let broker = Broker::with(|limits| limits.output_bytes = 10_000).await;
    let _deaf = deaf_subscriber(&broker, broker.plant.connect(Version::V5, 0)).await;
    assert_eq!(broker.engine.stats().mqtt.connections.load(SeqCst), 1);
    broker.gate.deny(0, Action::Subscribe);
    broker.engine.revoke(Revocation::Client(broker.plant.clients[0]));
    becomes("the end of the connection", &broker.engine.stats().mqtt.connections, 0).await;
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_given_up_with_and_without_a_keep_alive() {
    for keep_alive in [0, 1] {
        let broker = Broker::with(|limits| {
            limits.output_bytes = 10_000;
            limits.slow_subscriber = Duration::from_millis(100);
        })
        .await;
        let _deaf =
            deaf_subscriber(&broker, Connect { keep_alive, ..broker.plant.connect(Version::V311, 0) }).await;
        becomes("the end of the connection", &broker.engine.stats().mqtt.connections, 0).await;
        assert_eq!(broker.engine.stats().slow_closed.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn a_stranger_cannot_send_more_than_a_connect() {
    let broker = Broker::start().await;
    // The beginning of a CONNECT of 65,537 bytes: nothing more is waited for.
    let mut stranger = Client::open(broker.address, Version::V311).await;
    stranger.send_bytes(&[0x10, 0xfd, 0xff, 0x03, 0, 4, b'M', b'Q', b'T', b'T', 4]).await;
    while stranger.next().await.is_some() {}
    assert_eq!(broker.engine.stats().violations.load(SeqCst), 1);

    let mut client = broker.client(Version::V5, 0).await;
    let large = "x".repeat(100_000);
    assert_eq!(client.publish(&broker.topic(""), &large, QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
}

#[tokio::test]
async fn connections_without_a_connect_have_a_bound_of_their_own() {
    let broker = Broker::with(|limits| limits.handshakes = 1).await;
    let client = broker.client(Version::V311, 0).await;
    let silent = Client::open(broker.address, Version::V311).await;
    becomes("the connection", &broker.engine.stats().accepted, 2).await;
    let mut second = Client::open(broker.address, Version::V311).await;
    assert!(second.next().await.is_none());
    drop(silent);
    becomes("room", &broker.engine.stats().connect_failures, 1).await;
    let other = broker.client(Version::V311, 1).await;
    drop((client, other));
}

#[tokio::test]
async fn the_connack_is_no_larger_than_the_client_accepts() {
    let broker = Broker::start().await;
    let connect = |size: u32| Connect {
        maximum_packet_size: size.try_into().ok(),
        ..broker.plant.connect(Version::V5, 0)
    };
    let (_client, connack) = Client::connect(broker.address, connect(16)).await;
    assert_eq!((connack.reason, connack.topic_alias_maximum), (ReasonCode::SUCCESS, 64));
    let (_client, connack) = Client::connect(broker.address, connect(15)).await;
    assert_eq!((connack.reason, connack.topic_alias_maximum), (ReasonCode::SUCCESS, 0));
    let (_client, connack) = Client::connect(broker.address, connect(12)).await;
    assert_eq!(connack.reason, ReasonCode::PACKET_TOO_LARGE);
    let mut client = Client::open(broker.address, Version::V5).await;
    client.send(Packet::Connect(Box::new(connect(4)))).await;
    assert!(client.next().await.is_none());
}
