//! UTF-8 text of the protocol, kept as a slice of the buffer that it arrived in.

use std::fmt;
use std::str;

use bytes::Bytes;

/// A UTF-8 string without U+0000, at most 65,535 bytes long when it came from the wire (MQTT 5.0 §1.5.4).
///
/// It shares the read buffer: a clone is a reference count. Whoever keeps one for long should keep
/// [`Text::detached`] instead, or the whole read buffer stays alive with it.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// Checks bytes: valid UTF-8 and no U+0000 ([MQTT-1.5.4-1], [MQTT-1.5.4-2]); `None` otherwise.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        is_text(&bytes).then_some(Self(bytes))
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

    /// Wraps bytes that the caller has checked with [`is_text`].
    pub(super) fn from_checked(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// Whether bytes are valid UTF-8 without U+0000.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    // U+0000 is the only character with a zero byte in UTF-8. The fold has no early exit, so it is vectorised.
    let has_zero = bytes.iter().fold(false, |seen, &byte| seen | (byte == 0));
    !has_zero && str::from_utf8(bytes).is_ok()
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
