//! Chapter 2: the fixed header, packet identifiers and properties.

use std::num::NonZeroU16;

use messaging::wire::{Ack, Packet, PacketId, QoS, ReasonCode, Text, Unsubscribe, Version};

use super::{BOTH, breach, options, packet, properties, string, subscribe_all, turned_away};
use crate::Broker;

/// The packets of a client but CONNECT and PUBLISH, with the flags that they must have.
fn packets(version: Version) -> Vec<(u8, Vec<u8>)> {
    let id = b"\0\x01".to_vec();
    let none = properties(version, b"");
    let mut packets = vec![
        (0x40, id.clone()),
        (0x50, id.clone()),
        (0x62, id.clone()),
        (0x70, id.clone()),
        (0x82, [id.clone(), none.clone(), string("a"), vec![0]].concat()),
        (0xA2, [id, none, string("a")].concat()),
        (0xC0, Vec::new()),
        (0xE0, Vec::new()),
    ];
    if version.is_v5() {
        packets.push((0xF0, Vec::new()));
    }
    packets
}

#[tokio::test]
async fn flags_other_than_the_required_ones_close_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for (first, body) in packets(version) {
            for flags in (0..16).filter(|flags| *flags != first & 0x0f) {
                let bytes = packet(first & 0xf0 | flags, &body);
                breach(&broker, version, &bytes, ReasonCode::MALFORMED_PACKET).await;
            }
        }
        let level = if version.is_v5() { 5 } else { 4 };
        for flags in 1..16 {
            let body = [&string("MQTT")[..], &[level, 2, 0, 0], &properties(version, b""), b"\0\0"].concat();
            assert_eq!(turned_away(&broker, version, &packet(0x10 | flags, &body)).await, None);
        }
    }
}

#[tokio::test]
async fn flags_of_publish_that_mean_nothing_close_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        let body = [&string(broker.topic(""))[..], b"\0\x01", &properties(version, b"")].concat();
        // QoS 3, and DUP with QoS 0.
        for flags in [0b0110, 0b0111, 0b1110, 0b1111, 0b1000, 0b1001] {
            breach(&broker, version, &packet(0x30 | flags, &body), ReasonCode::MALFORMED_PACKET).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_or_goes_on_too_long_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for (first, body) in packets(version) {
            if let Some((_, cut)) = body.split_last() {
                // A filter without its options is cut off as well; an empty body lacks its identifier.
                for shorter in [cut, &[]] {
                    let mut client = broker.client(version, 3).await;
                    client.send_bytes(&packet(first, shorter)).await;
                    let reason = client.closed().await;
                    assert_eq!(reason.is_some(), version.is_v5(), "{first:02x} {shorter:02x?}");
                    assert!(reason.is_none_or(ReasonCode::is_failure));
                }
            }
            let longer = [&body[..], b"\xff\xff\xff\xff\xff\xff"].concat();
            let mut client = broker.client(version, 3).await;
            client.send_bytes(&packet(first, &longer)).await;
            let reason = client.closed().await;
            assert_eq!(reason.is_some(), version.is_v5(), "{first:02x} {longer:02x?}");
        }
    }
}

#[tokio::test]
async fn a_packet_identifier_of_zero_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for (first, body) in packets(version) {
            if let Some(rest) = body.strip_prefix(b"\0\x01") {
                let zero = [b"\0\0", rest].concat();
                breach(&broker, version, &packet(first, &zero), ReasonCode::PROTOCOL_ERROR).await;
            }
        }
        for first in [0x32, 0x34] {
            let body = [&string(broker.topic(""))[..], b"\0\0", &properties(version, b"")].concat();
            breach(&broker, version, &packet(first, &body), ReasonCode::PROTOCOL_ERROR).await;
        }
    }
}

#[tokio::test]
async fn a_message_of_qos_0_has_no_packet_identifier() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.subscribe(&broker.topic(""), QoS::AtMostOnce).await;
        // What looks like an identifier is the beginning of the payload, or of the properties.
        let body = [&string(broker.topic(""))[..], &properties(version, b""), b"\0\x01x"].concat();
        client.send_bytes(&packet(0x30, &body)).await;
        let delivery = client.take().await;
        assert_eq!((delivery.packet_id, &delivery.payload[..]), (None, &b"\0\x01x"[..]));
    }
}

#[tokio::test]
async fn every_answer_carries_the_identifier_that_it_answers() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        for id in [1, 0x1234, u16::MAX].map(|id| PacketId::new(id).unwrap()) {
            let mut publish = client.message(&broker.topic("/x"), "x", QoS::AtLeastOnce);
            publish.packet_id = Some(id);
            client.send(Packet::Publish(publish.clone())).await;
            assert_eq!(client.receive().await, Packet::PubAck(Ack::new(id)));
            publish.qos = QoS::ExactlyOnce;
            client.send(Packet::Publish(publish)).await;
            assert_eq!(client.receive().await, Packet::PubRec(Ack::new(id)));
            client.send(Packet::PubRel(Ack::new(id))).await;
            assert_eq!(client.receive().await, Packet::PubComp(Ack::new(id)));
            let [high, low] = id.get().to_be_bytes();
            let head = [&[high, low][..], &properties(version, b"")].concat();
            client.send_bytes(&packet(0x82, &[&head[..], &string(broker.topic("")), b"\0"].concat())).await;
            assert!(matches!(client.receive().await, Packet::SubAck(suback) if suback.packet_id == id));
            client.send_bytes(&packet(0xA2, &[head, string(broker.topic(""))].concat())).await;
            assert!(matches!(client.receive().await, Packet::UnsubAck(unsuback) if unsuback.packet_id == id));
        }
    }
}

