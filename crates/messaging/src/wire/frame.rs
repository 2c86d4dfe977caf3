//! PUBLISH towards subscribers: encoded once, copied for each.
//!
//! A [`Delivery`] is a message as one subscriber is to see it. What many subscribers see alike becomes a
//! [`Frame`]: its bytes are the whole packet, and only the packet identifier differs from copy to copy.
//! Subscribers with a subscription identifier, a topic alias or a running message expiry get a delivery of
//! their own.

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes};

use super::decode::packet_type;
use super::encode::{EncodeError, LARGEST_BODY, put_variable_byte_integer, variable_byte_integer_len};
use super::message_properties::MessageProperties;
use super::packet::{PacketId, QoS, SubscriptionId, Version};
use super::property;

/// The DUP flag in the first byte of a PUBLISH (§3.3.1.1).
const DUP: u8 = 0b1000;

/// A message as a subscriber is to see it. In MQTT 3 alias, expiry, identifiers and properties are left out.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Version of the subscriber's connection.
    pub version: Version,
    /// A repetition; never with QoS 0.
    pub dup: bool,
    /// Delivery guarantee.
    pub qos: QoS,
    /// The message was kept, or is to look as it was published.
    pub retain: bool,
    /// The topic in pieces that are written one after the other, so that a prefix in the subscriber's spelling
    /// and the rest of the topic need not be joined first.
    pub topic: &'a [&'a [u8]],
    /// Payload.
    pub payload: &'a [u8],
    /// Alias to set or use.
    pub topic_alias: Option<NonZeroU16>,
    /// Seconds left.
    pub message_expiry: Option<u32>,
    /// Identifiers of the subscriptions that match.
    pub subscription_ids: &'a [SubscriptionId],
    /// Properties of the message.
    pub properties: &'a MessageProperties,
}

impl Delivery<'_> {
    /// Appends the packet to `out`.
    ///
    /// # Errors
    ///
    /// A topic or packet that is too long, or a packet identifier that does not fit the QoS; `out` is as it was.
    pub fn append_to(&self, packet_id: Option<PacketId>, out: &mut impl BufMut) -> Result<(), EncodeError> {
        if packet_id.is_some() != (self.qos > QoS::AtMostOnce) {
            return Err(EncodeError::PacketIdMismatch);
        }
        self.write(self.layout()?, packet_id, out);
        Ok(())
    }

    /// Encodes the packet for copying.
    ///
    /// # Errors
    ///
    /// As for [`Delivery::append_to`].
    pub fn to_frame(&self) -> Result<Frame, EncodeError> {
        let layout = self.layout()?;
        let mut bytes = Vec::with_capacity(layout.total());
        let placeholder = (self.qos > QoS::AtMostOnce).then_some(PacketId::MIN);
        self.write(layout, placeholder, &mut bytes);
        let packet_id_at = placeholder.map(|_| layout.packet_id_at());
        Ok(Frame { bytes: bytes.into(), packet_id_at })
    }

    /// Length of the packet in bytes, to be compared with a client's maximum packet size ([MQTT-3.1.2-24]).
    ///
    /// # Errors
    ///
    /// As for [`Delivery::append_to`].
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        self.layout().map(Layout::total)
    }

    fn layout(&self) -> Result<Layout, EncodeError> {
        let topic: usize = self.topic.iter().map(|piece| piece.len()).sum();
        let topic_len = u16::try_from(topic).map_err(|_| EncodeError::FieldTooLong)?;
        let packet_id = if self.qos > QoS::AtMostOnce { 2 } else { 0 };
        let properties = if self.version.is_v5() { self.properties_len() } else { 0 };
        let properties_prefix = if self.version.is_v5() { variable_byte_integer_len(properties) } else { 0 };
        let body = 2 + topic + packet_id + properties_prefix + properties + self.payload.len();
        if body > LARGEST_BODY {
            return Err(EncodeError::PacketTooLong);
        }
        Ok(Layout { topic_len, properties, body })
    }

    fn properties_len(&self) -> usize {
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let expiry = if self.message_expiry.is_some() { 5 } else { 0 };
        let ids: usize =
            self.subscription_ids.iter().map(|&id| 1 + variable_byte_integer_len(id_value(id))).sum();
        alias + expiry + ids + self.properties.as_encoded().len()
    }

    fn write(&self, layout: Layout, packet_id: Option<PacketId>, out: &mut impl BufMut) {
        let dup = if self.dup { DUP } else { 0 };
        out.put_u8(packet_type::PUBLISH << 4 | dup | self.qos.bits() << 1 | u8::from(self.retain));
        put_variable_byte_integer(layout.body, out);
        out.put_u16(layout.topic_len);
        for piece in self.topic {
            out.put_slice(piece);
        }
        if let Some(packet_id) = packet_id {
            out.put_u16(packet_id.get());
        }
        if self.version.is_v5() {
            self.write_properties(layout.properties, out);
        }
        out.put_slice(self.payload);
    }

    fn write_properties(&self, length: usize, out: &mut impl BufMut) {
        put_variable_byte_integer(length, out);
        if let Some(alias) = self.topic_alias {
            out.put_u8(property::TOPIC_ALIAS);
            out.put_u16(alias.get());
        }
        if let Some(seconds) = self.message_expiry {
            out.put_u8(property::MESSAGE_EXPIRY);
            out.put_u32(seconds);
        }
        for &id in self.subscription_ids {
            out.put_u8(property::SUBSCRIPTION_ID);
            put_variable_byte_integer(id_value(id), out);
        }
        out.put_slice(self.properties.as_encoded());
    }
}

