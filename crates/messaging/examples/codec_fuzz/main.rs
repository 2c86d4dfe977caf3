//! Throws damaged packets at the MQTT codec for as long as it is told, and stops at the first thing that must not be.
//!
//! `cargo run --release -p trunkline-messaging --example codec_fuzz -- [SECONDS] [SEED]` (60 seconds; the seed is printed)
//!
//! It begins with a corpus of valid packets of both sides and all versions, and changes them: bits, bytes, lengths,
//! pieces of other packets. Half of the time the remaining length is put right again, so that the damage gets past the
//! framing. A packet that is accepted, or that breaks a rule which none broke before, joins the corpus. What must hold:
//!
//! - the decoder returns: no panic, and no more input taken than there is;
//! - the same bytes mean the same whether they come at once or in pieces;
//! - what was accepted can be written again, and then means the same;
//! - a packet in memory is no larger than the bound that its size gives it;
//! - a topic that is accepted begins with its spelling, and what is accepted as a topic is accepted as a filter.

#![expect(clippy::print_stdout, reason = "a program that prints what it has found")]

mod corpus;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use std::{env, mem::Discriminant};

use bytes::{Bytes, BytesMut};
use messaging::topic::{Address, Filter};
use messaging::wire::{
    Connect, Decoder, Packet, ReasonCode, Side, Subscription, SubscriptionId, Text, UserProperty, Version,
    Violation, encode,
};

use corpus::corpus;

type Outcome<T> = Result<T, String>;

/// Packets that the corpus holds at most, beside those that it begins with.
const LARGEST_CORPUS: usize = 4_096;
/// Larger ones do not join the corpus.
const LARGEST_PACKET: usize = 2_048;
/// Far above what the corpus holds.
const MAXIMUM_PACKET_SIZE: usize = 1 << 16;
/// The bound of a decoded packet, in bytes of memory for each of its bytes.
const MEMORY_FACTOR: usize = 26;

fn main() -> Result<(), String> {
    let mut arguments = env::args().skip(1);
    let seconds = number(arguments.next(), 60)?;
    let seed = number(arguments.next(), u64::from(std::process::id()))?;
    println!("seed {seed}");
    let mut fuzz = Fuzz::new(seed)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for _ in 0..1_000 {
            fuzz.step()?;
        }
    }
    fuzz.report(seconds);
    Ok(())
}

fn number(given: Option<String>, default: u64) -> Outcome<u64> {
    given.map_or(Ok(default), |text| text.parse().map_err(|_| format!("`{text}` is not a number")))
}

/// Bytes, and who sends them in which version; `None`: the first bytes of a client.
#[derive(Debug, Clone)]
struct Sample {
    from: Option<(Side, Version)>,
    bytes: Vec<u8>,
}

/// A source of arbitrary numbers that can be repeated (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`; 0 when that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        const OF_INTEREST: [u8; 12] = [0, 1, 2, 0x7f, 0x80, 0xff, b'#', b'+', b'/', b'$', 0x26, 0x0b];
        match self.below(2) {
            0 => OF_INTEREST.get(self.below(OF_INTEREST.len())).copied().unwrap_or(0),
            _ => self.next().to_le_bytes()[0],
        }
    }
}

struct Fuzz {
    dice: Dice,
    corpus: Vec<Sample>,
    added: usize,
    steps: u64,
    accepted: HashMap<Discriminant<Packet>, u64>,
    refused: HashMap<Violation, u64>,
}

impl Fuzz {
    fn new(seed: u64) -> Outcome<Self> {
        Ok(Self {
            dice: Dice(seed.wrapping_mul(2) | 1),
            corpus: corpus()?,
            added: 0,
            steps: 0,
            accepted: HashMap::new(),
            refused: HashMap::new(),
        })
    }

    fn step(&mut self) -> Outcome<()> {
        self.steps += 1;
        let Some(mut sample) = self.corpus.get(self.dice.below(self.corpus.len())).cloned() else {
            return Err("the corpus is empty".to_owned());
        };
        for _ in 0..=self.dice.below(4) {
            self.change(&mut sample.bytes);
        }
        if self.dice.below(2) == 0 {
            reframe(&mut sample.bytes);
        }
        self.judge(&sample).map_err(|wrong| format!("{wrong}\n{sample:02x?}"))
    }

