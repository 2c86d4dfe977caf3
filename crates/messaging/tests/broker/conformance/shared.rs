//! Chapter 4.8.2: shared subscriptions.

use messaging::wire::{Ack, Packet, QoS, ReasonCode, Version};

use super::{breach, keep, lasting, leave, packet, string};
use crate::Broker;
use crate::client::text;

fn share(broker: &Broker, group: &str) -> String {
    format!("$share/{group}/{}", broker.topic("/#"))
}

#[tokio::test]
async fn a_share_name_that_is_none_closes_the_connection() {
    let broker = Broker::start().await;
    for filter in
        ["$share", "$share/", "$share//", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/a#/b"]
    {
        // Without a slash it is a filter like any other, and means nothing here.
        if filter == "$share" {
            let mut client = broker.client(Version::V5, 0).await;
            assert_eq!(client.subscribe(filter, QoS::AtMostOnce).await, ReasonCode::TOPIC_FILTER_INVALID);
            continue;
        }
        let body = [&b"\0\x01\0"[..], &string(filter), b"\0"].concat();
        breach(&broker, Version::V5, &packet(0x82, &body), ReasonCode::TOPIC_FILTER_INVALID).await;
    }
}

#[tokio::test]
async fn each_member_gets_its_share_with_its_own_qos() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    let mut members = Vec::new();
    for (number, version, qos) in [(1, Version::V5, QoS::AtMostOnce), (2, Version::V311, QoS::AtLeastOnce)] {
        let mut member = broker.client(version, number).await;
        member.subscribe(&share(&broker, "g"), qos).await;
        members.push((member, qos));
    }
    for _ in 0..4 {
        publisher.publish(&broker.topic("/a"), "x", QoS::ExactlyOnce).await;
    }
    for (member, qos) in &mut members {
        for _ in 0..2 {
            assert_eq!(member.take().await.qos, *qos);
        }
        member.has_nothing().await;
    }
}

/// The group does not stand for the filter: a subscription of its own is another one, and so is another group.
#[tokio::test]
async fn a_shared_subscription_and_one_of_its_own_both_deliver() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    let mut client = broker.client(Version::V5, 1).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    client.subscribe(&share(&broker, "g"), QoS::AtLeastOnce).await;
    client.subscribe(&share(&broker, "h"), QoS::AtLeastOnce).await;
    for expected in [3, 2, 1] {
        publisher.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await;
        for _ in 0..expected {
            client.take().await;
        }
        client.has_nothing().await;
        let group = if expected == 3 { "h" } else { "g" };
        client.unsubscribe(&share(&broker, group)).await;
    }
}

#[tokio::test]
async fn retained_messages_are_not_sent_for_a_shared_subscription() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
    let mut client = broker.client(Version::V5, 1).await;
    client.subscribe(&share(&broker, "g"), QoS::AtLeastOnce).await;
    client.has_nothing().await;
}

#[tokio::test]
async fn a_message_that_was_given_to_a_member_stays_with_it() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    let mut first = broker.connect(lasting(&broker, Version::V5, 1)).await;
    first.subscribe(&share(&broker, "g"), QoS::ExactlyOnce).await;
    publisher.publish(&broker.topic("/a"), "begun", QoS::ExactlyOnce).await;
    let id = first.delivery().await.packet_id.unwrap();
    let mut second = broker.client(Version::V5, 2).await;
    second.subscribe(&share(&broker, "g"), QoS::ExactlyOnce).await;
    drop(first);
    second.has_nothing().await;
    // It is finished with the one that it was begun with.
    let mut first = broker.connect(lasting(&broker, Version::V5, 1)).await;
    let again = first.take().await;
    assert_eq!((text(&again), again.dup, again.packet_id), ("begun", true, Some(id)));
    // And goes with its session.
    first.unsubscribe(&share(&broker, "g")).await;
    leave(&broker, first).await;
    broker.client(Version::V5, 1).await;
    second.has_nothing().await;
}

#[tokio::test]
async fn a_message_that_a_member_refuses_goes_to_no_other() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    let mut members = Vec::new();
    for number in [1, 2] {
        let mut member = broker.client(Version::V5, number).await;
        member.subscribe(&share(&broker, "g"), QoS::ExactlyOnce).await;
        members.push(member);
    }
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for _ in 0..2 {
            publisher.publish(&broker.topic("/a"), "x", qos).await;
        }
        for member in &mut members {
            let id = member.delivery().await.packet_id.unwrap();
            let refusal = Ack::with_reason(id, ReasonCode::UNSPECIFIED_ERROR);
            member
                .send(if qos == QoS::ExactlyOnce { Packet::PubRec(refusal) } else { Packet::PubAck(refusal) })
                .await;
            member.has_nothing().await;
        }
        for member in &mut members {
            member.has_nothing().await;
        }
    }
}

/// The message begins with one, whose session then ends: it goes to nobody else.
#[tokio::test]
async fn a_message_ends_with_the_session_that_it_was_given_to() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    let mut first = broker.client(Version::V5, 1).await;
    first.subscribe(&share(&broker, "g"), QoS::ExactlyOnce).await;
    publisher.publish(&broker.topic("/a"), "begun", QoS::ExactlyOnce).await;
    first.delivery().await;
    let mut second = broker.client(Version::V5, 2).await;
    second.subscribe(&share(&broker, "g"), QoS::ExactlyOnce).await;
    drop(first);
    crate::becomes("the end of the session", &broker.engine.stats().sessions, 2).await;
    second.has_nothing().await;
}
