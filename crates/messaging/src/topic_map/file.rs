//! The file: one rule per line, a pattern and its target with white space between them. Empty lines, and lines that begin
//! with `#`, are passed over.
//!
//! ```text
//! tele/{device}/{what...}    m/factory/c/tasmota/{device}/tele/{what...}
//! ```
//!
//! A pattern's levels are text, `{name}` (one level) or, as the last, `{name...}` (all further levels, or none). The target
//! is a topic of the platform that names each capture once, because the way back must find it: as a whole level of the
//! subtopic, or as a part of the domain's or channel's name. `{@domain}` is the domain of the client itself.

use std::fmt;

use super::OWN;
use super::rule::{Domain, Level, Piece, Rule};

/// Largest file, in bytes.
const MOST_BYTES: usize = 1 << 20;
/// Most rules: a topic that a connection has not used before is compared with each.
const MOST_RULES: usize = 1_000;

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The file as it was named.
    pub file: String,
    /// From 1; 0 where no single line is to blame.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.what),
        }
    }
}

impl Fault {
    /// One that is not in a line.
    pub(super) fn of_file(file: &str, what: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, what: what.to_owned() }
    }
}

/// What is wrong in a line, and where.
type Wrong = (usize, String);

/// A part of a line, and where it begins, in bytes from 0.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    at: usize,
    text: &'a str,
}

pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Rule>, Fault> {
    if text.len() > MOST_BYTES {
        return Err(Fault::of_file(file, "the file is larger than 1 MiB"));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let fault =
            |(column, what): Wrong| Fault { file: file.to_owned(), line: at + 1, column: column + 1, what };
        let words = words(line);
        let rule = match *words.as_slice() {
            [] => continue,
            [first, ..] if first.text.starts_with('#') => continue,
            [pattern, target] => rule(at + 1, pattern, target).map_err(fault)?,
            [only] => {
                return Err(fault((
                    only.at,
                    "a rule is a pattern and a target: the target is missing".into(),
                )));
            }
            [_, _, third, ..] => {
                return Err(fault((third.at, "a rule is a pattern and a target: this is too much".into())));
            }
        };
        if let Some(earlier) = rules.iter().find(|earlier| earlier.takes_all_of(&rule)) {
            let what = format!("the rule is never reached: line {} takes all of its topics", earlier.line);
            return Err(fault((0, what)));
        }
        if rules.len() >= MOST_RULES {
            return Err(fault((0, format!("there are more than {MOST_RULES} rules"))));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut begun = None;
    for (at, character) in line.char_indices().chain([(line.len(), ' ')]) {
        match (begun, character.is_whitespace()) {
            (None, false) => begun = Some(at),
            (Some(from), true) => {
                words.push(Word { at: from, text: line.get(from..at).unwrap_or_default() });
                begun = None;
            }
            _ => {}
        }
    }
    words
}

fn levels(word: Word<'_>) -> Vec<Word<'_>> {
    let mut at = word.at;
    let level = |text| {
        let level = Word { at, text };
        at += text.len() + 1;
        level
    };
    word.text.split('/').map(level).collect()
}

fn rule(line: usize, pattern: Word<'_>, target: Word<'_>) -> Result<Rule, Wrong> {
    let (pattern, names) = read_pattern(pattern)?;
    let has_rest = matches!(pattern.last(), Some(Level::Rest(_)));
    let mut captures = Captures { used: vec![false; names.len()], names, has_rest };
    let levels = levels(target);
    let (domain, channel, below) = match levels.as_slice() {
        [m, domain, c, channel, below @ ..] if m.text == "m" && c.text == "c" => (*domain, *channel, below),
        _ => return Err((target.at, "a target begins with `m/<domain>/c/<channel>`".into())),
    };
    let domain = if domain.text == "{@domain}" {
        Domain::Own
    } else {
        Domain::Named(read_name(domain, &mut captures)?)
    };
    let channel = read_name(channel, &mut captures)?;
    let subtopic = read_subtopic(below, &mut captures)?;
    if let Some((name, _)) = captures.names.iter().zip(&captures.used).find(|(_, used)| !**used) {
        return Err((
            target.at,
            format!("the target lacks `{{{name}}}`, without which there is no way back to the topic"),
        ));
    }
    Ok(Rule { line, pattern, captures: captures.names.len(), domain, channel, subtopic })
}

/// The captures of a pattern while its target is read.
struct Captures<'a> {
    names: Vec<&'a str>,
    used: Vec<bool>,
    /// The last one holds all further levels.
    has_rest: bool,
}

impl Captures<'_> {
    /// The number of a capture that is named for the first time, and whether it holds all further levels.
    fn take(&mut self, at: usize, inside: &str) -> Result<(usize, bool), Wrong> {
        let (name, is_rest) = match inside.strip_suffix("...") {
            Some(name) => (name, true),
            None => (inside, false),
        };
        let known = self.names.iter().position(|known| *known == name);
        let number = known.ok_or_else(|| (at, format!("the pattern has no `{{{name}}}`")))?;
        if is_rest != (self.has_rest && number + 1 == self.names.len()) {
            return Err((at, format!("write `{name}` as in the pattern, with or without `...`")));
        }
        match self.used.get_mut(number) {
            Some(used) if !*used => *used = true,
            _ => return Err((at, format!("`{{{name}}}` stands in the target already"))),
        }
        Ok((number, is_rest))
    }
}

/// What a level holds between braces, if it is a capture as a whole.
fn inside(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}').filter(|inside| !inside.contains(['{', '}']))
}