#[tokio::test]
async fn an_identifier_may_be_used_again_once_it_has_been_answered() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let id = NonZeroU16::MIN;
    for _ in 0..3 {
        let mut publish = client.message(&broker.topic(""), "x", QoS::AtLeastOnce);
        publish.packet_id = Some(id);
        assert_eq!(client.publish_message(publish.clone()).await, ReasonCode::SUCCESS);
        publish.qos = QoS::ExactlyOnce;
        assert_eq!(client.publish_message(publish).await, ReasonCode::SUCCESS);
        assert_eq!(
            subscribe_all(&mut client, &[("m/plant/c/other", options(QoS::AtMostOnce))]).await.len(),
            1
        );
        let filters = vec![Text::from("m/plant/c/other")];
        let unsubscribe = Unsubscribe { packet_id: id, user_properties: Vec::new(), filters };
        client.send(Packet::Unsubscribe(unsubscribe)).await;
        assert!(matches!(client.receive().await, Packet::UnsubAck(_)));
    }
}

/// Properties of CONNECT, PUBLISH, SUBSCRIBE and DISCONNECT that may occur once.
const ONCE: [(u8, &[u8]); 15] = [
    (0x10, b"\x11\0\0\0\x01"),
    (0x10, b"\x21\0\x01"),
    (0x10, b"\x27\0\0\xff\xff"),
    (0x10, b"\x22\0\x01"),
    (0x10, b"\x19\0"),
    (0x10, b"\x17\x01"),
    (0x10, b"\x15\0\x01m"),
    (0x30, b"\x01\x01"),
    (0x30, b"\x02\0\0\0\x01"),
    (0x30, b"\x03\0\x01c"),
    (0x30, b"\x08\0\x01r"),
    (0x30, b"\x09\0\x01d"),
    (0x30, b"\x23\0\x01"),
    (0x82, b"\x0b\x01"),
    (0xE0, b"\x11\0\0\0\0"),
];

/// A packet with a property section.
fn with_properties(broker: &Broker, first: u8, section: &[u8]) -> Vec<u8> {
    let section = properties(Version::V5, section);
    let body = match first {
        0x10 => [&string("MQTT")[..], b"\x05\x02\0\0", &section, &string("id")].concat(),
        0x30 => [&string(broker.topic(""))[..], &section].concat(),
        0x82 => [&b"\0\x01"[..], &section, &string(broker.topic("")), b"\0"].concat(),
        0xA2 => [&b"\0\x01"[..], &section, &string(broker.topic(""))].concat(),
        0xE0 => [&b"\0"[..], &section].concat(),
        _ => [&b"\0\x01\0"[..], &section].concat(),
    };
    packet(first, &body)
}

#[tokio::test]
async fn a_property_that_may_occur_once_must_not_occur_twice() {
    let broker = Broker::start().await;
    for (first, property) in ONCE {
        let twice = with_properties(&broker, first, &property.repeat(2));
        if first == 0x10 {
            let told = turned_away(&broker, Version::V5, &twice).await;
            assert_eq!(told, Some(ReasonCode::PROTOCOL_ERROR), "{property:02x?}");
        } else {
            breach(&broker, Version::V5, &twice, ReasonCode::PROTOCOL_ERROR).await;
        }
    }
}

#[tokio::test]
async fn a_property_that_is_unknown_or_of_another_packet_closes_the_connection() {
    let broker = Broker::start().await;
    for first in [0x30, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xE0] {
        // Unknown, an identifier of two bytes, and one of CONNACK.
        for property in [&b"\x7f\0"[..], b"\x80\x01\0", b"\x12\0\x01i"] {
            let bytes = with_properties(&broker, first, property);
            breach(&broker, Version::V5, &bytes, ReasonCode::MALFORMED_PACKET).await;
        }
    }
    for property in [&b"\x7f\0"[..], b"\x12\0\x01i", b"\x23\0\x01"] {
        let bytes = with_properties(&broker, 0x10, property);
        let told = turned_away(&broker, Version::V5, &bytes).await;
        assert_eq!(told, Some(ReasonCode::MALFORMED_PACKET), "{property:02x?}");
    }
}

#[tokio::test]
async fn a_property_section_that_is_longer_than_its_packet_closes_the_connection() {
    let broker = Broker::start().await;
    let topic = string(broker.topic(""));
    for section in [&b"\x05\x01"[..], b"\xff\x7f", b"\x01\x02", b"\x80"] {
        let bytes = packet(0x30, &[&topic[..], section].concat());
        breach(&broker, Version::V5, &bytes, ReasonCode::MALFORMED_PACKET).await;
    }
}

#[tokio::test]
async fn user_properties_may_be_repeated_on_every_packet() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let twice = b"\x26\0\x01k\0\x01v".repeat(2);
    client.send_bytes(&with_properties(&broker, 0x82, &twice)).await;
    assert!(matches!(client.receive().await, Packet::SubAck(_)));
    client.send_bytes(&with_properties(&broker, 0x30, &twice)).await;
    assert_eq!(client.delivery().await.properties.iter().count(), 2);
    client.send_bytes(&with_properties(&broker, 0x40, &twice)).await;
    client.send_bytes(&with_properties(&broker, 0xA2, &twice)).await;
    assert!(matches!(client.receive().await, Packet::UnsubAck(_)));
    client.send_bytes(&with_properties(&broker, 0xE0, &twice)).await;
    assert_eq!(client.closed().await, None);
}
