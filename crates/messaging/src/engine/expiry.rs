//! Things that happen when time has passed: sessions end, delayed wills are published, unused rooms close.
//!
//! Nothing has a timer of its own. Deadlines stand in one ordered table that is looked at every second, one for each
//! session at most, however often its client comes and goes; one that no longer holds (the client came back) is
//! recognised when it comes up. The race it must win: the client may come
//! back while its deadline strikes; both look at the session under the shard's lock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::Core;
use super::connect::Aftermath;
use super::registry;
use super::session::{Session, State};
use crate::lock::Lock;
use crate::store::Change;

/// How exact deadlines are.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks for unused rooms.
const SWEEP_TICKS: u32 = 30;
/// The same for messages that nodes of a cluster have left behind; a multiple of the former.
const MESSAGES_TICKS: u32 = 600;

/// When a session must be looked at, and its number, which tells it from others of the same instant.
type Deadline = (Instant, u64);

/// Deadlines of sessions without a connection.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Lock<BTreeMap<Deadline, Weak<Session>>>);

impl Deadlines {
    /// Looks at the session again when something of it is due, and at no other time. `state` is that of the session.
    pub(crate) fn set(&self, session: &Arc<Session>, state: &mut State) {
        let next = state.ends_at.into_iter().chain(state.will_due).min();
        let earlier = std::mem::replace(&mut state.deadline, next);
        if earlier == next {
            return;
        }
        let mut table = self.0.lock();
        if let Some(at) = earlier {
            table.remove(&(at, session.id));
        }
        if let Some(at) = next {
            table.insert((at, session.id), Arc::downgrade(session));
        }
    }

    /// The sessions whose time has come.
    fn due(&self, now: Instant) -> Vec<Arc<Session>> {
        let mut table = self.0.lock();
        let later = table.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut *table, later);
        due.into_values().filter_map(|session| session.upgrade()).collect()
    }
}

impl Core {
    fn tick(&self, now: Instant) {
        for session in self.deadlines.due(now) {
            self.expire(&session, now);
        }
    }

    /// Does what is due for a session that has no connection.
    fn expire(&self, session: &Arc<Session>, now: Instant) {
        let mut aftermath = Aftermath::default();
        {
            let mut shard = self.registry.shard(session.identity).lock();
            let mut state = session.state.lock();
            // The table has let go of it.
            state.deadline.take_if(|at| *at <= now);
            if state.link.is_some() || state.ended {
                return;
            }
            let ends = state.ends_at.is_some_and(|at| at <= now);
            if ends || state.will_due.is_some_and(|at| at <= now) {
                state.will_due = None;
                let identity = state.identity.clone();
                aftermath.wills.extend(state.will.take().map(|will| (identity, will)));
                if let Some(committer) = self.shared.committer.as_ref().filter(|_| session.is_stored()) {
                    committer.note(Change::DropWill { session: session.id });
                }
            }
            if ends {
                registry::remove(&mut shard, session);
                let held = session.end(&mut state);
                aftermath.ended.push((Arc::clone(session), held));
            } else {
                self.deadlines.set(session, &mut state);
            }
        }
        self.settle(aftermath);
    }
}

/// Runs until the engine is gone.
pub(crate) async fn keep_time(core: Weak<Core>) {
    let mut ticks = tokio::time::interval(TICK);
    let mut count = 0_u32;
    loop {
        let now = ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        core.tick(now);
        count = count.wrapping_add(1);
        if count.is_multiple_of(SWEEP_TICKS) {
            core.rooms.sweep(now, &core.shared.stats);
            if let Some(committer) = &core.shared.committer {
                committer.note(Change::ExpireRetained { now: core.clock.now() });
                if core.shared.nodes.is_some() && count.is_multiple_of(MESSAGES_TICKS) {
                    committer.note(Change::SweepMessages);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::{ClientId, DomainId, Rng};

    use super::*;
    use crate::engine::session::Shared;
    use crate::gate::Identity;
    use crate::limits::Limits;
    use crate::stats::Stats;
    use crate::wire::Text;

    fn session() -> Arc<Session> {
        let rng = Rng::seeded(1);
        let identity =
            Identity::Client { client: ClientId::generate(&rng), domain: DomainId::generate(&rng) };
        let shared = Arc::new(Shared {
            limits: Limits::default(),
            stats: Stats::default(),
            committer: None,
            nodes: None,
        });
        Arc::new(Session::new(1, &identity, Text::from("device"), shared, None))
    }

    #[test]
    fn a_session_has_one_deadline_however_often_it_changes() {
        let deadlines = Deadlines::default();
        let session = session();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for seconds in [20, 10, 30] {
            session.state.lock().ends_at = Some(after(seconds));
            deadlines.set(&session, &mut session.state.lock());
            assert_eq!(deadlines.0.lock().len(), 1);
        }
        session.state.lock().will_due = Some(after(5));
        deadlines.set(&session, &mut session.state.lock());
        assert_eq!(deadlines.0.lock().len(), 1);
        assert!(deadlines.due(after(4)).is_empty());
        assert_eq!(deadlines.due(after(5)).len(), 1);
        assert!(deadlines.due(after(100)).is_empty());
    }

    #[test]
    fn a_session_that_needs_no_deadline_has_none() {
        let deadlines = Deadlines::default();
        let session = session();
        session.state.lock().ends_at = Some(Instant::now());
        deadlines.set(&session, &mut session.state.lock());
        session.state.lock().ends_at = None;
        deadlines.set(&session, &mut session.state.lock());
        assert!(deadlines.0.lock().is_empty());
    }
}
