//! Durations in text: as Go writes them (`300ms`, `1h30m`, `1.5h`; reference 07 §1), and with days, weeks and years
//! where callers think in those (reference 01 §11).

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const NANOS_PER_DAY: u128 = 86_400 * NANOS_PER_SECOND;

type Unit = (&'static str, u128);

/// Go's units, in nanoseconds.
const GO: &[Unit] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

/// What Go lacks. A year has 365 days.
const LONG: &[Unit] = &[("d", NANOS_PER_DAY), ("w", 7 * NANOS_PER_DAY), ("y", 365 * NANOS_PER_DAY)];

/// Reads a duration in Go's units; `None` for anything that is not one, negative ones included.
pub fn parse(text: &str) -> Option<Duration> {
    parse_in(text, &[GO])
}

/// As [`parse`], and `30d`, `1w`, `1y`.
pub fn parse_long(text: &str) -> Option<Duration> {
    parse_in(text, &[GO, LONG])
}

fn parse_in(text: &str, units: &[&[Unit]]) -> Option<Duration> {
    let mut rest = text;
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest, units)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then(|| from_nanos(nanos)).flatten()
}

/// The first number with its unit, in nanoseconds, and what follows.
fn parse_part<'t>(text: &'t str, units: &[&[Unit]]) -> Option<(u128, &'t str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at_checked(number_end)?;
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(unit_end)?;
    let (_, unit) = units.iter().copied().flatten().find(|(name, _)| *name == word)?;

    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 18 || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(*unit)?;
    if !fraction.is_empty() {
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        nanos = nanos.checked_add(fraction.parse::<u128>().ok()?.checked_mul(*unit)? / scale)?;
    }
    Some((nanos, after))
}

fn from_nanos(nanos: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let cases = [
            ("0s", Duration::ZERO),
            ("300ms", Duration::from_millis(300)),
            ("1h30m", Duration::from_secs(5400)),
            ("720h", Duration::from_secs(720 * 3600)),
            ("1.5h", Duration::from_secs(5400)),
            (".5s", Duration::from_millis(500)),
            ("1.s", Duration::from_secs(1)),
            ("2m3.25s", Duration::from_millis(123_250)),
            ("10µs", Duration::from_micros(10)),
            ("10us", Duration::from_micros(10)),
            ("7ns", Duration::from_nanos(7)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", " ", "h", "0", "3600", "1d", "1M", "1H", "-5s", "+5s", "1h ", "1 h", "1.2.3s", ".s", "1e3s",
            "1.5", "1h30",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("99999999999999999999h"), None);
    }

    #[test]
    fn long_durations_have_days_weeks_and_years() {
        let day = Duration::from_secs(86_400);
        for (text, expected) in
            [("30d", 30 * day), ("1w", 7 * day), ("1y", 365 * day), ("1d12h", day * 3 / 2)]
        {
            assert_eq!(parse_long(text), Some(expected), "{text}");
        }
        assert_eq!(parse_long("1D"), None);
    }
}
