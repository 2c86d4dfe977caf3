//! An operator's map: where topics lead that are not of the platform's form.
//!
//! Devices in the field have topics of their own (`tele/plug7/SENSOR`). A [`TopicMap`] leads them to channels, so that
//! nothing in the field must change: a topic goes where the first rule leads that it fits, and from there on it is a
//! topic of that channel like any other, its rights included. Who subscribes to such names sees such names: the way back
//! is part of the subscription's spelling (`spelling.rs`).
//!
//! What begins like a topic of the platform is never looked up here: `m/`, `hc/`, `channels/` (a slash may stand in front)
//! and `$`. The form of the file is in `file.rs` and, for operators, in `docs/topic-map.md`.

mod file;
mod rule;
pub(crate) mod spelling;
mod watch;

pub use self::file::Fault;

use self::rule::{Met, Rule};
use crate::topic::{Address, Filter, Malformed, has_wildcard};
use kernel::DomainId;

/// The rules in force; without any, every topic is one of the platform or none.
#[derive(Debug, Default)]
pub struct TopicMap {
    rules: Vec<Rule>,
}

impl TopicMap {
    /// Reads the text of a file; `file` names it in errors.
    ///
    /// # Errors
    ///
    /// The first line that is no rule, or a rule that no topic could ever reach.
    pub fn parse(file: &str, text: &str) -> Result<Self, Fault> {
        file::parse(file, text).map(|rules| Self { rules })
    }

    /// How many rules there are.
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where a message with this topic goes. `own`: the domain of its publisher, if it has one.
    ///
    /// # Errors
    ///
    /// As for [`Address::of_topic`]; a topic that fits no rule is none.
    pub fn topic<'a>(&self, topic: &'a str, own: Option<DomainId>) -> Result<Address<'a>, Malformed> {
        if self.rules.is_empty() || is_of_the_platform(topic) {
            return Address::of_topic(topic);
        }
        if has_wildcard(topic) || topic.contains('\0') {
            return Err(Malformed::Topic);
        }
        let levels: Vec<&str> = topic.split('/').collect();
        let met = self.rules.iter().find_map(|rule| rule.meet(&levels).map(|met| (rule, met)));
        let (rule, Met { values, .. }) = met.ok_or(Malformed::Topic)?;
        rule.address(&values, own).map(Address::Channel)
    }

    /// What a topic filter means. One that fits several rules, or leaves open which channel it means, has no answer: a
    /// subscription is to one channel.
    ///
    /// # Errors
    ///
    /// As for [`Filter::parse`], and filters without an answer.
    pub fn filter<'a>(&self, filter: &'a str, own: Option<DomainId>) -> Result<Filter<'a>, Malformed> {
        let (group, body) = Filter::split(filter)?;
        if self.rules.is_empty() || is_of_the_platform(body) {
            return Filter::parse(filter);
        }
        let levels: Vec<&str> = body.split('/').collect();
        if !is_filter(&levels) {
            return Err(Malformed::Topic);
        }
        let mut found: Option<(&Rule, Met)> = None;
        for rule in &self.rules {
            let Some(met) = rule.meet(&levels) else { continue };
            if found.is_some() {
                return Err(Malformed::Ambiguous);
            }
            let is_covered = met.is_covered;
            found = Some((rule, met));
            if is_covered {
                // Later rules get nothing of what this filter asks for.
                break;
            }
        }
        let (rule, Met { values, .. }) = found.ok_or(Malformed::Topic)?;
        Ok(Filter { group, address: Address::Channel(rule.address(&values, own)?) })
    }
}

/// Whether a topic or filter is never mapped.
fn is_of_the_platform(text: &str) -> bool {
    let body = text.strip_prefix('/').unwrap_or(text);
    text.starts_with('$') || OWN.iter().any(|first| body.strip_prefix(first).is_some_and(begins_a_level))
}

/// First levels of the platform's own topics.
const OWN: [&str; 3] = ["m", "hc", "channels"];

fn begins_a_level(rest: &str) -> bool {
    rest.starts_with('/')
}

/// Whether wildcards are whole levels, and `#` is the last.
fn is_filter(levels: &[&str]) -> bool {
    levels.iter().enumerate().all(|(at, level)| match *level {
        "+" => true,
        "#" => at + 1 == levels.len(),
        plain => !has_wildcard(plain) && !plain.contains('\0'),
    })
}

#[cfg(test)]
mod tests;
