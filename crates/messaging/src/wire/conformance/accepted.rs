//! Bytes that are a packet.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use kernel::Secret;

use super::{From, decode, encode};
use crate::wire::{
    Ack, Auth, ConnAck, Connect, Diagnostics, Disconnect, MessageProperties, MessageProperty, Packet,
    PacketId, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions,
    Text, UnsubAck, Unsubscribe, UserProperty,
    Version::{self, V5, V31, V311},
    Will,
};

/// A packet and its bytes, which are what the encoder writes.
fn vectors() -> Vec<(From, &'static [u8], Packet)> {
    let mut all = connection_vectors();
    all.extend(publish_vectors());
    all.extend(subscription_vectors());
    all
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn secret(bytes: &[u8]) -> Option<Secret<Vec<u8>>> {
    Some(Secret::new(bytes.to_vec()))
}

fn user(name: &str, value: &str) -> UserProperty {
    (Text::from(name), Text::from(value))
}

fn connect(version: Version, client_id: &str, change: impl FnOnce(&mut Connect)) -> Packet {
    let mut connect = Connect::new(version, client_id);
    change(&mut connect);
    Packet::Connect(Box::new(connect))
}

fn connack(change: impl FnOnce(&mut ConnAck)) -> Packet {
    let mut connack = ConnAck::default();
    change(&mut connack);
    Packet::ConnAck(Box::new(connack))
}

fn will() -> Will {
    Will {
        topic: Text::from("w/t"),
        payload: Bytes::from_static(b"bye"),
        qos: QoS::AtLeastOnce,
        retain: true,
        delay: 0,
        message_expiry: None,
        properties: MessageProperties::default(),
    }
}

fn connection_vectors() -> Vec<(From, &'static [u8], Packet)> {
    vec![
        // An empty client identifier is the engine's to judge.
        (From::NewClient, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", connect(V311, "", |c| c.keep_alive = 60)),
        (
            From::NewClient,
            b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01a",
            connect(V31, "a", |_| {}),
        ),
        // Longer than the 23 characters of MQTT 3.1.
        (
            From::NewClient,
            b"\x10\x26\x00\x06MQIsdp\x03\x02\x00\x00\x00\x18aaaaaaaaaaaaaaaaaaaaaaaa",
            connect(V31, "aaaaaaaaaaaaaaaaaaaaaaaa", |_| {}),
        ),
        // A session that is not clean never expires in MQTT 3.
        (
            From::NewClient,
            b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01a",
            connect(V311, "a", |c| {
                c.clean_start = false;
                c.session_expiry = u32::MAX;
            }),
        ),
        (
            From::NewClient,
            b"\x10\x20\x00\x04MQTT\x04\xee\x00\x0a\x00\x01a\x00\x03w/t\x00\x03bye\x00\x01u\x00\x04\x00\xffpw",
            connect(V311, "a", |c| {
                c.keep_alive = 10;
                c.will = Some(will());
                c.user_name = Some(Text::from("u"));
                c.password = secret(b"\x00\xffpw");
            }),
        ),
        // MQTT 5 allows a password without a user name.
        (
            From::NewClient,
            b"\x10\x11\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01a\x00\x01p",
            connect(V5, "a", |c| c.password = secret(b"p")),
        ),
        (
            From::NewClient,
            b"\x10\x38\x00\x04MQTT\x05\x00\x00\x00\x2a\
              \x11\x00\x00\x00\x3c\x21\x00\x0a\x27\x00\x00\x04\x00\x22\x00\x05\x19\x01\x17\x00\
              \x15\x00\x01m\x16\x00\x01d\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w\x00\x01a",
            connect(V5, "a", |c| {
                c.clean_start = false;
                c.session_expiry = 60;
                c.receive_maximum = NonZeroU16::new(10).unwrap();
                c.maximum_packet_size = NonZeroU32::new(1024);
                c.topic_alias_maximum = 5;
                c.request_response_information = true;
                c.request_problem_information = false;
                c.authentication_method = Some(Text::from("m"));
                c.authentication_data = secret(b"d");
                c.user_properties = vec![user("k", "v"), user("k", "w")];
            }),
        ),
        // A will with delay, expiry 0 and forwarded properties.
        (
            From::NewClient,
            b"\x10\x29\x00\x04MQTT\x05\x2e\x00\x00\x00\x00\x01a\x10\x18\x00\x00\x00\x05\x02\x00\x00\x00\x00\x01\x01\x03\x00\x01j\x00\x03w/t\x00\x03bye",
            connect(V5, "a", |c| {
                let properties = [MessageProperty::PayloadIsText(true), MessageProperty::ContentType("j")];
                c.will = Some(Will {
                    delay: 5,
                    message_expiry: Some(0),
                    properties: MessageProperties::new(properties),
                    ..will()
                });
            }),
        ),
        (From::Server(V311), b"\x20\x02\x01\x00", connack(|c| c.session_present = true)),
        (From::Server(V311), b"\x20\x02\x00\x05", connack(|c| c.reason = ReasonCode::NOT_AUTHORIZED)),
        (From::Server(V31), b"\x20\x02\x00\x04", connack(|c| c.reason = ReasonCode::BAD_USER_NAME_OR_PASSWORD)),
        (From::Server(V5), b"\x20\x03\x00\x00\x00", connack(|_| {})),
        (
            From::Server(V5),
            b"\x20\x2d\x00\x00\x2a\
              \x11\x00\x00\x00\x09\x21\x00\x14\x24\x01\x25\x00\x27\x00\x10\x00\x00\x22\x00\x08\
              \x28\x00\x29\x00\x2a\x00\x13\x00\x1e\x12\x00\x02id\x1a\x00\x01r\x1f\x00\x01s",
            connack(|c| {
                c.session_expiry = Some(9);
                c.receive_maximum = NonZeroU16::new(20).unwrap();
                c.maximum_qos = QoS::AtLeastOnce;
                c.retain_available = false;
                c.maximum_packet_size = NonZeroU32::new(1 << 20);
                c.topic_alias_maximum = 8;
                c.wildcard_subscription_available = false;
                c.subscription_ids_available = false;
                c.shared_subscription_available = false;
                c.server_keep_alive = Some(30);
                c.assigned_client_id = Some(Text::from("id"));
                c.response_information = Some(Text::from("r"));
                c.diagnostics.reason_string = Some(Text::from("s"));
            }),
        ),
        (From::Client(V311), b"\xe0\x00", Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS))),
        (From::Client(V5), b"\xe0\x00", Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS))),
        (
            From::Client(V5),
            b"\xe0\x07\x04\x05\x11\x00\x00\x00\x00",
            Packet::Disconnect(Disconnect {
                session_expiry: Some(0),
                ..Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL)
            }),
        ),
        (
            From::Server(V5),
            b"\xe0\x06\x9d\x04\x1c\x00\x01h",
            Packet::Disconnect(Disconnect {
                server_reference: Some(Text::from("h")),
                ..Disconnect::new(ReasonCode::SERVER_MOVED)
            }),
        ),
        (
            From::Client(V5),
            b"\xf0\x0a\x18\x08\x15\x00\x01m\x16\x00\x01d",
            Packet::Auth(Auth {
                reason: ReasonCode::CONTINUE_AUTHENTICATION,
                method: Some(Text::from("m")),
                data: secret(b"d"),
                diagnostics: Diagnostics::default(),
            }),
        ),
        (From::Client(V311), b"\xc0\x00", Packet::PingReq),
        (From::Server(V5), b"\xd0\x00", Packet::PingResp),
    ]
}

