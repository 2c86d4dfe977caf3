//! The message as the bus carries it.

use messaging::{IdentityKey, PublishedMessage};

/// Package `messaging`, message `Message` (reference 05 §10.1).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Message {
    /// Id of the channel.
    #[prost(string, tag = "1")]
    pub channel: String,
    /// Id of the domain.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// Levels below the channel, separated by dots as upstream has it on NATS; may be empty.
    #[prost(string, tag = "3")]
    pub subtopic: String,
    /// Id of the client or user that sent it.
    #[prost(string, tag = "4")]
    pub publisher: String,
    /// `mqtt`, `http`, `websocket` or `coap`.
    #[prost(string, tag = "5")]
    pub protocol: String,
    /// What was sent.
    #[prost(bytes = "bytes", tag = "6")]
    pub payload: bytes::Bytes,
    /// When it was received: Unix nanoseconds.
    #[prost(int64, tag = "7")]
    pub created: i64,
    /// The client identifier of the protocol; the publisher where it has none.
    #[prost(string, tag = "8")]
    pub client_id: String,
}

impl Message {
    /// A published message, in memory of its own.
    pub(crate) fn of(published: &PublishedMessage<'_>) -> Self {
        let publisher = id(published.publisher);
        let client_id = if published.client_id.is_empty() { &publisher } else { published.client_id };
        Self {
            channel: published.channel.to_string(),
            domain: published.domain.to_string(),
            subtopic: published.subtopic.replace('/', "."),
            client_id: client_id.to_owned(),
            publisher,
            protocol: published.protocol.name().to_owned(),
            // The engine's buffer may hold much more than this payload.
            payload: bytes::Bytes::copy_from_slice(published.payload),
            created: published.created.micros().saturating_mul(1_000),
        }
    }
}

/// The id of a client or of a user.
pub(crate) fn id(identity: IdentityKey) -> String {
    match identity {
        IdentityKey::Client(client) => client.to_string(),
        IdentityKey::User(user) => user.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kernel::Timestamp;
    use messaging::wire::QoS;
    use prost::Message as _;

    use super::*;

    const ID: &str = "00000000-0000-4000-8000-00000000000";

    fn published<'a>(payload: &'a Bytes, client_id: &'a str) -> PublishedMessage<'a> {
        PublishedMessage {
            publisher: IdentityKey::Client(format!("{ID}1").parse().unwrap()),
            client_id,
            protocol: messaging::Protocol::Mqtt,
            domain: format!("{ID}2").parse().unwrap(),
            channel: format!("{ID}3").parse().unwrap(),
            subtopic: "a/b",
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            created: Timestamp::from_micros(7),
        }
    }

    #[test]
    fn fields_have_the_numbers_of_the_reference() {
        let payload = Bytes::from_static(b"xy");
        let bytes = Message::of(&published(&payload, "device")).encode_to_vec();
        let mut expected = Vec::new();
        for (number, text) in [(1_u8, format!("{ID}3")), (2, format!("{ID}2")), (3, "a.b".into())] {
            expected.extend([number << 3 | 2, u8::try_from(text.len()).unwrap()]);
            expected.extend(text.as_bytes());
        }
        expected.extend([4 << 3 | 2, 36]);
        expected.extend(format!("{ID}1").as_bytes());
        expected.extend(b"\x2a\x04mqtt\x32\x02xy");
        // 7,000 ns as a varint.
        expected.extend([7 << 3, 0xd8, 0x36]);
        expected.extend(b"\x42\x06device");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_protocol_without_client_identifiers_names_the_publisher() {
        let message = Message::of(&published(&Bytes::new(), ""));
        assert_eq!(message.client_id, message.publisher);
    }
}
