//! Decodes SUBSCRIBE, UNSUBSCRIBE and their answers.

use super::packet::{
    Diagnostics, QoS, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionId, SubscriptionOptions,
    UnsubAck, Unsubscribe, UserProperty, Version,
};
use super::property::{self, Properties};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::text::Text;
use super::topic::{check_filter, is_shared};
use super::violation::Violation;

/// Decodes the body of a SUBSCRIBE.
pub(super) fn subscribe(body: &mut Reader<'_>, version: Version) -> Result<Subscribe, Violation> {
    let packet_id = body.packet_id()?;
    let (subscription_id, user_properties) =
        if version.is_v5() { subscribe_properties(Properties::read(body)?)? } else { (None, Vec::new()) };
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(subscription(body, version)?);
    }
    if filters.is_empty() {
        return Err(Violation::SubscribeEmpty);
    }
    Ok(Subscribe { packet_id, subscription_id, user_properties, filters })
}

fn subscribe_properties(
    mut properties: Properties<'_>,
) -> Result<(Option<SubscriptionId>, Vec<UserProperty>), Violation> {
    let mut subscription_id = None;
    let mut user_properties = Vec::new();
    while let Some(identifier) = properties.next()? {
        match identifier {
            property::SUBSCRIPTION_ID if subscription_id.is_some() => {
                return Err(Violation::PropertyDuplicate);
            }
            property::SUBSCRIPTION_ID => {
                let id = SubscriptionId::new(properties.fields.variable_byte_integer()?);
                subscription_id = Some(id.ok_or(Violation::SubscriptionIdZero)?);
            }
            property::USER_PROPERTY => user_properties.push(properties.user_property()?),
            _ => return Err(Violation::PropertyNotAllowed),
        }
    }
    Ok((subscription_id, user_properties))
}

fn subscription(body: &mut Reader<'_>, version: Version) -> Result<Subscription, Violation> {
    let filter = filter(body, version)?;
    let options = options(body.u8()?, version)?;
    // In MQTT 3 there is no "no local", so the rule cannot be broken there.
    if options.no_local && is_shared(filter.as_bytes()) {
        return Err(Violation::NoLocalOnShared);
    }
    Ok(Subscription { filter, options })
}

fn filter(body: &mut Reader<'_>, version: Version) -> Result<Text, Violation> {
    let field = body.field()?;
    check_filter(field, version.is_v5())?;
    Ok(Text::from_checked(body.share(field)))
}

/// The options byte (§3.8.3.1); in MQTT 3 the QoS with six reserved bits.
fn options(bits: u8, version: Version) -> Result<SubscriptionOptions, Violation> {
    let reserved = if version.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
    if bits & reserved != 0 {
        return Err(Violation::SubscriptionOptionsReserved);
    }
    Ok(SubscriptionOptions {
        qos: QoS::from_bits(bits & 0b11).ok_or(Violation::SubscribeQosInvalid)?,
        no_local: bits & 0b100 != 0,
        retain_as_published: bits & 0b1000 != 0,
        retain_handling: match bits >> 4 & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Violation::RetainHandlingInvalid),
        },
    })
}

/// Decodes the body of an UNSUBSCRIBE.
pub(super) fn unsubscribe(body: &mut Reader<'_>, version: Version) -> Result<Unsubscribe, Violation> {
    let packet_id = body.packet_id()?;
    let user_properties =
        if version.is_v5() { Properties::read(body)?.user_properties()? } else { Vec::new() };
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(filter(body, version)?);
    }
    if filters.is_empty() {
        return Err(Violation::UnsubscribeEmpty);
    }
    Ok(Unsubscribe { packet_id, user_properties, filters })
}

/// Decodes the body of a SUBACK.
pub(super) fn suback(body: &mut Reader<'_>, version: Version) -> Result<SubAck, Violation> {
    let packet_id = body.packet_id()?;
    let diagnostics =
        if version.is_v5() { Properties::read(body)?.diagnostics()? } else { Diagnostics::default() };
    let reasons = reasons(body, |code| match version {
        Version::V5 => {
            matches!(code, 0..=2 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2)
        }
        Version::V31 | Version::V311 => matches!(code, 0..=2 | 0x80),
    })?;
    if reasons.is_empty() {
        return Err(Violation::SubAckEmpty);
    }
    Ok(SubAck { packet_id, reasons, diagnostics })
}

/// Decodes the body of an UNSUBACK, which in MQTT 3 is a packet identifier.
pub(super) fn unsuback(body: &mut Reader<'_>, version: Version) -> Result<UnsubAck, Violation> {
    let packet_id = body.packet_id()?;
    if !version.is_v5() {
        return Ok(UnsubAck { packet_id, reasons: Vec::new(), diagnostics: Diagnostics::default() });
    }
    let diagnostics = Properties::read(body)?.diagnostics()?;
    let reasons = reasons(body, |code| matches!(code, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91))?;
    if reasons.is_empty() {
        return Err(Violation::UnsubAckEmpty);
    }
    Ok(UnsubAck { packet_id, reasons, diagnostics })
}

/// All that is left of a packet, one reason code per byte.
fn reasons(body: &mut Reader<'_>, allowed: impl Fn(u8) -> bool) -> Result<Vec<ReasonCode>, Violation> {
    let codes = body.remainder();
    if !codes.iter().all(|&code| allowed(code)) {
        return Err(Violation::ReasonCodeNotAllowed);
    }
    Ok(codes.iter().copied().map(ReasonCode).collect())
}
