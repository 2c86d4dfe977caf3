//! Encodes the packets of either side.
//!
//! Acknowledgements and PUBLISH are written straight into the output; the others, which are rare, by way of a
//! buffer of their own, because their length stands in front.

use bytes::BufMut;
use kernel::Secret;

use super::decode::packet_type;
use super::frame::Delivery;
use super::packet::{
    Ack, Auth, ConnAck, Connect, Diagnostics, Disconnect, Packet, Publish, QoS, SubAck, Subscribe,
    SubscriptionOptions, UnsubAck, Unsubscribe, UserProperty, Version, Will,
};
use super::property;
use super::reason::ReasonCode;
use super::text::Text;

/// Largest remaining length (§2.1.4).
pub(super) const LARGEST_BODY: usize = 268_435_455;

/// What cannot be put into bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or data of more than 65,535 bytes.
    #[error("string or data is longer than 65,535 bytes")]
    FieldTooLong,
    /// A packet of more than 268,435,455 bytes.
    #[error("packet is longer than 268,435,455 bytes")]
    PacketTooLong,
    /// The version has no words for it: AUTH, or a CONNACK reason without a return code, in MQTT 3.
    #[error("packet does not exist in this version")]
    NotInVersion,
    /// A PUBLISH with QoS 1 or 2 needs a packet identifier, and one with QoS 0 must not have one.
    #[error("packet identifier does not fit the QoS")]
    PacketIdMismatch,
}

type Result<T> = std::result::Result<T, EncodeError>;

/// Appends a packet to `out`, in the language of `version`. What the version cannot say is left out.
///
/// A DISCONNECT of a server does not exist in MQTT 3: the caller closes the connection instead.
///
/// # Errors
///
/// [`EncodeError`]; `out` is as it was then.
pub fn encode(packet: &Packet, version: Version, out: &mut impl BufMut) -> Result<()> {
    match packet {
        Packet::Publish(publish) => encode_publish(publish, version, out),
        Packet::PubAck(packet) => ack(packet_type::PUBACK << 4, packet, version, out),
        Packet::PubRec(packet) => ack(packet_type::PUBREC << 4, packet, version, out),
        Packet::PubRel(packet) => ack(packet_type::PUBREL << 4 | 0b0010, packet, version, out),
        Packet::PubComp(packet) => ack(packet_type::PUBCOMP << 4, packet, version, out),
        Packet::PingReq => empty(packet_type::PINGREQ, out),
        Packet::PingResp => empty(packet_type::PINGRESP, out),
        Packet::Connect(packet) => framed(packet_type::CONNECT << 4, &connect(packet)?, out),
        Packet::ConnAck(packet) => framed(packet_type::CONNACK << 4, &connack(packet, version)?, out),
        Packet::Subscribe(packet) => {
            framed(packet_type::SUBSCRIBE << 4 | 0b0010, &subscribe(packet, version)?, out)
        }
        Packet::SubAck(packet) => framed(packet_type::SUBACK << 4, &suback(packet, version)?, out),
        Packet::Unsubscribe(packet) => {
            framed(packet_type::UNSUBSCRIBE << 4 | 0b0010, &unsubscribe(packet, version)?, out)
        }
        Packet::UnsubAck(packet) => framed(packet_type::UNSUBACK << 4, &unsuback(packet, version)?, out),
        Packet::Disconnect(packet) => {
            framed(packet_type::DISCONNECT << 4, &disconnect(packet, version)?, out)
        }
        Packet::Auth(packet) => framed(packet_type::AUTH << 4, &auth(packet, version)?, out),
    }
}

fn encode_publish(publish: &Publish, version: Version, out: &mut impl BufMut) -> Result<()> {
    let delivery = Delivery {
        version,
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: &[publish.topic.as_bytes()],
        payload: &publish.payload,
        topic_alias: publish.topic_alias,
        message_expiry: publish.message_expiry,
        subscription_ids: &publish.subscription_ids,
        properties: &publish.properties,
    };
    delivery.append_to(publish.packet_id, out)
}

fn empty(kind: u8, out: &mut impl BufMut) -> Result<()> {
    out.put_slice(&[kind << 4, 0]);
    Ok(())
}

