//! The packets that the fuzzer begins with.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use kernel::Secret;
use messaging::wire::{
    Ack, Auth, ConnAck, Connect, Diagnostics, Disconnect, MessageProperties, MessageProperty, Packet,
    PacketId, Publish, QoS, ReasonCode, Side, SubAck, Subscribe, Subscription, SubscriptionId,
    SubscriptionOptions, Text, UnsubAck, Unsubscribe, UserProperty, Version, Will,
};

use super::{Outcome, Sample, write};

/// Valid packets of both sides in all versions.
pub(crate) fn corpus() -> Outcome<Vec<Sample>> {
    let mut samples = Vec::new();
    for version in [Version::V31, Version::V311, Version::V5] {
        for packet in client_packets(version) {
            let from = (!matches!(packet, Packet::Connect(_))).then_some((Side::Client, version));
            let mut bytes = Vec::new();
            write(&packet, version, &mut bytes)?;
            samples.push(Sample { from, bytes });
        }
        for packet in server_packets(version) {
            let mut bytes = Vec::new();
            write(&packet, version, &mut bytes)?;
            samples.push(Sample { from: Some((Side::Server, version)), bytes });
        }
    }
    Ok(samples)
}

fn properties() -> MessageProperties {
    MessageProperties::new([
        MessageProperty::PayloadIsText(true),
        MessageProperty::ContentType("application/json"),
        MessageProperty::ResponseTopic("m/d/c/answers"),
        MessageProperty::CorrelationData(&[0, 255]),
        MessageProperty::User("unit", "kelvin"),
    ])
}

fn user_properties() -> Vec<UserProperty> {
    vec![(Text::from("name"), Text::from("value")), (Text::from("name"), Text::default())]
}

fn message(qos: QoS, topic: &'static str) -> Publish {
    Publish {
        qos,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        topic: Text::from_static(topic),
        payload: Bytes::from_static(b"payload"),
        ..Publish::default()
    }
}

/// Acknowledgements, which both sides send.
fn acknowledgements() -> Vec<Packet> {
    let diagnostics =
        Diagnostics { reason_string: Some(Text::from("why")), user_properties: user_properties() };
    let explained = Ack {
        diagnostics: Some(Box::new(diagnostics)),
        ..Ack::with_reason(PacketId::MAX, ReasonCode::SUCCESS)
    };
    vec![
        Packet::PubAck(Ack::new(PacketId::MIN)),
        Packet::PubAck(Ack::with_reason(PacketId::MAX, ReasonCode::NOT_AUTHORIZED)),
        Packet::PubRec(explained.clone()),
        Packet::PubRel(Ack::new(PacketId::MAX)),
        Packet::PubComp(explained),
    ]
}

fn client_packets(version: Version) -> Vec<Packet> {
    let will = Will {
        topic: Text::from("m/d/c/will"),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: true,
        delay: if version.is_v5() { 5 } else { 0 },
        message_expiry: version.is_v5().then_some(60),
        properties: if version.is_v5() { properties() } else { MessageProperties::default() },
    };
    let mut connect = Connect::new(version, "device");
    connect.keep_alive = 60;
    connect.user_name = Some(Text::from("user"));
    connect.password = Some(Secret::new(b"password".to_vec()));
    connect.will = Some(will);
    if version.is_v5() {
        connect.session_expiry = 3_600;
        connect.receive_maximum = NonZeroU16::MIN;
        connect.maximum_packet_size = NonZeroU32::new(1_000);
        connect.topic_alias_maximum = 10;
        connect.request_response_information = true;
        connect.request_problem_information = false;
        connect.user_properties = user_properties();
        connect.authentication_method = Some(Text::from("PLAIN"));
        connect.authentication_data = Some(Secret::new(vec![0, 1]));
    }
    let filter = |filter: &'static str, qos| Subscription {
        filter: Text::from_static(filter),
        options: SubscriptionOptions { qos, ..SubscriptionOptions::default() },
    };
    let mut packets = vec![
        Packet::Connect(Box::new(Connect::new(version, "d"))),
        Packet::Connect(Box::new(connect)),
        Packet::Publish(message(QoS::AtMostOnce, "m/domain/c/channel/a/b")),
        Packet::Publish(message(QoS::AtLeastOnce, "channels/c/messages/a%2Fb/ct/json")),
        Packet::Publish(Publish { dup: true, retain: true, ..message(QoS::ExactlyOnce, "hc/domain") }),
        Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            subscription_id: version.is_v5().then_some(SubscriptionId::MIN),
            user_properties: if version.is_v5() { user_properties() } else { Vec::new() },
            filters: vec![
                filter("m/domain/c/channel/#", QoS::AtMostOnce),
                filter("$share/group/m/domain/c/channel/+/a", QoS::ExactlyOnce),
            ],
        }),
        Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::MAX,
            user_properties: if version.is_v5() { user_properties() } else { Vec::new() },
            filters: vec![Text::from("m/domain/c/channel/#"), Text::from("+/a")],
        }),
        Packet::PingReq,
        Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS)),
    ];
    if version.is_v5() {
        packets.push(Packet::Publish(Publish {
            topic_alias: NonZeroU16::new(3),
            message_expiry: Some(60),
            properties: properties(),
            ..message(QoS::AtLeastOnce, "m/domain/c/channel")
        }));
        packets.push(Packet::Disconnect(Disconnect {
            session_expiry: Some(10),
            ..Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL)
        }));
        packets.push(Packet::Auth(authentication(ReasonCode::RE_AUTHENTICATE)));
    }
    packets.extend(acknowledgements().into_iter().map(|packet| plain(packet, version)));
    packets
}

