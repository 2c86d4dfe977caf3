//! What may come in a second.

use std::num::NonZeroU64;

use super::value::{ByteSize, Value};

/// A number of messages or bytes in a second; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerSecond(pub Option<NonZeroU64>);

impl Value for PerSecond {
    const EXPECTED: &'static str = "a number such as `1000`, a size such as `1MiB`, or `none`";

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "none" => Some(Self(None)),
            number => NonZeroU64::new(ByteSize::parse(number)?.0 as u64).map(|number| Self(Some(number))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_a_size_or_none() {
        assert_eq!(PerSecond::parse("none"), Some(PerSecond(None)));
        assert_eq!(PerSecond::parse("1000"), Some(PerSecond(NonZeroU64::new(1_000))));
        assert_eq!(PerSecond::parse("1MiB"), Some(PerSecond(NonZeroU64::new(1 << 20))));
        assert_eq!(PerSecond::parse("0"), None);
        assert_eq!(PerSecond::parse("-1"), None);
    }
}
