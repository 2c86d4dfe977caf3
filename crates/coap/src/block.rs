//! Block options (RFC 7959 §2.2): which part of a body is meant.

use std::ops::Range;

use crate::wire;

/// The largest block in use, as an exponent: 1,024 bytes.
pub(crate) const LARGEST: u8 = 6;

/// The value of a Block1 or Block2 option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Number of the block.
    pub(crate) number: u32,
    /// Whether more follow.
    pub(crate) more: bool,
    /// Size as an exponent: 16 bytes times two to the power of it. 0 to 6.
    pub(crate) exponent: u8,
}

impl Block {
    /// Reads the option; `None` where its value is none: longer than three bytes, or of the reserved size.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        if value.len() > 3 {
            return None;
        }
        let bits = wire::read_number(value)?;
        let exponent = (bits & 0b111) as u8;
        (exponent <= LARGEST).then_some(Self { number: bits >> 4, more: bits & 0b1000 != 0, exponent })
    }

    /// The option's value.
    pub(crate) fn write(self) -> Vec<u8> {
        wire::number(self.number << 4 | u32::from(self.more) << 3 | u32::from(self.exponent))
    }

    /// Size of the block in bytes.
    pub(crate) const fn size(self) -> usize {
        16 << self.exponent
    }

    /// Where the block begins in the body.
    pub(crate) const fn offset(self) -> usize {
        self.number as usize * self.size()
    }

    /// The part of a body of `len` bytes that this block is, and whether more follow. `None`: the body ends before it.
    pub(crate) fn part_of(self, len: usize) -> Option<(Range<usize>, Self)> {
        let start = self.offset();
        if start >= len && !(start == 0 && len == 0) {
            return None;
        }
        let end = start.saturating_add(self.size()).min(len);
        Some((start..end, Self { more: end < len, ..self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written() {
        let block = Block { number: 3, more: true, exponent: 2 };
        assert_eq!(block.write(), [0b0011_1010]);
        assert_eq!(Block::read(&[0b0011_1010]), Some(block));
        assert_eq!((block.size(), block.offset()), (64, 192));
        assert_eq!(Block::read(&[]), Some(Block { number: 0, more: false, exponent: 0 }));
        assert_eq!(Block::read(&[7]), None, "a reserved size");
        assert_eq!(Block::read(&[0; 4]), None);
    }

    #[test]
    fn a_body_is_cut_and_nothing_lies_behind_its_end() {
        let block = |number| Block { number, more: false, exponent: 0 };
        assert_eq!(block(0).part_of(20), Some((0..16, Block { more: true, ..block(0) })));
        assert_eq!(block(1).part_of(20), Some((16..20, block(1))));
        assert_eq!(block(2).part_of(20), None);
        assert_eq!(block(1).part_of(16), None);
        assert_eq!(block(0).part_of(0), Some((0..0, block(0))));
    }
}
