//! A connection gets a session: a new one, or the one that was left for it.
//!
//! The race it must win: two connections with the same client identifier at the same time, or one that comes while
//! the session's last connection goes or its expiry strikes. Finding, making and attaching happen in one critical
//! section per identity, so that there is always exactly one session of a name and exactly one connection that it
//! belongs to. What must happen besides (leaving rooms, publishing wills, telling the loser) is collected as an
//! [`Aftermath`] and done after the locks are released.
//!
//! And a revocation that comes between the gate's answer and the session: revocations of credentials are counted, and
//! the count is compared in that critical section, so that either the newcomer is sent back to the gate, or the
//! revocation finds its session.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::time::Instant;

use super::Core;
use super::commit::{self, Committer, NotStored};
use super::link::Link;
use super::output::Pipe;
use super::session::{Session, State};
use super::stored::Stored;
use super::subscribe::Held;
use super::takeover;
use super::will::Testament;
use crate::gate::Identity;
use crate::observer::Event;
use crate::protocol::Protocol;
use crate::store::Change;
use crate::wire::{ConnAck, Packet, ReasonCode, Text, Version, encode};

/// A client that has been let in and wants its session.
pub(crate) struct Newcomer {
    pub(crate) identity: Identity,
    /// [`Core::revocations`] before the gate was asked who it is.
    pub(crate) revocations: u64,
    pub(crate) client_id: Text,
    pub(crate) clean_start: bool,
    /// Seconds that the session outlives the connection.
    pub(crate) expiry: u32,
    /// QoS 1 and 2 messages that may be on their way.
    pub(crate) window: u16,
    pub(crate) version: Version,
    pub(crate) maximum_packet_size: usize,
    /// Topic aliases that the client accepts; 0: none.
    pub(crate) topic_alias_maximum: u16,
    pub(crate) will: Option<Box<Testament>>,
    /// Sent first, with session present filled in.
    pub(crate) connack: ConnAck,
    /// How it is connected.
    pub(crate) protocol: Protocol,
}

/// Why a newcomer got no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAttached {
    /// Credentials were revoked meanwhile, perhaps its own: the gate must be asked again.
    Outdated,
    /// The client is refused.
    Refused(ReasonCode),
}

impl From<ReasonCode> for NotAttached {
    fn from(reason: ReasonCode) -> Self {
        Self::Refused(reason)
    }
}

/// What is left to do when the locks are released.
#[derive(Default)]
pub(crate) struct Aftermath {
    /// Sessions that ended, with the subscriptions that must leave their rooms.
    pub(crate) ended: Vec<(Arc<Session>, Vec<Held>)>,
    /// Wills to publish.
    pub(crate) wills: Vec<(Identity, Box<Testament>)>,
}

impl Core {
    /// Counts the revocations of credentials.
    pub(crate) fn revocations(&self) -> u64 {
        self.registry.revocations()
    }

    /// Gives a newcomer its session; the CONNACK is in the output, to be flushed.
    pub(crate) fn attach(
        &self,
        mut newcomer: Newcomer,
        pipe: Box<dyn Pipe>,
    ) -> Result<(Arc<Session>, Arc<Link>), NotAttached> {
        let now = Instant::now();
        let mut aftermath = Aftermath::default();
        let mut link = Link::new(pipe, newcomer.version, newcomer.maximum_packet_size);
        link.protocol = newcomer.protocol;
        link.topic_alias_maximum = newcomer.topic_alias_maximum;
        let link = Arc::new(link);

        let session = {
            let mut shard = self.registry.shard(newcomer.identity.key()).lock();
            if newcomer.revocations != self.registry.revocations() {
                return Err(NotAttached::Outdated);
            }
            let sessions = shard.entry(newcomer.identity.key()).or_default();
            let earlier = sessions.get(&newcomer.client_id).cloned();
            let mut starts_anew = newcomer.clean_start;
            if let Some(earlier) = &earlier {
                let mut state = earlier.state.lock();
                // A session without expiry ends with its connection, also when that ends here: the newcomer may want
                // one that is stored, and nothing of this one was.
                starts_anew |= state.expiry == 0;
                takeover::displace(earlier, &mut state, starts_anew, &mut aftermath);
                if !starts_anew {
                    newcomer.connack.session_present = true;
                    newcomer.settle_in(earlier, &mut state, &link, now)?;
                    earlier.begin_loading(&mut state, &link);
                }
            }
            match earlier {
                Some(earlier) if !starts_anew => earlier,
                earlier => {
                    let limits = &self.shared.limits;
                    let full = self.shared.stats.sessions.load(Relaxed) >= limits.sessions as u64
                        || (!link.is_inside()
                            && sessions.len() >= limits.sessions_per_identity
                            && sessions.values().filter(|session| !session.is_read_inside()).count()
                                >= limits.sessions_per_identity);
                    if earlier.is_none() && full {
                        if sessions.is_empty() {
                            shard.remove(&newcomer.identity.key());
                        }
                        return Err(NotAttached::Refused(ReasonCode::QUOTA_EXCEEDED));
                    }
                    let session = self.new_session(&newcomer);
                    newcomer.settle_in(&session, &mut session.state.lock(), &link, now)?;
                    sessions.insert(session.client_id.clone(), Arc::clone(&session));
                    session
                }
            }
        };

        self.settle(aftermath);
        self.shared.stats.of(link.protocol).connections.fetch_add(1, Relaxed);
        // A reader has no client of a protocol that could connect: what it does is to subscribe.
        if !link.is_inside() {
            self.observe(|| Event::Connected {
                identity: session.identity,
                client_id: session.client_id.as_str(),
            });
        }
        Ok((session, link))
    }