fn server_packets(version: Version) -> Vec<Packet> {
    let reasons = vec![ReasonCode::SUCCESS, ReasonCode::GRANTED_QOS_1, ReasonCode::UNSPECIFIED_ERROR];
    let none = Diagnostics::default;
    let mut packets = vec![
        Packet::ConnAck(Box::new(ConnAck { session_present: version != Version::V31, ..ConnAck::default() })),
        Packet::Publish(message(QoS::ExactlyOnce, "m/domain/c/channel")),
        Packet::SubAck(SubAck { packet_id: PacketId::MIN, reasons, diagnostics: none() }),
        Packet::UnsubAck(UnsubAck {
            packet_id: PacketId::MIN,
            reasons: if version.is_v5() { vec![ReasonCode::SUCCESS] } else { Vec::new() },
            diagnostics: none(),
        }),
        Packet::PingResp,
    ];
    if version.is_v5() {
        packets.push(Packet::ConnAck(Box::new(ConnAck {
            session_expiry: Some(60),
            maximum_qos: QoS::AtLeastOnce,
            retain_available: false,
            assigned_client_id: Some(Text::from("auto")),
            server_keep_alive: Some(30),
            server_reference: Some(Text::from("other")),
            topic_alias_maximum: 10,
            ..ConnAck::default()
        })));
        packets.push(Packet::Publish(Publish {
            subscription_ids: vec![SubscriptionId::MIN],
            ..message(QoS::AtMostOnce, "m/domain/c/channel")
        }));
        packets.push(Packet::Disconnect(Disconnect {
            server_reference: Some(Text::from("other")),
            ..Disconnect::new(ReasonCode::SERVER_MOVED)
        }));
        packets.push(Packet::Auth(authentication(ReasonCode::CONTINUE_AUTHENTICATION)));
    }
    packets.extend(acknowledgements().into_iter().map(|packet| plain(packet, version)));
    packets
}

fn authentication(reason: ReasonCode) -> Auth {
    Auth {
        reason,
        method: Some(Text::from("PLAIN")),
        data: Some(Secret::new(vec![1, 2, 3])),
        diagnostics: Diagnostics::default(),
    }
}

/// An acknowledgement as its version can say it.
fn plain(packet: Packet, version: Version) -> Packet {
    let simple = |ack: Ack| if version.is_v5() { ack } else { Ack::new(ack.packet_id) };
    match packet {
        Packet::PubAck(ack) => Packet::PubAck(simple(ack)),
        Packet::PubRec(ack) => Packet::PubRec(simple(ack)),
        Packet::PubRel(ack) => Packet::PubRel(simple(ack)),
        Packet::PubComp(ack) => Packet::PubComp(simple(ack)),
        other => other,
    }
}