fn publish_vectors() -> Vec<(From, &'static [u8], Packet)> {
    let message =
        || Publish { topic: Text::from("a/b"), payload: Bytes::from_static(b"hi"), ..Publish::default() };
    let acknowledged = || Publish { qos: QoS::AtLeastOnce, packet_id: Some(id(10)), ..message() };
    vec![
        (From::Client(V311), b"\x30\x07\x00\x03a/bhi", Packet::Publish(message())),
        (
            From::Client(V311),
            b"\x31\x05\x00\x03a/b",
            Packet::Publish(Publish { retain: true, payload: Bytes::new(), ..message() }),
        ),
        (From::Client(V31), b"\x32\x09\x00\x03a/b\x00\x0ahi", Packet::Publish(acknowledged())),
        (
            From::Server(V311),
            b"\x3d\x09\x00\x03a/b\x00\x0ahi",
            Packet::Publish(Publish { dup: true, qos: QoS::ExactlyOnce, retain: true, ..acknowledged() }),
        ),
        (From::Client(V5), b"\x30\x08\x00\x03a/b\x00hi", Packet::Publish(message())),
        // A message expiry of 0 is legal.
        (
            From::Client(V5),
            b"\x30\x0d\x00\x03a/b\x05\x02\x00\x00\x00\x00hi",
            Packet::Publish(Publish { message_expiry: Some(0), ..message() }),
        ),
        // An alias stands for the topic.
        (
            From::Client(V5),
            b"\x30\x08\x00\x00\x03\x23\x00\x01hi",
            Packet::Publish(Publish { topic: Text::default(), topic_alias: NonZeroU16::new(1), ..message() }),
        ),
        (
            From::Server(V5),
            b"\x32\x11\x00\x03a/b\x00\x0a\x07\x0b\x01\x0b\xff\xff\xff\x7fhi",
            Packet::Publish(Publish {
                subscription_ids: vec![NonZeroU32::MIN, NonZeroU32::new(268_435_455).unwrap()],
                ..acknowledged()
            }),
        ),
        (
            From::Client(V5),
            b"\x30\x1d\x00\x03a/b\x15\x01\x01\x03\x00\x01j\x08\x00\x01r\x09\x00\x02\x00\xff\x26\x00\x01k\x00\x00hi",
            Packet::Publish(Publish {
                properties: MessageProperties::new([
                    MessageProperty::PayloadIsText(true),
                    MessageProperty::ContentType("j"),
                    MessageProperty::ResponseTopic("r"),
                    MessageProperty::CorrelationData(&[0, 255]),
                    MessageProperty::User("k", ""),
                ]),
                ..message()
            }),
        ),
        (From::Client(V311), b"\x40\x02\x12\x34", Packet::PubAck(Ack::new(id(0x1234)))),
        (From::Client(V5), b"\x50\x02\x00\x01", Packet::PubRec(Ack::new(id(1)))),
        (From::Server(V311), b"\x62\x02\xff\xff", Packet::PubRel(Ack::new(id(0xFFFF)))),
        (
            From::Server(V5),
            b"\x70\x03\x00\x01\x92",
            Packet::PubComp(Ack::with_reason(id(1), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)),
        ),
        (
            From::Server(V5),
            b"\x40\x08\x00\x01\x87\x04\x1f\x00\x01n",
            Packet::PubAck(Ack {
                diagnostics: Some(Box::new(Diagnostics {
                    reason_string: Some(Text::from("n")),
                    user_properties: Vec::new(),
                })),
                ..Ack::with_reason(id(1), ReasonCode::NOT_AUTHORIZED)
            }),
        ),
    ]
}

