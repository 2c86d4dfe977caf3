//! Chapters 3.4 to 3.7 and 4.3: the server as the sender of messages, and their acknowledgements.

use messaging::wire::{Ack, Packet, QoS, ReasonCode, Version};

use super::{BOTH, lasting};
use crate::Broker;
use crate::client::{Client, text};

/// A subscriber and a publisher that has sent it one message.
async fn delivered(broker: &Broker, version: Version, qos: QoS) -> (Client, Client) {
    let mut subscriber = broker.connect(lasting(broker, version, 0)).await;
    let mut publisher = broker.client(version, 1).await;
    subscriber.subscribe(&broker.topic(""), QoS::ExactlyOnce).await;
    publisher.publish(&broker.topic(""), "x", qos).await;
    (subscriber, publisher)
}

#[tokio::test]
async fn a_message_is_sent_once_per_connection_with_an_identifier_and_without_dup() {
    let broker = Broker::start().await;
    for version in BOTH {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (mut subscriber, mut publisher) = delivered(&broker, version, qos).await;
            let delivery = subscriber.delivery().await;
            assert_eq!((delivery.qos, delivery.dup), (qos, false));
            let first = delivery.packet_id.unwrap();
            // It is not acknowledged, and it is not sent again either; another message has another identifier.
            publisher.publish(&broker.topic(""), "y", qos).await;
            let second = subscriber.delivery().await;
            assert_eq!((text(&second), second.dup), ("y", false));
            assert_ne!(second.packet_id.unwrap(), first);
            subscriber.has_nothing().await;
            drop(subscriber);
            broker.client(version, 0).await;
        }
        let (mut subscriber, _) = delivered(&broker, version, QoS::AtMostOnce).await;
        let delivery = subscriber.delivery().await;
        assert_eq!((delivery.packet_id, delivery.dup), (None, false));
        drop(subscriber);
        broker.client(version, 0).await;
    }
}

#[tokio::test]
async fn a_message_without_its_puback_or_pubrec_comes_again_on_the_next_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (mut subscriber, _publisher) = delivered(&broker, version, qos).await;
            let id = subscriber.delivery().await.packet_id;
            drop(subscriber);
            let mut subscriber = broker.connect(lasting(&broker, version, 0)).await;
            let again = subscriber.take().await;
            assert_eq!((text(&again), again.dup, again.packet_id), ("x", true, id));
            drop(subscriber);
            // Acknowledged to the end, it comes no more.
            broker.connect(lasting(&broker, version, 0)).await.has_nothing().await;
            broker.client(version, 0).await;
        }
    }
}

#[tokio::test]
async fn a_pubrec_is_answered_with_a_pubrel_that_comes_again_until_its_pubcomp() {
    let broker = Broker::start().await;
    for version in BOTH {
        let (mut subscriber, _publisher) = delivered(&broker, version, QoS::ExactlyOnce).await;
        let id = subscriber.delivery().await.packet_id.unwrap();
        // Twice: the second PUBREC is a repetition.
        for _ in 0..2 {
            subscriber.send(Packet::PubRec(Ack::new(id))).await;
            assert_eq!(subscriber.receive().await, Packet::PubRel(Ack::new(id)));
        }
        drop(subscriber);
        let mut subscriber = broker.connect(lasting(&broker, version, 0)).await;
        assert_eq!(subscriber.receive().await, Packet::PubRel(Ack::new(id)), "and not the message");
        subscriber.send(Packet::PubComp(Ack::new(id))).await;
        subscriber.has_nothing().await;
        drop(subscriber);
        broker.connect(lasting(&broker, version, 0)).await.has_nothing().await;
        broker.client(version, 0).await;
    }
}

/// Also not to another subscriber: the client has answered, and its answer is no.
#[tokio::test]
async fn a_message_that_its_client_refuses_is_finished() {
    let broker = Broker::start().await;
    for (qos, refusal) in [
        (QoS::AtLeastOnce, ReasonCode::UNSPECIFIED_ERROR),
        (QoS::AtLeastOnce, ReasonCode::QUOTA_EXCEEDED),
        (QoS::ExactlyOnce, ReasonCode::NOT_AUTHORIZED),
        (QoS::ExactlyOnce, ReasonCode::PAYLOAD_FORMAT_INVALID),
    ] {
        let (mut subscriber, _publisher) = delivered(&broker, Version::V5, qos).await;
        let id = subscriber.delivery().await.packet_id.unwrap();
        let ack = Ack::with_reason(id, refusal);
        subscriber
            .send(if qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) })
            .await;
        subscriber.has_nothing().await;
        drop(subscriber);
        broker.connect(lasting(&broker, Version::V5, 0)).await.has_nothing().await;
        broker.client(Version::V5, 0).await;
    }
}

