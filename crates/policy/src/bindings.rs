//! Who is behind a client of a broker that asks without showing a credential (reference 08 §4.2).
//!
//! A login binds the identity to its name and client id at that broker, and to the name alone if it is the identity's
//! own. While a name is so held nobody else gets it: a broker may remember a login by name and password alone, and must
//! not be answered with the rights of another. Bindings end with what was shown, and survive a restart in a file that
//! holds no credential.

mod file;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kernel::{Result, Timestamp};

use crate::identity::{Claim, Identity, Platform};
use file::Journal;

/// The longest life, however long the token holds.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The longest life of the platform's members: devices stay connected, what they may do is asked each time, and a login whose
/// credential is changed is forgotten.
const MAX_MEMBER_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most of all.
const MAX: usize = 200_000;
/// The most of one subject.
const MAX_OF_ONE: usize = 10_000;

/// The most bytes of the names of one, its broker's included: clients choose them.
const MAX_NAMES: usize = 2048;

/// Why a login is not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unbound {
    /// Another subject has that name.
    NameInUse,
    /// There are too many.
    Full,
    /// Its names are too long.
    TooLong,
}

/// All bindings of all brokers.
#[derive(Debug)]
pub(crate) struct Bindings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    names: HashMap<(String, String), Named>,
    per_subject: HashMap<String, usize>,
    count: usize,
    journal: Option<Journal>,
}

/// What is known of one name at one broker.
#[derive(Debug, Default)]
struct Named {
    verified: Option<Binding>,
    clients: HashMap<String, Binding>,
}

#[derive(Debug, Clone)]
struct Binding {
    identity: Identity,
    claim: Option<Claim>,
    ends_at: Timestamp,
}

impl Binding {
    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }
}

impl Bindings {
    /// None yet, and none kept.
    pub(crate) fn in_memory() -> Self {
        Self(Mutex::default())
    }

    /// Those of a file that still hold; new ones are kept there.
    pub(crate) fn open(path: &Path, platform: Option<&dyn Platform>, now: Timestamp) -> Result<Self> {
        let mut state = State::default();
        for line in file::read(path)? {
            let Some(identity) = line.identity(platform) else { continue };
            let claim = identity.claim_to(&line.username);
            let binding = Binding { identity, claim, ends_at: line.ends_at };
            if binding.is_alive(now) {
                // What was bound once had its place.
                let _ = state.put(&line.broker, &line.username, &line.clientid, &binding, now);
            }
        }
        state.journal = Some(Journal::begin(path, &state.lines())?);
        Ok(Self(Mutex::new(state)))
    }

