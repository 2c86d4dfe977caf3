//! Chapter 1: strings, numbers and the limits of both.

use messaging::wire::{QoS, ReasonCode, Version};
use tokio::io::AsyncReadExt;

use super::{BOTH, breach, packet, properties, string, turned_away};
use crate::client::text;
use crate::{Broker, soon};

/// Not UTF-8: a lone byte, a surrogate, an overlong slash, a character cut off, one above U+10FFFF.
const NOT_UTF8: [&[u8]; 5] = [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"a\xc3", b"\xf4\x90\x80\x80"];
const WITH_ZERO: [&[u8]; 2] = [b"\0", b"a\0b"];

fn bad_strings() -> impl Iterator<Item = &'static [u8]> {
    NOT_UTF8.into_iter().chain(WITH_ZERO)
}

/// Every packet with a string of the client in it.
fn packets_with(version: Version, bad: &[u8]) -> Vec<Vec<u8>> {
    let none = properties(version, b"");
    let mut packets = vec![
        packet(0x30, &[string(bad), none.clone()].concat()),
        packet(0x82, &[&b"\0\x01"[..], &none, &string(bad), b"\0"].concat()),
        packet(0xA2, &[&b"\0\x01"[..], &none, &string(bad)].concat()),
    ];
    if version.is_v5() {
        let publish = |section: &[u8]| packet(0x30, &[string("t"), properties(version, section)].concat());
        packets.push(publish(&[&b"\x03"[..], &string(bad)].concat()));
        packets.push(publish(&[&b"\x08"[..], &string(bad)].concat()));
        packets.push(publish(&[&b"\x26"[..], &string(bad), &string("v")].concat()));
        packets.push(publish(&[&b"\x26"[..], &string("k"), &string(bad)].concat()));
        let reason_string = properties(version, &[&b"\x1f"[..], &string(bad)].concat());
        packets.push(packet(0x40, &[&b"\0\x01\0"[..], &reason_string].concat()));
        packets.push(packet(0xE0, &[&b"\0"[..], &reason_string].concat()));
    }
    packets
}

#[tokio::test]
async fn strings_that_are_not_utf8_or_contain_zero_close_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for bad in bad_strings() {
            for bytes in packets_with(version, bad) {
                breach(&broker, version, &bytes, ReasonCode::MALFORMED_PACKET).await;
            }
        }
    }
}

#[tokio::test]
async fn strings_of_connect_that_are_not_utf8_or_contain_zero_are_refused() {
    let broker = Broker::start().await;
    for version in BOTH {
        let level = if version.is_v5() { 5 } else { 4 };
        let connect = |flags: u8, fields: &[Vec<u8>]| {
            let head = [&string("MQTT")[..], &[level, flags, 0, 0]].concat();
            packet(0x10, &[head, properties(version, b""), fields.concat()].concat())
        };
        let told = version.is_v5().then_some(ReasonCode::MALFORMED_PACKET);
        for bad in bad_strings() {
            let will_properties = properties(version, b"");
            for bytes in [
                connect(0x02, &[string(bad)]),
                connect(0x06, &[string("id"), will_properties.clone(), string(bad), string("bye")]),
                connect(0x82, &[string("id"), string(bad)]),
            ] {
                assert_eq!(turned_away(&broker, version, &bytes).await, told, "{bytes:02x?}");
            }
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_a_character_like_any_other() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let marked = broker.topic("/\u{feff}a\u{feff}");
    client.subscribe(&broker.topic("/+"), QoS::AtLeastOnce).await;
    for topic in [&marked, &broker.topic("/a")] {
        client.publish(topic, "x", QoS::AtMostOnce).await;
        assert_eq!(client.take().await.topic, topic.as_str());
    }
}

/// The specification leaves control characters and noncharacters to the receiver: they are passed on as they are.
#[tokio::test]
async fn control_characters_and_noncharacters_are_passed_on() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V311, 0).await;
    client.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
    for character in ['\u{1}', '\u{7f}', '\u{9f}', '\u{fdd0}', '\u{ffff}', '\u{10ffff}'] {
        let topic = broker.topic(&format!("/x{character}x"));
        client.publish(&topic, "x", QoS::AtMostOnce).await;
        assert_eq!(client.take().await.topic, topic.as_str());
    }
}

#[tokio::test]
async fn the_server_writes_lengths_with_as_few_bytes_as_they_need() {
    let broker = Broker::start().await;
    let topic = broker.topic("");
    for (body, header) in
        [(127, &[0x7f][..]), (128, &[0x80, 0x01]), (16_383, &[0xff, 0x7f]), (16_384, &[0x80, 0x80, 0x01])]
    {
        let mut subscriber = broker.client(Version::V311, 0).await;
        subscriber.subscribe(&topic, QoS::AtMostOnce).await;
        let mut stream = subscriber.into_stream();
        let payload = "x".repeat(body - 2 - topic.len());
        let mut publisher = broker.client(Version::V311, 1).await;
        publisher.publish(&topic, &payload, QoS::AtMostOnce).await;
        let mut bytes = vec![0; 1 + header.len() + body];
        soon("the message", stream.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(bytes[0], 0x30);
        assert_eq!(&bytes[1..=header.len()], header);
        assert_eq!(&bytes[bytes.len() - payload.len()..], payload.as_bytes());
    }
}

#[tokio::test]
async fn a_length_may_be_padded_to_four_bytes_and_no_further() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.send_bytes(b"\xc0\x80\x80\x80\x00").await;
        assert_eq!(client.receive().await, messaging::wire::Packet::PingResp);
        breach(&broker, version, b"\xc0\x80\x80\x80\x80\x00", ReasonCode::MALFORMED_PACKET).await;
        breach(&broker, version, b"\x30\xff\xff\xff\xff", ReasonCode::MALFORMED_PACKET).await;
    }
}

#[tokio::test]
async fn a_message_has_as_many_bytes_as_a_topic_and_a_payload_may_have() {
    let broker = Broker::with(|limits| limits.topic_bytes = 65_535).await;
    let base = broker.topic("/");
    let longest = format!("{base}{}", "x".repeat(65_535 - base.len()));
    let mut client = broker.client(Version::V311, 0).await;
    client.subscribe(&longest, QoS::AtLeastOnce).await;
    client.publish(&longest, "", QoS::AtMostOnce).await;
    let delivery = client.take().await;
    assert_eq!((delivery.topic.len(), text(&delivery)), (65_535, ""));
}
