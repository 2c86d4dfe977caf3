//! Things that happen when time has passed: sessions end, delayed wills are published, unused rooms close.
//!
//! Nothing has a timer of its own. Deadlines stand in one heap that is looked at every second; a deadline that no
//! longer holds (the client came back) is recognised when it comes up. The race it must win: the client may come
//! back while its deadline strikes; both look at the session under the shard's lock.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::Core;
use super::connect::Aftermath;
use super::registry;
use super::session::Session;
use crate::lock::Lock;

/// How exact deadlines are.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks for unused rooms.
const SWEEP_TICKS: u32 = 30;

/// Deadlines of sessions without a connection.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Lock<BinaryHeap<Reverse<Deadline>>>);

#[derive(Debug)]
struct Deadline {
    at: Instant,
    session: Weak<Session>,
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Deadlines {
    /// Looks at the session again at that time.
    pub(crate) fn add(&self, at: Instant, session: &Arc<Session>) {
        self.0.lock().push(Reverse(Deadline { at, session: Arc::downgrade(session) }));
    }

    /// The sessions whose time has come.
    fn due(&self, now: Instant) -> Vec<Arc<Session>> {
        let mut heap = self.0.lock();
        let mut due = Vec::new();
        while heap.peek().is_some_and(|Reverse(next)| next.at <= now) {
            due.extend(heap.pop().and_then(|Reverse(deadline)| deadline.session.upgrade()));
        }
        due
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
            if state.link.is_some() || state.ended {
                return;
            }
            let ends = state.ends_at.is_some_and(|at| at <= now);
            if ends || state.will_due.is_some_and(|at| at <= now) {
                state.will_due = None;
                let identity = state.identity.clone();
                aftermath.wills.extend(state.will.take().map(|will| (identity, will)));
            }
            if ends {
                registry::remove(&mut shard, session);
                let held = session.end(&mut state);
                aftermath.ended.push((Arc::clone(session), held));
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
        }
    }
}