    /// Damages the bytes in one way.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let dice = &mut self.dice;
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 => flip(bytes, at, dice.below(8)),
            1 => {
                let byte = dice.byte();
                bytes.get_mut(at).into_iter().for_each(|old| *old = byte);
            }
            2 => bytes.insert(at, dice.byte()),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            // A piece of the same packet once more, or one of another.
            5 => {
                let piece = bytes.get(at..).unwrap_or_default().iter().take(1 + dice.below(16)).copied();
                let piece: Vec<u8> = piece.collect();
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = self.corpus.get(dice.below(self.corpus.len()));
                let other = other.map(|other| other.bytes.as_slice()).unwrap_or_default();
                let from = dice.below(other.len());
                let piece: Vec<u8> = other.iter().skip(from).take(1 + dice.below(24)).copied().collect();
                bytes.splice(at..at, piece);
            }
            // A length of two bytes that is a little off.
            _ => {
                if let Some(low) = bytes.get_mut(at) {
                    *low = low.wrapping_add([1, 255, 2, 254].get(dice.below(4)).copied().unwrap_or(1));
                }
            }
        }
    }

    /// Decodes and checks what must hold; remembers what is new.
    fn judge(&mut self, sample: &Sample) -> Outcome<()> {
        let whole = decode(sample, &[])?;
        let pieces = [1 + self.dice.below(7), 1 + self.dice.below(40)];
        let split = decode(sample, &pieces)?;
        if whole != split {
            return Err(format!("whole: {whole:?}\nin pieces of {pieces:?}: {split:?}"));
        }
        let mut is_new = false;
        for packet in &whole.packets {
            check_again(sample, packet)?;
            check_topics(packet)?;
            *self.accepted.entry(std::mem::discriminant(packet)).or_insert(0) += 1;
            is_new = true;
        }
        if let Some(violation) = whole.violation {
            let count = self.refused.entry(violation).or_insert(0);
            is_new |= *count == 0;
            *count += 1;
        }
        let fits = sample.bytes.len() <= LARGEST_PACKET;
        if is_new && fits && (self.added < LARGEST_CORPUS || self.dice.below(64) == 0) {
            self.added += 1;
            if self.corpus.len() < LARGEST_CORPUS {
                self.corpus.push(sample.clone());
            } else {
                let at = self.dice.below(self.corpus.len());
                self.corpus.get_mut(at).into_iter().for_each(|old| *old = sample.clone());
            }
        }
        Ok(())
    }

    fn report(&self, seconds: u64) {
        let accepted: u64 = self.accepted.values().sum();
        println!("{} streams in {seconds} s, {accepted} packets accepted", self.steps);
        println!("kinds of packets that were accepted: {} of 15", self.accepted.len());
        let broken: HashSet<Violation> = self.refused.keys().copied().collect();
        println!("rules that were broken: {} of {}", broken.len(), Violation::ALL.len());
        for rule in Violation::ALL.iter().filter(|rule| !broken.contains(rule)) {
            println!("  not met: {rule}");
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, bit: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

/// Puts the remaining length right, as far as there is a fixed header.
fn reframe(bytes: &mut Vec<u8>) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let length = rest.iter().take(4).take_while(|&&byte| byte & 0x80 != 0).count() + 1;
    let body = rest.get(length..).unwrap_or_default().to_vec();
    let mut framed = vec![first];
    let mut left = body.len();
    loop {
        let low = u8::try_from(left % 128).unwrap_or(0);
        left /= 128;
        framed.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    framed.extend(body);
    *bytes = framed;
}

/// What a decoder makes of a stream.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    packets: Vec<Packet>,
    violation: Option<Violation>,
}

fn decoder(from: Option<(Side, Version)>) -> Outcome<Decoder> {
    match from {
        None => Ok(Decoder::of_client(MAXIMUM_PACKET_SIZE)),
        Some((Side::Server, version)) => Ok(Decoder::of_server(version, MAXIMUM_PACKET_SIZE)),
        Some((Side::Client, version)) => {
            let mut decoder = Decoder::of_client(MAXIMUM_PACKET_SIZE);
            let mut connect = Vec::new();
            write(&Packet::Connect(Box::new(Connect::new(version, "fuzz"))), version, &mut connect)?;
            decoder.decode(&mut Bytes::from(connect)).map_err(|violation| violation.to_string())?;
            Ok(decoder)
        }
    }
}

/// Decodes a stream that arrives in pieces of the given lengths, over and over; all at once for none.
fn decode(sample: &Sample, pieces: &[usize]) -> Outcome<Decoded> {
    let mut decoder = decoder(sample.from)?;
    let mut decoded = Decoded::default();
    let mut pending = BytesMut::new();
    let mut rest = &sample.bytes[..];
    let mut lengths = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(lengths.next().unwrap_or(rest.len()).min(rest.len()));
        rest = later;
        pending.extend_from_slice(piece);
        let mut input = pending.split().freeze();
        loop {
            let before = input.len();
            match decoder.decode(&mut input) {
                Ok(Some(packet)) => {
                    check_memory(&packet, before - input.len())?;
                    decoded.packets.push(packet);
                }
                Ok(None) if input.len() == before => break,
                Ok(None) => return Err("an incomplete packet was taken".to_owned()),
                Err(violation) => {
                    decoded.violation = Some(violation);
                    return Ok(decoded);
                }
            }
        }
        pending.extend_from_slice(&input);
    }
    Ok(decoded)
}