    /// Binds an identity after it has logged in.
    pub(crate) fn bind(
        &self,
        broker: &str,
        username: &str,
        clientid: &str,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<(), Unbound> {
        if broker.len() + username.len() + clientid.len() > MAX_NAMES {
            return Err(Unbound::TooLong);
        }
        let claim = identity.claim_to(username);
        let longest = match identity {
            Identity::Subject(_) => MAX_LIFE,
            Identity::Member(_) => MAX_MEMBER_LIFE,
        };
        let ends_at = identity.expires_at().min(now.after(longest));
        let binding = Binding { identity: identity.clone(), claim, ends_at };
        let mut state = self.state();
        let is_new = state.put(broker, username, clientid, &binding, now)?;
        if is_new {
            state.keep(broker, username, clientid, &binding);
        }
        Ok(())
    }

    /// Who logged in with this name and client id, else who holds the name.
    pub(crate) fn find(
        &self,
        broker: &str,
        username: &str,
        clientid: Option<&str>,
        now: Timestamp,
    ) -> Option<Identity> {
        let state = self.state();
        let named = state.names.get(&(broker.to_owned(), username.to_owned()))?;
        let client = clientid.and_then(|clientid| named.clients.get(clientid));
        let alive = |binding: &&Binding| binding.is_alive(now);
        let found = client.filter(alive).or(named.verified.as_ref().filter(alive));
        found.map(|binding| binding.identity.clone())
    }

    /// Forgets a client that has gone.
    pub(crate) fn forget(&self, broker: &str, clientid: &str) {
        let mut state = self.state();
        let State { names, count, .. } = &mut *state;
        for ((at, _), named) in names.iter_mut() {
            if at == broker && named.clients.remove(clientid).is_some() {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Forgets the platform's members with this id, or all of them: what they have shown holds no more. Also over a restart.
    pub(crate) fn forget_members(&self, id: Option<&str>) {
        let is_meant = |binding: &Binding| matches!(&binding.identity, Identity::Member(member) if id.is_none_or(|id| member.id == id));
        let mut state = self.state();
        let State { names, count, .. } = &mut *state;
        let before = *count;
        for named in names.values_mut() {
            named.verified.take_if(|binding| is_meant(binding));
            let clients = named.clients.len();
            named.clients.retain(|_, binding| !is_meant(binding));
            *count = count.saturating_sub(clients - named.clients.len());
        }
        if state.count < before
            && let Some(mut journal) = state.journal.take()
        {
            journal.begin_again(&state.lines());
            state.journal = Some(journal);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is something new to remember.
    fn put(
        &mut self,
        broker: &str,
        username: &str,
        clientid: &str,
        binding: &Binding,
        now: Timestamp,
    ) -> Result<bool, Unbound> {
        let subject = subject_key(&binding.identity);
        let is_full = |state: &Self| {
            state.count >= MAX || state.per_subject.get(&subject).is_some_and(|count| *count >= MAX_OF_ONE)
        };
        if is_full(self) {
            self.sweep(now);
            if is_full(self) {
                return Err(Unbound::Full);
            }
        }
        let named = self.names.entry((broker.to_owned(), username.to_owned())).or_default();
        let other = |held: &Binding| held.is_alive(now) && !held.identity.is_same(&binding.identity);
        if let Some(holder) = named.verified.as_ref().filter(|holder| other(holder)) {
            // Nobody but the one whose id it is takes a name away.
            if binding.claim <= holder.claim {
                return Err(Unbound::NameInUse);
            }
        }
        let holds_it = |held: &Binding| held.is_alive(now) && held.identity.is_same(&binding.identity);
        if binding.claim.is_some() && !named.verified.as_ref().is_some_and(holds_it) {
            // Whoever had the name without holding it must not be found behind its holder's clients.
            let before = named.clients.len();
            named.clients.retain(|_, held| held.identity.is_same(&binding.identity));
            self.count = self.count.saturating_sub(before - named.clients.len());
        }
        if binding.claim.is_some() {
            named.verified = Some(binding.clone());
        }
        let ends_at = binding.ends_at;
        let known = named.clients.insert(clientid.to_owned(), binding.clone());
        if known.is_none() {
            self.count += 1;
            *self.per_subject.entry(subject).or_default() += 1;
        }
        let is_known =
            |known: &Binding| known.identity.is_same(&binding.identity) && known.ends_at >= ends_at;
        Ok(!known.as_ref().is_some_and(is_known))
    }

    fn sweep(&mut self, now: Timestamp) {
        self.per_subject.clear();
        self.count = 0;
        let Self { names, per_subject, count, .. } = self;
        names.retain(|_, named| {
            named.verified.take_if(|binding| !binding.is_alive(now));
            named.clients.retain(|_, binding| binding.is_alive(now));
            for binding in named.clients.values() {
                *count += 1;
                *per_subject.entry(subject_key(&binding.identity)).or_default() += 1;
            }
            named.verified.is_some() || !named.clients.is_empty()
        });
    }

    fn keep(&mut self, broker: &str, username: &str, clientid: &str, binding: &Binding) {
        let Some(mut journal) = self.journal.take() else { return };
        if let Some(line) = file::Line::new(broker, username, clientid, binding) {
            journal.add(&line, self.count, || self.lines());
        }
        self.journal = Some(journal);
    }

    fn lines(&self) -> Vec<file::Line> {
        let mut lines = Vec::new();
        for ((broker, username), named) in &self.names {
            for (clientid, binding) in &named.clients {
                lines.extend(file::Line::new(broker, username, clientid, binding));
            }
        }
        lines
    }
}

fn subject_key(identity: &Identity) -> String {
    format!("{} {}", identity.kind(), identity.id())
}

/// Shared by those who ask.
pub(crate) type Shared = Arc<Bindings>;

#[cfg(test)]
mod tests;