/// Writes a fixed header and a body.
fn framed(first: u8, body: &[u8], out: &mut impl BufMut) -> Result<()> {
    if body.len() > LARGEST_BODY {
        return Err(EncodeError::PacketTooLong);
    }
    out.put_u8(first);
    put_variable_byte_integer(body.len(), out);
    out.put_slice(body);
    Ok(())
}

/// Writes an acknowledgement as short as it can be said (§3.4.2.1).
fn ack(first: u8, ack: &Ack, version: Version, out: &mut impl BufMut) -> Result<()> {
    let [high, low] = ack.packet_id.get().to_be_bytes();
    match &ack.diagnostics {
        Some(diagnostics) if version.is_v5() => {
            let mut body = vec![high, low, ack.reason.0];
            PropertyWriter::default().diagnostics(diagnostics)?.finish(&mut body);
            framed(first, &body, out)?;
        }
        _ if version.is_v5() && ack.reason != ReasonCode::SUCCESS => {
            out.put_slice(&[first, 3, high, low, ack.reason.0]);
        }
        _ => out.put_slice(&[first, 2, high, low]),
    }
    Ok(())
}

fn connect(connect: &Connect) -> Result<Vec<u8>> {
    let version = connect.version;
    let mut body = Vec::new();
    let (name, level): (&[u8], u8) = match version {
        Version::V31 => (b"MQIsdp", 3),
        Version::V311 => (b"MQTT", 4),
        Version::V5 => (b"MQTT", 5),
    };
    put_field(name, &mut body)?;
    body.extend_from_slice(&[level, connect_flags(connect)]);
    body.put_u16(connect.keep_alive);
    if version.is_v5() {
        connect_properties(connect)?.finish(&mut body);
    }
    put_text(&connect.client_id, &mut body)?;
    if let Some(will) = &connect.will {
        if version.is_v5() {
            will_properties(will).finish(&mut body);
        }
        put_text(&will.topic, &mut body)?;
        put_field(&will.payload, &mut body)?;
    }
    if let Some(user_name) = &connect.user_name {
        put_text(user_name, &mut body)?;
    }
    if let Some(password) = &connect.password {
        put_field(password.expose(), &mut body)?;
    }
    Ok(body)
}

fn connect_flags(connect: &Connect) -> u8 {
    let will =
        connect.will.as_ref().map_or(0, |will| 0b100 | will.qos.bits() << 3 | u8::from(will.retain) << 5);
    u8::from(connect.clean_start) << 1
        | will
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.user_name.is_some()) << 7
}

fn connect_properties(connect: &Connect) -> Result<PropertyWriter> {
    PropertyWriter::default()
        .u32(property::SESSION_EXPIRY, Some(connect.session_expiry).filter(|&seconds| seconds != 0))
        .u16(
            property::RECEIVE_MAXIMUM,
            Some(connect.receive_maximum.get()).filter(|&maximum| maximum != u16::MAX),
        )
        .u32(property::MAXIMUM_PACKET_SIZE, connect.maximum_packet_size.map(u32::from))
        .u16(property::TOPIC_ALIAS_MAXIMUM, Some(connect.topic_alias_maximum).filter(|&maximum| maximum != 0))
        .unless_default(property::REQUEST_RESPONSE_INFORMATION, connect.request_response_information, false)
        .unless_default(property::REQUEST_PROBLEM_INFORMATION, connect.request_problem_information, true)
        .text(property::AUTHENTICATION_METHOD, connect.authentication_method.as_ref())?
        .secret(property::AUTHENTICATION_DATA, connect.authentication_data.as_ref())?
        .user_properties(&connect.user_properties)
}

fn will_properties(will: &Will) -> PropertyWriter {
    PropertyWriter::default()
        .u32(property::WILL_DELAY, Some(will.delay).filter(|&seconds| seconds != 0))
        .u32(property::MESSAGE_EXPIRY, will.message_expiry)
        .encoded(will.properties.as_encoded())
}

fn connack(connack: &ConnAck, version: Version) -> Result<Vec<u8>> {
    // A refusal never claims a session ([MQTT-3.2.2-6]), and MQTT 3.1 has no such flag.
    let session_present = connack.session_present && !connack.reason.is_failure() && version != Version::V31;
    let code = match version {
        Version::V5 => connack.reason.0,
        Version::V31 | Version::V311 => connack.reason.to_v3_connack().ok_or(EncodeError::NotInVersion)?,
    };
    let mut body = vec![u8::from(session_present), code];
    if version.is_v5() {
        connack_properties(connack)?.finish(&mut body);
    }
    Ok(body)
}

