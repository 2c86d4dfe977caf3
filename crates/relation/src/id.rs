//! Names of objects and subjects, small enough to copy and to hash in a few nanoseconds.
//!
//! An id is five machine words and nothing else: no interner that grows, no hash that could collide, and the text can
//! always be had back. Of the ids that the platform uses (reference 02 §5.1)
//!
//! - UUIDs (nearly all objects) are kept as their number,
//! - `<domain>_<user>` pairs of UUIDs (every subject inside a domain) as two numbers,
//! - anything else (`magistrala`, role ids such as `client_3tQ…`) as its bytes, up to [`Id::MAX_TEXT`]. Role ids of
//!   this platform need 30, those of upstream 36.
//!
//! Unused bytes are zero, so equality and hashing are plain comparisons of words, whatever the form.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use crate::schema::{ItemId, KindId};

const TAG_UUID: u8 = 1;
const TAG_PAIR: u8 = 2;
/// A text of `n` bytes has the tag `TAG_TEXT + n`.
const TAG_TEXT: u8 = 2;

const KIND_SHIFT: u32 = 8;
const KIND_MASK: u64 = 0xff << KIND_SHIFT;

/// The name of an object within its kind.
///
/// The last word holds six bytes of payload, a byte for the kind (zero here, see [`Object`]) and the form's tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u64; 5]);

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is nothing.
    #[error("an id must not be empty")]
    Empty,
    /// It is longer than [`Id::MAX_TEXT`] and neither a UUID nor a pair of them.
    #[error("an id that is no uuid has at most {} bytes", Id::MAX_TEXT)]
    TooLong,
    /// It has a character other than letters, digits and `/ _ | - = +` (SpiceDB's alphabet for object ids).
    #[error("an id must not contain `{0}`")]
    Character(char),
}

impl Id {
    /// The longest id in bytes, UUIDs and pairs of UUIDs apart.
    pub const MAX_TEXT: usize = 38;

    /// The UUID with this number.
    pub const fn uuid(number: u128) -> Self {
        let [high, low] = halves(number);
        Self([high, low, 0, 0, TAG_UUID as u64])
    }

    /// The pair `<first>_<second>` of two UUIDs: a user in a domain.
    pub const fn pair(first: u128, second: u128) -> Self {
        let ([a, b], [c, d]) = (halves(first), halves(second));
        Self([a, b, c, d, TAG_PAIR as u64])
    }

    fn text(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "/_|-=+".contains(*c))) {
            return Err(IdError::Character(bad));
        }
        let mut bytes = [0; 40];
        let (Some(room), Ok(length)) = (bytes.get_mut(..text.len()), u8::try_from(text.len())) else {
            return Err(IdError::TooLong);
        };
        if text.len() > Self::MAX_TEXT {
            return Err(IdError::TooLong);
        }
        room.copy_from_slice(text.as_bytes());
        if let Some(tag) = bytes.last_mut() {
            *tag = TAG_TEXT + length;
        }
        let mut words = [0; 5];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*chunk);
        }
        Ok(Self(words))
    }

    /// The number of a UUID; `None` for the other forms.
    pub const fn as_uuid(self) -> Option<u128> {
        let [high, low, _, _, last] = self.0;
        if last == TAG_UUID as u64 { Some(join(high, low)) } else { None }
    }

    /// The two numbers of a pair of UUIDs; `None` for the other forms.
    pub const fn as_pair(self) -> Option<(u128, u128)> {
        let [a, b, c, d, last] = self.0;
        if last == TAG_PAIR as u64 { Some((join(a, b), join(c, d))) } else { None }
    }
}

const fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

const fn join(high: u64, low: u64) -> u128 {
    (high as u128) << 64 | low as u128
}

/// The number of a UUID in its canonical spelling (36 characters, lower case); other spellings are plain texts.
fn canonical_uuid(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    text.bytes().enumerate().try_fold(0u128, |number, (at, byte)| match (at, byte) {
        (8 | 13 | 18 | 23, b'-') => Some(number),
        (8 | 13 | 18 | 23, _) => None,
        (_, b'0'..=b'9') => Some(number << 4 | u128::from(byte - b'0')),
        (_, b'a'..=b'f') => Some(number << 4 | u128::from(byte - b'a' + 10)),
        _ => None,
    })
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if let Some(number) = canonical_uuid(text) {
            return Ok(Self::uuid(number));
        }
        let pair = text.split_once('_').and_then(|(a, b)| Some((canonical_uuid(a)?, canonical_uuid(b)?)));
        match pair {
            Some((first, second)) => Ok(Self::pair(first, second)),
            None => Self::text(text),
        }
    }
}

