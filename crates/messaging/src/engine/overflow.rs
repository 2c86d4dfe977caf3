//! A session without a connection gets more than it may keep: it ends.
//!
//! Nobody knows when its client comes back, so publishers do not wait for it, and one client that stays away must not
//! silence a channel for the others. The session is over its bound, so it is not a promise that is kept any more; its
//! client finds no session when it comes back, and knows that it has missed something. The race it must win: the
//! client may come back while the decision is made; both look at the session under the shard's lock.

use std::sync::Arc;

use super::Core;
use super::connect::Aftermath;
use super::registry;
use super::room::Targets;
use super::session::Session;
use crate::stats::count;
use crate::wire::QoS;

impl Core {
    /// Ends the sessions that a message of QoS 1 or 2 would have to wait in and that are over their bound.
    pub(crate) fn end_overflowing(&self, targets: &Targets) {
        let full_groups = targets.groups.iter().filter(|group| group.is_full());
        for target in targets.each.iter().chain(full_groups.flat_map(|group| &group.members)) {
            if target.qos > QoS::AtMostOnce && target.session.is_here() && target.session.is_full_and_absent()
            {
                self.end_overflowing_one(&target.session);
            }
        }
    }

    pub(crate) fn end_overflowing_one(&self, session: &Arc<Session>) {
        let mut aftermath = Aftermath::default();
        {
            let mut shard = self.registry.shard(session.identity).lock();
            let mut state = session.state.lock();
            if state.ended || !session.is_full_and_absent() {
                return;
            }
            let identity = state.identity.clone();
            aftermath.wills.extend(state.will.take().map(|will| (identity, will)));
            registry::remove(&mut shard, session);
            let held = session.end(&mut state);
            aftermath.ended.push((Arc::clone(session), held));
        }
        count(&self.shared.stats.sessions_overflowed);
        tracing::info!(identity = ?session.identity, "ended an absent session: more waits for it than it may keep");
        self.settle(aftermath);
    }
}
