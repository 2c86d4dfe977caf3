//! The way back: how a subscriber that has used a mapped name sees the topics of its messages.
//!
//! The spelling of such a subscription is a template. It begins with `+`, which no other spelling does, and its levels
//! are text, `+3` (level 3 of the subtopic, from 0) or, as the last, `#3` (level 3 and what follows). So it is stored and
//! compared like every spelling, and holds what it needs after the rule that it comes from has gone.

use std::{borrow::Cow, fmt::Write};

/// Characters that topics of devices may have and subtopics may not, and the one that introduces an encoded one.
const ENCODED: [(char, &str); 4] = [('%', "25"), (' ', "20"), ('*', "2A"), ('>', "3E")];

/// A level of a device's topic as a level of a subtopic.
pub(super) fn kept(level: &str) -> Cow<'_, str> {
    if !level.contains(ENCODED.map(|(plain, _)| plain)) {
        return Cow::Borrowed(level);
    }
    let mut kept = String::with_capacity(level.len() + 8);
    for character in level.chars() {
        match ENCODED.iter().find(|(plain, _)| *plain == character) {
            Some((_, code)) => {
                kept.push('%');
                kept.push_str(code);
            }
            None => kept.push(character),
        }
    }
    Cow::Owned(kept)
}

/// A level of a subtopic as a level of a device's topic; undoes [`kept`].
fn given_back(level: &str, out: &mut String) {
    let mut rest = level;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let plain = ENCODED.iter().find(|(_, code)| after.starts_with(code));
        match plain {
            Some((plain, code)) => {
                out.push(*plain);
                rest = after.get(code.len()..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// Level `at` of the subtopic.
pub(super) fn one(at: usize) -> String {
    format!("+{at}")
}

/// Level `at` of the subtopic and what follows.
pub(super) fn rest(at: usize) -> String {
    format!("#{at}")
}

/// A spelling of these levels.
pub(super) fn template<'a>(levels: impl Iterator<Item = Cow<'a, str>>) -> String {
    let mut template = String::from("+");
    for (at, level) in levels.enumerate() {
        // Writing into a string does not fail.
        let _written = write!(template, "{}{level}", if at == 0 { "" } else { "/" });
    }
    template
}

/// The topic of a message with this subtopic, for a spelling that is a template; `None`: it is none.
pub(crate) fn expanded(spelling: &str, subtopic: &str) -> Option<String> {
    let template = spelling.strip_prefix('+')?;
    let below = || subtopic.split('/').filter(|level| !level.is_empty());
    let mut topic = String::with_capacity(template.len() + subtopic.len());
    let mut is_first = true;
    for level in template.split('/') {
        let (from, most) = match (level.strip_prefix('+'), level.strip_prefix('#')) {
            (Some(at), _) => (at.parse().ok(), 1),
            (None, Some(at)) => (at.parse().ok(), usize::MAX),
            (None, None) => (None, 0),
        };
        let Some(from) = from else {
            separate(&mut topic, &mut is_first);
            topic.push_str(level);
            continue;
        };
        for level in below().skip(from).take(most) {
            separate(&mut topic, &mut is_first);
            given_back(level, &mut topic);
        }
    }
    Some(topic)
}

fn separate(topic: &mut String, is_first: &mut bool) {
    if !std::mem::take(is_first) {
        topic.push('/');
    }
}
