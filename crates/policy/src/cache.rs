//! Decisions that were made already, for as long as the rules and the token stay what they are (reference 08 §9).

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use kernel::Timestamp;
use quick_cache::{Equivalent, sync::Cache};

use crate::{Action, Decision, identity::Principal};

/// Longer topics are decided anew, so that a place in the cache has a bound.
const MAX_TOPIC: usize = 1024;

/// How decisions are remembered.
#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// Whether at all.
    pub enabled: bool,
    /// How many; the least recently used goes first.
    pub size: usize,
    /// For how long.
    pub ttl: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { enabled: true, size: 10_000, ttl: Duration::from_secs(300) }
    }
}

#[derive(Debug)]
pub(crate) struct DecisionCache {
    options: CacheOptions,
    decisions: Cache<Key, (Decision, Timestamp)>,
}

/// What a decision was about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// Which rules.
    pub(crate) version: u64,
    pub(crate) principal: &'a Principal,
    pub(crate) action: Action,
    pub(crate) topic: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    version: u64,
    fingerprint: [u8; 16],
    action: Action,
    topic: Box<str>,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.version, self.fingerprint, self.action, &*self.topic).hash(state);
    }
}

impl Hash for About<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.version, self.principal.fingerprint, self.action, self.topic).hash(state);
    }
}

impl Equivalent<Key> for About<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.version == key.version
            && self.principal.fingerprint == key.fingerprint
            && self.action == key.action
            && self.topic == &*key.topic
    }
}

impl DecisionCache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        Self { options, decisions: Cache::new(options.size) }
    }

    pub(crate) fn get(&self, about: &About<'_>, now: Timestamp) -> Option<Decision> {
        if !self.options.enabled {
            return None;
        }
        let (decision, ends_at) = self.decisions.get(about)?;
        (now < ends_at).then_some(decision)
    }

    pub(crate) fn put(&self, about: &About<'_>, decision: Decision, now: Timestamp) {
        if !self.options.enabled || about.topic.len() > MAX_TOPIC {
            return;
        }
        let About { version, principal, action, topic } = *about;
        let key = Key { version, fingerprint: principal.fingerprint, action, topic: topic.into() };
        let ends_at = now.after(self.options.ttl).min(principal.expires_at);
        self.decisions.insert(key, (decision, ends_at));
    }

    pub(crate) fn clear(&self) {
        self.decisions.clear();
    }

    /// How many there are, and how many may be.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.decisions.len(), self.options.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reason, Subject, SubjectKind};

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

    fn principal(life: Duration) -> Principal {
        Principal::new(Subject::new(SubjectKind::Service, "s", [], []), NOW.after(life))
    }

    fn yes() -> Decision {
        Decision::allowed(Reason::AllowedBy(1))
    }

    #[test]
    fn it_holds_no_more_than_it_may_and_no_long_topics() {
        let cache = DecisionCache::new(CacheOptions { size: 1000, ..CacheOptions::default() });
        let principal = principal(Duration::from_secs(3600));
        let remember = |topic: &str| {
            let about = About { version: 1, principal: &principal, action: Action::Read, topic };
            cache.put(&about, yes(), NOW);
        };
        for number in 0..5000 {
            remember(&number.to_string());
        }
        let (size, most) = cache.size();
        assert!(size > 0 && size <= most, "{size} of {most}");
        cache.clear();
        assert_eq!(cache.size().0, 0);
        remember(&"x".repeat(MAX_TOPIC + 1));
        assert_eq!(cache.size().0, 0);
    }

    #[test]
    fn a_decision_ends_with_its_time_its_token_and_its_rules() {
        let cache = DecisionCache::new(CacheOptions::default());
        for (life, ends) in [(3600, 300), (60, 60)] {
            let principal = principal(Duration::from_secs(life));
            let about = |version| About { version, principal: &principal, action: Action::Read, topic: "a" };
            cache.put(&about(1), yes(), NOW);
            assert!(cache.get(&about(1), NOW.after(Duration::from_secs(ends - 1))).is_some());
            assert!(cache.get(&about(1), NOW.after(Duration::from_secs(ends))).is_none());
            assert!(cache.get(&about(2), NOW).is_none());
        }
    }
}
