//! Retained messages: the last one of each topic that asked to be kept.
//!
//! The race it must win: a message that is published while somebody subscribes reaches the new subscriber at least
//! once. Storing, subscribing and looking for retained messages all happen under the lock of the room, and a
//! publisher stores before it asks who subscribes: whichever comes first, the other sees it.
//!
//! The bounds are those of the node (`Limits::retained_messages`, `Limits::retained_bytes`): a message that does not
//! fit is delivered but not kept, and counted. A new subscriber is given them in steps, in the order of their
//! subtopics, so that nobody ever holds a list of all of them.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hashbrown::HashMap;
use tokio::time::Instant;

use super::Core;
use super::message::Message;
use super::tree::matches;
use crate::limits::Limits;
use crate::stats::{Stats, count};
use crate::wire::QoS;

/// A kept message and the QoS it was published with.
#[derive(Debug, Clone)]
pub(crate) struct Retained {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
}

/// The retained messages of one channel, by subtopic.
#[derive(Debug, Default)]
pub(crate) struct RetainedSet {
    by_subtopic: BTreeMap<Box<str>, Retained>,
    /// Subtopics whose message has changed and is not stored yet, with how often; kept only where other nodes store theirs.
    marks: HashMap<Box<str>, u64>,
    /// The channel is gone. A message whose right was decided before that may still come.
    closed: bool,
}

/// Bounds of one step: messages and payload bytes that are given, and messages that are looked at under the lock.
const STEP_MESSAGES: usize = 64;
const STEP_BYTES: usize = 64 << 10;
const STEP_SEEN: usize = 1_024;

/// Time between two counts of what is stored.
const RECOUNT: Duration = Duration::from_secs(600);

/// Some of the messages that match a filter.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// With their subtopics.
    pub(crate) found: Vec<(Box<str>, Retained)>,
    /// The subtopic that the next step goes on after; `None`: this was the last one.
    pub(crate) next: Option<Box<str>>,
}

impl RetainedSet {
    /// Keeps a message in the place of an earlier one; an empty payload only removes that ([MQTT-3.3.1-6]). The
    /// earlier one goes even when there is no room for the message: it is not the last word any more
    /// ([MQTT-3.3.1-5], in 3.1.1 [MQTT-3.3.1-7]).
    pub(crate) fn store(&mut self, subtopic: &str, retained: Retained, limits: &Limits, stats: &Stats) {
        self.remove(subtopic, stats);
        if retained.message.payload.is_empty() || self.closed {
            return;
        }
        let bytes = cost(subtopic, &retained);
        let messages = stats.retained_messages.fetch_add(1, Relaxed) + 1;
        let total = stats.retained_bytes.fetch_add(bytes, Relaxed) + bytes;
        if messages > limits.retained_messages as u64 || total > limits.retained_bytes as u64 {
            forget(subtopic, &retained, stats);
            count(&stats.refused_retained);
            return;
        }
        self.by_subtopic.insert(subtopic.into(), retained);
    }

    /// The message of a subtopic is about to change.
    pub(crate) fn mark(&mut self, subtopic: &str) {
        *self.marks.entry(subtopic.into()).or_insert(0) += 1;
    }

    /// How often it has changed since it was stored.
    pub(crate) fn marks(&self, subtopic: &str) -> u64 {
        self.marks.get(subtopic).copied().unwrap_or(0)
    }

    /// It is stored as it was after so many changes.
    pub(crate) fn unmark(&mut self, subtopic: &str, changes: u64) {
        if self.marks(subtopic) == changes {
            self.marks.remove(subtopic);
        }
    }

    /// The message of a subtopic as it is stored, unless a later one waits to be.
    pub(crate) fn replace(&mut self, subtopic: &str, found: Option<Retained>, stats: &Stats) {
        if self.marks.contains_key(subtopic) || self.closed {
            return;
        }
        self.remove(subtopic, stats);
        if let Some(found) = found {
            stats.retained_messages.fetch_add(1, Relaxed);
            stats.retained_bytes.fetch_add(cost(subtopic, &found), Relaxed);
            self.by_subtopic.insert(subtopic.into(), found);
        }
    }

