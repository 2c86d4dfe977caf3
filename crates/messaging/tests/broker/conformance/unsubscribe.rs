//! Chapters 3.10 and 3.11: UNSUBSCRIBE and UNSUBACK.

use messaging::wire::{Ack, Packet, QoS, ReasonCode, Text, Unsubscribe, Version};

use super::{BOTH, breach, packet, properties};
use crate::Broker;
use crate::client::{Client, text};

/// An UNSUBSCRIBE with several filters, and the reasons of its UNSUBACK.
async fn unsubscribe_all(client: &mut Client, filters: &[&str]) -> Vec<ReasonCode> {
    let packet_id = client.packet_id();
    let filters = filters.iter().map(|filter| Text::from(*filter)).collect();
    client.send(Packet::Unsubscribe(Unsubscribe { packet_id, user_properties: Vec::new(), filters })).await;
    match client.receive().await {
        Packet::UnsubAck(unsuback) => {
            assert_eq!(unsuback.packet_id, packet_id);
            unsuback.reasons
        }
        other => panic!("expected an UNSUBACK: {other:?}"),
    }
}

#[tokio::test]
async fn an_unsubscribe_without_a_filter_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        let body = [&b"\0\x01"[..], &properties(version, b"")].concat();
        breach(&broker, version, &packet(0xA2, &body), ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn an_unsuback_has_a_reason_for_each_filter_in_their_order() {
    let broker = Broker::start().await;
    let [all, one, other] = ["/#", "/a", "/b"].map(|below| broker.topic(below));
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.subscribe(&all, QoS::AtLeastOnce).await;
        client.subscribe(&one, QoS::AtLeastOnce).await;
        let reasons = unsubscribe_all(&mut client, &[&other, &one, "not/a/topic/of/ours", &one, &all]).await;
        let none = ReasonCode::NO_SUBSCRIPTION_EXISTED;
        let expected = [none, ReasonCode::SUCCESS, none, none, ReasonCode::SUCCESS];
        assert_eq!(reasons, if version.is_v5() { &expected[..] } else { &[] });
        let own = client.message(&one, "x", QoS::AtMostOnce);
        client.send(Packet::Publish(own)).await;
        client.has_nothing().await;
    }
}

/// `#` does not stand for what it matches, and another spelling of the same channel is another filter.
#[tokio::test]
async fn filters_are_compared_character_by_character() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let filter = broker.topic("/a/+");
        client.subscribe(&filter, QoS::AtLeastOnce).await;
        let others = [
            broker.topic("/#"),
            broker.topic("/a/b"),
            broker.topic("/A/+"),
            broker.topic("/a/+/"),
            format!("/{filter}"),
            "m/plant/c/boiler/a/+".to_owned(),
        ];
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        unsubscribe_all(&mut client, &others).await;
        let mut publisher = broker.client(version, 1).await;
        publisher.publish(&broker.topic("/a/b"), "still wanted", QoS::AtLeastOnce).await;
        assert_eq!(text(&client.take().await), "still wanted");
        unsubscribe_all(&mut client, &[&filter]).await;
        publisher.publish(&broker.topic("/a/b"), "wanted no more", QoS::AtLeastOnce).await;
        client.has_nothing().await;
    }
}

#[tokio::test]
async fn what_was_on_its_way_before_an_unsubscribe_is_delivered_to_the_end() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.connect(super::lasting(&broker, version, 0)).await;
        let mut publisher = broker.client(version, 1).await;
        client.subscribe(&broker.topic("/a"), QoS::ExactlyOnce).await;
        publisher.publish(&broker.topic("/a"), "1", QoS::AtLeastOnce).await;
        publisher.publish(&broker.topic("/a"), "2", QoS::ExactlyOnce).await;
        let [first, second] = [client.delivery().await, client.delivery().await];
        client.unsubscribe(&broker.topic("/a")).await;
        client.send(Packet::PubAck(Ack::new(first.packet_id.unwrap()))).await;
        let id = second.packet_id.unwrap();
        client.send(Packet::PubRec(Ack::new(id))).await;
        assert_eq!(client.receive().await, Packet::PubRel(Ack::new(id)));
        // Even on the next connection.
        drop(client);
        let mut client = broker.connect(super::lasting(&broker, version, 0)).await;
        assert_eq!(client.receive().await, Packet::PubRel(Ack::new(id)));
        client.send(Packet::PubComp(Ack::new(id))).await;
        client.has_nothing().await;
        drop(client);
        broker.client(version, 0).await;
    }
}

#[tokio::test]
async fn an_unsubscribe_with_filters_that_are_none_of_ours_is_answered() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V311, 0).await;
    assert_eq!(unsubscribe_all(&mut client, &["#", "+/x", "$SYS/broker", "$share/g/x", "/"]).await, []);
    client.has_nothing().await;
}
