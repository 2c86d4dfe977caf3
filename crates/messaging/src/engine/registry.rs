//! Who has a session: identity, then client identifier.
//!
//! The client identifier belongs to the identity: two clients that use the same one do not meet. Sessions are made,
//! found and ended only under the lock of their shard (`connect.rs`, `disconnect.rs`), which is what makes takeover
//! safe; stored ones are put here before the first client is let in (`commit/restore.rs`).

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::session::Session;
use crate::gate::IdentityKey;
use crate::lock::Lock;
use crate::wire::Text;

/// Enough that connects on every core rarely meet.
const SHARDS: usize = 32;

/// Sessions of the identities of one shard.
pub(crate) type Shard = HashMap<IdentityKey, HashMap<Text, Arc<Session>>>;

/// All sessions of the node.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    shards: [Lock<Shard>; SHARDS],
    hasher: DefaultHashBuilder,
    last_id: AtomicU64,
    /// Changes when credentials that held may hold no more.
    revocations: AtomicU64,
}

impl Registry {
    /// A table whose sessions get numbers after this one.
    pub(crate) fn after(last_id: u64) -> Self {
        Self { last_id: AtomicU64::new(last_id), ..Self::default() }
    }

    /// The shard of an identity.
    pub(crate) fn shard(&self, identity: IdentityKey) -> &Lock<Shard> {
        let [first, ..] = &self.shards;
        let at = usize::try_from(self.hasher.hash_one(identity) % SHARDS as u64).unwrap_or(0);
        self.shards.get(at).unwrap_or(first)
    }

    /// A number that no other session of this process has, nor any that is stored.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// A number to read before credentials are looked at, and to compare when a session is attached.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(SeqCst)
    }

    /// Makes whoever is being let in show its credentials again; before the sessions are looked for that end.
    pub(crate) fn revoke_credentials(&self) {
        self.revocations.fetch_add(1, SeqCst);
    }

    /// The sessions of an identity.
    pub(crate) fn of(&self, identity: IdentityKey) -> Vec<Arc<Session>> {
        let shard = self.shard(identity).lock();
        shard.get(&identity).into_iter().flat_map(HashMap::values).cloned().collect()
    }

    /// Every session.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().values().flat_map(HashMap::values).cloned());
        }
        all
    }
}

/// Removes a session from its shard, if it is still the one of that name.
pub(crate) fn remove(shard: &mut Shard, session: &Session) {
    if let Some(sessions) = shard.get_mut(&session.identity) {
        if sessions.get(&session.client_id).is_some_and(|found| found.id == session.id) {
            sessions.remove(&session.client_id);
        }
        if sessions.is_empty() {
            shard.remove(&session.identity);
        }
    }
}