    /// All messages as they are stored, but for those of which a later one waits to be.
    pub(crate) fn replace_all(&mut self, found: Vec<(Box<str>, Retained)>, stats: &Stats) {
        let mut found: BTreeMap<Box<str>, Retained> = found.into_iter().collect();
        let known: Vec<Box<str>> = self.by_subtopic.keys().cloned().collect();
        for subtopic in known {
            let found = found.remove(&subtopic);
            self.replace(&subtopic, found, stats);
        }
        for (subtopic, found) in found {
            self.replace(&subtopic, Some(found), stats);
        }
    }

    /// The message of a subtopic, and what it counts.
    pub(crate) fn at(&self, subtopic: &str) -> Option<(Retained, u64)> {
        self.by_subtopic.get(subtopic).map(|retained| (retained.clone(), cost(subtopic, retained)))
    }

    /// Messages that are stored; they have been counted.
    pub(crate) fn put(&mut self, found: Vec<(Box<str>, Retained)>) {
        if !self.closed {
            self.by_subtopic.extend(found);
        }
    }

    fn remove(&mut self, subtopic: &str, stats: &Stats) {
        if let Some(old) = self.by_subtopic.remove(subtopic) {
            forget(subtopic, &old, stats);
        }
    }

    /// The next messages that match a filter and are still worth delivering, after a subtopic or from the first one.
    pub(crate) fn matching(&self, filter: &str, after: Option<&str>, now: Instant) -> Step {
        let mut step = Step::default();
        let mut bytes = 0;
        let mut look = |step: &mut Step, subtopic: &str, retained: &Retained| {
            if !retained.message.is_expired(now) {
                bytes += retained.message.payload.len();
                step.found.push((subtopic.into(), retained.clone()));
            }
            bytes >= STEP_BYTES || step.found.len() >= STEP_MESSAGES
        };
        if !filter.contains(['+', '#']) {
            if let Some(retained) = self.by_subtopic.get(filter) {
                look(&mut step, filter, retained);
            }
            return step;
        }
        let rest = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        for (seen, (subtopic, retained)) in self.by_subtopic.range::<str, _>(rest).enumerate() {
            let enough = matches(filter, subtopic) && look(&mut step, subtopic, retained);
            if enough || seen >= STEP_SEEN {
                step.next = Some(subtopic.clone());
                break;
            }
        }
        step
    }

    /// Drops what has expired.
    pub(crate) fn expire(&mut self, now: Instant, stats: &Stats) {
        self.by_subtopic.retain(|subtopic, retained| {
            let keep = !retained.message.is_expired(now);
            if !keep {
                forget(subtopic, retained, stats);
            }
            keep
        });
    }

    /// Drops everything and keeps nothing any more.
    pub(crate) fn close(&mut self, stats: &Stats) {
        self.closed = true;
        for (subtopic, retained) in std::mem::take(&mut self.by_subtopic) {
            forget(&subtopic, &retained, stats);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_subtopic.is_empty()
    }
}

/// Counts what is stored: at the start, and again now and then, because what expires or goes with a channel that nobody
/// uses is deleted without being read.
pub(crate) async fn count_stored(core: Weak<Core>) {
    let mut rounds = tokio::time::interval(RECOUNT);
    loop {
        rounds.tick().await;
        let Some(committer) = core.upgrade().and_then(|core| core.shared.committer.clone()) else { return };
        match committer.retained_total().await {
            Ok((messages, bytes)) => {
                let Some(core) = core.upgrade() else { return };
                core.shared.stats.retained_messages.store(messages, Relaxed);
                core.shared.stats.retained_bytes.store(bytes, Relaxed);
            }
            Err(error) => {
                tracing::warn!(cause = %error.chain(), "retained messages could not be counted");
            }
        }
    }
}

fn forget(subtopic: &str, retained: &Retained, stats: &Stats) {
    subtract(&stats.retained_messages, 1);
    subtract(&stats.retained_bytes, cost(subtopic, retained));
}

/// A count of what is stored may be older than what is subtracted from it.
fn subtract(gauge: &AtomicU64, by: u64) {
    let _always = gauge.fetch_update(Relaxed, Relaxed, |value| Some(value.saturating_sub(by)));
}

/// Bytes that a retained message counts: contents and the records around them.
fn cost(subtopic: &str, retained: &Retained) -> u64 {
    const RECORDS: usize = 256;
    let message = &retained.message;
    (subtopic.len() + message.payload.len() + message.properties.as_encoded().len() + RECORDS) as u64
}
