//! A cache that never serves what was true before the last commit of this process, nor for long what was true before
//! one of another.
//!
//! The race to win: a reader loads an old row, a writer commits and forgets the key, and only then the reader stores
//! what it read. Each key belongs to a slot with a counter that [`Fresh::forget`] raises; a reader notes it before it
//! reads, and stores its answer only where it has not moved. Comparing and storing happen under the slot's lock.
//!
//! Whoever changes rows behind a cache calls [`Fresh::changed`] in the transaction: the key is forgotten here after the
//! commit and before its caller is answered, and by the nodes that share the database when they hear of it (`db::Word`).
//! A node that does not hear what others change remembers nothing until it does again.

use std::{
    fmt::Display,
    future::Future,
    hash::{BuildHasher, Hash},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use db::{Db, Hears, Tx, Word};
use kernel::Result;
use quick_cache::{UnitWeighter, Weighter, sync::Cache};

/// Slots per cache: a write to one key makes a load of 1 key in 256 run once more, no more.
const SLOTS: usize = 256;

/// A bounded cache in front of the database.
pub struct Fresh<K, V, W = UnitWeighter> {
    cache: Cache<K, V, W>,
    changes: Box<[Mutex<u64>]>,
    hasher: std::hash::RandomState,
    /// What its keys are to other nodes, and whether this one hears them.
    topic: &'static str,
    hears: Hears,
}

impl<K, V, W> Fresh<K, V, W>
where
    K: Eq + Hash + Clone + Display + FromStr + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    W: Weighter<K, V> + Clone + Send + Sync + 'static,
{
    /// The cache, which from now on also forgets what other nodes of the database say of `topic`.
    pub fn hearing(mut self, db: &Db, topic: &'static str) -> Arc<Self> {
        self.topic = topic;
        self.hears = db.hears();
        let cache = Arc::new(self);
        let weak = Arc::downgrade(&cache);
        db.hear(topic, move |word| {
            let Some(cache) = weak.upgrade() else { return };
            match word {
                Word::This(key) => match key.parse() {
                    Ok(key) => cache.forget(&key),
                    Err(_) => cache.forget_everything(),
                },
                Word::Everything => cache.forget_everything(),
            }
        });
        cache
    }

    /// Forgets `key` when the transaction has committed, here and at other nodes.
    pub fn changed(self: &Arc<Self>, tx: &mut Tx, key: K) {
        tx.tell(self.topic, &key.to_string());
        let cache = Arc::clone(self);
        tx.on_commit(move || cache.forget(&key));
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Fresh<K, V> {
    /// A cache of at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self::weighted(capacity, capacity as u64, UnitWeighter)
    }
}

impl<K: Eq + Hash + Clone, V: Clone, W: Weighter<K, V> + Clone> Fresh<K, V, W> {
    /// A cache of about `entries` entries whose weights add up to `capacity` at the most.
    pub fn weighted(entries: usize, capacity: u64, weighter: W) -> Self {
        Self {
            cache: Cache::with_weighter(entries, capacity, weighter),
            changes: (0..SLOTS).map(|_| Mutex::new(0)).collect(),
            hasher: std::hash::RandomState::new(),
            topic: "",
            hears: Hears::always(),
        }
    }

    /// The value of `key`, loaded where it is not known.
    pub async fn get_or_load<F>(&self, key: K, load: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<V>>,
    {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let before = self.changes(&key);
        let value = load().await?;
        self.keep(&key, &value, before);
        Ok(value)
    }

    /// The value of `key`, looked for where it is not known. That there is none is not remembered: names that nobody
    /// has would push out what is in use.
    pub async fn get_or_find<F>(&self, key: K, find: impl FnOnce() -> F) -> Result<Option<V>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        if let Some(value) = self.get(&key) {
            return Ok(Some(value));
        }
        let before = self.changes(&key);
        let found = find().await?;
        if let Some(value) = &found {
            self.keep(&key, value, before);
        }
        Ok(found)
    }

    fn get(&self, key: &K) -> Option<V> {
        self.cache.get(key).filter(|_| self.hears.now())
    }

    /// How often `key`, or one that shares its slot, was dropped.
    fn changes(&self, key: &K) -> Option<u64> {
        self.slot(key).map(|changes| *changes)
    }

    /// Stores what was read since `before`, unless the key was dropped meanwhile.
    fn keep(&self, key: &K, value: &V, before: Option<u64>) {
        if let (Some(changes), Some(before)) = (self.slot(key), before)
            && *changes == before
            && self.hears.now()
        {
            self.cache.insert(key.clone(), value.clone());
        }
    }

    /// Drops `key`; called after the commit that changed it and before the caller of that commit is answered.
    pub fn forget(&self, key: &K) {
        if let Some(mut changes) = self.slot(key) {
            *changes += 1;
            self.cache.remove(key);
        }
    }

    /// Drops everything, and what is being loaded.
    fn forget_everything(&self) {
        for slot in &self.changes {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.cache.clear();
    }

    fn slot(&self, key: &K) -> Option<MutexGuard<'_, u64>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % (SLOTS as u64)).unwrap_or_default();
        self.changes.get(hash).map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_load_that_raced_with_a_commit_is_not_kept() {
        let cache = Fresh::new(10);
        let old = cache
            .get_or_load(1, || async {
                cache.forget(&1);
                Ok("old")
            })
            .await
            .unwrap();
        assert_eq!(old, "old");
        assert_eq!(cache.get_or_load(1, || async { Ok("new") }).await.unwrap(), "new");
        assert_eq!(cache.get_or_load(1, || async { Ok("never asked") }).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn forgetting_everything_also_refuses_loads_in_progress() {
        let cache = Fresh::new(10);
        cache.get_or_load(1, || async { Ok("kept") }).await.unwrap();
        let old = cache.get_or_load(2, || async {
            cache.forget_everything();
            Ok("old")
        });
        assert_eq!(old.await.unwrap(), "old");
        assert_eq!(cache.get_or_load(1, || async { Ok("new") }).await.unwrap(), "new");
        assert_eq!(cache.get_or_load(2, || async { Ok("new") }).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn what_was_not_found_is_looked_for_again() {
        let cache = Fresh::new(10);
        assert_eq!(cache.get_or_find(1, || async { Ok(None) }).await.unwrap(), None);
        assert_eq!(cache.get_or_find(1, || async { Ok(Some("there")) }).await.unwrap(), Some("there"));
        assert_eq!(cache.get_or_find(1, || async { Ok(None) }).await.unwrap(), Some("there"));
        cache.forget(&1);
        assert_eq!(cache.get_or_find(1, || async { Ok(None) }).await.unwrap(), None);
    }
}