fn write_uuid(f: &mut fmt::Formatter<'_>, number: u128) -> fmt::Result {
    let part = |shift: u32, bits: u32| number >> shift & ((1 << bits) - 1);
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 32),
        part(80, 16),
        part(64, 16),
        part(48, 16),
        part(0, 48)
    )
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.as_uuid() {
            return write_uuid(f, number);
        }
        if let Some((first, second)) = self.as_pair() {
            write_uuid(f, first)?;
            f.write_str("_")?;
            return write_uuid(f, second);
        }
        let words = self.0.iter().flat_map(|word| word.to_be_bytes());
        let bytes: smallvec::SmallVec<[u8; 40]> = words.collect();
        let length = bytes.last().copied().unwrap_or_default().saturating_sub(TAG_TEXT);
        let text = bytes.get(..usize::from(length)).and_then(|text| std::str::from_utf8(text).ok());
        f.write_str(text.unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A thing of a kind: `client:5f0b…`. 40 bytes.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
pub struct Object([u64; 5]);

impl PartialEq for Object {
    /// Word by word: as an array it would be a call to `memcmp`, a fifth of the time of a check.
    fn eq(&self, other: &Self) -> bool {
        let ([a, b, c, d, e], [v, w, x, y, z]) = (self.0, other.0);
        (a ^ v) | (b ^ w) | (c ^ x) | (d ^ y) | (e ^ z) == 0
    }
}

impl Hash for Object {
    /// Two words at a time, which the hashers in use take in one multiplication; and the words of zeros of a UUID not
    /// at all. The last word tells the forms apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, last] = self.0;
        state.write_u128(join(a, b));
        if c != 0 {
            state.write_u128(join(c, d));
        }
        state.write_u64(last);
    }
}

impl Object {
    /// The object with this id.
    pub const fn new(kind: KindId, id: Id) -> Self {
        let [a, b, c, d, last] = id.0;
        Self([a, b, c, d, last | (kind.0 as u64) << KIND_SHIFT])
    }

    /// Its kind.
    pub const fn kind(self) -> KindId {
        let [.., last] = self.0;
        KindId((last >> KIND_SHIFT) as u8)
    }

    /// Its id.
    pub const fn id(self) -> Id {
        let [a, b, c, d, last] = self.0;
        Id([a, b, c, d, last & !KIND_MASK])
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind().0, self.id())
    }
}

/// Who is related: an object (`user:…`), or all who are related with an object (`role:…#member`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The object.
    pub object: Object,
    /// For a set of subjects, the relation or permission of the object that its members have.
    pub members: Option<ItemId>,
}

impl Subject {
    /// Everyone who has `members` on `object`.
    pub const fn userset(object: Object, members: ItemId) -> Self {
        Self { object, members: Some(members) }
    }
}

impl From<Object> for Subject {
    fn from(object: Object) -> Self {
        Self { object, members: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

    #[test]
    fn every_form_comes_back_as_it_was_written() {
        let pair = format!("{UUID}_00000000-0000-0000-0000-000000000001");
        let longest = "x".repeat(Id::MAX_TEXT);
        for text in
            [UUID, &pair, "magistrala", "client_3tQ4b0oZ2PqmM1xYv8Rk5c", "a", &longest, &UUID.to_uppercase()]
        {
            let id: Id = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            let object = Object::new(KindId(9), id);
            assert_eq!((object.kind(), object.id()), (KindId(9), id));
        }
    }

    #[test]
    fn a_number_and_its_canonical_text_are_the_same_id() {
        let number = 0x5f0b_4e1c_7c3a_4a8e_9d53_0d8b_9f3c_2a11;
        assert_eq!(UUID.parse::<Id>().unwrap(), Id::uuid(number));
        assert_eq!(format!("{UUID}_{UUID}").parse::<Id>().unwrap(), Id::pair(number, number));
        assert_eq!((Id::uuid(number).as_uuid(), Id::uuid(number).as_pair()), (Some(number), None));
    }

    #[test]
    fn what_cannot_be_an_id_is_refused_with_the_reason() {
        assert_eq!("".parse::<Id>(), Err(IdError::Empty));
        assert_eq!("x".repeat(39).parse::<Id>(), Err(IdError::TooLong));
        assert_eq!("x".repeat(4000).parse::<Id>(), Err(IdError::TooLong));
        assert_eq!("a#b".parse::<Id>(), Err(IdError::Character('#')));
        assert_eq!("*".parse::<Id>(), Err(IdError::Character('*')));
        assert_eq!("grün".parse::<Id>(), Err(IdError::Character('ü')));
    }

    #[test]
    fn the_same_id_in_two_kinds_is_two_objects() {
        let id = Id::uuid(7);
        assert_ne!(Object::new(KindId(1), id), Object::new(KindId(2), id));
        assert_eq!(size_of::<Object>(), 40);
    }

    proptest! {
        #[test]
        fn two_ids_are_equal_exactly_when_their_texts_are(a in "[a-c_-]{1,4}", b in "[a-c_-]{1,4}") {
            prop_assert_eq!(a.parse::<Id>().unwrap() == b.parse::<Id>().unwrap(), a == b);
        }
    }
}