    fn new_session(&self, newcomer: &Newcomer) -> Arc<Session> {
        self.shared.stats.sessions.fetch_add(1, Relaxed);
        let shared = Arc::clone(&self.shared);
        let client_id = newcomer.client_id.detached();
        let (id, identity) = (self.registry.next_id(), &newcomer.identity);
        let outlives = newcomer.expiry > 0 && matches!(identity, Identity::Client { .. });
        if self.shared.committer.is_none() || !outlives {
            return Arc::new(Session::new(id, identity, client_id, shared, None));
        }
        self.shared.stats.stored_sessions.fetch_add(1, Relaxed);
        let session = Arc::new_cyclic(|myself| {
            let stored = Box::new(Stored::new(myself.clone()));
            Session::new(id, identity, client_id, shared, Some(stored))
        });
        if let Some(nodes) = &self.shared.nodes {
            nodes.know(&session);
        }
        session
    }

    /// Stores that a session has a connection, before its client is told so. Nothing to do for one that is not stored.
    pub(crate) async fn store_attached(&self, session: &Session, link: &Arc<Link>) -> Result<(), NotStored> {
        let Some(committer) = &self.shared.committer else { return Ok(()) };
        if !session.is_stored() {
            // Other nodes would take the row for a session that they may have.
            if self.shared.nodes.is_none() {
                store_will(committer, session, link);
            }
            return Ok(());
        }
        let made = {
            let state = session.state.lock();
            if !state.is_current(link) || state.ended {
                return Ok(());
            }
            let will = state.will.as_deref();
            let me = self.shared.nodes.as_ref().map(|nodes| nodes.me);
            let (name, expiry) = (&session.client_id, state.expiry);
            let record = commit::session_record(session.id, &state.identity, name, expiry, will, me);
            let Some(record) = record else { return Ok(()) };
            // In the order in which sessions change: under the lock.
            committer.change(Change::Attach(record), false)
        };
        commit::answer(made).await
    }

    /// Does what had to wait for the locks.
    pub(crate) fn settle(&self, aftermath: Aftermath) {
        for (session, held) in aftermath.ended {
            self.shared.stats.sessions.fetch_sub(1, Relaxed);
            self.deadlines.set(&session, &mut session.state.lock());
            if session.is_stored() {
                self.shared.stats.stored_sessions.fetch_sub(1, Relaxed);
            }
            if let Some(committer) = self.shared.committer.as_ref().filter(|_| session.has_row()) {
                committer.note(Change::End { session: session.id });
                if let Some(nodes) = &self.shared.nodes {
                    nodes.forget(session.id);
                }
            }
            self.leave_rooms(&session, held);
        }
        for (identity, will) in aftermath.wills {
            self.publish_will(identity, will);
        }
    }
}

/// A session that ends with its connection has a will that does not end with the node: it is published at the next
/// start, where the session is found without an expiry (MQTT 5.0 §3.1.2.5). Nobody waits until it is stored.
fn store_will(committer: &Committer, session: &Session, link: &Arc<Link>) {
    let state = session.state.lock();
    let Some(will) = state.will.as_deref().filter(|_| state.is_current(link) && !state.ended) else { return };
    let record = commit::session_record(session.id, &state.identity, &session.client_id, 0, Some(will), None);
    if let Some(record) = record {
        session.note_stored_will();
        // In the order in which sessions change: under the lock.
        committer.note(Change::Attach(record));
    }
}

impl Newcomer {
    /// Attaches the connection to the session.
    fn settle_in(
        &mut self,
        session: &Session,
        state: &mut State,
        link: &Arc<Link>,
        now: Instant,
    ) -> Result<(), ReasonCode> {
        let mut greeting = Vec::with_capacity(64);
        let connack = Packet::ConnAck(Box::new(self.connack.clone()));
        encode(&connack, self.version, &mut greeting).map_err(|_| ReasonCode::UNSPECIFIED_ERROR)?;
        state.identity = self.identity.clone();
        state.expiry = self.expiry;
        state.will = self.will.take();
        session.attach(state, link, &greeting, self.window, now);
        Ok(())
    }
}