fn connack_properties(connack: &ConnAck) -> Result<PropertyWriter> {
    let maximum_qos = Some(connack.maximum_qos).filter(|&qos| qos != QoS::ExactlyOnce);
    PropertyWriter::default()
        .u32(property::SESSION_EXPIRY, connack.session_expiry)
        .u16(
            property::RECEIVE_MAXIMUM,
            Some(connack.receive_maximum.get()).filter(|&maximum| maximum != u16::MAX),
        )
        .u8(property::MAXIMUM_QOS, maximum_qos.map(QoS::bits))
        .unless_default(property::RETAIN_AVAILABLE, connack.retain_available, true)
        .u32(property::MAXIMUM_PACKET_SIZE, connack.maximum_packet_size.map(u32::from))
        .u16(property::TOPIC_ALIAS_MAXIMUM, Some(connack.topic_alias_maximum).filter(|&maximum| maximum != 0))
        .unless_default(
            property::WILDCARD_SUBSCRIPTION_AVAILABLE,
            connack.wildcard_subscription_available,
            true,
        )
        .unless_default(property::SUBSCRIPTION_IDS_AVAILABLE, connack.subscription_ids_available, true)
        .unless_default(property::SHARED_SUBSCRIPTION_AVAILABLE, connack.shared_subscription_available, true)
        .u16(property::SERVER_KEEP_ALIVE, connack.server_keep_alive)
        .text(property::ASSIGNED_CLIENT_ID, connack.assigned_client_id.as_ref())?
        .text(property::RESPONSE_INFORMATION, connack.response_information.as_ref())?
        .text(property::SERVER_REFERENCE, connack.server_reference.as_ref())?
        .text(property::AUTHENTICATION_METHOD, connack.authentication_method.as_ref())?
        .secret(property::AUTHENTICATION_DATA, connack.authentication_data.as_ref())?
        .diagnostics(&connack.diagnostics)
}

fn subscribe(subscribe: &Subscribe, version: Version) -> Result<Vec<u8>> {
    let mut body = subscribe.packet_id.get().to_be_bytes().to_vec();
    if version.is_v5() {
        let mut properties = PropertyWriter::default();
        if let Some(id) = subscribe.subscription_id {
            properties.0.put_u8(property::SUBSCRIPTION_ID);
            put_variable_byte_integer(usize::try_from(id.get()).unwrap_or(usize::MAX), &mut properties.0);
        }
        properties.user_properties(&subscribe.user_properties)?.finish(&mut body);
    }
    for subscription in &subscribe.filters {
        put_text(&subscription.filter, &mut body)?;
        body.push(options(subscription.options, version));
    }
    Ok(body)
}

fn options(options: SubscriptionOptions, version: Version) -> u8 {
    let v5 = u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4;
    options.qos.bits() | if version.is_v5() { v5 } else { 0 }
}

fn suback(suback: &SubAck, version: Version) -> Result<Vec<u8>> {
    let mut body = suback.packet_id.get().to_be_bytes().to_vec();
    if version.is_v5() {
        PropertyWriter::default().diagnostics(&suback.diagnostics)?.finish(&mut body);
        body.extend(suback.reasons.iter().map(|reason| reason.0));
    } else {
        body.extend(suback.reasons.iter().map(|reason| reason.to_v3_suback()));
    }
    Ok(body)
}

fn unsubscribe(unsubscribe: &Unsubscribe, version: Version) -> Result<Vec<u8>> {
    let mut body = unsubscribe.packet_id.get().to_be_bytes().to_vec();
    if version.is_v5() {
        PropertyWriter::default().user_properties(&unsubscribe.user_properties)?.finish(&mut body);
    }
    for filter in &unsubscribe.filters {
        put_text(filter, &mut body)?;
    }
    Ok(body)
}

fn unsuback(unsuback: &UnsubAck, version: Version) -> Result<Vec<u8>> {
    let mut body = unsuback.packet_id.get().to_be_bytes().to_vec();
    if version.is_v5() {
        PropertyWriter::default().diagnostics(&unsuback.diagnostics)?.finish(&mut body);
        body.extend(unsuback.reasons.iter().map(|reason| reason.0));
    }
    Ok(body)
}