fn subscription_vectors() -> Vec<(From, &'static [u8], Packet)> {
    let at_least_once = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filter = |filter: &str, options| Subscription { filter: Text::from(filter), options };
    vec![
        (
            From::Client(V311),
            b"\x82\x0e\x00\x0a\x00\x03a/#\x01\x00\x03+/b\x00",
            Packet::Subscribe(Subscribe {
                packet_id: id(10),
                subscription_id: None,
                user_properties: Vec::new(),
                filters: vec![filter("a/#", at_least_once), filter("+/b", SubscriptionOptions::default())],
            }),
        ),
        // `$share` without a filter is a name like any other in MQTT 3.
        (
            From::Client(V311),
            b"\x82\x0d\x00\x0a\x00\x08$share/g\x01",
            Packet::Subscribe(Subscribe {
                packet_id: id(10),
                subscription_id: None,
                user_properties: Vec::new(),
                filters: vec![filter("$share/g", at_least_once)],
            }),
        ),
        (
            From::Client(V5),
            b"\x82\x11\x00\x0a\x0a\x0b\xc8\x01\x26\x00\x01k\x00\x01v\x00\x01a\x2e",
            Packet::Subscribe(Subscribe {
                packet_id: id(10),
                subscription_id: NonZeroU32::new(200),
                user_properties: vec![user("k", "v")],
                filters: vec![filter(
                    "a",
                    SubscriptionOptions {
                        qos: QoS::ExactlyOnce,
                        no_local: true,
                        retain_as_published: true,
                        retain_handling: RetainHandling::DoNotSend,
                    },
                )],
            }),
        ),
        (
            From::Server(V311),
            b"\x90\x05\x00\x0a\x00\x01\x80",
            Packet::SubAck(SubAck {
                packet_id: id(10),
                reasons: vec![ReasonCode::SUCCESS, ReasonCode::GRANTED_QOS_1, ReasonCode::UNSPECIFIED_ERROR],
                diagnostics: Diagnostics::default(),
            }),
        ),
        (
            From::Server(V5),
            b"\x90\x04\x00\x0a\x00\x8f",
            Packet::SubAck(SubAck {
                packet_id: id(10),
                reasons: vec![ReasonCode::TOPIC_FILTER_INVALID],
                diagnostics: Diagnostics::default(),
            }),
        ),
        (
            From::Client(V311),
            b"\xa2\x05\x00\x01\x00\x01a",
            Packet::Unsubscribe(Unsubscribe {
                packet_id: id(1),
                user_properties: Vec::new(),
                filters: vec![Text::from("a")],
            }),
        ),
        (
            From::Server(V311),
            b"\xb0\x02\x00\x01",
            Packet::UnsubAck(UnsubAck {
                packet_id: id(1),
                reasons: Vec::new(),
                diagnostics: Diagnostics::default(),
            }),
        ),
        (
            From::Server(V5),
            b"\xb0\x05\x00\x01\x00\x00\x11",
            Packet::UnsubAck(UnsubAck {
                packet_id: id(1),
                reasons: vec![ReasonCode::SUCCESS, ReasonCode::NO_SUBSCRIPTION_EXISTED],
                diagnostics: Diagnostics::default(),
            }),
        ),
    ]
}

