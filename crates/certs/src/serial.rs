//! Serial numbers.

use std::{fmt, str::FromStr};

use db::{Cell, FromVal, Val};
use kernel::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A serial number. It is read in any of the forms that are about (with and without colons or spaces, in either case)
/// and shown as lower-case bytes with colons between them: `20:f4:bd` (reference 04 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Box<str>);

/// The most bytes of a serial number (RFC 5280 §4.1.2.2).
const MAX_SERIAL: usize = 20;

impl Serial {
    /// From the bytes of the number, most significant first.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let leading = bytes.iter().take_while(|&&byte| byte == 0).count();
        Self(hex(bytes.get(leading..).unwrap_or_default()).into())
    }

    /// The digits without colons, as the database and [`tls::Certificate`] have them.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The bytes of the number.
    pub fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u32> = self.0.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let byte = |pair: &[u32]| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | (*digit as u8));
        digits.chunks(2).map(byte).collect()
    }
}

impl FromStr for Serial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let digits = digits.trim_start_matches('0').to_ascii_lowercase();
        let digits = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
        let fits = !digits.is_empty() && digits.len() <= 2 * MAX_SERIAL;
        if fits && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Self(digits.into()));
        }
        Err(Error::invalid("malformed entity specification"))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.0.chars().enumerate() {
            if place > 0 && place % 2 == 0 {
                f.write_str(":")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl FromVal for Serial {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        Box::<str>::from_val(cell).map(Self)
    }
}

impl From<&Serial> for Val {
    fn from(serial: &Serial) -> Self {
        serial.digits().into()
    }
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_read_in_every_form_and_shown_in_one() {
        for form in ["20:F4:BD:0a", "20f4bd0a", "20 f4 bd 0a", "00:20:f4:bd:0a", "0020F4BD0A"] {
            let serial: Serial = form.parse().unwrap();
            assert_eq!(serial.to_string(), "20:f4:bd:0a");
            assert_eq!(serial.digits(), "20f4bd0a");
            assert_eq!(serial.bytes(), [0x20, 0xf4, 0xbd, 0x0a]);
            assert_eq!(Serial::from_bytes(&[0, 0x20, 0xf4, 0xbd, 0x0a]), serial);
        }
        assert_eq!("a".parse::<Serial>().unwrap().to_string(), "0a");
        for wrong in ["", "0", "xyz", "20-f4", &"ab".repeat(21)] {
            assert!(wrong.parse::<Serial>().is_err(), "{wrong}");
        }
    }
}
