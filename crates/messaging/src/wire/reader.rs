//! Takes the fields of one packet from the read buffer, without copying them.

use std::num::NonZeroU16;

use bytes::Bytes;
use kernel::Secret;

use super::text::{Text, check_text};
use super::topic::check_topic_name;
use super::violation::Violation;

/// A cursor over the body of one packet.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The buffer that `rest` lies in; fields become slices of it.
    buffer: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `rest`, which must lie in `buffer`.
    pub(super) fn new(buffer: &'a Bytes, rest: &'a [u8]) -> Self {
        Self { buffer, rest }
    }

    /// Whether all has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the packet: nothing may be left.
    pub(super) fn finish(self) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes) }
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        let (&byte, rest) = self.rest.split_first().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    /// Two bytes, big endian.
    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    /// Four bytes, big endian.
    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// A packet identifier, which is never zero.
    pub(super) fn packet_id(&mut self) -> Result<NonZeroU16, Violation> {
        NonZeroU16::new(self.u16()?).ok_or(Violation::PacketIdZero)
    }

    /// A variable byte integer (§1.5.5).
    pub(super) fn variable_byte_integer(&mut self) -> Result<u32, Violation> {
        let (value, length) = variable_byte_integer(self.rest)?.ok_or(Violation::Truncated)?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(value)
    }

    /// A part of known length, read on its own.
    pub(super) fn section(&mut self, length: usize) -> Result<Self, Violation> {
        let (part, rest) = self.rest.split_at_checked(length).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(Self { buffer: self.buffer, rest: part })
    }

    /// Bytes with a two-byte length in front.
    pub(super) fn field(&mut self) -> Result<&'a [u8], Violation> {
        let length = usize::from(self.u16()?);
        let (field, rest) = self.rest.split_at_checked(length).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(field)
    }

    /// Binary data with a two-byte length in front, as a slice of the buffer.
    pub(super) fn binary(&mut self) -> Result<Bytes, Violation> {
        let field = self.field()?;
        Ok(self.share(field))
    }

    /// Binary data that is copied out of the shared buffer, to be wiped after use.
    pub(super) fn secret(&mut self) -> Result<Secret<Vec<u8>>, Violation> {
        Ok(Secret::new(self.field()?.to_vec()))
    }

    /// A UTF-8 string.
    pub(super) fn text(&mut self) -> Result<Text, Violation> {
        let field = self.field()?;
        check_text(field)?;
        Ok(Text::from_checked(self.share(field)))
    }

    /// A topic name; may be empty.
    pub(super) fn topic_name(&mut self) -> Result<Text, Violation> {
        let field = self.field()?;
        check_topic_name(field)?;
        Ok(Text::from_checked(self.share(field)))
    }

    /// All that is left, as a slice of the buffer.
    pub(super) fn remainder(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.rest);
        self.share(rest)
    }

    /// A part of the buffer as a slice that keeps the buffer alive; an empty part keeps nothing.
    pub(super) fn share(&self, part: &[u8]) -> Bytes {
        self.buffer.slice_ref(part)
    }
}

/// Reads a variable byte integer from the front: value and length. `None` while its end has not arrived.
///
/// Encodings that are longer than needed are accepted up to four bytes: the rule to use the shortest one
/// ([MQTT-1.5.5-1]) binds the sender, and several clients in the field pad.
pub(super) fn variable_byte_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, Violation> {
    let mut value = 0;
    for (position, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some((value, position + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Violation::VariableByteIntegerTooLong) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 1-1 of the specification.
    #[test]
    fn variable_byte_integers_have_one_to_four_bytes() {
        let cases: &[(&[u8], u32)] = &[
            (&[0x00], 0),
            (&[0x7F], 127),
            (&[0x80, 0x01], 128),
            (&[0xFF, 0x7F], 16_383),
            (&[0x80, 0x80, 0x01], 16_384),
            (&[0xFF, 0xFF, 0x7F], 2_097_151),
            (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
            (&[0xFF, 0xFF, 0xFF, 0x7F], 268_435_455),
            (&[0x80, 0x80, 0x80, 0x00], 0),
        ];
        for (bytes, value) in cases {
            assert_eq!(variable_byte_integer(bytes), Ok(Some((*value, bytes.len()))));
            assert_eq!(variable_byte_integer(&bytes[..bytes.len() - 1]), Ok(None));
        }
        assert_eq!(variable_byte_integer(&[0x80; 4]), Err(Violation::VariableByteIntegerTooLong));
    }
}
