//! Reason codes of MQTT 5 and what they become in MQTT 3.

use std::fmt;

/// A reason code (MQTT 5.0 §2.4). Codes from 0x80 mean failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReasonCode(pub u8);

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl ReasonCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name of the code in the specification.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => $text,)*
                    _ => "unknown reason code",
                }
            }
        }
    };
}

reason_codes! {
    /// Done; also "normal disconnection" and "granted QoS 0".
    SUCCESS = 0x00, "success";
    /// SUBACK: QoS 1 granted.
    GRANTED_QOS_1 = 0x01, "granted QoS 1";
    /// SUBACK: QoS 2 granted.
    GRANTED_QOS_2 = 0x02, "granted QoS 2";
    /// DISCONNECT: the server shall publish the will.
    DISCONNECT_WITH_WILL = 0x04, "disconnect with will message";
    /// PUBACK, PUBREC: accepted, nobody is subscribed.
    NO_MATCHING_SUBSCRIBERS = 0x10, "no matching subscribers";
    /// UNSUBACK: there was no such subscription.
    NO_SUBSCRIPTION_EXISTED = 0x11, "no subscription existed";
    /// AUTH: one more round.
    CONTINUE_AUTHENTICATION = 0x18, "continue authentication";
    /// AUTH: begin again on an open connection.
    RE_AUTHENTICATE = 0x19, "re-authenticate";
    /// Failure that the sender does not explain.
    UNSPECIFIED_ERROR = 0x80, "unspecified error";
    /// The bytes are not a packet.
    MALFORMED_PACKET = 0x81, "malformed packet";
    /// A packet that is not allowed here.
    PROTOCOL_ERROR = 0x82, "protocol error";
    /// Valid, and not accepted by this server.
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83, "implementation specific error";
    /// CONNACK: the version is not spoken here.
    UNSUPPORTED_PROTOCOL_VERSION = 0x84, "unsupported protocol version";
    /// CONNACK: the client identifier is not allowed.
    CLIENT_IDENTIFIER_NOT_VALID = 0x85, "client identifier not valid";
    /// CONNACK: unknown user or wrong password.
    BAD_USER_NAME_OR_PASSWORD = 0x86, "bad user name or password";
    /// The sender may not do this.
    NOT_AUTHORIZED = 0x87, "not authorized";
    /// CONNACK: the server cannot answer now.
    SERVER_UNAVAILABLE = 0x88, "server unavailable";
    /// The server has too much to do.
    SERVER_BUSY = 0x89, "server busy";
    /// CONNACK: this client is banned.
    BANNED = 0x8A, "banned";
    /// DISCONNECT: the server goes down.
    SERVER_SHUTTING_DOWN = 0x8B, "server shutting down";
    /// The authentication method is unknown or not the one of CONNECT.
    BAD_AUTHENTICATION_METHOD = 0x8C, "bad authentication method";
    /// DISCONNECT: nothing came for 1.5 times the keep alive.
    KEEP_ALIVE_TIMEOUT = 0x8D, "keep alive timeout";
    /// DISCONNECT: another connection uses the client identifier.
    SESSION_TAKEN_OVER = 0x8E, "session taken over";
    /// The filter is well formed and not accepted.
    TOPIC_FILTER_INVALID = 0x8F, "topic filter invalid";
    /// The topic is well formed and not accepted.
    TOPIC_NAME_INVALID = 0x90, "topic name invalid";
    /// The packet id is in use.
    PACKET_IDENTIFIER_IN_USE = 0x91, "packet identifier in use";
    /// The packet id is unknown.
    PACKET_IDENTIFIER_NOT_FOUND = 0x92, "packet identifier not found";
    /// More unacknowledged messages than the receive maximum.
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "receive maximum exceeded";
    /// The topic alias is above the maximum, or unknown.
    TOPIC_ALIAS_INVALID = 0x94, "topic alias invalid";
    /// The packet is larger than the maximum packet size.
    PACKET_TOO_LARGE = 0x95, "packet too large";
    /// Too many messages in too short a time.
    MESSAGE_RATE_TOO_HIGH = 0x96, "message rate too high";
    /// A bound of this server is reached.
    QUOTA_EXCEEDED = 0x97, "quota exceeded";
    /// An operator closed the connection.
    ADMINISTRATIVE_ACTION = 0x98, "administrative action";
    /// The payload is not what its format indicator says.
    PAYLOAD_FORMAT_INVALID = 0x99, "payload format invalid";
    /// The server keeps no retained messages.
    RETAIN_NOT_SUPPORTED = 0x9A, "retain not supported";
    /// The QoS is above the server's maximum.
    QOS_NOT_SUPPORTED = 0x9B, "QoS not supported";
    /// Use the other server for now.
    USE_ANOTHER_SERVER = 0x9C, "use another server";
    /// Use the other server from now on.
    SERVER_MOVED = 0x9D, "server moved";
    /// No shared subscriptions here.
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E, "shared subscriptions not supported";
    /// Too many connections in too short a time.
    CONNECTION_RATE_EXCEEDED = 0x9F, "connection rate exceeded";
    /// DISCONNECT: the longest allowed connection time is over.
    MAXIMUM_CONNECT_TIME = 0xA0, "maximum connect time";
    /// No subscription identifiers here.
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1, "subscription identifiers not supported";
    /// No wildcards here.
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2, "wildcard subscriptions not supported";
}

