//! What goes over the wire between two nodes.
//!
//! | Bytes | What |
//! |---|---|
//! | 8 | up to which fragment the sender has received what the other sent |
//! | 8 | up to which fragment the sender has processed it |
//! | 8 | number of the fragment that follows, or 0: nothing follows |
//! | 1 | 1 if the fragment is the last of its message; without one, if the sender asks how far the other is |
//! | rest | the fragment |
//!
//! Numbers are in network byte order and begin with 1.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What stands before a fragment.
const HEAD: usize = 25;

/// One datagram of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) received: u64,
    pub(crate) processed: u64,
    pub(crate) body: Body,
}

/// What follows the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Nothing,
    /// The other side is to say how far it is.
    Question,
    Fragment(Fragment),
}

/// A piece of a message, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) number: u64,
    pub(crate) last: bool,
    pub(crate) payload: Bytes,
}

impl Datagram {
    pub(crate) fn encode(&self) -> Bytes {
        let (number, flag, payload) = match &self.body {
            Body::Nothing => (0, false, &[][..]),
            Body::Question => (0, true, &[][..]),
            Body::Fragment(fragment) => (fragment.number, fragment.last, &fragment.payload[..]),
        };
        let mut out = BytesMut::with_capacity(HEAD + payload.len());
        out.put_u64(self.received);
        out.put_u64(self.processed);
        out.put_u64(number);
        out.put_u8(u8::from(flag));
        out.put_slice(payload);
        out.freeze()
    }

    /// Nothing for what no node sends.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < HEAD {
            return None;
        }
        let (received, processed) = (bytes.get_u64(), bytes.get_u64());
        let (number, flag) = (bytes.get_u64(), bytes.get_u8());
        let body = match (number, flag) {
            (0, 0) if bytes.is_empty() => Body::Nothing,
            (0, 1) if bytes.is_empty() => Body::Question,
            (0, _) | (_, 2..) => return None,
            (number, last) => Body::Fragment(Fragment { number, last: last == 1, payload: bytes }),
        };
        (processed <= received).then_some(Self { received, processed, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for body in [Body::Nothing, Body::Question] {
            let bare = Datagram { received: 7, processed: 3, body };
            assert_eq!(Datagram::decode(bare.encode()), Some(bare));
        }
        let fragment = Fragment { number: 9, last: true, payload: Bytes::from_static(b"text") };
        let full = Datagram { received: 0, processed: 0, body: Body::Fragment(fragment) };
        assert_eq!(Datagram::decode(full.encode()), Some(full));
    }

    #[test]
    fn what_no_node_sends_is_refused() {
        let bare = Datagram { received: 3, processed: 3, body: Body::Nothing }.encode();
        let more_processed_than_received =
            Datagram { received: 3, processed: 4, body: Body::Nothing }.encode();
        let follows_nothing = [&bare[..], b"text"].concat();
        let mut flag = bare.to_vec();
        flag[24] = 2;
        for bytes in [bare[..24].to_vec(), more_processed_than_received.to_vec(), follows_nothing, flag] {
            assert_eq!(Datagram::decode(Bytes::from(bytes)), None);
        }
    }
}