fn read_pattern(word: Word<'_>) -> Result<(Vec<Level>, Vec<&str>), Wrong> {
    let found = levels(word);
    let first = found.iter().find(|level| !level.text.is_empty()).map(|level| level.text);
    if first.is_some_and(|first| OWN.contains(&first)) || word.text.starts_with('$') {
        return Err((word.at, "topics that begin so are the platform's own and never mapped".into()));
    }
    let (mut pattern, mut names) = (Vec::new(), Vec::new());
    for (number, level) in found.iter().enumerate() {
        let is_last = number + 1 == found.len();
        let Some(inside) = inside(level.text) else {
            // A slash may stand in front of the whole.
            if level.text.is_empty() && (number > 0 || is_last) {
                return Err((level.at, "a level is empty".into()));
            }
            pattern.push(literal(level, "a capture is a whole level of the pattern")?);
            continue;
        };
        let (name, is_rest) = match inside.strip_suffix("...") {
            Some(name) => (name, true),
            None => (inside, false),
        };
        if !is_name(name) {
            return Err((level.at, "a capture is named with lower-case letters, digits and `_`".into()));
        }
        if names.contains(&name) {
            return Err((level.at, format!("there are two captures `{{{name}}}`")));
        }
        if is_rest && !is_last {
            return Err((
                level.at,
                format!("`{{{name}...}}` stands for all further levels, so it must be the last"),
            ));
        }
        pattern.push(if is_rest { Level::Rest(names.len()) } else { Level::One(names.len()) });
        names.push(name);
    }
    Ok((pattern, names))
}

fn literal(level: &Word<'_>, advice: &str) -> Result<Level, Wrong> {
    if level.text.contains(['{', '}']) {
        return Err((level.at, advice.into()));
    }
    if level.text.contains(['+', '#', '\0']) {
        return Err((level.at, "a rule has captures in the place of wildcards".into()));
    }
    Ok(Level::Literal(level.text.into()))
}

fn read_subtopic(below: &[Word<'_>], captures: &mut Captures<'_>) -> Result<Vec<Level>, Wrong> {
    let mut subtopic = Vec::new();
    for (number, level) in below.iter().enumerate() {
        let Some(inside) = inside(level.text) else {
            if level.text.is_empty() || level.text.contains(['*', '>', '%']) {
                return Err((
                    level.at,
                    "a level of a subtopic is not empty and has no `*`, `>` or `%`".into(),
                ));
            }
            subtopic.push(literal(level, "a capture is a whole level of the subtopic")?);
            continue;
        };
        let (capture, is_rest) = captures.take(level.at, inside)?;
        if is_rest && number + 1 < below.len() {
            return Err((level.at, "what stands for all further levels must be the last".into()));
        }
        subtopic.push(if is_rest { Level::Rest(capture) } else { Level::One(capture) });
    }
    Ok(subtopic)
}

/// The name of a domain or channel: an id or a route, with captures in it.
fn read_name(word: Word<'_>, captures: &mut Captures<'_>) -> Result<Vec<Piece>, Wrong> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (word.at, word.text);
    while !rest.is_empty() {
        let (text, length) = match rest.strip_prefix('{') {
            Some(after) => {
                let inside = after.split_once('}').map(|(inside, _)| inside);
                let inside = inside.ok_or_else(|| (at, "a `}` is missing".to_owned()))?;
                let (capture, is_rest) = captures.take(at, inside)?;
                if is_rest {
                    return Err((at, "the name of a domain or channel is within one level".into()));
                }
                (Piece::Capture(capture), inside.len() + 2)
            }
            None => {
                let length = rest.find('{').unwrap_or(rest.len());
                let text = rest.get(..length).unwrap_or_default();
                if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
                    return Err((at, format!("`{text}` is no id or route of a domain or channel")));
                }
                (Piece::Literal(text.into()), length)
            }
        };
        pieces.push(text);
        at += length;
        rest = rest.get(length..).unwrap_or_default();
    }
    if pieces.is_empty() {
        Err((word.at, "the name of the domain or channel is missing".into()))
    } else {
        Ok(pieces)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
