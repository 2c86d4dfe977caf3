//! Decodes PUBLISH and its acknowledgements: the hot path.

use std::num::NonZeroU16;

use super::decode::Side;
use super::message_properties::MessageProperties;
use super::packet::{Ack, Publish, QoS, SubscriptionId, Version};
use super::property::{self, Forwarded, Properties};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::text::Text;
use super::topic::check_topic_name;
use super::violation::Violation;

/// DUP, QoS and RETAIN of the fixed header.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublishFlags {
    dup: bool,
    qos: QoS,
    retain: bool,
}

impl PublishFlags {
    /// Reads the lower four bits of the first byte.
    pub(super) fn from_bits(bits: u8) -> Result<Self, Violation> {
        let dup = bits & 0b1000 != 0;
        let qos = QoS::from_bits(bits >> 1 & 0b11).ok_or(Violation::PublishQosInvalid)?;
        if dup && qos == QoS::AtMostOnce {
            return Err(Violation::DupWithQosZero);
        }
        Ok(Self { dup, qos, retain: bits & 1 != 0 })
    }
}

/// Decodes the body of a PUBLISH. `sender`: who wrote it.
///
/// The packet is put together in one expression at the end and everything around it is inlined, so that it is
/// written once, where the caller of the decoder wants it: moving it around costs a quarter of decoding it.
#[inline(always)]
pub(super) fn publish(
    body: &mut Reader<'_>,
    flags: u8,
    version: Version,
    sender: Side,
) -> Result<Publish, Violation> {
    let PublishFlags { dup, qos, retain } = PublishFlags::from_bits(flags)?;
    let topic = body.field()?;
    check_topic_name(topic)?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
    let properties = if version.is_v5() {
        publish_properties(Properties::read(body)?, sender)?
    } else {
        PublishProperties::default()
    };
    check_topic_present(topic, properties.topic_alias, version)?;
    Ok(Publish {
        dup,
        qos,
        retain,
        packet_id,
        topic: Text::from_checked(body.share(topic)),
        payload: body.remainder(),
        topic_alias: properties.topic_alias,
        message_expiry: properties.message_expiry,
        subscription_ids: properties.subscription_ids,
        properties: properties.forwarded,
    })
}

/// The properties of a PUBLISH.
#[derive(Default)]
struct PublishProperties {
    topic_alias: Option<NonZeroU16>,
    message_expiry: Option<u32>,
    subscription_ids: Vec<SubscriptionId>,
    forwarded: MessageProperties,
}

/// Nearly all messages have no properties, so the walk over them is kept out of the way.
#[inline(always)]
fn publish_properties(properties: Properties<'_>, sender: Side) -> Result<PublishProperties, Violation> {
    if properties.fields.is_empty() {
        return Ok(PublishProperties::default());
    }
    some_publish_properties(properties, sender)
}

#[inline(never)]
fn some_publish_properties(
    mut properties: Properties<'_>,
    sender: Side,
) -> Result<PublishProperties, Violation> {
    let mut found = PublishProperties::default();
    let mut forwarded = Forwarded::of(&properties);
    while let Some(identifier) = properties.next()? {
        match identifier {
            property::TOPIC_ALIAS => {
                let alias = NonZeroU16::new(properties.fields.u16()?).ok_or(Violation::TopicAliasZero)?;
                found.topic_alias = Some(alias);
            }
            property::MESSAGE_EXPIRY => found.message_expiry = Some(properties.fields.u32()?),
            property::SUBSCRIPTION_ID => {
                found.subscription_ids.push(subscription_id(&mut properties, sender)?);
            }
            _ => forwarded.take(identifier, &mut properties)?,
        }
    }
    found.forwarded = forwarded.finish();
    Ok(found)
}

/// A subscription identifier in a PUBLISH, which only a server may send ([MQTT-3.3.4-6]).
fn subscription_id(properties: &mut Properties<'_>, sender: Side) -> Result<SubscriptionId, Violation> {
    if sender == Side::Client {
        return Err(Violation::SubscriptionIdFromClient);
    }
    SubscriptionId::new(properties.fields.variable_byte_integer()?).ok_or(Violation::SubscriptionIdZero)
}

/// A message has a topic ([MQTT-4.7.3-1]); in MQTT 5 an alias may stand for it (§3.3.2.1).
fn check_topic_present(topic: &[u8], alias: Option<NonZeroU16>, version: Version) -> Result<(), Violation> {
    match (topic.is_empty(), version.is_v5(), alias) {
        (true, true, None) => Err(Violation::TopicMissing),
        (true, false, _) => Err(Violation::TopicEmpty),
        _ => Ok(()),
    }
}

/// Which reason codes an acknowledgement may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckKind {
    /// PUBACK and PUBREC (§3.4.2.1, §3.5.2.1).
    Received,
    /// PUBREL and PUBCOMP (§3.6.2.1, §3.7.2.1).
    Released,
}

/// Decodes PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(super) fn ack(body: &mut Reader<'_>, kind: AckKind, version: Version) -> Result<Ack, Violation> {
    let mut ack = Ack::new(body.packet_id()?);
    // Reason and properties may be absent in MQTT 5 too, and do not exist in MQTT 3.
    if !version.is_v5() || body.is_empty() {
        return Ok(ack);
    }
    ack.reason = ack_reason(body.u8()?, kind)?;
    if !body.is_empty() {
        let diagnostics = Properties::read(body)?.diagnostics()?;
        ack.diagnostics = (!diagnostics.is_empty()).then(|| Box::new(diagnostics));
    }
    Ok(ack)
}

fn ack_reason(code: u8, kind: AckKind) -> Result<ReasonCode, Violation> {
    let allowed = match kind {
        AckKind::Received => matches!(code, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99),
        AckKind::Released => matches!(code, 0x00 | 0x92),
    };
    if allowed { Ok(ReasonCode(code)) } else { Err(Violation::ReasonCodeNotAllowed) }
}
