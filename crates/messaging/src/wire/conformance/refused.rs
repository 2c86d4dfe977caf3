//! Bytes that break exactly one rule.

use super::{From, Violation, decode, framed};
use crate::wire::Version::{V5, V31, V311};

/// Where the bytes come from, the first byte, the body, and the rule.
type Vector = (From, u8, &'static [u8], Violation);

const FRAMING: &[Vector] = &[
    (From::NewClient, 0xC0, b"", Violation::FirstPacketNotConnect),
    (From::NewClient, 0x30, b"\x00\x01a", Violation::FirstPacketNotConnect),
    (From::NewClient, 0x00, b"", Violation::FirstPacketNotConnect),
    (From::Client(V311), 0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00", Violation::SecondConnect),
    (From::Client(V5), 0x00, b"", Violation::PacketTypeReserved),
    (From::Client(V311), 0xF0, b"", Violation::PacketTypeReserved),
    (From::Client(V311), 0x20, b"\x00\x00", Violation::WrongDirection),
    (From::Client(V5), 0x90, b"\x00\x01\x00\x00", Violation::WrongDirection),
    (From::Client(V5), 0xB0, b"\x00\x01\x00\x00", Violation::WrongDirection),
    (From::Client(V311), 0xD0, b"", Violation::WrongDirection),
    (From::Server(V311), 0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00", Violation::WrongDirection),
    (From::Server(V311), 0xE0, b"", Violation::WrongDirection),
    (From::Server(V5), 0xC0, b"", Violation::WrongDirection),
    (From::NewClient, 0x11, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00", Violation::FlagsReserved),
    (From::Client(V311), 0xC1, b"", Violation::FlagsReserved),
    (From::Client(V311), 0x80, b"\x00\x01\x00\x01a\x00", Violation::FlagsReserved),
    (From::Client(V311), 0x8A, b"\x00\x01\x00\x01a\x00", Violation::FlagsReserved),
    (From::Client(V5), 0x60, b"\x00\x01", Violation::FlagsReserved),
    (From::Client(V5), 0xA3, b"\x00\x01\x00\x00\x01a", Violation::FlagsReserved),
    (From::Client(V5), 0x42, b"\x00\x01", Violation::FlagsReserved),
    // PINGREQ and DISCONNECT with a body.
    (From::Client(V311), 0xC0, b"\x00", Violation::TrailingBytes),
    (From::Client(V311), 0xE0, b"\x00", Violation::TrailingBytes),
    (From::Client(V311), 0x40, b"\x00\x01\x00", Violation::TrailingBytes),
    (From::Client(V5), 0x40, b"\x00\x01\x00\x00\x00", Violation::TrailingBytes),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x01aX", Violation::TrailingBytes),
    (From::Client(V311), 0x40, b"\x00", Violation::Truncated),
    (From::Client(V311), 0x30, b"\x00\x05a", Violation::Truncated),
    (From::Client(V311), 0x32, b"\x00\x01a\x00", Violation::Truncated),
    (From::Client(V5), 0x30, b"\x00\x01a", Violation::Truncated),
    (From::Client(V5), 0x30, b"\x00\x01a\x05\x02", Violation::Truncated),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\xc2\x00\x00\x00\x00\x00\x01u", Violation::Truncated),
    (From::Client(V5), 0x30, b"\x00\x01a\xff\xff\xff\xff\x01", Violation::VariableByteIntegerTooLong),
    (From::Client(V311), 0x40, b"\x00\x00", Violation::PacketIdZero),
    (From::Client(V311), 0x32, b"\x00\x01a\x00\x00", Violation::PacketIdZero),
    (From::Client(V311), 0x82, b"\x00\x00\x00\x01a\x00", Violation::PacketIdZero),
    (From::Client(V311), 0xA2, b"\x00\x00\x00\x01a", Violation::PacketIdZero),
    (From::Client(V5), 0x40, b"\x00\x01\x01", Violation::ReasonCodeNotAllowed),
    (From::Client(V5), 0x62, b"\x00\x01\x80", Violation::ReasonCodeNotAllowed),
    (From::Client(V5), 0xE0, b"\x8e\x00", Violation::ReasonCodeNotAllowed),
    (From::Server(V5), 0xE0, b"\x04\x00", Violation::ReasonCodeNotAllowed),
    (From::Server(V311), 0x90, b"\x00\x01\x03", Violation::ReasonCodeNotAllowed),
    (From::Server(V311), 0x20, b"\x00\x06", Violation::ReasonCodeNotAllowed),
    (From::Client(V5), 0xF0, b"\x00\x00", Violation::ReasonCodeNotAllowed),
    // An empty AUTH means success, which only a server says.
    (From::Client(V5), 0xF0, b"", Violation::ReasonCodeNotAllowed),
];

const STRINGS: &[Vector] = &[
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x03a\x00b", Violation::NullCharacter),
    (From::Client(V311), 0x30, b"\x00\x03a\x00b", Violation::NullCharacter),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x02a\x00\x00", Violation::NullCharacter),
    (From::Client(V5), 0x30, b"\x00\x01a\x07\x26\x00\x01\x00\x00\x01v", Violation::NullCharacter),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x01\xff", Violation::Utf8Invalid),
    // A surrogate, an overlong slash, and a character cut off.
    (From::Client(V311), 0x30, b"\x00\x03\xed\xa0\x80", Violation::Utf8Invalid),
    (From::Client(V311), 0x30, b"\x00\x02\xc0\xaf", Violation::Utf8Invalid),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x01\xc3\x00", Violation::Utf8Invalid),
    (From::Client(V5), 0x30, b"\x00\x01a\x04\x03\x00\x01\x80", Violation::Utf8Invalid),
];

const PROPERTIES: &[Vector] = &[
    (From::Client(V5), 0x30, b"\x00\x01a\x02\x7f\x00", Violation::PropertyUnknown),
    (From::Client(V5), 0x30, b"\x00\x01a\x02\x00\x00", Violation::PropertyUnknown),
    (From::Client(V5), 0x30, b"\x00\x01a\x02\xff\x01", Violation::PropertyUnknown),
    // A session expiry belongs to CONNECT, a topic alias to PUBLISH, a will delay to the will.
    (From::Client(V5), 0x30, b"\x00\x01a\x05\x11\x00\x00\x00\x01", Violation::PropertyNotAllowed),
    (From::Client(V5), 0x82, b"\x00\x01\x03\x23\x00\x01\x00\x01a\x00", Violation::PropertyNotAllowed),
    (From::Client(V5), 0xA2, b"\x00\x01\x02\x0b\x01\x00\x01a", Violation::PropertyNotAllowed),
    (From::Client(V5), 0x40, b"\x00\x01\x00\x02\x01\x01", Violation::PropertyNotAllowed),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x05\x02\x00\x00\x05\x18\x00\x00\x00\x01\x00\x00",
        Violation::PropertyNotAllowed,
    ),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x05\x02\x00\x00\x06\x21\x00\x01\x21\x00\x01\x00\x00",
        Violation::PropertyDuplicate,
    ),
    (From::Client(V5), 0x30, b"\x00\x01a\x04\x01\x00\x01\x00", Violation::PropertyDuplicate),
    (From::Client(V5), 0x82, b"\x00\x01\x04\x0b\x01\x0b\x02\x00\x01a\x00", Violation::PropertyDuplicate),
    (From::Client(V5), 0x30, b"\x00\x01a\x02\x01\x02", Violation::PropertyNotBoolean),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x05\x02\x00\x00\x02\x17\x02\x00\x00",
        Violation::PropertyNotBoolean,
    ),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x00",
        Violation::ReceiveMaximumZero,
    ),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x05\x02\x00\x00\x05\x27\x00\x00\x00\x00\x00\x00",
        Violation::MaximumPacketSizeZero,
    ),
    (From::Client(V5), 0x82, b"\x00\x01\x02\x0b\x00\x00\x01a\x00", Violation::SubscriptionIdZero),
    (From::Server(V5), 0x30, b"\x00\x01a\x02\x0b\x00", Violation::SubscriptionIdZero),
    (From::Client(V5), 0x30, b"\x00\x01a\x03\x23\x00\x00", Violation::TopicAliasZero),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01d\x00\x00",
        Violation::AuthenticationDataWithoutMethod,
    ),
];

