//! Patterns of rules: what they cover, and what they overlap (reference 08 §6.3).
//!
//! A pattern is split into levels when it is loaded; to compare it with a topic allocates nothing.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::{Who, topic};

/// Topics that a rule is about: an MQTT filter whose levels may hold `${subject.id}`, `${username}` and `${clientid}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    levels: Box<[Level]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Text(Box<str>),
    /// Text with the asking client's own identity in it.
    Own(Box<[Part]>),
    One,
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Own(Own),
}

/// What stands for the client that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    SubjectId,
    Username,
    ClientId,
}

const PLACEHOLDERS: [(&str, Own); 3] =
    [("${subject.id}", Own::SubjectId), ("${username}", Own::Username), ("${clientid}", Own::ClientId)];

/// How a level of a pattern fares against a level of a topic.
enum Fit {
    Yes,
    No,
    /// The identity cannot stand in a topic.
    Unfit,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !topic::is_filter(text) {
            return Err(format!(
                "`{}` is no valid topic filter: `+` must be a whole level and `#` the whole last one",
                text.escape_debug()
            ));
        }
        let levels = text.split('/').map(Level::parse).collect();
        Ok(Self { text: text.into(), levels })
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every topic of `asked` (a name, or all that a filter can match) is of this pattern.
    pub fn covers(&self, asked: &str, who: &Who<'_>) -> bool {
        let mut theirs = asked.split('/');
        let hidden = asked.starts_with('$');
        for (depth, level) in self.levels.iter().enumerate() {
            let reaches = depth > 0 || !hidden;
            match (level, theirs.next()) {
                (Level::Rest, _) => return reaches,
                (_, None | Some("#")) => return false,
                (Level::One, Some(_)) => {
                    if !reaches {
                        return false;
                    }
                }
                (Level::Text(own), Some(their)) => {
                    if **own != *their {
                        return false;
                    }
                }
                (Level::Own(parts), Some(their)) => {
                    if !matches!(fit(parts, their, depth, who), Fit::Yes) {
                        return false;
                    }
                }
            }
        }
        theirs.next().is_none()
    }

    /// Whether some topic is both of this pattern and of the filter `asked`.
    ///
    /// Where in doubt it says yes, since it is asked for patterns that deny: a wildcard of the pattern reaches filters
    /// that begin with `$`, and an identity that cannot stand in a topic overlaps everything below.
    pub fn overlaps(&self, asked: &str, who: &Who<'_>) -> bool {
        let mut theirs = asked.split('/');
        for (depth, level) in self.levels.iter().enumerate() {
            let their = theirs.next();
            // A wildcard of the filter does not reach topics that begin with `$`.
            if depth == 0 && matches!(their, Some("+" | "#")) && level.is_hidden() {
                return false;
            }
            match (level, their) {
                (Level::Rest, _) | (_, Some("#")) => return true,
                (_, None) => return false,
                (Level::One, Some(_)) => {}
                (Level::Text(own), Some(their)) => {
                    if their != "+" && **own != *their {
                        return false;
                    }
                }
                (Level::Own(parts), Some(their)) => match fit(parts, their, depth, who) {
                    Fit::Unfit => return true,
                    Fit::No if their != "+" => return false,
                    Fit::No | Fit::Yes => {}
                },
            }
        }
        matches!(theirs.next(), None | Some("#"))
    }

    /// Whether the name or filter could be of this pattern for somebody whose identity cannot stand in a topic; a rule
    /// that denies must not be escaped that way.
    pub(crate) fn is_unfit_for(&self, who: &Who<'_>) -> bool {
        self.levels.iter().enumerate().any(|(depth, level)| match level {
            Level::Own(parts) => matches!(fit(parts, "", depth, who), Fit::Unfit),
            Level::Text(_) | Level::One | Level::Rest => false,
        })
    }

    /// Whether what it matches depends on more of the client than its subject.
    pub(crate) fn is_personal(&self) -> bool {
        let personal = |part: &Part| matches!(part, Part::Own(Own::Username | Own::ClientId));
        self.levels.iter().any(|level| matches!(level, Level::Own(parts) if parts.iter().any(personal)))
    }

    /// A `${…}` that stands for itself, which is hardly what was meant.
    pub(crate) fn odd_placeholder(&self) -> Option<&str> {
        let mut rest: &str = &self.text;
        while let Some(at) = rest.find("${") {
            rest = rest.get(at..)?;
            match PLACEHOLDERS.iter().find(|(name, _)| rest.starts_with(name)) {
                Some((name, _)) => rest = rest.get(name.len()..)?,
                None => return rest.split_inclusive('}').next(),
            }
        }
        None
    }
}

impl Level {
    fn parse(text: &str) -> Self {
        match text {
            "+" => return Self::One,
            "#" => return Self::Rest,
            _ => {}
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((at, (name, own))) = PLACEHOLDERS
            .iter()
            .filter_map(|known| rest.find(known.0).map(|at| (at, known)))
            .min_by_key(|(at, _)| *at)
        {
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Own(*own));
            rest = from.get(name.len()..).unwrap_or_default();
        }
        if parts.is_empty() {
            return Self::Text(text.into());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Self::Own(parts.into())
    }

    fn is_hidden(&self) -> bool {
        match self {
            Self::Text(text) => text.starts_with('$'),
            Self::Own(parts) => matches!(parts.first(), Some(Part::Text(text)) if text.starts_with('$')),
            Self::One | Self::Rest => false,
        }
    }
}

/// Compares a level with the client's own identity in it. Nobody makes itself a level that others would read as
/// something else: no separator, no wildcard, nothing empty, and no `$` where a topic begins.
fn fit(parts: &[Part], level: &str, depth: usize, who: &Who<'_>) -> Fit {
    let (mut rest, mut fits) = (level, true);
    for (place, part) in parts.iter().enumerate() {
        let text = match part {
            Part::Text(text) => text,
            Part::Own(own) => {
                let value = match own {
                    Own::SubjectId => who.subject.id.as_str(),
                    Own::Username => who.username.unwrap_or_default(),
                    Own::ClientId => who.clientid,
                };
                let begins = depth == 0 && place == 0 && value.starts_with('$');
                if value.is_empty() || begins || value.contains(['/', '+', '#', '\0']) {
                    return Fit::Unfit;
                }
                value
            }
        };
        match rest.strip_prefix(text) {
            Some(after) => rest = after,
            None => fits = false,
        }
    }
    if fits && rest.is_empty() { Fit::Yes } else { Fit::No }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Pattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a topic filter")
            }

            // Here the reader of JSON still knows the line.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pattern, E> {
                Pattern::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests;
