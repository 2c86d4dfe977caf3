//! Topics of the platform: which channel a topic or filter means, and what is left of it below the channel.
//!
//! The grammar and the rules for subtopics are reference 05 §2. A topic keeps its *spelling*, the text up to the
//! channel as somebody wrote it: messages are matched by channel id and subtopic alone, and each subscriber sees
//! them under the spelling that it subscribed with.

use std::borrow::Cow;

/// Deepest subtopic, in levels. The subscription tree is walked by recursion, so depth needs a bound; 65,535 bytes
/// of slashes must not be one.
pub(crate) const MAX_LEVELS: usize = 128;

/// Where a message is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address<'a> {
    /// A channel, and what stands below it.
    Channel(ChannelAddress<'a>),
    /// `hc/<domain>`: somebody tries whether the door opens. Never delivered to anybody.
    Health {
        /// Id or route of the domain.
        domain: &'a str,
    },
    /// `$SYS/…`: figures of the node. Only filters lead there.
    Figures {
        /// The filter below `$SYS`.
        subtopic: Cow<'a, str>,
    },
}

/// A channel as it is written in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelAddress<'a> {
    /// Id or route of the domain; empty in the legacy form.
    pub domain: Cow<'a, str>,
    /// Id or route of the channel; an id in the legacy form.
    pub channel: Cow<'a, str>,
    /// The text up to and including the channel (legacy: up to `messages`), as it was written; for a name that an
    /// operator's map has led here ([`TopicMap`](crate::TopicMap)), the way back to such names.
    pub spelling: Cow<'a, str>,
    /// Levels below the channel, separated by `/`; empty for the channel itself.
    pub subtopic: Cow<'a, str>,
}

/// A topic filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The group of a shared subscription (`$share/<group>/…`).
    pub group: Option<&'a str>,
    /// Channel and filter below it. Wildcards stand in the subtopic only.
    pub address: Address<'a>,
}

/// A text that is no topic of the platform. `Display` prints the contract's words (reference 05 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not one of the forms.
    #[error("malformed topic")]
    Topic,
    /// The part below the channel breaks a rule.
    #[error("malformed subtopic")]
    Subtopic,
    /// A filter that fits several rules of the operator's map.
    #[error("the topic filter fits more than one rule of the topic map, ask for less at a time")]
    Ambiguous,
    /// A filter with a wildcard where the operator's map has the name of the domain or channel.
    #[error("the topic filter leaves open which channel it means")]
    Undecided,
}

impl<'a> Address<'a> {
    /// Parses the topic of a message.
    ///
    /// # Errors
    ///
    /// The text is not of a known form, has wildcards, or its subtopic breaks a rule.
    pub fn of_topic(topic: &'a str) -> Result<Self, Malformed> {
        parse(topic, publishable)
    }

    /// The id or route of the domain; empty in the legacy form and where there is none.
    pub fn domain(&self) -> &str {
        match self {
            Self::Channel(channel) => &channel.domain,
            Self::Health { domain } => domain,
            Self::Figures { .. } => "",
        }
    }
}

impl<'a> Filter<'a> {
    /// Parses a topic filter.
    ///
    /// # Errors
    ///
    /// As for [`Address::of_topic`], and wildcards above the subtopic.
    pub fn parse(filter: &'a str) -> Result<Self, Malformed> {
        let (group, filter) = Self::split(filter)?;
        let address = match filter.strip_prefix("$SYS/") {
            Some(below) => {
                let subtopic = subtopic(below, subscribable).filter(|subtopic| !subtopic.is_empty());
                Address::Figures { subtopic: subtopic.ok_or(Malformed::Subtopic)? }
            }
            None => parse(filter, subscribable)?,
        };
        Ok(Self { group, address })
    }

    /// The group of a shared subscription, and the filter without it.
    pub(crate) fn split(filter: &'a str) -> Result<(Option<&'a str>, &'a str), Malformed> {
        let Some(shared) = filter.strip_prefix("$share/") else { return Ok((None, filter)) };
        let (group, filter) = shared.split_once('/').ok_or(Malformed::Topic)?;
        if group.is_empty() || has_wildcard(group) {
            return Err(Malformed::Topic);
        }
        Ok((Some(group), filter))
    }
}

