//! Datagrams to begin with, and how they are damaged.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};

use crate::open::SECRET;

/// Answers that are kept to be sent back.
const MOST_ANSWERS: usize = 256;

/// A source of arbitrary numbers that can be repeated (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`; 0 when that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        const OF_INTEREST: [u8; 12] = [0, 1, 2, 0x40, 0x50, 0x60, 0x70, 0x0d, 0x0e, 0x0f, 0xff, b'/'];
        match self.below(2) {
            0 => OF_INTEREST.get(self.below(OF_INTEREST.len())).copied().unwrap_or(0),
            _ => self.next().to_le_bytes()[0],
        }
    }
}

/// A POST of a payload with these credentials.
pub(crate) fn publish(id: u16, secret: &str, payload: &[u8]) -> Vec<u8> {
    let mut packet = request(RequestType::Post, "m/d/c/c/a", &format!("auth={secret}"));
    packet.header.message_id = id;
    packet.set_token(id.to_be_bytes().to_vec());
    packet.payload = payload.to_vec();
    bytes(&packet)
}

fn request(code: RequestType, path: &str, query: &str) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Confirmable);
    packet.header.code = MessageClass::Request(code);
    packet.set_token(b"tok".to_vec());
    for segment in path.split('/') {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        packet.add_option(CoapOption::UriQuery, pair.as_bytes().to_vec());
    }
    packet
}

fn bytes(packet: &Packet) -> Vec<u8> {
    packet.to_bytes_unlimited().unwrap_or_default()
}

/// What there is to damage.
pub(crate) struct Corpus {
    samples: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
}

impl Corpus {
    pub(crate) fn new() -> Self {
        let own = format!("auth={SECRET}");
        let mut samples = Vec::new();
        for query in [own.as_str(), "auth=wrong", "", "username=u&password=p", "auth=a&auth=b"] {
            for path in [
                "m/d/c/c",
                "m/d/c/c/a/b",
                "m/d/c/none",
                "hc/d",
                "health",
                ".well-known/core",
                "mqtt/publish/m/d/c/c",
                "channels/c/messages/x",
                "",
            ] {
                for code in [RequestType::Get, RequestType::Post, RequestType::Put, RequestType::Delete] {
                    samples.push(bytes(&request(code, path, query)));
                }
            }
            for observe in [0, 1] {
                let mut packet = request(RequestType::Get, "m/d/c/c/#", query);
                packet.set_observe_value(observe);
                samples.push(bytes(&packet));
                packet.header.set_type(MessageType::NonConfirmable);
                samples.push(bytes(&packet));
            }
            // Block numbers with "more to come" and size 64, and one that asks for the second block of an answer.
            for (option, block) in [
                (CoapOption::Block1, 0x0a),
                (CoapOption::Block1, 0x1a),
                (CoapOption::Block1, 0x22),
                (CoapOption::Block2, 0x12),
            ] {
                let mut packet = request(RequestType::Post, "m/d/c/c", query);
                packet.add_option(option, vec![block]);
                packet.add_option(CoapOption::ContentFormat, vec![50]);
                packet.payload = vec![b'x'; 64];
                samples.push(bytes(&packet));
            }
        }
        for header in [0x40, 0x50, 0x60, 0x70] {
            samples.push(vec![header, 0, 0, 1]);
        }
        Self { samples, answers: Vec::new() }
    }

    /// Keeps an answer, or the acknowledgement or reset that belongs to it.
    pub(crate) fn answered(&mut self, dice: &mut Dice, answer: &[u8]) {
        let [_, _, high, low, ..] = *answer else { return };
        let kept = match dice.below(3) {
            0 => vec![0x60, 0, high, low],
            1 => vec![0x70, 0, high, low],
            _ => answer.to_vec(),
        };
        if self.answers.len() >= MOST_ANSWERS {
            let at = dice.below(self.answers.len());
            self.answers.swap_remove(at);
        }
        self.answers.push(kept);
    }

    /// A damaged datagram. Who is not known must not come to the right secret by it.
    pub(crate) fn damaged(&self, dice: &mut Dice, is_known: bool) -> Vec<u8> {
        loop {
            let from =
                if dice.below(4) == 0 && !self.answers.is_empty() { &self.answers } else { &self.samples };
            let mut datagram = from.get(dice.below(from.len())).cloned().unwrap_or_default();
            if let Some(id) = datagram.get_mut(2..4)
                && dice.below(2) == 0
            {
                id.copy_from_slice(&[dice.byte(), dice.byte()]);
            }
            for _ in 0..dice.below(4) {
                self.change(dice, &mut datagram);
            }
            // A secret that is broken is a wrong one: whoever is known mostly shows the right one.
            let holds = |text: &str| datagram.windows(text.len()).any(|part| part == text.as_bytes());
            let shows_other = holds("auth=") || holds("password=");
            if holds(SECRET) == is_known || (!shows_other && is_known) || dice.below(64) == 0 && is_known {
                return datagram;
            }
        }
    }

    /// Damages a datagram in one way.
    fn change(&self, dice: &mut Dice, datagram: &mut Vec<u8>) {
        let at = dice.below(datagram.len());
        match dice.below(7) {
            0 => datagram.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << dice.below(8)),
            1 => datagram.get_mut(at).into_iter().for_each(|byte| *byte = dice.byte()),
            2 => datagram.truncate(at),
            3 => datagram.insert(at, dice.byte()),
            4 => {
                let piece = self.samples.get(dice.below(self.samples.len())).map_or(&[][..], Vec::as_slice);
                datagram.truncate(at);
                datagram.extend_from_slice(piece.get(dice.below(piece.len())..).unwrap_or_default());
            }
            5 => datagram.extend(std::iter::repeat_n(dice.byte(), dice.below(1_400))),
            _ => {
                if at < datagram.len() {
                    datagram.remove(at);
                }
            }
        }
    }
}
