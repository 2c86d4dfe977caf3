//! Retained messages have bounds: in number, in what a new subscriber is given at a time, and in their lives.

use std::sync::atomic::Ordering::SeqCst;

use messaging::Revocation;
use messaging::wire::{
    Ack, Packet, QoS, ReasonCode, Subscribe, Subscription, SubscriptionOptions, Text, Version,
};

use crate::client::{Client, text};
use crate::{Broker, becomes};

/// Publishes a message that is to be kept; an empty payload removes it.
async fn keep(publisher: &mut Client, topic: &str, payload: &str, qos: QoS) {
    let mut publish = publisher.message(topic, payload, qos);
    publish.retain = true;
    publisher.publish_message(publish).await;
}

/// A SUBSCRIBE with the same filter `count` times, and how it is answered.
async fn subscribe_repeatedly(client: &mut Client, filter: &str, count: usize) -> Vec<ReasonCode> {
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let subscription = Subscription { filter: Text::from(filter), options };
    let packet = Subscribe {
        packet_id: client.packet_id(),
        subscription_id: None,
        user_properties: Vec::new(),
        filters: vec![subscription; count],
    };
    client.send(Packet::Subscribe(packet)).await;
    match client.receive().await {
        Packet::SubAck(suback) => suback.reasons,
        other => panic!("expected a SUBACK: {other:?}"),
    }
}

#[tokio::test]
async fn a_filter_that_one_packet_repeats_is_sent_its_retained_messages_once() {
    let broker = Broker::with(|limits| limits.subscriptions = 2).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let reasons = subscribe_repeatedly(&mut subscriber, &broker.topic("/#"), 3).await;
    assert_eq!(
        reasons,
        [ReasonCode::GRANTED_QOS_1, ReasonCode::GRANTED_QOS_1, ReasonCode::QUOTA_EXCEEDED],
        "one packet may have as many filters as a session"
    );
    assert_eq!(text(&subscriber.take().await), "kept");
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn retained_messages_are_sent_in_steps_while_the_subscriber_has_room() {
    const COUNT: usize = 300;
    let broker = Broker::with(|limits| {
        limits.queue_messages = 4;
        limits.inflight = 2;
    })
    .await;
    let mut publisher = broker.client(Version::V311, 1).await;
    for number in 0..COUNT {
        keep(&mut publisher, &broker.topic(&format!("/{number}")), "kept", QoS::AtLeastOnce).await;
    }
    let mut patient = broker.client(Version::V5, 2).await;
    patient.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut topics = std::collections::HashSet::new();
    for _ in 0..COUNT {
        topics.insert(patient.take().await.topic);
    }
    assert_eq!(topics.len(), COUNT, "each of them once");
    patient.has_nothing().await;

    // What has not been sent when it is removed is not sent any more, so nobody keeps it.
    let mut slow = broker.client(Version::V5, 0).await;
    slow.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    patient.unsubscribe(&broker.topic("/#")).await;
    for number in 0..COUNT {
        keep(&mut publisher, &broker.topic(&format!("/{number}")), "", QoS::AtMostOnce).await;
    }
    publisher.has_nothing().await;
    let last = publisher.message(&broker.topic("/last"), "last", QoS::AtLeastOnce);
    publisher.send(Packet::Publish(last)).await;
    let mut sent = 0;
    loop {
        let delivery = slow.delivery().await;
        if let Some(packet_id) = delivery.packet_id {
            slow.send(Packet::PubAck(Ack::new(packet_id))).await;
        }
        match text(&delivery) {
            "kept" => sent += 1,
            "last" => break,
            _ => {}
        }
    }
    assert!(sent < COUNT / 2, "{sent} of {COUNT} were sent");
    becomes("the end of them", &broker.engine.stats().retained_messages, 0).await;
    assert_eq!(broker.engine.stats().retained_bytes.load(SeqCst), 0);
}

#[tokio::test]
async fn a_channel_that_is_gone_takes_its_subscriptions_and_retained_messages_with_it() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V311, 1).await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/b"), QoS::AtLeastOnce).await;
    subscriber.subscribe("m/plant/c/other/#", QoS::AtLeastOnce).await;
    keep(&mut publisher, &broker.topic("/a"), "of one that goes", QoS::AtLeastOnce).await;
    keep(&mut publisher, "m/plant/c/other", "of one that stays", QoS::AtLeastOnce).await;
    subscriber.take().await;

    broker.engine.revoke(Revocation::ChannelGone(broker.plant.channel));
    let stats = broker.engine.stats();
    assert_eq!(stats.retained_messages.load(SeqCst), 1);
    assert_eq!(stats.subscriptions.load(SeqCst), 1);
    keep(&mut publisher, &broker.topic("/b"), "too late", QoS::AtLeastOnce).await;
    assert_eq!(stats.retained_messages.load(SeqCst), 1, "a message of before may come, and is not kept");
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_message_that_finds_no_room_is_not_kept_and_neither_is_the_earlier_one() {
    let broker = Broker::with(|limits| limits.retained_bytes = 400).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let stats = broker.engine.stats();
    for (payload, refused) in [("first".to_owned(), 0), ("second".to_owned(), 0), ("x".repeat(1_000), 1)] {
        keep(&mut publisher, &broker.topic("/a"), &payload, QoS::AtLeastOnce).await;
        assert_eq!(stats.refused_retained.load(SeqCst), refused);
        assert_eq!(stats.retained_messages.load(SeqCst), 1 - refused);
        subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
        if refused == 0 {
            assert_eq!(text(&subscriber.take().await), payload);
        }
        subscriber.unsubscribe(&broker.topic("/#")).await;
    }
    assert_eq!(stats.retained_bytes.load(SeqCst), 0);
}
