//! Cuts a byte stream into packets and decodes them.
//!
//! A packet is decoded when all of it is there; until then only its fixed header is looked at. The decoder holds
//! no bytes and reserves no memory: what a peer announces costs nothing until it has been sent. Decoded, a packet
//! of many tiny filters or user properties takes up to 26 times its size, other packets less.

use bytes::{Buf, Bytes};

use super::decode_connect::{auth, connack, connect, disconnect, version};
use super::decode_publish::{AckKind, PublishFlags, ack, publish};
use super::decode_subscribe::{suback, subscribe, unsuback, unsubscribe};
use super::packet::{Packet, Version};
use super::reader::{Reader, variable_byte_integer};
use super::violation::Violation;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that connects.
    Client,
    /// The one that is connected to.
    Server,
}

/// Packet types of the fixed header (table 2-1).
pub(super) mod packet_type {
    pub(in crate::wire) const CONNECT: u8 = 1;
    pub(in crate::wire) const CONNACK: u8 = 2;
    pub(in crate::wire) const PUBLISH: u8 = 3;
    pub(in crate::wire) const PUBACK: u8 = 4;
    pub(in crate::wire) const PUBREC: u8 = 5;
    pub(in crate::wire) const PUBREL: u8 = 6;
    pub(in crate::wire) const PUBCOMP: u8 = 7;
    pub(in crate::wire) const SUBSCRIBE: u8 = 8;
    pub(in crate::wire) const SUBACK: u8 = 9;
    pub(in crate::wire) const UNSUBSCRIBE: u8 = 10;
    pub(in crate::wire) const UNSUBACK: u8 = 11;
    pub(in crate::wire) const PINGREQ: u8 = 12;
    pub(in crate::wire) const PINGRESP: u8 = 13;
    pub(in crate::wire) const DISCONNECT: u8 = 14;
    pub(in crate::wire) const AUTH: u8 = 15;
}

/// Decodes what one side of a connection sends.
#[derive(Debug, Clone)]
pub struct Decoder {
    sender: Side,
    version: Option<Version>,
    maximum_packet_size: usize,
}

impl Decoder {
    /// Decodes what a client sends; the version is that of its CONNECT, which must come first.
    ///
    /// `maximum_packet_size`: in bytes, fixed header included; a larger packet is refused.
    pub const fn of_client(maximum_packet_size: usize) -> Self {
        Self { sender: Side::Client, version: None, maximum_packet_size }
    }

    /// Decodes what a server sends on a connection of this version.
    pub const fn of_server(version: Version, maximum_packet_size: usize) -> Self {
        Self { sender: Side::Server, version: Some(version), maximum_packet_size }
    }

    /// The version of the connection; `None` until a CONNECT of a version that we speak has arrived, and known
    /// even if the rest of that CONNECT was refused, so that the answer can be in its language.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Changes the bound for the packets to come, for example after a client has authenticated.
    pub const fn set_maximum_packet_size(&mut self, bytes: usize) {
        self.maximum_packet_size = bytes;
    }

