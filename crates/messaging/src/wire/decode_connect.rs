//! Decodes the packets that open and close a connection: CONNECT, CONNACK, DISCONNECT, AUTH.

use std::num::{NonZeroU16, NonZeroU32};

use super::decode::Side;
use super::packet::{Auth, ConnAck, Connect, Diagnostics, Disconnect, QoS, Version, Will};
use super::property::{self, Forwarded, Properties};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::violation::Violation;

/// Reads protocol name and level, the only fields whose meaning does not depend on the version.
pub(super) fn version(body: &mut Reader<'_>) -> Result<Version, Violation> {
    let name = body.field()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Violation::ProtocolNameUnknown);
    }
    match (name, body.u8()?) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        _ => Err(Violation::ProtocolLevelUnsupported),
    }
}

/// The flags byte of CONNECT (§3.1.2.3).
#[derive(Debug, Clone, Copy)]
struct ConnectFlags {
    clean_start: bool,
    /// QoS and retain of the will, if there is one.
    will: Option<(QoS, bool)>,
    password: bool,
    user_name: bool,
}

impl ConnectFlags {
    fn from_bits(bits: u8, version: Version) -> Result<Self, Violation> {
        if bits & 1 != 0 {
            return Err(Violation::ConnectFlagReserved);
        }
        let flags = Self {
            clean_start: bits & 0b10 != 0,
            will: will_flags(bits)?,
            password: bits & 0b0100_0000 != 0,
            user_name: bits & 0b1000_0000 != 0,
        };
        if flags.password && !flags.user_name && !version.is_v5() {
            return Err(Violation::PasswordWithoutUserName);
        }
        Ok(flags)
    }
}

fn will_flags(bits: u8) -> Result<Option<(QoS, bool)>, Violation> {
    let (has_will, qos, retain) = (bits & 0b100 != 0, bits >> 3 & 0b11, bits & 0b10_0000 != 0);
    if has_will {
        let qos = QoS::from_bits(qos).ok_or(Violation::WillQosInvalid)?;
        return Ok(Some((qos, retain)));
    }
    if qos != 0 {
        return Err(Violation::WillQosWithoutWill);
    }
    if retain {
        return Err(Violation::WillRetainWithoutWill);
    }
    Ok(None)
}

/// Decodes the body of a CONNECT after its protocol name and level.
pub(super) fn connect(body: &mut Reader<'_>, version: Version) -> Result<Connect, Violation> {
    let flags = ConnectFlags::from_bits(body.u8()?, version)?;
    let mut connect = Connect::new(version, "");
    connect.clean_start = flags.clean_start;
    connect.keep_alive = body.u16()?;
    if version.is_v5() {
        connect_properties(&mut connect, Properties::read(body)?)?;
    } else {
        connect.session_expiry = if flags.clean_start { 0 } else { u32::MAX };
    }
    connect.client_id = body.text()?;
    if let Some((qos, retain)) = flags.will {
        connect.will = Some(will(body, qos, retain, version)?);
    }
    if flags.user_name {
        connect.user_name = Some(body.text()?);
    }
    if flags.password {
        connect.password = Some(body.secret()?);
    }
    Ok(connect)
}

fn connect_properties(connect: &mut Connect, mut properties: Properties<'_>) -> Result<(), Violation> {
    while let Some(identifier) = properties.next()? {
        match identifier {
            property::SESSION_EXPIRY => connect.session_expiry = properties.fields.u32()?,
            property::RECEIVE_MAXIMUM => connect.receive_maximum = receive_maximum(&mut properties)?,
            property::MAXIMUM_PACKET_SIZE => {
                connect.maximum_packet_size = Some(maximum_packet_size(&mut properties)?);
            }
            property::TOPIC_ALIAS_MAXIMUM => connect.topic_alias_maximum = properties.fields.u16()?,
            property::REQUEST_RESPONSE_INFORMATION => {
                connect.request_response_information = properties.boolean()?;
            }
            property::REQUEST_PROBLEM_INFORMATION => {
                connect.request_problem_information = properties.boolean()?;
            }
            property::USER_PROPERTY => connect.user_properties.push(properties.user_property()?),
            property::AUTHENTICATION_METHOD => {
                connect.authentication_method = Some(properties.fields.text()?);
            }
            property::AUTHENTICATION_DATA => connect.authentication_data = Some(properties.fields.secret()?),
            _ => return Err(Violation::PropertyNotAllowed),
        }
    }
    if connect.authentication_data.is_some() && connect.authentication_method.is_none() {
        return Err(Violation::AuthenticationDataWithoutMethod);
    }
    Ok(())
}