/// The parts of a packet that grow with their number.
fn check_memory(packet: &Packet, size: usize) -> Outcome<()> {
    let users = |users: &Vec<UserProperty>| users.capacity() * size_of::<UserProperty>();
    let memory = match packet {
        Packet::Subscribe(packet) => {
            packet.filters.capacity() * size_of::<Subscription>() + users(&packet.user_properties)
        }
        Packet::Unsubscribe(packet) => {
            packet.filters.capacity() * size_of::<Text>() + users(&packet.user_properties)
        }
        Packet::SubAck(packet) => packet.reasons.capacity() * size_of::<ReasonCode>(),
        Packet::Connect(packet) => users(&packet.user_properties),
        Packet::Publish(packet) => packet.subscription_ids.capacity() * size_of::<SubscriptionId>(),
        _ => 0,
    };
    // A vector begins with room for four.
    let bound = (MEMORY_FACTOR * size).max(4 * size_of::<Subscription>());
    if memory <= bound { Ok(()) } else { Err(format!("{memory} bytes of memory for {size}: {packet:?}")) }
}

fn write(packet: &Packet, version: Version, out: &mut Vec<u8>) -> Outcome<()> {
    encode(packet, version, out).map_err(|error| format!("{error}: {packet:?}"))
}

/// What was accepted means the same when it is written again.
fn check_again(sample: &Sample, packet: &Packet) -> Outcome<()> {
    let version = match (packet, sample.from) {
        (Packet::Connect(connect), _) => connect.version,
        (_, Some((_, version))) => version,
        // A client's later packets, in the version of a CONNECT before them.
        (_, None) => return Ok(()),
    };
    let from = if matches!(packet, Packet::Connect(_)) { None } else { sample.from };
    let mut bytes = Vec::new();
    write(packet, version, &mut bytes)?;
    let again = decode(&Sample { from, bytes }, &[])?;
    if again.packets == [packet.clone()] && again.violation.is_none() {
        return Ok(());
    }
    Err(format!("{packet:?} was written again and became {again:?}"))
}

/// Topics and filters that the codec lets through go on to the platform's own grammar.
fn check_topics(packet: &Packet) -> Outcome<()> {
    match packet {
        Packet::Publish(publish) => check_topic(publish.topic.as_str()),
        Packet::Connect(connect) => {
            connect.will.as_ref().map_or(Ok(()), |will| check_topic(will.topic.as_str()))
        }
        Packet::Subscribe(subscribe) => {
            for subscription in &subscribe.filters {
                let filter = subscription.filter.as_str();
                if let Ok(Filter { address: Address::Channel(address), .. }) = Filter::parse(filter)
                    && !filter.contains(&*address.spelling)
                {
                    return Err(format!("`{filter}` does not contain its spelling"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_topic(topic: &str) -> Outcome<()> {
    let Ok(address) = Address::of_topic(topic) else { return Ok(()) };
    if let Address::Channel(channel) = &address
        && !topic.starts_with(&*channel.spelling)
    {
        return Err(format!("`{topic}` does not begin with its spelling"));
    }
    match Filter::parse(topic) {
        Ok(filter) if filter.address == address => Ok(()),
        other => Err(format!("`{topic}` is a topic, and as a filter {other:?}")),
    }
}
