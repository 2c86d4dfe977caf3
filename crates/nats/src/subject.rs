//! Subjects of NATS.

use kernel::{ChannelId, DomainId};
use messaging::PublishedMessage;

/// The longest subject that is sent; the server reads no protocol line above 4 KiB.
const LONGEST: usize = 3_000;

/// `m.<domain>.c.<channel>[.<subtopic>]` (reference 05 §10.2).
pub(crate) fn of_message(message: &PublishedMessage<'_>) -> String {
    let mut subject = format!("m.{}.c.{}", message.domain, message.channel);
    if !message.subtopic.is_empty() {
        for level in message.subtopic.split('/') {
            subject.push('.');
            push_token(&mut subject, level);
        }
    }
    subject
}

/// What a subscription reads, with the wildcards of NATS.
pub(crate) fn of_filter(domain: DomainId, channel: ChannelId, subtopic: &str) -> String {
    let mut subject = format!("m.{domain}.c.{channel}");
    for level in subtopic.split('/').filter(|level| !level.is_empty()) {
        subject.push('.');
        match level {
            "+" => subject.push('*'),
            "#" => subject.push('>'),
            level => push_token(&mut subject, level),
        }
    }
    subject
}

/// `events.<stream>` (reference 05 §11).
pub(crate) fn of_event(stream: &str) -> String {
    format!("events.{stream}")
}

/// A level of a topic may hold what a token of a subject may not; the message itself tells it exactly.
fn push_token(subject: &mut String, level: &str) {
    if level.is_empty() {
        subject.push('_');
        return;
    }
    for character in level.chars() {
        if subject.len() >= LONGEST {
            return;
        }
        let is_plain = !character.is_whitespace() && !character.is_control() && !".*>".contains(character);
        subject.push(if is_plain { character } else { '_' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(levels: &[&str]) -> Vec<String> {
        levels
            .iter()
            .map(|level| {
                let mut subject = String::new();
                push_token(&mut subject, level);
                subject
            })
            .collect()
    }

    #[test]
    fn what_a_subject_cannot_hold_is_replaced() {
        assert_eq!(
            tokens(&["temp", "a b", "v1.2", "", "*", ">x", "ä"]),
            ["temp", "a_b", "v1_2", "_", "_", "_x", "ä"]
        );
    }

    #[test]
    fn a_subject_has_a_longest_length() {
        let mut subject = String::new();
        push_token(&mut subject, &"x".repeat(10_000));
        assert_eq!(subject.len(), LONGEST);
    }
}