fn receive_maximum(properties: &mut Properties<'_>) -> Result<NonZeroU16, Violation> {
    NonZeroU16::new(properties.fields.u16()?).ok_or(Violation::ReceiveMaximumZero)
}

fn maximum_packet_size(properties: &mut Properties<'_>) -> Result<NonZeroU32, Violation> {
    NonZeroU32::new(properties.fields.u32()?).ok_or(Violation::MaximumPacketSizeZero)
}

fn will(body: &mut Reader<'_>, qos: QoS, retain: bool, version: Version) -> Result<Will, Violation> {
    let (mut delay, mut message_expiry, mut forwarded) = (0, None, None);
    if version.is_v5() {
        let mut properties = Properties::read(body)?;
        let mut gathered = Forwarded::of(&properties);
        while let Some(identifier) = properties.next()? {
            match identifier {
                property::WILL_DELAY => delay = properties.fields.u32()?,
                property::MESSAGE_EXPIRY => message_expiry = Some(properties.fields.u32()?),
                _ => gathered.take(identifier, &mut properties)?,
            }
        }
        forwarded = Some(gathered.finish());
    }
    let topic = body.topic_name()?;
    if topic.is_empty() {
        return Err(Violation::TopicEmpty);
    }
    let payload = body.binary()?;
    Ok(Will { topic, payload, qos, retain, delay, message_expiry, properties: forwarded.unwrap_or_default() })
}

/// Decodes the body of a CONNACK.
pub(super) fn connack(body: &mut Reader<'_>, version: Version) -> Result<ConnAck, Violation> {
    // In MQTT 3.1 the byte is not used (3.1 §3.2).
    let flags = if version == Version::V31 { body.u8().map(|_| 0)? } else { body.u8()? };
    if flags & 0b1111_1110 != 0 {
        return Err(Violation::ConnAckFlagsReserved);
    }
    let code = body.u8()?;
    let reason = if version.is_v5() {
        Some(ReasonCode(code)).filter(|_| is_connack_reason(code))
    } else {
        ReasonCode::from_v3_connack(code)
    };
    let mut connack = ConnAck::refused(reason.ok_or(Violation::ReasonCodeNotAllowed)?);
    connack.session_present = flags & 1 != 0;
    if connack.session_present && connack.reason.is_failure() {
        return Err(Violation::SessionPresentWithFailure);
    }
    if version.is_v5() {
        connack_properties(&mut connack, Properties::read(body)?)?;
    }
    Ok(connack)
}

/// Table 3-1.
fn is_connack_reason(code: u8) -> bool {
    matches!(code, 0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99 | 0x9A | 0x9B | 0x9C | 0x9D | 0x9F)
}

fn connack_properties(connack: &mut ConnAck, mut properties: Properties<'_>) -> Result<(), Violation> {
    while let Some(identifier) = properties.next()? {
        match identifier {
            property::SESSION_EXPIRY => connack.session_expiry = Some(properties.fields.u32()?),
            property::RECEIVE_MAXIMUM => connack.receive_maximum = receive_maximum(&mut properties)?,
            property::MAXIMUM_QOS => connack.maximum_qos = maximum_qos(properties.fields.u8()?)?,
            property::RETAIN_AVAILABLE => connack.retain_available = properties.boolean()?,
            property::MAXIMUM_PACKET_SIZE => {
                connack.maximum_packet_size = Some(maximum_packet_size(&mut properties)?);
            }
            property::ASSIGNED_CLIENT_ID => connack.assigned_client_id = Some(properties.fields.text()?),
            property::TOPIC_ALIAS_MAXIMUM => connack.topic_alias_maximum = properties.fields.u16()?,
            property::WILDCARD_SUBSCRIPTION_AVAILABLE => {
                connack.wildcard_subscription_available = properties.boolean()?;
            }
            property::SUBSCRIPTION_IDS_AVAILABLE => {
                connack.subscription_ids_available = properties.boolean()?;
            }
            property::SHARED_SUBSCRIPTION_AVAILABLE => {
                connack.shared_subscription_available = properties.boolean()?;
            }
            property::SERVER_KEEP_ALIVE => connack.server_keep_alive = Some(properties.fields.u16()?),
            property::RESPONSE_INFORMATION => connack.response_information = Some(properties.fields.text()?),
            property::SERVER_REFERENCE => connack.server_reference = Some(properties.fields.text()?),
            property::AUTHENTICATION_METHOD => {
                connack.authentication_method = Some(properties.fields.text()?);
            }
            property::AUTHENTICATION_DATA => connack.authentication_data = Some(properties.fields.secret()?),
            _ => properties.diagnostic(identifier, &mut connack.diagnostics)?,
        }
    }
    Ok(())
}