impl ReasonCode {
    /// Whether the code means failure.
    pub const fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// The return code of a CONNACK in MQTT 3.1 and 3.1.1 (3.1.1 table 3.1).
    ///
    /// `None`: there is no code for it; close the connection without a CONNACK ([MQTT-3.2.2-6]).
    pub const fn to_v3_connack(self) -> Option<u8> {
        match self {
            Self::SUCCESS => Some(0),
            Self::UNSUPPORTED_PROTOCOL_VERSION => Some(1),
            Self::CLIENT_IDENTIFIER_NOT_VALID => Some(2),
            Self::SERVER_UNAVAILABLE
            | Self::SERVER_BUSY
            | Self::SERVER_SHUTTING_DOWN
            | Self::QUOTA_EXCEEDED
            | Self::USE_ANOTHER_SERVER
            | Self::SERVER_MOVED
            | Self::CONNECTION_RATE_EXCEEDED => Some(3),
            Self::BAD_USER_NAME_OR_PASSWORD | Self::BAD_AUTHENTICATION_METHOD => Some(4),
            Self::NOT_AUTHORIZED | Self::BANNED => Some(5),
            _ => None,
        }
    }

    /// The reason that a CONNACK return code of MQTT 3.1 and 3.1.1 stands for; `None` for a reserved code.
    pub const fn from_v3_connack(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::SUCCESS),
            1 => Some(Self::UNSUPPORTED_PROTOCOL_VERSION),
            2 => Some(Self::CLIENT_IDENTIFIER_NOT_VALID),
            3 => Some(Self::SERVER_UNAVAILABLE),
            4 => Some(Self::BAD_USER_NAME_OR_PASSWORD),
            5 => Some(Self::NOT_AUTHORIZED),
            _ => None,
        }
    }

    /// The return code of a SUBACK in MQTT 3: the granted QoS, or 0x80 for every failure (3.1.1 §3.9.3).
    pub const fn to_v3_suback(self) -> u8 {
        if self.is_failure() { 0x80 } else { self.0 }
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X} {}", self.0, self.name())
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_v3_return_codes_map_to_reasons_and_back() {
        for code in 0..=5 {
            let reason = ReasonCode::from_v3_connack(code).unwrap();
            assert_eq!(reason.to_v3_connack(), Some(code), "{reason}");
        }
        assert_eq!(ReasonCode::from_v3_connack(6), None);
    }

    #[test]
    fn a_reason_that_v3_cannot_say_closes_without_a_connack() {
        assert_eq!(ReasonCode::MALFORMED_PACKET.to_v3_connack(), None);
        assert_eq!(ReasonCode::TOPIC_FILTER_INVALID.to_v3_suback(), 0x80);
        assert_eq!(ReasonCode::GRANTED_QOS_2.to_v3_suback(), 2);
    }
}
