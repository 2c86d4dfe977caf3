//! Chapter 4.9: flow control, both ways.

use std::num::NonZeroU16;

use messaging::wire::{Ack, Connect, Packet, QoS, ReasonCode, Version};

use crate::Broker;
use crate::client::text;

fn receives(broker: &Broker, maximum: u16) -> Connect {
    Connect { receive_maximum: NonZeroU16::new(maximum).unwrap(), ..super::lasting(broker, Version::V5, 0) }
}

#[tokio::test]
async fn no_more_messages_are_on_their_way_than_the_client_receives() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    for maximum in [1, 2, 5] {
        let mut client = broker.connect(receives(&broker, maximum)).await;
        client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
        for number in 0..10 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
            publisher.publish(&broker.topic("/x"), &number.to_string(), qos).await;
        }
        let mut unfinished = Vec::new();
        for _ in 0..maximum {
            unfinished.push(client.delivery().await);
        }
        // Others are answered meanwhile, and QoS 0 does not count.
        client.has_nothing().await;
        publisher.publish(&broker.topic("/x"), "0", QoS::AtMostOnce).await;
        assert_eq!(client.delivery().await.qos, QoS::AtMostOnce);
        client.subscribe("m/plant/c/other", QoS::AtMostOnce).await;
        // A PUBREC frees no place, a PUBACK or PUBCOMP does, one each.
        let mut received = usize::from(maximum);
        while let Some(delivery) = (!unfinished.is_empty()).then(|| unfinished.remove(0)) {
            let id = delivery.packet_id.unwrap();
            if delivery.qos == QoS::ExactlyOnce {
                client.send(Packet::PubRec(Ack::new(id))).await;
                assert_eq!(client.receive().await, Packet::PubRel(Ack::new(id)));
                client.has_nothing().await;
                client.send(Packet::PubComp(Ack::new(id))).await;
            } else {
                client.send(Packet::PubAck(Ack::new(id))).await;
            }
            if received < 10 {
                let next = client.delivery().await;
                assert_eq!(text(&next), received.to_string());
                unfinished.push(next);
                received += 1;
            }
            client.has_nothing().await;
        }
        drop(client);
        broker.client(Version::V5, 0).await;
    }
}

/// Also for what is repeated: the next connection may receive less than the one before.
#[tokio::test]
async fn what_is_repeated_keeps_to_the_new_maximum() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let mut client = broker.connect(receives(&broker, 5)).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for number in 0..5 {
        publisher.publish(&broker.topic("/x"), &number.to_string(), QoS::AtLeastOnce).await;
        client.delivery().await;
    }
    drop(client);
    let mut client = broker.connect(receives(&broker, 1)).await;
    for number in 0..5 {
        let again = client.delivery().await;
        assert_eq!((text(&again), again.dup), (number.to_string().as_str(), true));
        client.has_nothing().await;
        client.send(Packet::PubAck(Ack::new(again.packet_id.unwrap()))).await;
    }
    client.has_nothing().await;
}

#[tokio::test]
async fn a_refusal_frees_a_place() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let mut client = broker.connect(receives(&broker, 1)).await;
    client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    for payload in ["a", "b", "c"] {
        publisher.publish(&broker.topic("/x"), payload, QoS::ExactlyOnce).await;
    }
    for payload in ["a", "b", "c"] {
        let delivery = client.delivery().await;
        assert_eq!(text(&delivery), payload);
        client.has_nothing().await;
        let refusal = Ack::with_reason(delivery.packet_id.unwrap(), ReasonCode::UNSPECIFIED_ERROR);
        client.send(Packet::PubRec(refusal)).await;
    }
    client.has_nothing().await;
}

/// The Receive Maximum of the server holds for what a client has not released; a repetition is no further message.
#[tokio::test]
async fn more_messages_than_the_server_receives_close_the_connection() {
    let broker = Broker::with(|limits| limits.receive_maximum = NonZeroU16::new(3).unwrap()).await;
    let mut client = broker.client(Version::V5, 0).await;
    let mut last = None;
    for _ in 0..3 {
        let publish = client.message(&broker.topic(""), "x", QoS::ExactlyOnce);
        client.send(Packet::Publish(publish.clone())).await;
        assert!(matches!(client.receive().await, Packet::PubRec(_)));
        last = Some(publish);
    }
    let mut again = last.unwrap();
    again.dup = true;
    client.send(Packet::Publish(again)).await;
    assert!(matches!(client.receive().await, Packet::PubRec(_)));
    // QoS 1 is answered at once, so there can be no fourth that waits.
    assert_eq!(client.publish(&broker.topic(""), "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    let fourth = client.message(&broker.topic(""), "x", QoS::ExactlyOnce);
    client.send(Packet::Publish(fourth)).await;
    assert_eq!(client.closed().await, Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
}
