//! UTF-8 text of the protocol, kept as a slice of the buffer that it arrived in.

use std::fmt;
use std::str;

use bytes::Bytes;

use super::violation::Violation;

/// A UTF-8 string without U+0000, at most 65,535 bytes long when it came from the wire (MQTT 5.0 §1.5.4).
///
/// It shares the read buffer: a clone is a reference count. Whoever keeps one for long should keep
/// [`Text::detached`] instead, or the whole read buffer stays alive with it.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// Checks bytes: valid UTF-8 and no U+0000 ([MQTT-1.5.4-1], [MQTT-1.5.4-2]); `None` otherwise.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        check_text(&bytes).is_ok().then_some(Self(bytes))
    }

    /// Text that is known at compile time.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The bytes, for hashing, comparing and copying: free of cost.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text. Walks over the bytes once (the crate forbids `unsafe`), so hot paths use [`Text::as_bytes`].
    pub fn as_str(&self) -> &str {
        // INVARIANT: the bytes were valid UTF-8 at construction and never change.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no character.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same text in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Wraps bytes that the caller has checked with [`check_text`].
    pub(super) fn from_checked(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// What one walk over the bytes of a string found out.
pub(super) struct Scan {
    /// No byte above 0x7F, so the string is valid UTF-8.
    is_ascii: bool,
    /// A zero byte, which in UTF-8 is U+0000 and nothing else.
    has_zero: bool,
    /// `+` or `#`.
    pub(super) has_wildcard: bool,
}

/// Bytes that one step of [`scan`] looks at: the width of the vector registers that every x86-64 and AArch64 has.
const LANES: usize = 16;

/// Walks over a string once, without an early exit, so that the compiler uses vector instructions.
///
/// The end is covered by the last sixteen bytes once more, which for a question of the form "is there any" does
/// no harm; shorter strings are filled up with a byte that answers no question.
fn scan(bytes: &[u8]) -> Scan {
    let mut found = Found::default();
    if let Some(end) = bytes.last_chunk() {
        let (chunks, _) = bytes.as_chunks();
        for chunk in chunks {
            found.look_at(chunk);
        }
        found.look_at(end);
    } else {
        let mut filled = [b' '; LANES];
        for (lane, &byte) in filled.iter_mut().zip(bytes) {
            *lane = byte;
        }
        found.look_at(&filled);
    }
    let any = |lanes: [u8; LANES]| lanes.iter().fold(0, |all, &lane| all | lane);
    Scan {
        is_ascii: any(found.high) < 0x80,
        has_zero: any(found.zero) != 0,
        has_wildcard: any(found.wildcard) != 0,
    }
}

/// What has been seen, lane by lane.
#[derive(Default)]
struct Found {
    high: [u8; LANES],
    zero: [u8; LANES],
    wildcard: [u8; LANES],
}

impl Found {
    #[inline]
    fn look_at(&mut self, bytes: &[u8; LANES]) {
        let Self { high, zero, wildcard } = self;
        for (((&byte, high), zero), wildcard) in bytes.iter().zip(high).zip(zero).zip(wildcard) {
            *high |= byte;
            *zero |= u8::from(byte == 0);
            // `#` and `+` differ in the bit 0x08 alone.
            *wildcard |= u8::from(byte | 0x08 == b'+');
        }
    }
}

/// Checks a string: valid UTF-8 ([MQTT-1.5.4-1]) without U+0000 ([MQTT-1.5.4-2]).
pub(super) fn check_text(bytes: &[u8]) -> Result<Scan, Violation> {
    let scan = scan(bytes);
    if scan.has_zero {
        return Err(Violation::NullCharacter);
    }
    if !scan.is_ascii && str::from_utf8(bytes).is_err() {
        return Err(Violation::Utf8Invalid);
    }
    Ok(scan)
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_refuses_zero_characters_and_surrogates() {
        assert!(Text::from_utf8(Bytes::from_static("grüße".as_bytes())).is_some());
        assert!(Text::from_utf8(Bytes::from_static(b"a\0b")).is_none());
        assert!(Text::from_utf8(Bytes::from_static(b"\xed\xa0\x80")).is_none());
    }
}
