//! Packets: what `coap-lite` decodes, with the rules that it leaves open, and answers on their way out.

use bytes::Bytes;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet, ResponseType};

/// Why a datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It is passed over: another protocol or version, or nothing that anybody waits for (RFC 7252 §3, §4.3).
    Ignored,
    /// It is refused with a RST that names its id (RFC 7252 §4.2).
    Rejected(u16),
}

/// Reads a datagram.
///
/// # Errors
///
/// It breaks the format.
pub(crate) fn decode(datagram: &[u8]) -> Result<Packet, Undecodable> {
    let &[first, _, high, low, ..] = datagram else { return Err(Undecodable::Ignored) };
    if first >> 6 != 1 {
        return Err(Undecodable::Ignored);
    }
    let broken = match first >> 4 & 0b11 {
        0 => Undecodable::Rejected(u16::from_be_bytes([high, low])),
        _ => Undecodable::Ignored,
    };
    let packet = Packet::from_bytes(datagram).map_err(|_| broken)?;
    let is_empty = packet.header.code == MessageClass::Empty;
    if is_empty && datagram.len() != 4 {
        return Err(broken);
    }
    // A marker without a payload behind it is a format error (RFC 7252 §3).
    let marker_alone = packet.payload.is_empty()
        && datagram.last() == Some(&0xff)
        && packet.to_bytes_unlimited().is_ok_and(|bytes| bytes.len() < datagram.len());
    if marker_alone { Err(broken) } else { Ok(packet) }
}

/// A message without code, token and options: a bare ACK, a RST, or a CON that asks whether somebody is there.
pub(crate) fn empty(kind: MessageType, id: u16) -> Vec<u8> {
    let bits = match kind {
        MessageType::Confirmable => 0,
        MessageType::NonConfirmable => 1,
        MessageType::Acknowledgement => 2,
        MessageType::Reset => 3,
    };
    let [high, low] = id.to_be_bytes();
    vec![0x40 | bits << 4, 0, high, low]
}

/// An answer or a notification, before it has a type, an id and a token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: ResponseType,
    pub(crate) options: Vec<(CoapOption, Vec<u8>)>,
    pub(crate) payload: Bytes,
}

impl Reply {
    pub(crate) const fn empty(code: ResponseType) -> Self {
        Self { code, options: Vec::new(), payload: Bytes::new() }
    }

    /// With a text that says what is wrong (RFC 7252 §5.5.2), or with a short text.
    pub(crate) fn text(code: ResponseType, text: impl Into<String>) -> Self {
        Self { code, options: Vec::new(), payload: text.into().into() }
    }

    #[must_use]
    pub(crate) fn with(mut self, option: CoapOption, value: Vec<u8>) -> Self {
        self.options.push((option, value));
        self
    }

    #[must_use]
    pub(crate) fn with_number(self, option: CoapOption, value: u32) -> Self {
        self.with(option, number(value))
    }

    /// As bytes.
    pub(crate) fn encode(&self, kind: MessageType, id: u16, token: &[u8]) -> Vec<u8> {
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(kind);
        packet.header.code = MessageClass::Response(self.code);
        packet.header.message_id = id;
        packet.set_token(token.to_vec());
        for (option, value) in &self.options {
            packet.add_option(*option, value.clone());
        }
        packet.payload = self.payload.to_vec();
        packet.to_bytes_unlimited().unwrap_or_default()
    }
}

/// A number as options have it: without leading zeros, nothing for zero (RFC 7252 §3.2).
pub(crate) fn number(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// The number in an option; `None` where it is longer than four bytes.
pub(crate) fn read_number(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_the_format_is_refused_if_it_wants_an_answer_and_ignored_otherwise() {
        let con = |rest: &[u8]| [&[0x40, 1, 0x12, 0x34], rest].concat();
        let refused = Undecodable::Rejected(0x1234);
        assert_eq!(decode(&con(&[0xff])).unwrap_err(), refused, "a marker without payload");
        assert_eq!(decode(&con(&[0xd0])).unwrap_err(), refused, "an option that is cut off");
        assert_eq!(decode(&con(&[0xf0, 1])).unwrap_err(), refused, "a reserved delta");
        assert_eq!(decode(&[0x49, 1, 0x12, 0x34]).unwrap_err(), refused, "a token of nine bytes");
        assert_eq!(
            decode(&[0x40, 0, 0x12, 0x34, 0xb1, b'a']).unwrap_err(),
            refused,
            "an empty message with an option"
        );
        assert_eq!(decode(&[0x50, 1, 0x12, 0x34, 0xff]).unwrap_err(), Undecodable::Ignored, "nobody waits");
        assert_eq!(decode(&[0x80, 1, 0x12, 0x34]).unwrap_err(), Undecodable::Ignored, "another version");
        assert_eq!(decode(b"GET").unwrap_err(), Undecodable::Ignored, "another protocol");
    }

    #[test]
    fn an_option_that_ends_like_a_marker_is_none() {
        let packet = decode(&[0x40, 1, 0x12, 0x34, 0xb2, b'a', 0xff]).unwrap();
        assert_eq!(packet.get_first_option(CoapOption::UriPath), Some(&vec![b'a', 0xff]));
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        assert_eq!((number(0), number(60), number(0x01_00_00)), (vec![], vec![60], vec![1, 0, 0]));
        assert_eq!(read_number(&[]), Some(0));
        assert_eq!(read_number(&[0, 1, 0]), Some(256));
        assert_eq!(read_number(&[0; 5]), None);
    }

    #[test]
    fn an_answer_is_encoded_with_its_token_and_options_in_order() {
        let reply = Reply::text(ResponseType::Content, "hi")
            .with_number(CoapOption::ContentFormat, 0)
            .with_number(CoapOption::Observe, 5);
        let bytes = reply.encode(MessageType::NonConfirmable, 7, &[0xab]);
        assert_eq!(bytes, [0x51, 0x45, 0, 7, 0xab, 0x61, 5, 0x60, 0xff, b'h', b'i']);
    }
}