fn disconnect(disconnect: &Disconnect, version: Version) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if !version.is_v5() {
        return Ok(body);
    }
    let properties = PropertyWriter::default()
        .u32(property::SESSION_EXPIRY, disconnect.session_expiry)
        .text(property::SERVER_REFERENCE, disconnect.server_reference.as_ref())?
        .diagnostics(&disconnect.diagnostics)?;
    if !properties.0.is_empty() || disconnect.reason != ReasonCode::SUCCESS {
        body.push(disconnect.reason.0);
        properties.finish(&mut body);
    }
    Ok(body)
}

fn auth(auth: &Auth, version: Version) -> Result<Vec<u8>> {
    if !version.is_v5() {
        return Err(EncodeError::NotInVersion);
    }
    let mut body = vec![auth.reason.0];
    PropertyWriter::default()
        .text(property::AUTHENTICATION_METHOD, auth.method.as_ref())?
        .secret(property::AUTHENTICATION_DATA, auth.data.as_ref())?
        .diagnostics(&auth.diagnostics)?
        .finish(&mut body);
    Ok(body)
}

/// Gathers a property section; its length is written in front of it by [`PropertyWriter::finish`].
#[derive(Default)]
struct PropertyWriter(Vec<u8>);

impl PropertyWriter {
    fn u8(mut self, identifier: u8, value: Option<u8>) -> Self {
        if let Some(value) = value {
            self.0.extend_from_slice(&[identifier, value]);
        }
        self
    }

    fn u16(mut self, identifier: u8, value: Option<u16>) -> Self {
        if let Some(value) = value {
            self.0.put_u8(identifier);
            self.0.put_u16(value);
        }
        self
    }

    fn u32(mut self, identifier: u8, value: Option<u32>) -> Self {
        if let Some(value) = value {
            self.0.put_u8(identifier);
            self.0.put_u32(value);
        }
        self
    }

    /// A boolean whose absence means `default`.
    fn unless_default(self, identifier: u8, value: bool, default: bool) -> Self {
        self.u8(identifier, (value != default).then_some(u8::from(value)))
    }

    fn text(mut self, identifier: u8, value: Option<&Text>) -> Result<Self> {
        if let Some(value) = value {
            self.0.put_u8(identifier);
            put_text(value, &mut self.0)?;
        }
        Ok(self)
    }

    fn secret(mut self, identifier: u8, value: Option<&Secret<Vec<u8>>>) -> Result<Self> {
        if let Some(value) = value {
            self.0.put_u8(identifier);
            put_field(value.expose(), &mut self.0)?;
        }
        Ok(self)
    }

    fn user_properties(mut self, properties: &[UserProperty]) -> Result<Self> {
        for (name, value) in properties {
            self.0.put_u8(property::USER_PROPERTY);
            put_text(name, &mut self.0)?;
            put_text(value, &mut self.0)?;
        }
        Ok(self)
    }

    fn diagnostics(self, diagnostics: &Diagnostics) -> Result<Self> {
        self.text(property::REASON_STRING, diagnostics.reason_string.as_ref())?
            .user_properties(&diagnostics.user_properties)
    }

    fn encoded(mut self, properties: &[u8]) -> Self {
        self.0.extend_from_slice(properties);
        self
    }

    /// Appends the section with its length. A section beyond the largest length makes its packet too long too,
    /// which [`framed`] refuses.
    fn finish(self, body: &mut Vec<u8>) {
        put_variable_byte_integer(self.0.len(), body);
        body.extend_from_slice(&self.0);
    }
}

fn put_text(text: &Text, out: &mut Vec<u8>) -> Result<()> {
    put_field(text.as_bytes(), out)
}

fn put_field(field: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.put_u16(u16::try_from(field.len()).map_err(|_| EncodeError::FieldTooLong)?);
    out.extend_from_slice(field);
    Ok(())
}

/// Length of a variable byte integer up to [`LARGEST_BODY`].
pub(super) const fn variable_byte_integer_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Writes a variable byte integer (§1.5.5).
pub(super) fn put_variable_byte_integer(mut value: usize, out: &mut impl BufMut) {
    loop {
        let seven_bits = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            out.put_u8(seven_bits);
            return;
        }
        out.put_u8(seven_bits | 0x80);
    }
}
