//! Random packets that a version can say: their round trip must not change them.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use kernel::Secret;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::wire::{
    Ack, Auth, ConnAck, Connect, Diagnostics, Disconnect, MessageProperties, MessageProperty, Packet,
    PacketId, Publish, QoS, ReasonCode, RetainHandling, Side, SubAck, Subscribe, Subscription,
    SubscriptionId, SubscriptionOptions, Text, UnsubAck, Unsubscribe, UserProperty, Version, Will,
};

/// Some packets that one side sends after the connection is made.
pub(super) fn conversation() -> impl Strategy<Value = (Side, Version, Vec<Packet>)> {
    (select(vec![Side::Client, Side::Server]), version()).prop_flat_map(|(sender, version)| {
        let packets = match sender {
            Side::Client => from_client(version),
            Side::Server => from_server(version),
        };
        (Just(sender), Just(version), vec(packets, 1..6))
    })
}

pub(super) fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V31, Version::V311, Version::V5])
}

fn from_client(version: Version) -> BoxedStrategy<Packet> {
    let both = prop_oneof![
        4 => publish(Side::Client, version).prop_map(Packet::Publish),
        2 => acknowledgement(version),
        1 => subscribe(version).prop_map(Packet::Subscribe),
        1 => unsubscribe(version).prop_map(Packet::Unsubscribe),
        1 => Just(Packet::PingReq),
        1 => disconnect(Side::Client, version).prop_map(Packet::Disconnect),
    ];
    match version {
        Version::V5 => prop_oneof![8 => both, 1 => auth(Side::Client).prop_map(Packet::Auth)].boxed(),
        Version::V31 | Version::V311 => both.boxed(),
    }
}

fn from_server(version: Version) -> BoxedStrategy<Packet> {
    let both = prop_oneof![
        4 => publish(Side::Server, version).prop_map(Packet::Publish),
        2 => acknowledgement(version),
        1 => connack(version).prop_map(|connack| Packet::ConnAck(Box::new(connack))),
        1 => suback(version).prop_map(Packet::SubAck),
        1 => unsuback(version).prop_map(Packet::UnsubAck),
        1 => Just(Packet::PingResp),
    ];
    match version {
        Version::V5 => prop_oneof![
            8 => both,
            1 => disconnect(Side::Server, version).prop_map(Packet::Disconnect),
            1 => auth(Side::Server).prop_map(Packet::Auth),
        ]
        .boxed(),
        Version::V31 | Version::V311 => both.boxed(),
    }
}

fn text() -> impl Strategy<Value = Text> {
    "[^\0]{0,20}".prop_map(Text::from)
}

fn topic() -> impl Strategy<Value = Text> {
    "[^\0+#]{1,40}".prop_map(Text::from)
}