#[test]
fn accepted_vectors_decode_to_their_packet() {
    for (from, bytes, packet) in vectors() {
        assert_eq!(decode(from, bytes), Ok(Some(packet)), "{from:?} {bytes:02x?}");
    }
}

#[test]
fn packets_encode_to_their_vector() {
    for (from, bytes, packet) in vectors() {
        let version = match (&packet, from) {
            (Packet::Connect(connect), _) => connect.version,
            (_, From::Client(version) | From::Server(version)) => version,
            (_, From::NewClient) => panic!("only CONNECT comes from a new client"),
        };
        let mut out = Vec::new();
        encode(&packet, version, &mut out).unwrap();
        assert_eq!(out, bytes, "{packet:?}");
    }
}

/// Longer than the encoder would write it, and equal all the same.
#[test]
fn longer_spellings_of_a_packet_are_accepted() {
    let success = Packet::PubAck(Ack::new(id(1)));
    let cases: &[(From, &[u8], Packet)] = &[
        // Remaining length 2 in four bytes.
        (From::Client(V311), b"\x40\x82\x80\x80\x00\x00\x01", success.clone()),
        // A reason code, and properties, that could have been left out.
        (From::Client(V5), b"\x40\x03\x00\x01\x00", success.clone()),
        (From::Client(V5), b"\x40\x04\x00\x01\x00\x00", success),
        (From::Client(V5), b"\xe0\x02\x00\x00", Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS))),
        // MQTT 3.1 repeats SUBSCRIBE with DUP, and leaves the other flags open.
        (
            From::Client(V31),
            b"\x8a\x06\x00\x01\x00\x01a\x00",
            Packet::Subscribe(Subscribe {
                packet_id: id(1),
                subscription_id: None,
                user_properties: Vec::new(),
                filters: vec![Subscription {
                    filter: Text::from("a"),
                    options: SubscriptionOptions::default(),
                }],
            }),
        ),
    ];
    for (from, bytes, packet) in cases {
        assert_eq!(decode(*from, bytes), Ok(Some(packet.clone())), "{from:?} {bytes:02x?}");
    }
}

/// An alias and an expiry between the forwarded properties are taken out, and the rest closes ranks.
#[test]
fn forwarded_properties_are_gathered_from_between_the_others() {
    let bytes = b"\x30\x1e\x00\x01a\x19\x03\x00\x01j\x23\x00\x07\x26\x00\x01k\x00\x01v\x02\x00\x00\x00\x09\x09\x00\x01c\x01\x00!";
    let Ok(Some(Packet::Publish(publish))) = decode(From::Client(V5), bytes) else {
        panic!("not decoded: {:?}", decode(From::Client(V5), bytes));
    };
    assert_eq!(publish.topic_alias, NonZeroU16::new(7));
    assert_eq!(publish.message_expiry, Some(9));
    assert_eq!(publish.payload, "!");
    assert_eq!(
        publish.properties.iter().collect::<Vec<_>>(),
        [
            MessageProperty::ContentType("j"),
            MessageProperty::User("k", "v"),
            MessageProperty::CorrelationData(b"c"),
            MessageProperty::PayloadIsText(false),
        ]
    );
}
