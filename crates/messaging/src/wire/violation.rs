//! What a peer may do wrong: one value per rule of the specification.
//!
//! [`Violation`]'s text starts with the rule: `[MQTT-…]` is a conformance statement, `§` a section, of MQTT 5.0
//! unless a version stands there. A rule that MQTT 3 has too is the same value for all versions.
//! [`Violation::reason_code`] is the reason that the answering CONNACK or DISCONNECT gives.

use std::fmt;

use super::reason::ReasonCode;

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident = $reason:ident, $text:literal;)*) => {
        /// A broken rule of the protocol; the connection cannot go on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Violation {
            $($(#[$doc])* #[doc = $text] $name,)*
        }

        impl Violation {
            /// Every rule that the codec knows, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason to give in the last packet of the connection, where the version has one.
            pub const fn reason_code(self) -> ReasonCode {
                match self {
                    $(Self::$name => ReasonCode::$reason,)*
                }
            }

            /// The rule, followed by how it was broken.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

violations! {
    // Any packet.
    VariableByteIntegerTooLong = MALFORMED_PACKET, "[MQTT-1.5.5-1] variable byte integer has more than four bytes";
    PacketTooLarge = PACKET_TOO_LARGE, "[MQTT-3.2.2-15] packet is larger than the maximum packet size";
    PacketTypeReserved = MALFORMED_PACKET, "§2.1.2 packet type is reserved in this version";
    FlagsReserved = MALFORMED_PACKET, "[MQTT-2.1.3-1] reserved flags of the fixed header are not as required";
    WrongDirection = PROTOCOL_ERROR, "§2.1.2 packet type is not sent in this direction";
    Truncated = MALFORMED_PACKET, "§4.13.1 packet ends before its fields do";
    TrailingBytes = MALFORMED_PACKET, "§4.13.1 packet goes on after its last field";
    Utf8Invalid = MALFORMED_PACKET, "[MQTT-1.5.4-1] string is not valid UTF-8";
    NullCharacter = MALFORMED_PACKET, "[MQTT-1.5.4-2] string contains U+0000";
    PacketIdZero = PROTOCOL_ERROR, "[MQTT-2.2.1-3] packet identifier is zero";
    ReasonCodeNotAllowed = PROTOCOL_ERROR, "§2.4 reason code is not one of this packet type";

    // Properties.
    PropertyUnknown = MALFORMED_PACKET, "§2.2.2.2 property identifier is unknown";
    PropertyNotAllowed = MALFORMED_PACKET, "§2.2.2.2 property does not belong to this packet type";
    PropertyDuplicate = PROTOCOL_ERROR, "§2.2.2.2 property occurs more than once";
    PropertyNotBoolean = PROTOCOL_ERROR, "§2.2.2.2 property is neither 0 nor 1";
    ReceiveMaximumZero = PROTOCOL_ERROR, "§3.1.2.11.3 receive maximum is zero";
    MaximumPacketSizeZero = PROTOCOL_ERROR, "§3.1.2.11.4 maximum packet size is zero";
    SubscriptionIdZero = PROTOCOL_ERROR, "§3.8.2.1.2 subscription identifier is zero";
    TopicAliasZero = TOPIC_ALIAS_INVALID, "[MQTT-3.3.2-8] topic alias is zero";
    AuthenticationDataWithoutMethod = PROTOCOL_ERROR, "§3.1.2.11.10 authentication data without a method";

    // CONNECT.
    FirstPacketNotConnect = PROTOCOL_ERROR, "[MQTT-3.1.0-1] first packet is not CONNECT";
    SecondConnect = PROTOCOL_ERROR, "[MQTT-3.1.0-2] second CONNECT on one connection";
    ProtocolNameUnknown = UNSUPPORTED_PROTOCOL_VERSION, "[MQTT-3.1.2-1] protocol name is unknown";
    ProtocolLevelUnsupported = UNSUPPORTED_PROTOCOL_VERSION, "[MQTT-3.1.2-2] protocol version is not supported";
    ConnectFlagReserved = MALFORMED_PACKET, "[MQTT-3.1.2-3] reserved flag of CONNECT is set";
    WillQosWithoutWill = MALFORMED_PACKET, "[MQTT-3.1.2-11] will QoS without a will";
    WillQosInvalid = MALFORMED_PACKET, "[MQTT-3.1.2-12] will QoS is 3";
    WillRetainWithoutWill = MALFORMED_PACKET, "[MQTT-3.1.2-13] will retain without a will";
    PasswordWithoutUserName = MALFORMED_PACKET, "[MQTT-3.1.2-22 of 3.1.1] password without a user name";

    // CONNACK.
    ConnAckFlagsReserved = MALFORMED_PACKET, "[MQTT-3.2.2-1] reserved flags of CONNACK are set";
    SessionPresentWithFailure = PROTOCOL_ERROR, "[MQTT-3.2.2-6] session present in a CONNACK that refuses";
    MaximumQosInvalid = PROTOCOL_ERROR, "§3.2.2.3.4 maximum QoS is neither 0 nor 1";

    // PUBLISH.
    DupWithQosZero = MALFORMED_PACKET, "[MQTT-3.3.1-2] DUP with QoS 0";
    PublishQosInvalid = MALFORMED_PACKET, "[MQTT-3.3.1-4] QoS of PUBLISH is 3";
    TopicWildcard = TOPIC_NAME_INVALID, "[MQTT-3.3.2-2] topic name contains a wildcard";
    TopicEmpty = TOPIC_NAME_INVALID, "[MQTT-4.7.3-1] topic name is empty";
    TopicMissing = PROTOCOL_ERROR, "§3.3.2.1 neither topic name nor topic alias";
    ResponseTopicWildcard = PROTOCOL_ERROR, "[MQTT-3.3.2-14] response topic contains a wildcard";
    SubscriptionIdFromClient = PROTOCOL_ERROR, "[MQTT-3.3.4-6] subscription identifier in a PUBLISH to the server";

    // SUBSCRIBE, UNSUBSCRIBE and their answers.
    SubscribeEmpty = PROTOCOL_ERROR, "[MQTT-3.8.3-2] SUBSCRIBE without a filter";
    SubscribeQosInvalid = PROTOCOL_ERROR, "§3.8.3.1 QoS of a subscription is 3";
    NoLocalOnShared = PROTOCOL_ERROR, "[MQTT-3.8.3-4] no local on a shared subscription";
    SubscriptionOptionsReserved = MALFORMED_PACKET, "[MQTT-3.8.3-5] reserved bits of the subscription options are set";
    RetainHandlingInvalid = PROTOCOL_ERROR, "§3.8.3.1 retain handling is 3";
    UnsubscribeEmpty = PROTOCOL_ERROR, "[MQTT-3.10.3-2] UNSUBSCRIBE without a filter";
    FilterEmpty = TOPIC_FILTER_INVALID, "[MQTT-4.7.3-1] topic filter is empty";
    FilterHashNotLast = TOPIC_FILTER_INVALID, "[MQTT-4.7.1-1] `#` is not the last level of the filter";
    FilterPlusNotAlone = TOPIC_FILTER_INVALID, "[MQTT-4.7.1-2] `+` is not a whole level of the filter";
    ShareNameInvalid = TOPIC_FILTER_INVALID, "[MQTT-4.8.2-1] share name is empty or contains a wildcard";
    ShareFilterMissing = TOPIC_FILTER_INVALID, "[MQTT-4.8.2-2] shared subscription has no filter after its name";
    SubAckEmpty = PROTOCOL_ERROR, "[MQTT-3.8.4-6] SUBACK without a reason code";
    UnsubAckEmpty = PROTOCOL_ERROR, "[MQTT-3.11.3-2] UNSUBACK without a reason code";

    // DISCONNECT, AUTH.
    SessionExpiryFromServer = PROTOCOL_ERROR, "[MQTT-3.14.2-2] session expiry in a DISCONNECT of the server";
    ServerReferenceFromClient = PROTOCOL_ERROR, "§3.14.2.2.5 server reference in a DISCONNECT of the client";
    AuthenticationMethodMissing = PROTOCOL_ERROR, "§3.15.2.2.2 AUTH without an authentication method";
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_starts_with_its_rule_and_has_a_failing_reason() {
        for violation in Violation::ALL {
            let text = violation.to_string();
            assert!(text.starts_with("[MQTT-") || text.starts_with('§'), "{text}");
            assert!(violation.reason_code().is_failure(), "{text}");
        }
    }
}
