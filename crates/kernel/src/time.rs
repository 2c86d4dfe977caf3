//! Instants with the precision that both databases keep: microseconds since 1970, UTC.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{fmt::temporal::Pieces, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant. In JSON it is RFC 3339 in UTC with the shortest fraction (`2026-08-01T10:00:00.5Z`); in SQL it is a
/// BIGINT of microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// How the reference spells "never": the year-1 instant of Go's zero time (reference 02 §0.4).
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down: the unit of JWT claims.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The machine's time, cut to microseconds.
    pub fn from_system(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// This instant plus `by`; stays at the end of time rather than wrapping.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The instant `by` earlier.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }

    /// Reads RFC 3339, and the form `2006-01-02 15:04:05` (UTC) of older documents (reference 03 §2). The last day of
    /// the year 9999, which people write for "whenever", is the last instant that can be told.
    pub fn parse(text: &str) -> Option<Self> {
        let timestamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            let pieces = Pieces::parse(text).ok()?;
            let offset = match pieces.offset() {
                Some(offset) => offset.to_numeric_offset(),
                None => Offset::UTC,
            };
            let civil = pieces.date().to_datetime(pieces.time().unwrap_or_default());
            let end = if civil.year() > 0 { jiff::Timestamp::MAX } else { jiff::Timestamp::MIN };
            Some(offset.to_timestamp(civil).unwrap_or(end))
        })?;
        // The very last second has no microseconds of its own.
        Some(Self(timestamp.as_microsecond().min(jiff::Timestamp::MAX.as_second() * 1_000_000)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => fmt::Display::fmt(&timestamp, f),
            Err(_) => f.write_str(NEVER),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let wrong = serde::de::Unexpected::Str(&text);
        Self::parse(&text).ok_or_else(|| serde::de::Error::invalid_value(wrong, &"a time in RFC 3339"))
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

/// `#[serde(with = "kernel::time::or_never")]` for an `Option<Timestamp>` that the reference never omits: an unset
/// time is the year 1 in both directions.
pub mod or_never {
    use super::{Deserialize, Deserializer, NEVER, Serialize, Serializer, Timestamp};

    /// Writes the instant, or the year 1.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time.serialize(serializer),
            None => serializer.serialize_str(NEVER),
        }
    }

    /// Reads an instant; null and the year 1 are "never".
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let time = Option::<Timestamp>::deserialize(deserializer)?;
        Ok(time.filter(|time| time.0 > i64::MIN && time.to_string() != NEVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_is_as_short_as_it_can_be() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_754_042_400_123_456, "2025-08-01T10:00:00.123456Z"),
            (1_754_042_400_500_000, "2025-08-01T10:00:00.5Z"),
        ] {
            assert_eq!(Timestamp(micros).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp(micros)));
        }
    }

    #[test]
    fn both_spellings_are_read() {
        assert_eq!(Timestamp::parse("2019-11-26 13:31:52"), Timestamp::parse("2019-11-26T13:31:52Z"));
        assert_eq!(Timestamp::parse("2019-11-26T14:31:52+01:00"), Timestamp::parse("2019-11-26T13:31:52Z"));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("10000-01-01T00:00:00Z"), None);
        let last = Timestamp::parse("9999-12-31T23:59:59Z").unwrap();
        assert!(last > Timestamp::parse("9999-12-30T21:59:59Z").unwrap());
        assert_eq!(Timestamp::parse("9999-12-31 23:59:59"), Some(last));
        assert_eq!(Timestamp::parse(&last.to_string()), Some(last));
    }

    #[test]
    fn never_is_the_year_one() {
        #[derive(Serialize, Deserialize)]
        struct At(#[serde(with = "or_never")] Option<Timestamp>);
        assert_eq!(serde_json::to_string(&At(None)).unwrap(), format!("\"{NEVER}\""));
        assert_eq!(serde_json::from_str::<At>(&format!("\"{NEVER}\"")).unwrap().0, None);
    }
}