const CONNECT: &[Vector] = &[
    (From::NewClient, 0x10, b"\x00\x04MQTX\x04\x02\x00\x00\x00\x00", Violation::ProtocolNameUnknown),
    (From::NewClient, 0x10, b"\x00\x04mqtt\x04\x02\x00\x00\x00\x00", Violation::ProtocolNameUnknown),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x03\x02\x00\x00\x00\x00", Violation::ProtocolLevelUnsupported),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x06\x02\x00\x00\x00\x00", Violation::ProtocolLevelUnsupported),
    (From::NewClient, 0x10, b"\x00\x06MQIsdp\x04\x02\x00\x00\x00\x00", Violation::ProtocolLevelUnsupported),
    // The level with a bridge's mark, which other brokers know.
    (From::NewClient, 0x10, b"\x00\x04MQTT\x84\x02\x00\x00\x00\x00", Violation::ProtocolLevelUnsupported),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x03\x00\x00\x00\x00", Violation::ConnectFlagReserved),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x0a\x00\x00\x00\x00", Violation::WillQosWithoutWill),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x04\x1e\x00\x00\x00\x00\x00\x01w\x00\x00",
        Violation::WillQosInvalid,
    ),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x22\x00\x00\x00\x00", Violation::WillRetainWithoutWill),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x01p",
        Violation::PasswordWithoutUserName,
    ),
    (
        From::NewClient,
        0x10,
        b"\x00\x06MQIsdp\x03\x42\x00\x00\x00\x00\x00\x01p",
        Violation::PasswordWithoutUserName,
    ),
    (
        From::NewClient,
        0x10,
        b"\x00\x04MQTT\x04\x06\x00\x00\x00\x00\x00\x01#\x00\x00",
        Violation::TopicWildcard,
    ),
    (From::NewClient, 0x10, b"\x00\x04MQTT\x04\x06\x00\x00\x00\x00\x00\x00\x00\x00", Violation::TopicEmpty),
    (From::Server(V311), 0x20, b"\x02\x00", Violation::ConnAckFlagsReserved),
    (From::Server(V5), 0x20, b"\x01\x86\x00", Violation::SessionPresentWithFailure),
    (From::Server(V5), 0x20, b"\x00\x00\x02\x24\x02", Violation::MaximumQosInvalid),
];