    /// Takes the next packet from the front of `input`; `None` (and `input` as it was) until all of it is there.
    ///
    /// The packet's fields share the memory of `input`.
    ///
    /// # Errors
    ///
    /// The rule that was broken. The stream has no meaning from there on: answer, and close the connection.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Packet>, Violation> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        self.check_first_byte(first)?;
        let Some((body_length, length_bytes)) = variable_byte_integer(rest)? else { return Ok(None) };
        let body_length = usize::try_from(body_length).unwrap_or(usize::MAX);
        let total = body_length.saturating_add(1 + length_bytes);
        if total > self.maximum_packet_size {
            return Err(Violation::PacketTooLarge);
        }
        let Some(body) = input.get(1 + length_bytes..total) else { return Ok(None) };
        let packet = self.packet(first, Reader::new(input, body));
        if packet.is_ok() {
            input.advance(total);
        }
        packet
    }

    /// Refuses what can be refused before the rest of the packet has arrived.
    fn check_first_byte(&self, first: u8) -> Result<(), Violation> {
        let (kind, flags) = (first >> 4, first & 0b1111);
        match self.version {
            None if kind != packet_type::CONNECT => return Err(Violation::FirstPacketNotConnect),
            Some(_) if kind == packet_type::CONNECT && self.sender == Side::Client => {
                return Err(Violation::SecondConnect);
            }
            Some(_) if kind == 0 => return Err(Violation::PacketTypeReserved),
            Some(Version::V31 | Version::V311) if kind == packet_type::AUTH => {
                return Err(Violation::PacketTypeReserved);
            }
            _ => {}
        }
        check_direction(kind, self.sender, self.version)?;
        check_flags(kind, flags, self.version)
    }

    /// Decodes a whole packet. The result has the shape of [`Decoder::decode`], so that it need not be moved.
    #[inline(always)]
    fn packet(&mut self, first: u8, mut body: Reader<'_>) -> Result<Option<Packet>, Violation> {
        let Some(version) = self.version else { return self.first_packet(body).map(Some) };
        if first >> 4 == packet_type::PUBLISH {
            return Ok(Some(Packet::Publish(publish(&mut body, first & 0b1111, version, self.sender)?)));
        }
        self.other_packet(first >> 4, body, version).map(Some)
    }

    fn other_packet(&self, kind: u8, mut body: Reader<'_>, version: Version) -> Result<Packet, Violation> {
        let body = &mut body;
        let packet = match kind {
            packet_type::PUBACK => Packet::PubAck(ack(body, AckKind::Received, version)?),
            packet_type::PUBREC => Packet::PubRec(ack(body, AckKind::Received, version)?),
            packet_type::PUBREL => Packet::PubRel(ack(body, AckKind::Released, version)?),
            packet_type::PUBCOMP => Packet::PubComp(ack(body, AckKind::Released, version)?),
            packet_type::SUBSCRIBE => Packet::Subscribe(subscribe(body, version)?),
            packet_type::SUBACK => Packet::SubAck(suback(body, version)?),
            packet_type::UNSUBSCRIBE => Packet::Unsubscribe(unsubscribe(body, version)?),
            packet_type::UNSUBACK => Packet::UnsubAck(unsuback(body, version)?),
            packet_type::PINGREQ => Packet::PingReq,
            packet_type::PINGRESP => Packet::PingResp,
            packet_type::CONNACK => Packet::ConnAck(Box::new(connack(body, version)?)),
            packet_type::DISCONNECT => Packet::Disconnect(disconnect(body, version, self.sender)?),
            packet_type::AUTH => Packet::Auth(auth(body, self.sender)?),
            _ => return Err(Violation::PacketTypeReserved),
        };
        body.finish()?;
        Ok(packet)
    }

    /// CONNECT: learns the version.
    fn first_packet(&mut self, mut body: Reader<'_>) -> Result<Packet, Violation> {
        let version = version(&mut body)?;
        self.version = Some(version);
        let connect = connect(&mut body, version)?;
        body.finish()?;
        Ok(Packet::Connect(Box::new(connect)))
    }
}

/// Table 2-1, column "direction of flow".
fn check_direction(kind: u8, sender: Side, version: Option<Version>) -> Result<(), Violation> {
    let allowed = match kind {
        packet_type::CONNECT | packet_type::SUBSCRIBE | packet_type::UNSUBSCRIBE | packet_type::PINGREQ => {
            sender == Side::Client
        }
        packet_type::CONNACK | packet_type::SUBACK | packet_type::UNSUBACK | packet_type::PINGRESP => {
            sender == Side::Server
        }
        packet_type::DISCONNECT => sender == Side::Client || version == Some(Version::V5),
        _ => true,
    };
    if allowed { Ok(()) } else { Err(Violation::WrongDirection) }
}

/// Table 2-2: PUBLISH has flags, PUBREL, SUBSCRIBE and UNSUBSCRIBE have 0010, all others 0000.
///
/// MQTT 3.1 let the three carry DUP for a repetition (3.1 §2.1), and its other flags were to be ignored; both
/// are tolerated there.
fn check_flags(kind: u8, flags: u8, version: Option<Version>) -> Result<(), Violation> {
    let required = match kind {
        packet_type::PUBLISH => return PublishFlags::from_bits(flags).map(|_| ()),
        packet_type::PUBREL | packet_type::SUBSCRIBE | packet_type::UNSUBSCRIBE => 0b0010,
        _ => 0,
    };
    if flags == required || version == Some(Version::V31) { Ok(()) } else { Err(Violation::FlagsReserved) }
}
