//! A connection ends, and with it perhaps its session.
//!
//! The race it must win: the session may have gone to another connection already; then nothing of it is touched.
//! The decision is made under the shard's lock, like that of `connect.rs`.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::Core;
use super::commit::{Moment, UNKNOWN};
use super::connect::Aftermath;
use super::link::Link;
use super::registry;
use super::session::{Session, State};
use crate::observer::Event;
use crate::store::Change;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// The client said goodbye: its will is not published. It may have changed its session expiry (seconds).
    Goodbye { expiry: Option<u32> },
    /// The client asked for its will (reason 0x04), or the connection broke.
    WithWill { expiry: Option<u32> },
}

impl Core {
    /// Takes the connection from its session, and ends the session if it does not outlive the connection.
    pub(crate) fn detach(&self, session: &Arc<Session>, link: &Arc<Link>, departure: Departure) {
        let mut aftermath = Aftermath::default();
        {
            let mut shard = self.registry.shard(session.identity).lock();
            let mut state = session.state.lock();
            if state.is_current(link) {
                session.detach(&mut state);
                let expiry =
                    departure.expiry().unwrap_or(state.expiry).min(self.shared.limits.session_expiry);
                let will = state.will.take().filter(|_| matches!(departure, Departure::WithWill { .. }));
                let delay = will.as_ref().map_or(0, |will| will.delay.min(expiry));
                match will {
                    Some(will) if delay == 0 => aftermath.wills.push((state.identity.clone(), will)),
                    Some(will) => {
                        let due = Instant::now() + Duration::from_secs(delay.into());
                        state.will = Some(will);
                        state.will_due = Some(due);
                    }
                    None => {}
                }
                // `revoke.rs` may have ended the session while the connection was still open.
                if expiry == 0 && !state.ended {
                    registry::remove(&mut shard, session);
                    let held = session.end(&mut state);
                    aftermath.ended.push((Arc::clone(session), held));
                } else if !state.ended {
                    let ends_at = Instant::now() + Duration::from_secs(expiry.into());
                    state.ends_at = Some(ends_at);
                    self.deadlines.set(session, &mut state);
                    self.store_detached(session, &state, expiry);
                }
            }
        }
        if link.is_inside() {
            aftermath.ended.iter().for_each(|(_, held)| self.announce_end(session, link, held));
        }
        self.settle(aftermath);
        if !link.is_inside() {
            self.observe(|| Event::Disconnected {
                identity: session.identity,
                client_id: session.client_id.as_str(),
            });
        }
        self.shared.stats.of(link.protocol).connections.fetch_sub(1, Relaxed);
    }

    /// Stores how long a session and its will have from now on.
    pub(crate) fn store_detached(&self, session: &Session, state: &State, expiry: u32) {
        let Some(committer) = &self.shared.committer else { return };
        let Some(stored) = &state.stored else { return };
        let moment = Moment::now(&self.clock);
        committer.note(Change::Detach {
            session: session.id,
            expiry,
            ends_at: state.ends_at.map_or(moment.wall_now(), |at| moment.wall(at)),
            sent: stored.sent.unwrap_or(UNKNOWN),
            will_due: state.will_due.map(|at| moment.wall(at)),
        });
    }
}

impl Departure {
    fn expiry(self) -> Option<u32> {
        let (Self::Goodbye { expiry } | Self::WithWill { expiry }) = self;
        expiry
    }
}