const PUBLISH: &[Vector] = &[
    (From::Client(V311), 0x38, b"\x00\x01a", Violation::DupWithQosZero),
    (From::Client(V311), 0x36, b"\x00\x01a\x00\x01", Violation::PublishQosInvalid),
    (From::Client(V5), 0x3E, b"\x00\x01a\x00\x01\x00", Violation::PublishQosInvalid),
    (From::Client(V311), 0x30, b"\x00\x03a/#", Violation::TopicWildcard),
    (From::Client(V311), 0x30, b"\x00\x03a/+", Violation::TopicWildcard),
    (From::Client(V5), 0x30, b"\x00\x03a+b\x00", Violation::TopicWildcard),
    (From::Client(V311), 0x30, b"\x00\x00hi", Violation::TopicEmpty),
    (From::Client(V31), 0x30, b"\x00\x00hi", Violation::TopicEmpty),
    (From::Client(V5), 0x30, b"\x00\x00\x00hi", Violation::TopicMissing),
    (From::Client(V5), 0x30, b"\x00\x01a\x04\x08\x00\x01#", Violation::ResponseTopicWildcard),
    (From::Client(V5), 0x30, b"\x00\x01a\x02\x0b\x01", Violation::SubscriptionIdFromClient),
];

const SUBSCRIPTIONS: &[Vector] = &[
    (From::Client(V311), 0x82, b"\x00\x01", Violation::SubscribeEmpty),
    (From::Client(V5), 0x82, b"\x00\x01\x00", Violation::SubscribeEmpty),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x01a\x03", Violation::SubscribeQosInvalid),
    (From::Client(V5), 0x82, b"\x00\x01\x00\x00\x01a\x03", Violation::SubscribeQosInvalid),
    (From::Client(V5), 0x82, b"\x00\x01\x00\x00\x0a$share/g/a\x04", Violation::NoLocalOnShared),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x01a\x04", Violation::SubscriptionOptionsReserved),
    (From::Client(V5), 0x82, b"\x00\x01\x00\x00\x01a\x40", Violation::SubscriptionOptionsReserved),
    (From::Client(V5), 0x82, b"\x00\x01\x00\x00\x01a\x30", Violation::RetainHandlingInvalid),
    (From::Client(V311), 0xA2, b"\x00\x01", Violation::UnsubscribeEmpty),
    (From::Client(V5), 0xA2, b"\x00\x01\x00", Violation::UnsubscribeEmpty),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x00\x00", Violation::FilterEmpty),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x03#/a\x00", Violation::FilterHashNotLast),
    (From::Client(V311), 0xA2, b"\x00\x01\x00\x03a/b#", Violation::Truncated),
    (From::Client(V311), 0xA2, b"\x00\x01\x00\x02b#", Violation::FilterHashNotLast),
    (From::Client(V311), 0x82, b"\x00\x01\x00\x02+a\x00", Violation::FilterPlusNotAlone),
    (From::Client(V5), 0x82, b"\x00\x01\x00\x00\x09$share//a\x00", Violation::ShareNameInvalid),
    (From::Client(V5), 0x82, b"\x00\x01\x00\x00\x08$share/g\x00", Violation::ShareFilterMissing),
    (From::Server(V311), 0x90, b"\x00\x01", Violation::SubAckEmpty),
    (From::Server(V5), 0xB0, b"\x00\x01\x00", Violation::UnsubAckEmpty),
];

