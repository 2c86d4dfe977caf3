//! The properties of a message that a server forwards unaltered, kept in their encoded form.
//!
//! MQTT 5 obliges a server to send payload format, content type, response topic, correlation data and user
//! properties on as they came ([MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-20]). Hardly anybody on the way
//! reads them, so they stay the bytes that they were: forwarding is a copy, reading one is a walk.

use bytes::{BufMut, Bytes, BytesMut};

/// One property of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageProperty<'a> {
    /// Payload format indicator: whether the payload is UTF-8 text.
    PayloadIsText(bool),
    /// Content type of the payload, for example `application/json`.
    ContentType(&'a str),
    /// Where an answer to this message is expected.
    ResponseTopic(&'a str),
    /// What the asker needs to find its question again.
    CorrelationData(&'a [u8]),
    /// A name and a value of the application; the same name may come several times.
    User(&'a str, &'a str),
}

/// Encoded properties of a message that are forwarded unaltered; empty for MQTT 3.
///
/// INVARIANT: the bytes are a valid sequence of the five properties of [`MessageProperty`]; all but `User` occur
/// at most once. The decoder and [`MessageProperties::new`] are the only makers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageProperties(Bytes);

impl MessageProperties {
    /// Encodes properties, in the order given. Strings and data longer than 65,535 bytes cannot be encoded and
    /// are left out, and so is the second one of a kind that may occur only once.
    pub fn new<'a>(properties: impl IntoIterator<Item = MessageProperty<'a>>) -> Self {
        let mut out = BytesMut::new();
        let mut seen = 0_u8;
        for property in properties {
            let bit = match property {
                MessageProperty::PayloadIsText(_) => 1,
                MessageProperty::ContentType(_) => 2,
                MessageProperty::ResponseTopic(_) => 4,
                MessageProperty::CorrelationData(_) => 8,
                MessageProperty::User(..) => 0,
            };
            if seen & bit == 0 {
                seen |= bit;
                put_property(&mut out, property);
            }
        }
        Self(out.freeze())
    }

    /// Reads the encoded form, as far as it is one.
    pub fn from_encoded(bytes: &[u8]) -> Self {
        Self::new(MessagePropertyIter { rest: bytes })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded form, without a length in front.
    pub fn as_encoded(&self) -> &[u8] {
        &self.0
    }

    /// All properties in their order.
    pub fn iter(&self) -> MessagePropertyIter<'_> {
        MessagePropertyIter { rest: &self.0 }
    }

    /// Content type of the payload.
    pub fn content_type(&self) -> Option<&str> {
        self.iter().find_map(|property| match property {
            MessageProperty::ContentType(value) => Some(value),
            _ => None,
        })
    }

    /// The same properties in memory of their own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Wraps bytes that the decoder has checked.
    pub(super) fn from_checked(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl<'a> IntoIterator for &'a MessageProperties {
    type Item = MessageProperty<'a>;
    type IntoIter = MessagePropertyIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Identifiers of the forwarded properties (MQTT 5.0 §2.2.2.2).
pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const USER_PROPERTY: u8 = 0x26;

fn put_property(out: &mut BytesMut, property: MessageProperty<'_>) {
    match property {
        MessageProperty::PayloadIsText(text) => out.put_slice(&[PAYLOAD_FORMAT, u8::from(text)]),
        MessageProperty::ContentType(value) => put_fields(out, CONTENT_TYPE, &[value.as_bytes()]),
        MessageProperty::ResponseTopic(value) => put_fields(out, RESPONSE_TOPIC, &[value.as_bytes()]),
        MessageProperty::CorrelationData(value) => put_fields(out, CORRELATION_DATA, &[value]),
        MessageProperty::User(name, value) => {
            put_fields(out, USER_PROPERTY, &[name.as_bytes(), value.as_bytes()]);
        }
    }
}

/// Writes an identifier and its length-prefixed fields, or nothing when a field is too long for its prefix.
fn put_fields(out: &mut BytesMut, identifier: u8, fields: &[&[u8]]) {
    if fields.iter().any(|field| u16::try_from(field.len()).is_err()) {
        return;
    }
    out.put_u8(identifier);
    for field in fields {
        out.put_u16(u16::try_from(field.len()).unwrap_or(0));
        out.put_slice(field);
    }
}

/// Walks over [`MessageProperties`].
#[derive(Debug, Clone)]
pub struct MessagePropertyIter<'a> {
    rest: &'a [u8],
}

impl<'a> MessagePropertyIter<'a> {
    fn field(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (field, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(field)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.field()?).ok()
    }
}

impl<'a> Iterator for MessagePropertyIter<'a> {
    type Item = MessageProperty<'a>;

    fn next(&mut self) -> Option<MessageProperty<'a>> {
        let (&identifier, rest) = self.rest.split_first()?;
        self.rest = rest;
        match identifier {
            PAYLOAD_FORMAT => {
                let (&value, rest) = self.rest.split_first()?;
                self.rest = rest;
                Some(MessageProperty::PayloadIsText(value == 1))
            }
            CONTENT_TYPE => Some(MessageProperty::ContentType(self.text()?)),
            RESPONSE_TOPIC => Some(MessageProperty::ResponseTopic(self.text()?)),
            CORRELATION_DATA => Some(MessageProperty::CorrelationData(self.field()?)),
            USER_PROPERTY => Some(MessageProperty::User(self.text()?, self.text()?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_read_back_in_their_order() {
        let given = [
            MessageProperty::User("a", "1"),
            MessageProperty::PayloadIsText(true),
            MessageProperty::ContentType("application/json"),
            MessageProperty::ResponseTopic("m/d/c/answers"),
            MessageProperty::CorrelationData(&[0, 255]),
            MessageProperty::User("a", "2"),
        ];
        let properties = MessageProperties::new(given);
        assert_eq!(properties.iter().collect::<Vec<_>>(), given);
        assert_eq!(properties.content_type(), Some("application/json"));
        assert_eq!(MessageProperties::from_encoded(properties.as_encoded()), properties);
    }

    #[test]
    fn what_cannot_be_encoded_is_left_out() {
        let long = "x".repeat(65_536);
        let properties = MessageProperties::new([
            MessageProperty::ContentType("a"),
            MessageProperty::ContentType("b"),
            MessageProperty::User("name", &long),
        ]);
        assert_eq!(properties.iter().collect::<Vec<_>>(), [MessageProperty::ContentType("a")]);
    }
}