fn filter() -> impl Strategy<Value = Text> {
    "(\\$share/g/)?(([a-zäß ]{0,4}|\\+)/){0,3}(#|\\+|[a-z]{1,4})".prop_map(Text::from)
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn secret() -> impl Strategy<Value = Secret<Vec<u8>>> {
    vec(any::<u8>(), 0..30).prop_map(Secret::new)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    (1..=268_435_455_u32).prop_map(|id| SubscriptionId::new(id).unwrap())
}

fn user_properties() -> impl Strategy<Value = Vec<UserProperty>> {
    vec((text(), text()), 0..3)
}

fn diagnostics() -> impl Strategy<Value = Diagnostics> {
    (option::of(text()), user_properties())
        .prop_map(|(reason_string, user_properties)| Diagnostics { reason_string, user_properties })
}

/// For packets that have diagnostics in MQTT 5 only.
fn diagnostics_of(version: Version) -> BoxedStrategy<Diagnostics> {
    match version {
        Version::V5 => diagnostics().boxed(),
        Version::V31 | Version::V311 => Just(Diagnostics::default()).boxed(),
    }
}

fn reason(codes: &'static [u8]) -> impl Strategy<Value = ReasonCode> {
    select(codes).prop_map(ReasonCode)
}

fn message_properties() -> impl Strategy<Value = MessageProperties> {
    let parts = (
        option::of(any::<bool>()),
        option::of("[^\0]{0,9}"),
        option::of("[^\0+#]{0,9}"),
        option::of(vec(any::<u8>(), 0..9)),
        vec(("[^\0]{0,9}", "[^\0]{0,9}"), 0..3),
    );
    parts.prop_map(|(is_text, content_type, response_topic, correlation, user)| {
        let mut all: Vec<_> = user.iter().map(|(name, value)| MessageProperty::User(name, value)).collect();
        all.extend(is_text.map(MessageProperty::PayloadIsText));
        all.extend(content_type.as_deref().map(MessageProperty::ContentType));
        all.extend(response_topic.as_deref().map(MessageProperty::ResponseTopic));
        all.extend(correlation.as_deref().map(MessageProperty::CorrelationData));
        MessageProperties::new(all)
    })
}

pub(super) fn connect() -> impl Strategy<Value = Connect> {
    let start = (version(), any::<bool>(), any::<u16>(), text(), option::of(text()), option::of(secret()));
    let numbers = (any::<u32>(), 1..=u16::MAX, option::of(1..=u32::MAX), any::<u16>());
    let requests = (any::<bool>(), any::<bool>(), user_properties());
    let authentication = option::of((text(), option::of(secret())));
    (start, option::of(will()), numbers, requests, authentication).prop_map(
        |(start, will, numbers, requests, authentication)| {
            let (version, clean_start, keep_alive, client_id, user_name, password) = start;
            let mut connect = Connect::new(version, client_id);
            connect.clean_start = clean_start;
            connect.keep_alive = keep_alive;
            connect.password = password.filter(|_| version.is_v5() || user_name.is_some());
            connect.user_name = user_name;
            connect.will = will.map(|will| if version.is_v5() { will } else { will_of_v3(will) });
            if version.is_v5() {
                connect.session_expiry = numbers.0;
                connect.receive_maximum = NonZeroU16::new(numbers.1).unwrap();
                connect.maximum_packet_size = numbers.2.and_then(NonZeroU32::new);
                connect.topic_alias_maximum = numbers.3;
                (
                    connect.request_response_information,
                    connect.request_problem_information,
                    connect.user_properties,
                ) = requests;
                (connect.authentication_method, connect.authentication_data) =
                    authentication.map_or((None, None), |(method, data)| (Some(method), data));
            } else {
                connect.session_expiry = if clean_start { 0 } else { u32::MAX };
            }
            connect
        },
    )
}

fn will() -> impl Strategy<Value = Will> {
    (topic(), binary(), qos(), any::<bool>(), any::<u32>(), option::of(any::<u32>()), message_properties())
        .prop_map(|(topic, payload, qos, retain, delay, message_expiry, properties)| Will {
            topic,
            payload,
            qos,
            retain,
            delay,
            message_expiry,
            properties,
        })
}

fn will_of_v3(will: Will) -> Will {
    Will { delay: 0, message_expiry: None, properties: MessageProperties::default(), ..will }
}

fn connack(version: Version) -> BoxedStrategy<ConnAck> {
    if !version.is_v5() {
        return (0..6_u8, any::<bool>())
            .prop_map(move |(code, session_present)| ConnAck {
                session_present: session_present && code == 0 && version == Version::V311,
                ..ConnAck::refused(ReasonCode::from_v3_connack(code).unwrap())
            })
            .boxed();
    }
    let numbers = (
        option::of(any::<u32>()),
        1..=u16::MAX,
        qos(),
        option::of(1..=u32::MAX),
        any::<u16>(),
        option::of(any::<u16>()),
    );
    let texts = (
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(secret()),
    );
    let reason = reason(&[0x00, 0x80, 0x86, 0x87, 0x88, 0x9C]);
    (any::<bool>(), reason, numbers, any::<[bool; 4]>(), texts, diagnostics())
        .prop_map(|(session_present, reason, numbers, available, texts, diagnostics)| ConnAck {
            session_present: session_present && !reason.is_failure(),
            reason,
            session_expiry: numbers.0,
            receive_maximum: NonZeroU16::new(numbers.1).unwrap(),
            maximum_qos: numbers.2,
            maximum_packet_size: numbers.3.and_then(NonZeroU32::new),
            topic_alias_maximum: numbers.4,
            server_keep_alive: numbers.5,
            retain_available: available[0],
            wildcard_subscription_available: available[1],
            subscription_ids_available: available[2],
            shared_subscription_available: available[3],
            assigned_client_id: texts.0,
            response_information: texts.1,
            server_reference: texts.2,
            authentication_method: texts.3,
            authentication_data: texts.4,
            diagnostics,
        })
        .boxed()
}

/// A PUBLISH of `sender`; subscription identifiers come from servers only.
pub(super) fn publish(sender: Side, version: Version) -> impl Strategy<Value = Publish> {
    let message = (any::<bool>(), qos(), any::<bool>(), packet_id(), topic(), binary());
    let properties = (
        option::of(1..=u16::MAX),
        option::of(any::<u32>()),
        vec(subscription_id(), 0..3),
        message_properties(),
        any::<bool>(),
    );
    (message, properties).prop_map(move |((dup, qos, retain, packet_id, topic, payload), properties)| {
        let acknowledged = qos > QoS::AtMostOnce;
        let mut publish = Publish {
            dup: dup && acknowledged,
            qos,
            retain,
            packet_id: acknowledged.then_some(packet_id),
            topic,
            payload,
            ..Publish::default()
        };
        if version.is_v5() {
            publish.topic_alias = properties.0.and_then(NonZeroU16::new);
            publish.message_expiry = properties.1;
            publish.subscription_ids = if sender == Side::Server { properties.2 } else { Vec::new() };
            publish.properties = properties.3;
            if properties.4 && publish.topic_alias.is_some() {
                publish.topic = Text::default();
            }
        }
        publish
    })
}

fn acknowledgement(version: Version) -> BoxedStrategy<Packet> {
    let received: &[u8] = if version.is_v5() { &[0x00, 0x10, 0x80, 0x87, 0x97] } else { &[0x00] };
    let released: &[u8] = if version.is_v5() { &[0x00, 0x92] } else { &[0x00] };
    prop_oneof![
        ack(received, version).prop_map(Packet::PubAck),
        ack(received, version).prop_map(Packet::PubRec),
        ack(released, version).prop_map(Packet::PubRel),
        ack(released, version).prop_map(Packet::PubComp),
    ]
    .boxed()
}

fn ack(codes: &'static [u8], version: Version) -> impl Strategy<Value = Ack> {
    (packet_id(), reason(codes), diagnostics_of(version)).prop_map(|(packet_id, reason, diagnostics)| Ack {
        packet_id,
        reason,
        diagnostics: (!diagnostics.is_empty()).then(|| Box::new(diagnostics)),
    })
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let filters = vec((filter(), options(version)), 1..4);
    (packet_id(), option::of(subscription_id()), user_properties(), filters).prop_map(
        move |(packet_id, subscription_id, user_properties, filters)| Subscribe {
            packet_id,
            subscription_id: subscription_id.filter(|_| version.is_v5()),
            user_properties: if version.is_v5() { user_properties } else { Vec::new() },
            filters: filters
                .into_iter()
                .map(|(filter, options)| {
                    let shared = filter.as_str().starts_with("$share/");
                    let options = SubscriptionOptions { no_local: options.no_local && !shared, ..options };
                    Subscription { filter, options }
                })
                .collect(),
        },
    )
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    let handling = select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| {
            if version.is_v5() {
                SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
            } else {
                SubscriptionOptions { qos, ..SubscriptionOptions::default() }
            }
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    (packet_id(), user_properties(), vec(filter(), 1..4)).prop_map(
        move |(packet_id, user_properties, filters)| {
            let user_properties = if version.is_v5() { user_properties } else { Vec::new() };
            Unsubscribe { packet_id, user_properties, filters }
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = SubAck> {
    let codes: &[u8] = if version.is_v5() { &[0, 1, 2, 0x80, 0x87, 0x8F] } else { &[0, 1, 2, 0x80] };
    (packet_id(), vec(reason(codes), 1..4), diagnostics_of(version))
        .prop_map(|(packet_id, reasons, diagnostics)| SubAck { packet_id, reasons, diagnostics })
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck> {
    let reasons = vec(reason(&[0x00, 0x11, 0x87]), 1..4);
    (packet_id(), reasons, diagnostics_of(version)).prop_map(move |(packet_id, reasons, diagnostics)| {
        UnsubAck { packet_id, reasons: if version.is_v5() { reasons } else { Vec::new() }, diagnostics }
    })
}

fn disconnect(sender: Side, version: Version) -> BoxedStrategy<Disconnect> {
    if !version.is_v5() {
        return Just(Disconnect::new(ReasonCode::SUCCESS)).boxed();
    }
    let codes: &[u8] = match sender {
        Side::Client => &[0x00, 0x04, 0x80],
        Side::Server => &[0x00, 0x8B, 0x8E, 0x98],
    };
    (reason(codes), option::of(any::<u32>()), option::of(text()), diagnostics())
        .prop_map(move |(reason, session_expiry, server_reference, diagnostics)| Disconnect {
            reason,
            session_expiry: session_expiry.filter(|_| sender == Side::Client),
            server_reference: server_reference.filter(|_| sender == Side::Server),
            diagnostics,
        })
        .boxed()
}

fn auth(sender: Side) -> impl Strategy<Value = Auth> {
    let codes: &[u8] = match sender {
        Side::Client => &[0x18, 0x19],
        Side::Server => &[0x00, 0x18],
    };
    (reason(codes), text(), option::of(secret()), diagnostics()).prop_map(
        |(reason, method, data, diagnostics)| Auth { reason, method: Some(method), data, diagnostics },
    )
}
