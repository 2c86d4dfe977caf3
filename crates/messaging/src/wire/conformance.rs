//! Vectors of the specification: bytes that are a packet, and bytes that break one rule.
//!
//! Accepted vectors are compared in both directions. Every [`Violation`] has at least one refused vector, and a
//! test sees to it that none is forgotten.

mod accepted;
mod refused;

use bytes::Bytes;

use super::encode::put_variable_byte_integer;
use super::{Connect, Decoder, Packet, Side, Subscription, UserProperty, Version, Violation, encode};

/// Large enough for all vectors but the one that is too large.
const MAXIMUM_PACKET_SIZE: usize = 4096;

/// On which connection the bytes of a vector arrive.
#[derive(Debug, Clone, Copy)]
enum From {
    /// First bytes of a client.
    NewClient,
    /// A client whose CONNECT has been accepted.
    Client(Version),
    /// A server.
    Server(Version),
}

impl From {
    fn decoder(self) -> Decoder {
        match self {
            Self::NewClient => Decoder::of_client(MAXIMUM_PACKET_SIZE),
            Self::Client(version) => connected_decoder(version, MAXIMUM_PACKET_SIZE),
            Self::Server(version) => Decoder::of_server(version, MAXIMUM_PACKET_SIZE),
        }
    }
}

/// A decoder of a client that has sent its CONNECT.
pub(super) fn connected_decoder(version: Version, maximum_packet_size: usize) -> Decoder {
    let mut decoder = Decoder::of_client(usize::MAX);
    let mut connect = Vec::new();
    encode(&Packet::Connect(Box::new(Connect::new(version, "c"))), version, &mut connect).unwrap();
    assert!(matches!(decoder.decode(&mut Bytes::from(connect)), Ok(Some(Packet::Connect(_)))));
    decoder.set_maximum_packet_size(maximum_packet_size);
    decoder
}

/// Decodes one packet from bytes that hold exactly one.
fn decode(from: From, bytes: &[u8]) -> Result<Option<Packet>, Violation> {
    let mut input = Bytes::copy_from_slice(bytes);
    let decoded = from.decoder().decode(&mut input);
    if matches!(decoded, Ok(Some(_))) {
        assert!(input.is_empty(), "bytes are left after the packet");
    }
    decoded
}

/// A fixed header with the right length, and the body.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    put_variable_byte_integer(body.len(), &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn a_packet_is_refused_for_its_size_before_its_body_arrives() {
    for (side, mut decoder) in [
        (Side::Client, connected_decoder(Version::V311, 64)),
        (Side::Server, Decoder::of_server(Version::V311, 64)),
    ] {
        let mut header = Bytes::from_static(&[0x30, 63]);
        assert_eq!(decoder.decode(&mut header), Err(Violation::PacketTooLarge), "{side:?}");
        let mut header = Bytes::from_static(&[0x30, 62]);
        assert_eq!(decoder.decode(&mut header), Ok(None), "{side:?}");
    }
}

/// The smallest filter has 4 bytes on the wire and the smallest user property 5; both are larger in memory, and a
/// growing vector may be half empty. A bound on the packet size is thus a bound on memory.
#[test]
fn a_packet_takes_at_most_26_times_its_size_in_memory() {
    let filters = framed(0x82, &[&b"\x00\x01"[..], &b"\x00\x01a\x00".repeat(900)].concat());
    let Ok(Some(Packet::Subscribe(subscribe))) = decode(From::Client(Version::V311), &filters) else {
        panic!("SUBSCRIBE is not decoded");
    };
    assert!(subscribe.filters.capacity() * size_of::<Subscription>() <= 26 * filters.len());

    let properties = b"\x26\x00\x00\x00\x00".repeat(700);
    let mut body = b"\x00\x01".to_vec();
    put_variable_byte_integer(properties.len(), &mut body);
    body.extend_from_slice(&properties);
    body.extend_from_slice(b"\x00\x01a");
    let bytes = framed(0xA2, &body);
    let Ok(Some(Packet::Unsubscribe(unsubscribe))) = decode(From::Client(Version::V5), &bytes) else {
        panic!("UNSUBSCRIBE is not decoded");
    };
    assert!(unsubscribe.user_properties.capacity() * size_of::<UserProperty>() <= 26 * bytes.len());
}

#[test]
fn the_version_is_known_even_when_the_rest_of_connect_is_refused() {
    let mut decoder = Decoder::of_client(MAXIMUM_PACKET_SIZE);
    let mut input = Bytes::from(framed(0x10, b"\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00"));
    assert_eq!(decoder.decode(&mut input), Err(Violation::ConnectFlagReserved));
    assert_eq!(decoder.version(), Some(Version::V5));
}

#[test]
fn what_a_version_cannot_say_is_left_out_or_refused() {
    use super::{Ack, Auth, ConnAck, Diagnostics, EncodeError, PacketId, Publish, QoS, ReasonCode, Text};
    let encoded = |packet: &Packet| {
        let mut out = Vec::new();
        encode(packet, Version::V311, &mut out).map(|()| out)
    };

    let with_reason = Ack::with_reason(PacketId::MIN, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    assert_eq!(encoded(&Packet::PubAck(with_reason)), Ok(vec![0x40, 2, 0, 1]));
    let refusal = ConnAck::refused(ReasonCode::PROTOCOL_ERROR);
    assert_eq!(encoded(&Packet::ConnAck(Box::new(refusal))), Err(EncodeError::NotInVersion));
    let auth =
        Auth { reason: ReasonCode::SUCCESS, method: None, data: None, diagnostics: Diagnostics::default() };
    assert_eq!(encoded(&Packet::Auth(auth)), Err(EncodeError::NotInVersion));
    let long = Publish { topic: Text::from("x".repeat(65_536)), ..Publish::default() };
    assert_eq!(encoded(&Packet::Publish(long)), Err(EncodeError::FieldTooLong));
    let no_id = Publish { qos: QoS::AtLeastOnce, topic: Text::from("a"), ..Publish::default() };
    assert_eq!(encoded(&Packet::Publish(no_id)), Err(EncodeError::PacketIdMismatch));
}