fn id_value(id: SubscriptionId) -> usize {
    usize::try_from(id.get()).unwrap_or(usize::MAX)
}

/// Lengths of the parts of a PUBLISH, in bytes.
#[derive(Debug, Clone, Copy)]
struct Layout {
    topic_len: u16,
    properties: usize,
    /// All after the fixed header.
    body: usize,
}

impl Layout {
    fn total(self) -> usize {
        1 + variable_byte_integer_len(self.body) + self.body
    }

    fn packet_id_at(self) -> usize {
        1 + variable_byte_integer_len(self.body) + 2 + usize::from(self.topic_len)
    }
}

/// An encoded PUBLISH that is copied to many subscribers. A clone is a reference count.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    /// Where the packet identifier stands; `None` for QoS 0.
    packet_id_at: Option<usize>,
}

impl Frame {
    /// Length in bytes, the same for every copy.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether copies need a packet identifier, which is so above QoS 0.
    pub fn needs_packet_id(&self) -> bool {
        self.packet_id_at.is_some()
    }

    /// Appends a copy to `out`; `packet_id` is given exactly when [`Frame::needs_packet_id`].
    pub fn append_to(&self, packet_id: Option<PacketId>, out: &mut impl BufMut) {
        debug_assert_eq!(
            packet_id.is_some(),
            self.needs_packet_id(),
            "packet identifier does not fit the QoS"
        );
        let split = self.packet_id_at.zip(packet_id).and_then(|(at, id)| self.split(at).zip(Some(id)));
        match split {
            Some(((head, tail), packet_id)) => {
                out.put_slice(head);
                out.put_u16(packet_id.get());
                out.put_slice(tail);
            }
            None => out.put_slice(&self.bytes),
        }
    }

    /// Appends a repetition, marked as such ([MQTT-3.3.1-1]); for frames that need a packet identifier.
    pub fn append_again_to(&self, packet_id: PacketId, out: &mut impl BufMut) {
        debug_assert!(self.needs_packet_id(), "QoS 0 is never repeated");
        let Some((head, tail)) = self.packet_id_at.and_then(|at| self.split(at)) else { return };
        let Some((first, head)) = head.split_first() else { return };
        out.put_u8(first | DUP);
        out.put_slice(head);
        out.put_u16(packet_id.get());
        out.put_slice(tail);
    }

    /// What stands before and after the packet identifier.
    fn split(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let (head, rest) = self.bytes.split_at_checked(at)?;
        let (_, tail) = rest.split_first_chunk::<2>()?;
        Some((head, tail))
    }
}