fn parse(text: &str, rule: fn(&str) -> bool) -> Result<Address<'_>, Malformed> {
    let body = text.strip_prefix('/').unwrap_or(text);
    if let Some(domain) = body.strip_prefix("hc/") {
        let plain = !domain.is_empty() && !domain.contains('/') && !has_wildcard(domain);
        return if plain { Ok(Address::Health { domain }) } else { Err(Malformed::Topic) };
    }
    let (domain, channel, rest) =
        split_canonical(body).or_else(|| split_legacy(body)).ok_or(Malformed::Topic)?;
    if channel.is_empty() || has_wildcard(domain) || has_wildcard(channel) {
        return Err(Malformed::Topic);
    }
    let spelling = text.get(..text.len() - rest.len()).unwrap_or_default();
    let rest = if domain.is_empty() { without_content_type(rest) } else { rest };
    let subtopic = subtopic(rest, rule).ok_or(Malformed::Subtopic)?;
    let [domain, channel, spelling] = [domain, channel, spelling].map(Cow::Borrowed);
    Ok(Address::Channel(ChannelAddress { domain, channel, spelling, subtopic }))
}

/// `m/<domain>/c/<channel>[/<rest>]`; the rest keeps its slash.
fn split_canonical(body: &str) -> Option<(&str, &str, &str)> {
    let (domain, rest) = body.strip_prefix("m/")?.split_once("/c/")?;
    let (channel, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (!domain.is_empty()).then_some((domain, channel, rest))
}

/// `channels/<channel>/messages[/<rest>]`; the rest keeps its slash.
fn split_legacy(body: &str) -> Option<(&str, &str, &str)> {
    let (channel, rest) = body.strip_prefix("channels/")?.split_once("/messages")?;
    let is_name = channel.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    (is_name && (rest.is_empty() || rest.starts_with('/'))).then_some(("", channel, rest))
}

/// Legacy topics may end with `/ct/<content type>`, which is not part of the subtopic.
fn without_content_type(rest: &str) -> &str {
    rest.rfind("/ct/").and_then(|at| rest.get(..at)).unwrap_or(rest)
}

/// The rules that publishing and subscribing share (reference 05 §2.2), then `rule`. `None`: malformed.
fn subtopic(raw: &str, rule: fn(&str) -> bool) -> Option<Cow<'_, str>> {
    let decoded = percent_decoded(raw)?;
    let trimmed = match decoded {
        Cow::Borrowed(text) => Cow::Borrowed(trimmed(text)),
        Cow::Owned(text) => Cow::Owned(trimmed(&text).to_owned()),
    };
    let levels = trimmed.bytes().filter(|&byte| byte == b'/').count() + 1;
    let well_formed = trimmed.is_empty()
        || (levels <= MAX_LEVELS
            && trimmed.split('/').all(|level| !level.is_empty())
            && !trimmed.contains('\0')
            && rule(&trimmed));
    well_formed.then_some(trimmed)
}

fn trimmed(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix('/').unwrap_or(text);
    text.strip_suffix('/').unwrap_or(text).trim()
}

fn publishable(subtopic: &str) -> bool {
    !subtopic.bytes().any(|byte| matches!(byte, b' ' | b'#' | b'+' | b'*' | b'>'))
}

fn subscribable(subtopic: &str) -> bool {
    let mut levels = subtopic.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        let wildcard = (level == "#" && is_last) || level == "+";
        if !wildcard && level.bytes().any(|byte| matches!(byte, b'#' | b'+' | b'*' | b'>')) {
            return false;
        }
    }
    true
}

pub(crate) fn has_wildcard(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'#' | b'+'))
}

