//! Every packet in every wrong state: before CONNECT, after it, from the wrong side, after the end.

use messaging::wire::{Ack, Packet, PacketId, QoS, ReasonCode, Version};

use super::{BOTH, breach, bytes_of, packet, properties, string, turned_away};
use crate::Broker;
use crate::client::Client;

/// A well-formed packet of every type but CONNECT, whoever may send it.
fn every_packet(broker: &Broker, version: Version) -> Vec<Vec<u8>> {
    let id = b"\0\x01";
    let none = properties(version, b"");
    let mut packets = vec![
        packet(0x20, &[&b"\0\0"[..], &none].concat()),
        packet(0x30, &[string(broker.topic("")), none.clone()].concat()),
        packet(0x40, id),
        packet(0x50, id),
        packet(0x62, id),
        packet(0x70, id),
        packet(0x82, &[&id[..], &none, &string(broker.topic("")), b"\0"].concat()),
        packet(0x90, &[&id[..], &none, b"\0"].concat()),
        packet(0xA2, &[&id[..], &none, &string(broker.topic(""))].concat()),
        packet(0xB0, &[&id[..], &none, if version.is_v5() { b"\0" } else { b"" }].concat()),
        packet(0xC0, b""),
        packet(0xD0, b""),
        packet(0xE0, b""),
    ];
    packets.push(packet(0xF0, b""));
    packets
}

#[tokio::test]
async fn nothing_but_connect_may_come_first_and_nothing_is_answered() {
    let broker = Broker::start().await;
    for version in BOTH {
        for bytes in every_packet(&broker, version) {
            assert_eq!(turned_away(&broker, version, &bytes).await, None, "{bytes:02x?}");
        }
    }
    for bytes in [&b"\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
        assert_eq!(turned_away(&broker, Version::V311, bytes).await, None, "{bytes:02x?}");
    }
}

#[tokio::test]
async fn what_only_a_server_sends_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for bytes in every_packet(&broker, version) {
            if matches!(bytes[0] >> 4, 2 | 9 | 11 | 13) {
                breach(&broker, version, &bytes, ReasonCode::PROTOCOL_ERROR).await;
            }
        }
        breach(&broker, version, b"\0\0", ReasonCode::MALFORMED_PACKET).await;
    }
}

#[tokio::test]
async fn a_second_connect_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        let connect = Packet::Connect(Box::new(broker.plant.connect(version, 3)));
        breach(&broker, version, &bytes_of(&connect, version), ReasonCode::PROTOCOL_ERROR).await;
        // Already its first byte says what it is.
        breach(&broker, version, b"\x10", ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn auth_without_a_method_in_connect_closes_the_connection() {
    let broker = Broker::start().await;
    let method = [&b"\x15"[..], &string("PLAIN")].concat();
    let asking = |reason: u8| packet(0xF0, &[&[reason][..], &properties(Version::V5, &method)].concat());
    for bytes in [asking(0x18), asking(0x19), packet(0xF0, b"\x18\0"), packet(0xF0, b"")] {
        breach(&broker, Version::V5, &bytes, ReasonCode::PROTOCOL_ERROR).await;
    }
    // MQTT 3 has no such packet.
    breach(&broker, Version::V311, b"\xf0\0", ReasonCode::MALFORMED_PACKET).await;
}

#[tokio::test]
async fn acknowledgements_of_nothing_are_answered_and_change_nothing() {
    let broker = Broker::start().await;
    let unknown = PacketId::new(7).unwrap();
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let not_found = match version {
            Version::V5 => Ack::with_reason(unknown, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND),
            _ => Ack::new(unknown),
        };
        client.send(Packet::PubAck(Ack::new(unknown))).await;
        client.send(Packet::PubComp(Ack::new(unknown))).await;
        client.has_nothing().await;
        client.send(Packet::PubRec(Ack::new(unknown))).await;
        assert_eq!(client.receive().await, Packet::PubRel(not_found.clone()));
        client.send(Packet::PubRel(Ack::new(unknown))).await;
        assert_eq!(client.receive().await, Packet::PubComp(not_found));
        client.has_nothing().await;
    }
}

#[tokio::test]
async fn nothing_after_a_disconnect_is_carried_out() {
    let broker = Broker::start().await;
    let mut witness = broker.client(Version::V5, 1).await;
    witness.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let late = client.message(&broker.topic("/late"), "x", QoS::AtLeastOnce);
        let bytes = [&b"\xe0\0"[..], &bytes_of(&Packet::Publish(late), version)].concat();
        client.send_bytes(&bytes).await;
        assert_eq!(client.closed().await, None);
    }
    witness.has_nothing().await;
}

#[tokio::test]
async fn half_a_packet_is_waited_for_and_forgotten_with_its_connection() {
    let broker = Broker::start().await;
    let mut witness = broker.client(Version::V5, 1).await;
    witness.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let publish = client.message(&broker.topic("/x"), "whole", QoS::AtMostOnce);
        let bytes = bytes_of(&Packet::Publish(publish), version);
        for byte in &bytes {
            client.send_bytes(std::slice::from_ref(byte)).await;
        }
        assert_eq!(witness.take().await.payload, "whole");
        client.send_bytes(&bytes[..bytes.len() - 1]).await;
    }
    witness.has_nothing().await;
}

#[tokio::test]
async fn many_packets_in_one_write_are_all_answered_in_order() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = Client::open(broker.address, version).await;
        let mut bytes = bytes_of(&Packet::Connect(Box::new(broker.plant.connect(version, 0))), version);
        for id in 1..=50 {
            let mut publish = client.message(&broker.topic("/x"), "x", QoS::AtLeastOnce);
            publish.packet_id = PacketId::new(id);
            bytes.extend(bytes_of(&Packet::Publish(publish), version));
            bytes.extend(b"\xc0\0");
        }
        client.send_bytes(&bytes).await;
        assert!(matches!(client.receive().await, Packet::ConnAck(connack) if !connack.reason.is_failure()));
        for id in 1..=50 {
            assert_eq!(client.receive().await, Packet::PubAck(Ack::new(PacketId::new(id).unwrap())));
            assert_eq!(client.receive().await, Packet::PingResp);
        }
    }
}
