//! A minimal MQTT 3.1.1 encoder and decoder of the load generator's own.
//!
//! It shares no line with the codec of the server under test, so that a mistake there cannot hide itself
//! here. It knows only what a load needs: CONNECT, SUBSCRIBE, PUBLISH at QoS 0 and 1, PUBACK, DISCONNECT.
//!
//! Publishes are encoded once per publisher as a [`Batch`] of equal packets; for each write only the packet
//! identifiers and the payload's [stamp](Stamp) are rewritten.

use anyhow::{Context as _, Result, bail, ensure};

/// DISCONNECT, which ends a session without its will (MQTT 3.1.1, 3.14).
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Packet types in the first nibble of a packet (MQTT 3.1.1, 2.2.1).
const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;

/// Who connects: MQTT client identifier, user name and password.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    /// The MQTT client identifier.
    pub(crate) id: String,
    /// The user name: the id of a platform client.
    pub(crate) username: String,
    /// The password: the secret of that client.
    pub(crate) password: String,
    /// Whether the session outlives the connection.
    pub(crate) lasting: bool,
}

/// The first 24 bytes of each payload: who sent it, the how-manieth it is, and when. All numbers big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Index of the publisher in its run.
    pub(crate) publisher: u64,
    /// Counts the publisher's messages from zero.
    pub(crate) sequence: u64,
    /// When it was due, in µs since the beginning of the run.
    pub(crate) due_us: u64,
}

impl Stamp {
    /// Bytes that a stamp takes at the start of a payload.
    pub(crate) const LEN: usize = 24;

    fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.publisher, self.sequence, self.due_us]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// The stamp at the start of `payload`, `None` when it is too short to hold one.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let mut numbers =
            payload.chunks_exact(8).map_while(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
        Some(Self { publisher: numbers.next()?, sequence: numbers.next()?, due_us: numbers.next()? })
    }
}

/// Equal PUBLISH packets, encoded side by side for one write.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    packet_len: usize,
    packet_id_at: Option<usize>,
    stamp_at: usize,
    count: u64,
}

impl Batch {
    /// `count` packets to `topic` with `payload_len` bytes of payload each.
    ///
    /// # Errors
    /// When the topic is longer than MQTT allows, or the payload too short for a stamp.
    pub(crate) fn new(topic: &str, qos: u8, payload_len: usize, count: u64) -> Result<Self> {
        ensure!(payload_len >= Stamp::LEN, "a payload needs {} bytes for its stamp", Stamp::LEN);
        let mut body = Vec::new();
        text(&mut body, topic)?;
        let packet_id = (qos > 0).then_some(body.len());
        if qos > 0 {
            body.extend_from_slice(&[0, 1]);
        }
        let payload = body.len();
        body.resize(payload + payload_len, b'x');
        let packet = packet(PUBLISH << 4 | qos << 1, &body)?;
        let header = packet.len() - body.len();
        Ok(Self {
            bytes: packet.repeat(usize::try_from(count)?),
            packet_len: packet.len(),
            packet_id_at: packet_id.map(|at| at + header),
            stamp_at: payload + header,
            count,
        })
    }

    /// How many messages one write carries.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The bytes to write for the messages of `publisher` that follow its first `sent` and are due at `due_us`.
    pub(crate) fn stamped(&mut self, publisher: u64, sent: u64, due_us: u64) -> &[u8] {
        for (packet, sequence) in self.bytes.chunks_exact_mut(self.packet_len).zip(sent..) {
            if let Some(at) = self.packet_id_at
                && let Some(slot) = packet.get_mut(at..at + 2)
            {
                slot.copy_from_slice(&packet_id(sequence).to_be_bytes());
            }
            if let Some(slot) = packet.get_mut(self.stamp_at..self.stamp_at + Stamp::LEN) {
                slot.copy_from_slice(&Stamp { publisher, sequence, due_us }.encode());
            }
        }
        &self.bytes
    }
}

/// Packet identifiers go round from 1 to 65,535; zero is not allowed (MQTT 3.1.1, 2.3.1).
fn packet_id(sequence: u64) -> u16 {
    (sequence % 65_535) as u16 + 1
}

/// CONNECT with user name and password, and a clean session unless it is to last.
///
/// # Errors
/// When a text is longer than MQTT allows.
pub(crate) fn connect(party: &Party, keep_alive_s: u16) -> Result<Vec<u8>> {
    const USER_AND_PASSWORD: u8 = 0xC0;
    const CLEAN_SESSION: u8 = 0x02;
    let mut body = Vec::new();
    text(&mut body, "MQTT")?;
    let session = if party.lasting { 0 } else { CLEAN_SESSION };
    body.extend_from_slice(&[4, USER_AND_PASSWORD | session]);
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    for part in [&party.id, &party.username, &party.password] {
        text(&mut body, part)?;
    }
    packet(CONNECT << 4, &body)
}

/// SUBSCRIBE to one filter.
///
/// # Errors
/// When the filter is longer than MQTT allows.
pub(crate) fn subscribe(packet_id: u16, filter: &str, qos: u8) -> Result<Vec<u8>> {
    let mut body = packet_id.to_be_bytes().to_vec();
    text(&mut body, filter)?;
    body.push(qos);
    packet(SUBSCRIBE << 4 | 2, &body)
}

