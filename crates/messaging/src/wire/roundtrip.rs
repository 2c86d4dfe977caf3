//! Random packets and random damage: what the codec must hold for bytes that nobody thought of.

mod packets;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use self::packets::{conversation, publish};
use super::conformance::connected_decoder;
use super::{Decoder, Delivery, Packet, PacketId, QoS, Side, Version, Violation, encode};

const MAXIMUM_PACKET_SIZE: usize = 1 << 20;

/// What a decoder makes of a stream: the packets, and the rule that ended it.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    packets: Vec<Packet>,
    violation: Option<Violation>,
}

fn decoder(sender: Side, version: Version) -> Decoder {
    match sender {
        Side::Client => connected_decoder(version, MAXIMUM_PACKET_SIZE),
        Side::Server => Decoder::of_server(version, MAXIMUM_PACKET_SIZE),
    }
}

/// Decodes a stream that arrives in pieces of the given lengths, over and over; all at once for none.
fn decode(decoder: &mut Decoder, stream: &[u8], pieces: &[usize]) -> Decoded {
    let mut decoded = Decoded::default();
    let mut pending = BytesMut::new();
    let mut rest = stream;
    let mut lengths = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, later) = rest.split_at(length);
        rest = later;
        pending.extend_from_slice(piece);
        let mut input = pending.split().freeze();
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(packet)) => decoded.packets.push(packet),
                Ok(None) => break,
                Err(violation) => {
                    decoded.violation = Some(violation);
                    return decoded;
                }
            }
        }
        pending.extend_from_slice(&input);
    }
    decoded
}

fn stream(packets: &[Packet], version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    for packet in packets {
        encode(packet, version, &mut out).unwrap();
    }
    out
}

/// One change to a byte stream; positions wrap around.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<usize>().prop_map(Damage::Remove),
        any::<usize>().prop_map(Damage::Cut),
    ]
}

fn apply(damage: &Damage, stream: &mut Vec<u8>) {
    let place = |at: usize| at.checked_rem(stream.len());
    match *damage {
        Damage::Set(at, byte) => {
            if let Some(at) = place(at) {
                stream[at] = byte;
            }
        }
        Damage::Flip(at, bit) => {
            if let Some(at) = place(at) {
                stream[at] ^= 1 << bit;
            }
        }
        Damage::Insert(at, byte) => stream.insert(place(at).unwrap_or(0), byte),
        Damage::Remove(at) => {
            if let Some(at) = place(at) {
                stream.remove(at);
            }
        }
        Damage::Cut(at) => stream.truncate(place(at).unwrap_or(0)),
    }
}

proptest! {
    #[test]
    fn packets_survive_any_split_of_the_stream(
        (sender, version, packets) in conversation(),
        pieces in vec(1..40_usize, 0..8),
    ) {
        let bytes = stream(&packets, version);
        let decoded = decode(&mut decoder(sender, version), &bytes, &pieces);
        prop_assert_eq!(decoded, Decoded { packets, violation: None });
    }

    #[test]
    fn a_connect_survives_any_split_of_the_stream(
        connect in packets::connect(),
        pieces in vec(1..40_usize, 0..8),
    ) {
        let (version, packet) = (connect.version, Packet::Connect(Box::new(connect)));
        let bytes = stream(std::slice::from_ref(&packet), version);
        let mut decoder = Decoder::of_client(MAXIMUM_PACKET_SIZE);
        let decoded = decode(&mut decoder, &bytes, &pieces);
        prop_assert_eq!(decoded, Decoded { packets: vec![packet], violation: None });
        prop_assert_eq!(decoder.version(), Some(version));
    }

    /// And what is accepted means the same when it is written again.
    #[test]
    fn damaged_streams_are_judged_alike_whole_and_in_pieces(
        (sender, version, packets) in conversation(),
        changes in vec(damage(), 1..6),
        pieces in vec(1..40_usize, 1..8),
    ) {
        let mut bytes = stream(&packets, version);
        for change in &changes {
            apply(change, &mut bytes);
        }
        let whole = decode(&mut decoder(sender, version), &bytes, &[]);
        let split = decode(&mut decoder(sender, version), &bytes, &pieces);
        prop_assert_eq!(&whole, &split);

        let again = stream(&whole.packets, version);
        let decoded = decode(&mut decoder(sender, version), &again, &[]);
        prop_assert_eq!(decoded, Decoded { packets: whole.packets, violation: None });
    }

    #[test]
    fn a_damaged_connect_is_judged_alike_whole_and_in_pieces(
        connect in packets::connect(),
        changes in vec(damage(), 1..6),
        pieces in vec(1..40_usize, 1..8),
    ) {
        let version = connect.version;
        let mut bytes = stream(&[Packet::Connect(Box::new(connect))], version);
        for change in &changes {
            apply(change, &mut bytes);
        }
        let whole = decode(&mut Decoder::of_client(MAXIMUM_PACKET_SIZE), &bytes, &[]);
        let split = decode(&mut Decoder::of_client(MAXIMUM_PACKET_SIZE), &bytes, &pieces);
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn arbitrary_bytes_are_judged_alike_whole_and_in_pieces(
        sender in prop_oneof![Just(Side::Client), Just(Side::Server)],
        version in packets::version(),
        bytes in vec(any::<u8>(), 0..200),
        pieces in vec(1..40_usize, 1..8),
    ) {
        let whole = decode(&mut decoder(sender, version), &bytes, &[]);
        let split = decode(&mut decoder(sender, version), &bytes, &pieces);
        prop_assert_eq!(whole, split);
    }

    /// Nothing is reserved for a length that is only announced: the input is all that the decoder has.
    #[test]
    fn an_incomplete_packet_leaves_the_input_as_it_was(
        (sender, version, packets) in conversation(),
        missing in 1..20_usize,
    ) {
        for packet in &packets {
            let mut bytes = stream(std::slice::from_ref(packet), version);
            bytes.truncate(bytes.len().saturating_sub(missing));
            let mut input = Bytes::from(bytes.clone());
            prop_assert_eq!(decoder(sender, version).decode(&mut input), Ok(None));
            prop_assert_eq!(&input[..], &bytes[..]);
        }
    }

    #[test]
    fn copies_of_a_frame_are_the_packet_encoded_for_each(
        version in packets::version(),
        message in packets::version().prop_flat_map(|version| publish(Side::Server, version)),
        ids in vec(1..=u16::MAX, 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (prefix, rest) = message.topic.as_bytes().split_at(cut.index(message.topic.len() + 1));
        let delivery = Delivery {
            version,
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic: &[prefix, rest],
            payload: &message.payload,
            topic_alias: message.topic_alias,
            message_expiry: message.message_expiry,
            subscription_ids: &message.subscription_ids,
            properties: &message.properties,
        };
        let frame = delivery.to_frame().unwrap();
        for id in ids {
            let packet_id = PacketId::new(id).filter(|_| message.qos > QoS::AtMostOnce);
            for dup in [false, true] {
                let mut copied = Vec::new();
                match packet_id {
                    Some(packet_id) if dup => frame.append_again_to(packet_id, &mut copied),
                    _ => frame.append_to(packet_id, &mut copied),
                }
                let dup = dup && packet_id.is_some();
                let expected = Packet::Publish(super::Publish { dup, packet_id, ..message.clone() });
                prop_assert_eq!(&copied, &stream(&[expected], version));
                prop_assert_eq!(frame.len(), copied.len());
                prop_assert_eq!(delivery.encoded_len(), Ok(copied.len()));
            }
        }
    }
}