/// Path-style decoding: `+` stays. `None`: a `%` without two hexadecimal digits, or bytes that are no UTF-8.
fn percent_decoded(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = raw.bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(text: &str) -> Option<(String, String, String, String)> {
        match Address::of_topic(text) {
            Ok(Address::Channel(address)) => Some((
                address.domain.into_owned(),
                address.channel.into_owned(),
                address.spelling.into_owned(),
                address.subtopic.into_owned(),
            )),
            _ => None,
        }
    }

    fn parts(
        domain: &str,
        channel: &str,
        spelling: &str,
        subtopic: &str,
    ) -> Option<(String, String, String, String)> {
        Some((domain.into(), channel.into(), spelling.into(), subtopic.into()))
    }

    #[test]
    fn the_vectors_of_the_reference() {
        assert_eq!(channel("m/d/c/ch"), parts("d", "ch", "m/d/c/ch", ""));
        assert_eq!(channel("/m/d/c/ch/a/b/"), parts("d", "ch", "/m/d/c/ch", "a/b"));
        assert_eq!(channel("m/d/c/ch/a%2Fb"), parts("d", "ch", "m/d/c/ch", "a/b"));
        assert_eq!(channel("m/d/c/ch/a.b"), parts("d", "ch", "m/d/c/ch", "a.b"));
        assert_eq!(Address::of_topic("hc/d"), Ok(Address::Health { domain: "d" }));
        for malformed in
            ["m//c/x", "m/d/c/", "m/d/c//s", "hc/", "/extra/m/d/c/x", "not-a-topic", "hcX123", ""]
        {
            assert_eq!(Address::of_topic(malformed), Err(Malformed::Topic), "{malformed}");
        }
    }

    #[test]
    fn legacy_topics_have_no_domain_and_may_carry_a_content_type() {
        assert_eq!(channel("channels/c-1/messages"), parts("", "c-1", "channels/c-1/messages", ""));
        assert_eq!(channel("/channels/c/messages/a/b"), parts("", "c", "/channels/c/messages", "a/b"));
        assert_eq!(
            channel("channels/c/messages/a/ct/application_json"),
            parts("", "c", "channels/c/messages", "a")
        );
        assert_eq!(channel("channels/c/messagesx"), None);
        assert_eq!(channel("channels/a b/messages"), None);
    }

    #[test]
    fn a_published_subtopic_has_no_wildcard_and_no_empty_level() {
        for malformed in ["a//b", "a b", "a/#", "+", "a*", ">", "%zz", "%4", "%ff", "a%00b"] {
            let topic = format!("m/d/c/ch/{malformed}");
            assert_eq!(Address::of_topic(&topic), Err(Malformed::Subtopic), "{topic}");
        }
    }

    #[test]
    fn wildcards_of_a_filter_are_whole_levels_below_the_channel() {
        for good in ["m/d/c/ch/#", "m/d/c/ch/+/x", "m/d/c/ch", "channels/c/messages/#", "$share/g/m/d/c/ch/#"]
        {
            assert!(Filter::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "m/+/c/ch",
            "m/d/c/+",
            "#",
            "$SYS",
            "$SYS/",
            "$SYS/#/a",
            "$x/#",
            "m/d/c/ch/a+b",
            "m/d/c/ch/#/a",
            "m/d/c/ch/*",
            "m/d/c/ch/>",
        ] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
        for bad in ["$share/g", "$share//m/d/c/ch", "$share/+/m/d/c/ch", "$queue/m/d/c/ch"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Filter::parse("$share/g/m/d/c/ch/+").unwrap().group, Some("g"));
        let figures = Address::Figures { subtopic: "broker/#".into() };
        assert_eq!(Filter::parse("$SYS/broker/#").map(|filter| filter.address), Ok(figures));
        assert_eq!(Address::of_topic("$SYS/broker/uptime"), Err(Malformed::Topic));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| format!("m/d/c/ch/{}", vec!["a"; levels].join("/"));
        assert!(Address::of_topic(&deep(MAX_LEVELS)).is_ok());
        assert_eq!(Address::of_topic(&deep(MAX_LEVELS + 1)), Err(Malformed::Subtopic));
    }
}
