//! What one client may have: sessions, and topics of a length.

use std::num::NonZeroU16;

use bytes::Bytes;
use messaging::wire::{Connect, MessageProperties, Packet, QoS, ReasonCode, Text, Version, Will};

use crate::Broker;
use crate::client::{Client, text};

#[tokio::test]
async fn a_client_has_no_more_sessions_than_it_may() {
    let broker = Broker::with(|limits| limits.sessions_per_identity = 2).await;
    let named = |number, name: &str| Connect {
        client_id: Text::from(name),
        ..broker.plant.connect(Version::V5, number)
    };
    let mut first = broker.connect(named(0, "a")).await;
    let _second = broker.connect(named(0, "b")).await;
    let (_, third) = Client::connect(broker.address, named(0, "c")).await;
    assert_eq!(third.reason, ReasonCode::QUOTA_EXCEEDED);
    first.has_nothing().await;
    let _renewed = broker.connect(named(0, "b")).await;
    let _of_another = broker.connect(named(1, "c")).await;
}

#[tokio::test]
async fn a_topic_or_filter_that_is_too_long_is_refused() {
    let broker = Broker::with(|limits| limits.topic_bytes = 200).await;
    let long = broker.topic(&format!("/{}", "x".repeat(200)));
    let mut v5 = broker.client(Version::V5, 0).await;
    assert_eq!(v5.subscribe(&long, QoS::AtLeastOnce).await, ReasonCode::TOPIC_FILTER_INVALID);
    assert_eq!(v5.publish(&long, "x", QoS::AtLeastOnce).await, ReasonCode::TOPIC_NAME_INVALID);
    assert_eq!(v5.publish(&broker.topic("/x"), "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    let mut aliased = v5.message(&long, "x", QoS::AtLeastOnce);
    aliased.topic_alias = NonZeroU16::new(1);
    assert_eq!(v5.publish_message(aliased.clone()).await, ReasonCode::TOPIC_NAME_INVALID);
    aliased.topic = Text::default();
    v5.send(Packet::Publish(aliased)).await;
    assert_eq!(v5.closed().await, Some(ReasonCode::PROTOCOL_ERROR), "a topic that is refused has no alias");

    let mut v3 = broker.client(Version::V311, 1).await;
    assert_eq!(v3.subscribe(&long, QoS::AtLeastOnce).await.0, 0x80);
    let publish = v3.message(&long, "x", QoS::AtLeastOnce);
    v3.send(Packet::Publish(publish)).await;
    assert_eq!(v3.closed().await, None);

    let will = Will {
        topic: Text::from(long.as_str()),
        payload: Bytes::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay: 0,
        message_expiry: None,
        properties: MessageProperties::default(),
    };
    let connect = Connect { will: Some(will), ..broker.plant.connect(Version::V5, 2) };
    let (_, connack) = Client::connect(broker.address, connect).await;
    assert_eq!(connack.reason, ReasonCode::TOPIC_NAME_INVALID);
}

#[tokio::test]
async fn two_filters_that_mean_the_same_end_one_by_one() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let [plain, encoded] = [broker.topic("/a/b"), broker.topic("/a%2Fb")];
    subscriber.subscribe(&plain, QoS::AtLeastOnce).await;
    subscriber.subscribe(&encoded, QoS::AtLeastOnce).await;
    subscriber.unsubscribe(&encoded).await;
    publisher.publish(&plain, "still wanted", QoS::AtLeastOnce).await;
    assert_eq!(text(&subscriber.take().await), "still wanted");
    subscriber.unsubscribe(&plain).await;
    publisher.publish(&plain, "wanted no more", QoS::AtLeastOnce).await;
    subscriber.has_nothing().await;
}
