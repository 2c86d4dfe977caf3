//! Rates: who publishes more than a connection or a domain may is slowed down or told so.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use kernel::Kind;
use messaging::wire::{Packet, PacketId, Publish, QoS, ReasonCode, Text, Version};
use messaging::{Credentials, Gate, Identity, Limits, Protocol, Rate};

use crate::client::{Client, text};
use crate::{Broker, becomes};

fn a_second(messages: u64) -> Rate {
    Rate { messages: NonZeroU64::new(messages), bytes: None }
}

async fn caller(broker: &Broker, number: usize) -> Identity {
    let id = broker.plant.clients[number].to_string();
    let credentials = Credentials::Basic { id: &id, secret: "secret", domain: "" };
    broker.gate.authenticate(credentials, IpAddr::from([127, 0, 0, 1])).await.unwrap()
}

fn message(broker: &Broker) -> Publish {
    Publish { topic: Text::from(broker.topic("")), payload: Bytes::from_static(b"x"), ..Publish::default() }
}

/// Sends messages without waiting for their acknowledgements.
async fn send_many(publisher: &mut Client, topic: &str, count: usize, qos: QoS) -> Vec<PacketId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let publish = publisher.message(topic, &number.to_string(), qos);
        ids.extend(publish.packet_id);
        publisher.send(Packet::Publish(publish)).await;
    }
    ids
}

/// Acknowledgements of QoS 1, in order.
async fn acknowledged(publisher: &mut Client, ids: &[PacketId]) -> Vec<ReasonCode> {
    let mut reasons = Vec::new();
    for id in ids {
        match publisher.receive().await {
            Packet::PubAck(ack) if ack.packet_id == *id => reasons.push(ack.reason),
            other => panic!("expected a PUBACK: {other:?}"),
        }
    }
    reasons
}

#[tokio::test]
async fn a_publisher_of_qos_1_is_slowed_down_and_loses_nothing() {
    let broker = Broker::with(|limits| limits.rate = a_second(50)).await;
    let mut subscriber = broker.client(Version::V311, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for version in [Version::V311, Version::V5] {
        let before = broker.engine.stats().slowed.load(SeqCst);
        let mut publisher = broker.client(version, 1).await;
        let ids = send_many(&mut publisher, &broker.topic(""), 60, QoS::AtLeastOnce).await;
        // It is heard although it has to wait.
        let reasons = acknowledged(&mut publisher, &ids).await;
        assert_eq!(reasons, vec![ReasonCode::SUCCESS; 60]);
        for number in 0..60 {
            assert_eq!(text(&subscriber.take().await), number.to_string());
        }
        assert!(broker.engine.stats().slowed.load(SeqCst) > before);
    }
    assert_eq!(broker.engine.stats().refused_rate.load(SeqCst), 0);
}

#[tokio::test]
async fn above_the_rate_of_a_domain_mqtt_5_is_refused_with_quota_exceeded_and_mqtt_3_waits() {
    let change = |limits: &mut Limits| {
        limits.domain_rate = a_second(1);
        limits.rate_patience = Duration::ZERO;
    };
    let broker = Broker::with(change).await;
    let topic = broker.topic("");
    let mut publishers = Vec::new();
    for number in [0, 1, 2] {
        publishers.push(broker.client(Version::V5, number).await);
    }
    let mut reasons = Vec::new();
    for publisher in &mut publishers {
        reasons.push(publisher.publish(&topic, "x", QoS::ExactlyOnce).await);
    }
    assert_eq!(reasons, [ReasonCode::SUCCESS, ReasonCode::SUCCESS, ReasonCode::QUOTA_EXCEEDED]);
    assert_eq!(broker.engine.stats().refused_rate.load(SeqCst), 1);
    // The refused identifier is free again, and the client stays.
    publishers[2].has_nothing().await;

    let mut old = broker.client(Version::V311, 3).await;
    assert_eq!(old.publish(&topic, "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    assert_eq!(broker.engine.stats().slowed.load(SeqCst), 1);
}

#[tokio::test]
async fn messages_of_qos_0_above_the_rate_are_dropped_and_counted() {
    let broker = Broker::with(|limits| limits.rate = a_second(1)).await;
    for version in [Version::V311, Version::V5] {
        let before = broker.engine.stats().dropped_rate.load(SeqCst);
        let mut publisher = broker.client(version, 1).await;
        // Within a second; the clock of a slow machine lets more of them through.
        send_many(&mut publisher, &broker.topic(""), 500, QoS::AtMostOnce).await;
        publisher.has_nothing().await;
        assert!(broker.engine.stats().dropped_rate.load(SeqCst) > before + 400);
    }
}

#[tokio::test]
async fn bytes_are_limited_like_messages() {
    let rate = Rate { messages: None, bytes: NonZeroU64::new(1_000) };
    let broker = Broker::with(|limits| limits.rate = rate).await;
    let identity = caller(&broker, 0).await;
    let large = Publish { payload: Bytes::from(vec![0; 10_000]), ..message(&broker) };
    broker.engine.publish(&identity, Protocol::Http, &large).await.unwrap();
    let error = broker.engine.publish(&identity, Protocol::Http, &message(&broker)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Limited);
    let wait = error.retry_after().unwrap();
    assert!((Duration::from_secs(8)..Duration::from_secs(11)).contains(&wait), "{wait:?}");
}

#[tokio::test]
async fn without_a_connection_each_identity_has_a_rate_and_is_told_when_to_come_back() {
    let broker = Broker::with(|limits| limits.rate = a_second(1)).await;
    let (one, other) = (caller(&broker, 0).await, caller(&broker, 1).await);
    for _ in 0..2 {
        broker.engine.publish(&one, Protocol::Http, &message(&broker)).await.unwrap();
    }
    let error = broker.engine.publish(&one, Protocol::Http, &message(&broker)).await.unwrap_err();
    assert_eq!((error.kind(), error.public()), (Kind::Limited, "too many messages, send fewer in a second"));
    assert!(error.retry_after().unwrap() <= Duration::from_secs(1));
    broker.engine.publish(&other, Protocol::Http, &message(&broker)).await.unwrap();
    becomes("the dropped message", &broker.engine.stats().dropped_rate, 1).await;
}

#[tokio::test]
async fn over_a_websocket_a_publisher_has_a_rate_of_its_own_and_waits_for_it() {
    let broker = Broker::with(|limits| limits.rate = a_second(20)).await;
    let identity = caller(&broker, 0).await;
    let mut subscriber = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let reader =
        broker.engine.attach_reader(broker.engine.epoch(), &identity, Protocol::WebSocket).unwrap().unwrap();
    let mut publisher = reader.publisher();
    let message = Publish { qos: QoS::AtLeastOnce, ..message(&broker) };
    for _ in 0..25 {
        publisher.publish(&message).await.unwrap();
        subscriber.take().await;
    }
    assert!(broker.engine.stats().slowed.load(SeqCst) > 0);
}