/// Appends a PUBACK to `out`.
pub(crate) fn puback(packet_id: u16, out: &mut Vec<u8>) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[PUBACK << 4, 2, high, low]);
}

/// What a server sends, as far as a load looks at it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// The answer to CONNECT; 0 is accepted.
    ConnAck(u8),
    /// The answer to SUBSCRIBE; the granted QoS, or 0x80 and above for a refusal.
    SubAck(u8),
    /// A PUBACK for one of our publishes.
    PubAck,
    /// A message.
    Publish {
        /// The topic that the server names.
        topic: &'a [u8],
        /// Present for QoS 1: what has to be acknowledged.
        packet_id: Option<u16>,
        /// The payload.
        payload: &'a [u8],
    },
}

/// Takes one packet off the start of `bytes`; `None` when it is not complete yet. Also returns its length.
///
/// # Errors
/// When the bytes are not MQTT, or a packet that no load here should receive.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Incoming<'_>, usize)>> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, length_len)) = remaining_length(rest)? else { return Ok(None) };
    let Some(body) = rest.get(length_len..length_len + length) else { return Ok(None) };
    let incoming = match first >> 4 {
        PUBLISH => publish(first, body).context("a PUBLISH shorter than its own lengths")?,
        PUBACK => Incoming::PubAck,
        CONNACK => Incoming::ConnAck(*body.get(1).context("a CONNACK without return code")?),
        SUBACK => Incoming::SubAck(*body.get(2).context("a SUBACK without return code")?),
        other => bail!("the server sent packet type {other}"),
    };
    Ok(Some((incoming, 1 + length_len + length)))
}

fn publish(first: u8, body: &[u8]) -> Option<Incoming<'_>> {
    let (length, rest) = body.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    if first & 0b0110 == 0 {
        return Some(Incoming::Publish { topic, packet_id: None, payload: rest });
    }
    let (id, payload) = rest.split_first_chunk()?;
    Some(Incoming::Publish { topic, packet_id: Some(u16::from_be_bytes(*id)), payload })
}

/// The "remaining length" of a packet and how many bytes it takes (MQTT 3.1.1, 2.2.3).
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, index + 1)));
        }
    }
    ensure!(bytes.len() < 4, "a remaining length of more than four bytes");
    Ok(None)
}

fn packet(first: u8, body: &[u8]) -> Result<Vec<u8>> {
    ensure!(body.len() < 1 << 28, "a packet of {} bytes is too long", body.len());
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let low = (left & 0x7F) as u8;
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    Ok(out)
}

fn text(out: &mut Vec<u8>, value: &str) -> Result<()> {
    out.extend_from_slice(
        &u16::try_from(value.len()).context("a text of more than 65,535 bytes")?.to_be_bytes(),
    );
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_decodes_to_the_messages_it_was_stamped_with() {
        for qos in [0, 1] {
            let mut batch = Batch::new("m/d/c/x/pair0", qos, 128, 3).unwrap();
            let mut bytes = batch.stamped(7, 65_534, 9);
            let mut seen = Vec::new();
            while let Some((incoming, used)) = decode(bytes).unwrap() {
                let Incoming::Publish { topic, packet_id, payload } = incoming else {
                    panic!("{incoming:?}")
                };
                assert_eq!((topic, payload.len()), (&b"m/d/c/x/pair0"[..], 128));
                seen.push((packet_id, Stamp::decode(payload).unwrap()));
                bytes = &bytes[used..];
            }
            let stamp = |sequence| Stamp { publisher: 7, sequence, due_us: 9 };
            let id = |id| (qos > 0).then_some(id);
            assert_eq!(seen, [(id(65_535), stamp(65_534)), (id(1), stamp(65_535)), (id(2), stamp(65_536))]);
        }
    }

    #[test]
    fn a_connect_is_the_bytes_of_the_specification() {
        let party = Party { id: "i".into(), username: "u".into(), password: "p".into(), lasting: false };
        let expected = b"\x10\x13\0\x04MQTT\x04\xC2\0\x3C\0\x01i\0\x01u\0\x01p";
        assert_eq!(connect(&party, 60).unwrap(), expected);
        let lasting = connect(&Party { lasting: true, ..party }, 60).unwrap();
        assert_eq!(lasting[9], 0xC0);
    }

    #[test]
    fn an_incomplete_packet_is_awaited_and_a_foreign_one_refused() {
        assert_eq!(decode(b"").unwrap(), None);
        assert_eq!(decode(b"\x20\x02\0").unwrap(), None);
        assert_eq!(decode(b"\x20\x02\0\x04").unwrap(), Some((Incoming::ConnAck(4), 4)));
        assert_eq!(decode(b"\x90\x03\0\x01\x80").unwrap(), Some((Incoming::SubAck(0x80), 5)));
        assert!(decode(b"\xF0\0").is_err());
        assert!(decode(b"\x30\xFF\xFF\xFF\xFF\x01").is_err());
    }
}
