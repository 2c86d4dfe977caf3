//! The few messages of a handshake that are looked at before it begins: ClientHello, the answer to it that carries a
//! cookie, and the ClientKeyExchange that names the client (RFC 6347 §4, RFC 4279 §2).

use super::cookie::Cookie;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
const CLIENT_KEY_EXCHANGE: u8 = 16;
/// Type, version, epoch, sequence number, length.
const RECORD_HEADER: usize = 13;
/// Type, length, sequence number, fragment.
const MESSAGE_HEADER: usize = 12;
/// `TLS_PSK_WITH_AES_128_CCM_8` (RFC 6655).
const PSK_AES_128_CCM_8: [u8; 2] = [0xc0, 0xa8];
/// Longest name of a pre-shared key: that of a client's id, with room for what is none.
const NAME: usize = 128;

/// A ClientHello in one piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello<'a> {
    message_seq: u16,
    pub(crate) random: &'a [u8],
    pub(crate) cookie: &'a [u8],
    /// What stands before the cookie's length and after the cookie.
    around: (&'a [u8], &'a [u8]),
    /// Whether it can do what the server can do.
    pub(crate) offers_psk: bool,
}

/// The first message of a record, in one piece: its type, its number and its body.
struct Message<'a> {
    kind: u8,
    seq: u16,
    body: &'a [u8],
}

/// Reads the handshake messages of a datagram that are not encrypted. Nothing after what breaks the format.
fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        loop {
            let (header, behind) = rest.split_at_checked(RECORD_HEADER)?;
            let &[kind, _, _, epoch_high, epoch_low, .., len_high, len_low] = header else { return None };
            let len = usize::from(u16::from_be_bytes([len_high, len_low]));
            let (record, behind) = behind.split_at_checked(len)?;
            rest = behind;
            if kind == HANDSHAKE
                && (epoch_high, epoch_low) == (0, 0)
                && let Some(message) = message(record)
            {
                return Some(message);
            }
        }
    })
}

fn message(record: &[u8]) -> Option<Message<'_>> {
    let (header, body) = record.split_at_checked(MESSAGE_HEADER)?;
    let &[kind, l1, l2, l3, s1, s2, o1, o2, o3, f1, f2, f3] = header else { return None };
    let is_whole = [o1, o2, o3] == [0; 3] && [l1, l2, l3] == [f1, f2, f3];
    let len = usize::try_from(u32::from_be_bytes([0, l1, l2, l3])).ok()?;
    let body = body.get(..len).filter(|_| is_whole)?;
    Some(Message { kind, seq: u16::from_be_bytes([s1, s2]), body })
}

/// Takes what has its length before it, in as many bytes.
fn sized(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_at_checked(width)?;
    let len = len.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(len)
}

impl<'a> Hello<'a> {
    /// The ClientHello that a datagram is. `None`: it is another message, or in pieces.
    pub(crate) fn read(datagram: &'a [u8]) -> Option<Self> {
        let message = messages(datagram).next().filter(|message| message.kind == CLIENT_HELLO)?;
        let (fixed, rest) = message.body.split_at_checked(2 + 32)?;
        let (session, rest) = sized(rest, 1)?;
        let before = message.body.get(..fixed.len() + 1 + session.len())?;
        let (cookie, after) = sized(rest, 1)?;
        let (suites, _) = sized(after, 2)?;
        Some(Self {
            message_seq: message.seq,
            random: fixed.get(2..)?,
            cookie,
            around: (before, after),
            offers_psk: suites.chunks_exact(2).any(|suite| suite == PSK_AES_128_CCM_8),
        })
    }

    /// Whether it is the one that answers a cookie.
    pub(crate) const fn is_second(&self) -> bool {
        self.message_seq == 1
    }

    /// The request to send the hello again with a cookie; smaller than the hello.
    pub(crate) fn verify_request(cookie: &Cookie) -> Vec<u8> {
        // Version 1.0 in both places, whatever comes later (RFC 6347 §4.2.1).
        let mut body = vec![0xfe, 0xff, 32];
        body.extend_from_slice(cookie);
        record(HELLO_VERIFY_REQUEST, [0xfe, 0xff], &body)
    }

    /// The hello as it was before there was a cookie.
    pub(crate) fn without_cookie(&self) -> Vec<u8> {
        let (before, after) = self.around;
        record(CLIENT_HELLO, [0xfe, 0xfd], &[before, &[0], after].concat())
    }
}

/// A record with the first message of a side.
fn record(kind: u8, version: [u8; 2], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let [_, size @ ..] = len;
    let message = [&[kind], size.as_slice(), &[0, 0], &[0, 0, 0], &size, body].concat();
    let len = u16::try_from(message.len()).unwrap_or(0).to_be_bytes();
    [&[HANDSHAKE], version.as_slice(), &[0; 8], &len, &message].concat()
}

/// The name of the pre-shared key, where a datagram has the message that names it.
pub(crate) fn key_name(datagram: &[u8]) -> Option<&[u8]> {
    let message = messages(datagram).find(|message| message.kind == CLIENT_KEY_EXCHANGE)?;
    sized(message.body, 2).map(|(name, _)| name).filter(|name| name.len() <= NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop};
    use proptest::proptest;

    use super::*;

    fn hello(cookie: &[u8], suites: &[u8]) -> Vec<u8> {
        let cookie = [&[u8::try_from(cookie.len()).unwrap()], cookie].concat();
        let suites = [&[0, u8::try_from(suites.len()).unwrap()], suites].concat();
        let body = [&[0xfe, 0xfd], [7; 32].as_slice(), &[0], &cookie, &suites, &[1, 0]].concat();
        record(CLIENT_HELLO, [0xfe, 0xfd], &body)
    }

    #[test]
    fn a_hello_is_read_and_loses_its_cookie() {
        let datagram = hello(&[1, 2, 3], &PSK_AES_128_CCM_8);
        let read = Hello::read(&datagram).unwrap();
        assert_eq!((read.random, read.cookie), ([7; 32].as_slice(), [1, 2, 3].as_slice()));
        assert!(read.offers_psk && !read.is_second());
        assert_eq!(read.without_cookie(), hello(&[], &PSK_AES_128_CCM_8));
        assert!(!Hello::read(&hello(&[], &[0xc0, 0x2b])).unwrap().offers_psk);
    }

    #[test]
    fn the_request_for_a_cookie_is_no_larger_than_what_it_answers() {
        assert!(Hello::verify_request(&[0; 32]).len() <= hello(&[], &PSK_AES_128_CCM_8).len());
    }

    #[test]
    fn the_name_of_a_key_is_found_behind_other_messages() {
        let exchange = record(CLIENT_KEY_EXCHANGE, [0xfe, 0xfd], &[&[0, 3], b"abc".as_slice()].concat());
        let datagram = [hello(&[], &[]), exchange].concat();
        assert_eq!(key_name(&datagram), Some(b"abc".as_slice()));
        let long = record(CLIENT_KEY_EXCHANGE, [0xfe, 0xfd], &[&[0, 200], [0; 200].as_slice()].concat());
        assert_eq!(key_name(&long), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut mutated = hello(&[1; 32], &PSK_AES_128_CCM_8);
            let at = cut.index(mutated.len());
            mutated[at] = byte;
            for datagram in [bytes.as_slice(), mutated.as_slice(), &mutated[..at]] {
                let _read = Hello::read(datagram).map(|hello| hello.without_cookie());
                let _name = key_name(datagram);
            }
        }
    }
}