const ENDINGS: &[Vector] = &[
    (From::Server(V5), 0xE0, b"\x00\x05\x11\x00\x00\x00\x00", Violation::SessionExpiryFromServer),
    (From::Client(V5), 0xE0, b"\x00\x04\x1c\x00\x01h", Violation::ServerReferenceFromClient),
    (From::Client(V5), 0xF0, b"\x18\x00", Violation::AuthenticationMethodMissing),
];

fn vectors() -> impl Iterator<Item = &'static Vector> {
    [FRAMING, STRINGS, PROPERTIES, CONNECT, PUBLISH, SUBSCRIPTIONS, ENDINGS].into_iter().flatten()
}

#[test]
fn refused_vectors_name_the_rule_that_they_break() {
    for (from, first, body, violation) in vectors() {
        assert_eq!(decode(*from, &framed(*first, body)), Err(*violation), "{from:?} {first:02x} {body:02x?}");
    }
}

#[test]
fn lengths_of_more_than_four_bytes_are_refused() {
    assert_eq!(
        decode(From::Client(V311), b"\x30\xff\xff\xff\xff\x01"),
        Err(Violation::VariableByteIntegerTooLong)
    );
    assert_eq!(decode(From::Client(V311), b"\x30\xff\xff\xff\x7f"), Err(Violation::PacketTooLarge));
}

#[test]
fn every_rule_has_a_vector() {
    let missing: Vec<_> = Violation::ALL
        .iter()
        .filter(|&&rule| rule != Violation::PacketTooLarge && vectors().all(|vector| vector.3 != rule))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