#[tokio::test]
async fn an_acknowledgement_of_another_qos_closes_the_connection_and_finishes_nothing() {
    let broker = Broker::start().await;
    for version in BOTH {
        for (qos, wrong) in [
            (QoS::AtLeastOnce, Packet::PubRec as fn(Ack) -> Packet),
            (QoS::AtLeastOnce, Packet::PubComp),
            (QoS::ExactlyOnce, Packet::PubAck),
            (QoS::ExactlyOnce, Packet::PubComp),
        ] {
            let (mut subscriber, _publisher) = delivered(&broker, version, qos).await;
            let id = subscriber.delivery().await.packet_id.unwrap();
            subscriber.send(wrong(Ack::new(id))).await;
            let told = version.is_v5().then_some(ReasonCode::PROTOCOL_ERROR);
            assert_eq!(subscriber.closed().await, told, "{version:?} {qos:?}");
            let mut subscriber = broker.connect(lasting(&broker, version, 0)).await;
            let again = subscriber.take().await;
            assert_eq!((text(&again), again.dup), ("x", true));
            drop(subscriber);
            broker.client(version, 0).await;
        }
    }
}

#[tokio::test]
async fn acknowledgements_have_the_reason_codes_of_their_packet() {
    let broker = Broker::start().await;
    for (first, reason) in [
        // No success, no failure, or that of another packet.
        (0x40, 0x01),
        (0x40, 0x92),
        (0x40, 0x82),
        (0x50, 0x18),
        (0x50, 0x92),
        (0x62, 0x10),
        (0x62, 0x80),
        (0x70, 0x10),
        (0x70, 0x87),
        (0xE0, 0x03),
        (0xE0, 0x87),
        (0xE0, 0x8e),
    ] {
        let body: &[u8] = if first == 0xE0 { &[reason] } else { &[0, 1, reason] };
        let bytes = super::packet(first, body);
        super::breach(&broker, Version::V5, &bytes, ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn acknowledgements_come_in_the_order_of_what_they_acknowledge() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let mut other = broker.client(version, 1).await;
        client.subscribe(&broker.topic("/in"), QoS::ExactlyOnce).await;
        let mut ids = Vec::new();
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce].repeat(10) {
            // New topics, so that some are asked about and some are known.
            let publish = client.message(&broker.topic(&format!("/{}", ids.len() % 7)), "x", qos);
            ids.push((qos, publish.packet_id.unwrap()));
            client.send(Packet::Publish(publish)).await;
        }
        for (qos, id) in &ids {
            let expected = match qos {
                QoS::ExactlyOnce => Packet::PubRec(Ack::new(*id)),
                _ => Packet::PubAck(Ack::new(*id)),
            };
            assert_eq!(client.receive().await, expected);
        }
        for (_, id) in ids.iter().filter(|(qos, _)| *qos == QoS::ExactlyOnce) {
            client.send(Packet::PubRel(Ack::new(*id))).await;
        }
        for (_, id) in ids.iter().filter(|(qos, _)| *qos == QoS::ExactlyOnce) {
            assert_eq!(client.receive().await, Packet::PubComp(Ack::new(*id)));
        }
        // And PUBREL in the order of PUBREC, which need not be that of the messages.
        let mut received = Vec::new();
        for _ in 0..5 {
            other.publish(&broker.topic("/in"), "x", QoS::ExactlyOnce).await;
            received.push(client.delivery().await.packet_id.unwrap());
        }
        received.reverse();
        for id in &received {
            client.send(Packet::PubRec(Ack::new(*id))).await;
        }
        for id in &received {
            assert_eq!(client.receive().await, Packet::PubRel(Ack::new(*id)));
        }
    }
}
