//! Topic names and filters: which are valid, and what a shared subscription is about (reference 08 §6.3).

use crate::Action;

/// The longest text that MQTT can carry, in bytes.
const MAX_BYTES: usize = 65_535;

/// A valid topic name or filter, as an action asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The topic of one message, to publish or to read.
    Name(&'a str),
    /// The topics of a subscription; of a shared one what follows the group.
    Filter(&'a str),
}

impl<'a> Asked<'a> {
    /// Reads what `action` asks for; `None` if that is not valid.
    pub fn read(action: Action, topic: &'a str) -> Option<Self> {
        if action != Action::Subscribe {
            return is_name(topic).then_some(Self::Name(topic));
        }
        let filter = match topic.strip_prefix("$share") {
            Some("") => return None,
            Some(rest) if rest.starts_with('/') => {
                let (group, filter) = rest.strip_prefix('/')?.split_once('/')?;
                if group.is_empty() || group.contains(['+', '#']) {
                    return None;
                }
                filter
            }
            _ => topic,
        };
        is_filter(filter).then_some(Self::Filter(filter))
    }

    /// The text of the name or filter.
    pub const fn text(self) -> &'a str {
        match self {
            Self::Name(text) | Self::Filter(text) => text,
        }
    }
}

/// What a message may be published to. The names of shared subscriptions are no topics.
pub(crate) fn is_name(text: &str) -> bool {
    let is_share = text == "$share" || text.starts_with("$share/");
    !text.is_empty() && text.len() <= MAX_BYTES && !text.contains(['+', '#', '\0']) && !is_share
}

/// Whether the wildcards of a filter stand where they may.
pub(crate) fn is_filter(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_BYTES || text.contains('\0') {
        return false;
    }
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        let fits = match level {
            "+" => true,
            "#" => is_last,
            text => !text.contains(['+', '#']),
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_alone_and_the_last_one_last() {
        for good in ["a", "/", "#", "+", "a/#", "+/b/#", "a//b", "$SYS/#", "a b/*"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "a+/b", "a/#/b", "#/a", "a/b#", "a\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(is_filter(&"x".repeat(65_535)) && !is_filter(&"x".repeat(65_536)));
    }

    #[test]
    fn of_a_shared_subscription_the_filter_is_asked_for() {
        let read = |topic| Asked::read(Action::Subscribe, topic);
        assert_eq!(read("$share/g/a/+"), Some(Asked::Filter("a/+")));
        assert_eq!(read("$shared/a"), Some(Asked::Filter("$shared/a")));
        for bad in
            ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/g+/a", "$share/g/a/#/b"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        for action in [Action::Publish, Action::Read] {
            assert_eq!(Asked::read(action, "$share/g/a"), None);
            assert_eq!(Asked::read(action, "a/+"), None);
            assert_eq!(Asked::read(action, "a/b"), Some(Asked::Name("a/b")));
        }
    }
}
