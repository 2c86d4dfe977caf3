//! One rule: a pattern that topics fit, and the channel and subtopic that it leads to.

use std::borrow::Cow;

use kernel::DomainId;

use super::spelling::{self, kept};
use crate::topic::{ChannelAddress, MAX_LEVELS, Malformed, has_wildcard};

/// One level of a pattern or of the subtopic that it leads to. Captures go by their number in the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    /// Itself.
    Literal(Box<str>),
    /// Any one level.
    One(usize),
    /// All further levels, or none; always the last.
    Rest(usize),
}

/// A part of the name of a domain or channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Itself.
    Literal(Box<str>),
    /// What a capture holds.
    Capture(usize),
}

/// Which domain a rule leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Domain {
    /// That of whoever publishes or subscribes.
    Own,
    /// The one of this name.
    Named(Vec<Piece>),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Where it stands in the file, from 1.
    pub(super) line: usize,
    pub(super) pattern: Vec<Level>,
    /// How many captures the pattern has; the target names each of them once.
    pub(super) captures: usize,
    pub(super) domain: Domain,
    pub(super) channel: Vec<Piece>,
    pub(super) subtopic: Vec<Level>,
}

/// What the captures of a pattern hold for a topic or filter that fits it.
pub(super) struct Met {
    /// By the captures' numbers. For a filter a value may be a wildcard, or several levels that end with one.
    pub(super) values: Vec<String>,
    /// Whether every topic that the filter can match fits the pattern.
    pub(super) is_covered: bool,
}

impl Rule {
    /// Whether a topic or filter, cut into levels, fits the pattern; a filter does if there is a topic that fits both.
    pub(super) fn meet(&self, asked: &[&str]) -> Option<Met> {
        let mut values = vec![String::new(); self.captures];
        let mut is_covered = true;
        // Once `#` has been reached, it stands for whatever the pattern goes on with.
        let mut is_open = false;
        let mut asked = asked.iter().copied();
        for level in &self.pattern {
            if let Level::Rest(capture) = level {
                let rest: Vec<&str> = if is_open { vec!["#"] } else { asked.by_ref().collect() };
                if rest.iter().any(|level| level.is_empty()) {
                    return None;
                }
                put(&mut values, *capture, &rest.join("/"));
                return Some(Met { values, is_covered: is_covered && !is_open });
            }
            let mut given = if is_open { "+" } else { asked.next()? };
            if given == "#" {
                (is_open, given) = (true, "+");
            }
            match level {
                Level::Literal(_) if given == "+" => is_covered = false,
                Level::Literal(text) => {
                    if **text != *given {
                        return None;
                    }
                }
                Level::One(capture) | Level::Rest(capture) => {
                    if given.is_empty() {
                        return None;
                    }
                    put(&mut values, *capture, given);
                }
            }
        }
        match asked.next() {
            None => Some(Met { values, is_covered: is_covered && !is_open }),
            // `a/#` includes `a`, and more than this pattern.
            Some("#") => Some(Met { values, is_covered: false }),
            Some(_) => None,
        }
    }

    /// Whether everything that fits `later` fits this rule, so that `later` is never reached.
    pub(super) fn takes_all_of(&self, later: &Self) -> bool {
        let widest: Vec<&str> = later
            .pattern
            .iter()
            .map(|level| match level {
                Level::Literal(text) => &**text,
                Level::One(_) => "+",
                Level::Rest(_) => "#",
            })
            .collect();
        self.meet(&widest).is_some_and(|met| met.is_covered)
    }

    /// The address for the captures' values. The domain is empty where it is the caller's own, who has none.
    pub(super) fn address(
        &self,
        values: &[String],
        own: Option<DomainId>,
    ) -> Result<ChannelAddress<'static>, Malformed> {
        let domain = match &self.domain {
            Domain::Own => own.map(|own| own.to_string()).unwrap_or_default(),
            Domain::Named(pieces) => name(pieces, values)?,
        };
        let channel = name(&self.channel, values)?;
        let subtopic = self.filled(values);
        if subtopic.split('/').count() > MAX_LEVELS {
            return Err(Malformed::Subtopic);
        }
        Ok(ChannelAddress {
            domain: Cow::Owned(domain),
            channel: Cow::Owned(channel),
            spelling: Cow::Owned(self.spelling(values)),
            subtopic: Cow::Owned(subtopic),
        })
    }

    fn filled(&self, values: &[String]) -> String {
        let mut levels: Vec<Cow<'_, str>> = Vec::with_capacity(self.subtopic.len());
        for level in &self.subtopic {
            match level {
                Level::Literal(text) => levels.push(Cow::Borrowed(&**text)),
                Level::One(capture) => levels.push(kept(value(values, *capture))),
                Level::Rest(capture) => {
                    levels.extend(
                        value(values, *capture).split('/').filter(|level| !level.is_empty()).map(kept),
                    );
                }
            }
        }
        levels.join("/")
    }

    /// The way back from the subtopic to the topic.
    fn spelling(&self, values: &[String]) -> String {
        let place = |capture: usize| {
            self.subtopic.iter().position(|level| match level {
                Level::One(found) | Level::Rest(found) => *found == capture,
                Level::Literal(_) => false,
            })
        };
        let levels = self.pattern.iter().map(|level| match level {
            Level::Literal(text) => Cow::Borrowed(&**text),
            Level::One(capture) => match place(*capture) {
                Some(at) => Cow::Owned(spelling::one(at)),
                // It is part of the domain's or channel's name, so its value is known.
                None => Cow::Borrowed(value(values, *capture)),
            },
            Level::Rest(capture) => Cow::Owned(place(*capture).map(spelling::rest).unwrap_or_default()),
        });
        spelling::template(levels)
    }
}

fn put(values: &mut [String], capture: usize, value: &str) {
    if let Some(place) = values.get_mut(capture) {
        value.clone_into(place);
    }
}

fn value(values: &[String], capture: usize) -> &str {
    values.get(capture).map_or("", String::as_str)
}

/// The name of a domain or channel; it must not be left open.
fn name(pieces: &[Piece], values: &[String]) -> Result<String, Malformed> {
    let name: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => &**text,
            Piece::Capture(capture) => value(values, *capture),
        })
        .collect();
    if has_wildcard(&name) { Err(Malformed::Undecided) } else { Ok(name) }
}