fn maximum_qos(value: u8) -> Result<QoS, Violation> {
    QoS::from_bits(value).filter(|&qos| qos != QoS::ExactlyOnce).ok_or(Violation::MaximumQosInvalid)
}

/// Decodes the body of a DISCONNECT; empty in MQTT 3, and in MQTT 5 when all is normal.
pub(super) fn disconnect(
    body: &mut Reader<'_>,
    version: Version,
    sender: Side,
) -> Result<Disconnect, Violation> {
    let mut disconnect = Disconnect::new(ReasonCode::SUCCESS);
    if !version.is_v5() || body.is_empty() {
        return Ok(disconnect);
    }
    disconnect.reason = disconnect_reason(body.u8()?, sender)?;
    if body.is_empty() {
        return Ok(disconnect);
    }
    let mut properties = Properties::read(body)?;
    while let Some(identifier) = properties.next()? {
        match identifier {
            property::SESSION_EXPIRY if sender == Side::Server => {
                return Err(Violation::SessionExpiryFromServer);
            }
            property::SESSION_EXPIRY => disconnect.session_expiry = Some(properties.fields.u32()?),
            property::SERVER_REFERENCE if sender == Side::Client => {
                return Err(Violation::ServerReferenceFromClient);
            }
            property::SERVER_REFERENCE => disconnect.server_reference = Some(properties.fields.text()?),
            _ => properties.diagnostic(identifier, &mut disconnect.diagnostics)?,
        }
    }
    Ok(disconnect)
}

/// Table 3-13, with its column "sent by".
fn disconnect_reason(code: u8, sender: Side) -> Result<ReasonCode, Violation> {
    let allowed = match sender {
        Side::Client => matches!(code, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99),
        Side::Server => {
            matches!(code, 0x00 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2)
        }
    };
    if allowed { Ok(ReasonCode(code)) } else { Err(Violation::ReasonCodeNotAllowed) }
}

/// Decodes the body of an AUTH; an empty one means success without properties (§3.15.2.1).
pub(super) fn auth(body: &mut Reader<'_>, sender: Side) -> Result<Auth, Violation> {
    let mut auth =
        Auth { reason: ReasonCode::SUCCESS, method: None, data: None, diagnostics: Diagnostics::default() };
    if body.is_empty() {
        auth.reason = auth_reason(ReasonCode::SUCCESS.0, sender)?;
        return Ok(auth);
    }
    auth.reason = auth_reason(body.u8()?, sender)?;
    if !body.is_empty() {
        let mut properties = Properties::read(body)?;
        while let Some(identifier) = properties.next()? {
            match identifier {
                property::AUTHENTICATION_METHOD => auth.method = Some(properties.fields.text()?),
                property::AUTHENTICATION_DATA => auth.data = Some(properties.fields.secret()?),
                _ => properties.diagnostic(identifier, &mut auth.diagnostics)?,
            }
        }
    }
    if auth.method.is_none() && auth.reason != ReasonCode::SUCCESS {
        return Err(Violation::AuthenticationMethodMissing);
    }
    Ok(auth)
}

/// Table 3-14, with its column "sent by".
fn auth_reason(code: u8, sender: Side) -> Result<ReasonCode, Violation> {
    match (ReasonCode(code), sender) {
        (reason @ ReasonCode::SUCCESS, Side::Server)
        | (reason @ ReasonCode::RE_AUTHENTICATE, Side::Client)
        | (reason @ ReasonCode::CONTINUE_AUTHENTICATION, _) => Ok(reason),
        _ => Err(Violation::ReasonCodeNotAllowed),
    }
}
