//! Rules for topic names and topic filters (MQTT 5.0 §4.7, §4.8).

use super::text::check_text;
use super::violation::Violation;

/// Prefix of the filters of shared subscriptions.
const SHARE_PREFIX: &[u8] = b"$share/";

/// Checks a topic name that may be empty: text without wildcards ([MQTT-3.3.2-2]).
pub(super) fn check_topic_name(bytes: &[u8]) -> Result<(), Violation> {
    if check_text(bytes)?.has_wildcard { Err(Violation::TopicWildcard) } else { Ok(()) }
}

/// Whether a filter asks for a shared subscription (§4.8.2).
pub(super) fn is_shared(filter: &[u8]) -> bool {
    filter.starts_with(SHARE_PREFIX)
}

/// Checks a topic filter: text, not empty, wildcards only where they may stand.
///
/// `shares`: whether `$share/…` has its meaning of MQTT 5; otherwise it is a name like any other.
pub(super) fn check_filter(filter: &[u8], shares: bool) -> Result<(), Violation> {
    let scan = check_text(filter)?;
    let filter = match filter.strip_prefix(SHARE_PREFIX) {
        Some(share) if shares => split_share(share)?,
        _ => filter,
    };
    if filter.is_empty() {
        return Err(Violation::FilterEmpty);
    }
    if scan.has_wildcard { check_wildcards(filter) } else { Ok(()) }
}

/// `<name>/<filter>` to `<filter>`.
fn split_share(share: &[u8]) -> Result<&[u8], Violation> {
    let mut parts = share.splitn(2, |&byte| byte == b'/');
    let name = parts.next().unwrap_or_default();
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(Violation::ShareNameInvalid);
    }
    parts.next().filter(|filter| !filter.is_empty()).ok_or(Violation::ShareFilterMissing)
}

fn check_wildcards(filter: &[u8]) -> Result<(), Violation> {
    let mut levels = filter.split(|&byte| byte == b'/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        if level.contains(&b'#') && !(level == b"#" && is_last) {
            return Err(Violation::FilterHashNotLast);
        }
        if level.contains(&b'+') && level != b"+" {
            return Err(Violation::FilterPlusNotAlone);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of §4.7.1 and §4.8.2.
    #[test]
    fn filters_have_wildcards_only_where_they_may_stand() {
        let cases: &[(&str, Result<(), Violation>)] = &[
            ("sport/tennis/player1/#", Ok(())),
            ("#", Ok(())),
            ("+", Ok(())),
            ("+/tennis/#", Ok(())),
            ("/+", Ok(())),
            ("/", Ok(())),
            ("a//b", Ok(())),
            ("$SYS/monitor/+", Ok(())),
            ("m/größe/#", Ok(())),
            ("sport/tennis#", Err(Violation::FilterHashNotLast)),
            ("sport/tennis/#/ranking", Err(Violation::FilterHashNotLast)),
            ("##", Err(Violation::FilterHashNotLast)),
            ("sport+", Err(Violation::FilterPlusNotAlone)),
            ("a/+b/c", Err(Violation::FilterPlusNotAlone)),
            ("++", Err(Violation::FilterPlusNotAlone)),
            ("", Err(Violation::FilterEmpty)),
            ("$share/group/sport/+", Ok(())),
            ("$share/group//sport", Ok(())),
            ("$share/group/#", Ok(())),
            ("$share//sport", Err(Violation::ShareNameInvalid)),
            ("$share/+/sport", Err(Violation::ShareNameInvalid)),
            ("$share/group", Err(Violation::ShareFilterMissing)),
            ("$share/group/", Err(Violation::ShareFilterMissing)),
            ("$share/group/a#", Err(Violation::FilterHashNotLast)),
        ];
        for (filter, expected) in cases {
            assert_eq!(check_filter(filter.as_bytes(), true), *expected, "{filter:?}");
        }
    }

    #[test]
    fn share_is_an_ordinary_name_without_shared_subscriptions() {
        assert_eq!(check_filter(b"$share/group", false), Ok(()));
        assert_eq!(check_filter(b"$share/", true), Err(Violation::ShareNameInvalid));
    }
}
