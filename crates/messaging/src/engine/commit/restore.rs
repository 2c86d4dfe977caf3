//! What is in the tables when the node starts.
//!
//! Sessions and subscriptions are read before the first client is let in, because a message for a client that is still
//! away must find its subscription; both are bounded ([`Limits::sessions`](crate::Limits::sessions),
//! [`Limits::subscriptions`](crate::Limits::subscriptions)). What waits for them stays where it is until a client
//! comes, and retained messages until somebody uses their channel.
//!
//! A session that had a connection when the node died has lost it now, as far as anybody can tell: its expiry and the
//! delay of its will begin with the start. Rights may have changed while the node was down, so each subscription is
//! asked about in the background.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use db::{Db, Tx};
use futures_util::{StreamExt, stream};
use hashbrown::HashMap;
use kernel::{Clock, Result};
use tokio::sync::Notify;

use super::records::{self, Moment};
use super::{Committer, Inbox};
use crate::engine::Core;
use crate::engine::connect::Aftermath;
use crate::engine::retain::Retained;
use crate::engine::room::Room;
use crate::engine::session::Session;
use crate::engine::stored::Stored;
use crate::engine::subscribe::Held;
use crate::gate::Identity;
use crate::lock::Lock;
use crate::store::{self, Change, SessionRecord, SubscriptionRecord};
use crate::wire::{PacketId, SubscriptionId, Text};

/// Retained messages that are read at a time.
const RETAINED_AT_A_TIME: usize = 256;
/// Subscriptions that are asked about at a time after a start.
const ASKED_AT_ONCE: usize = 16;

/// What was found in the tables.
pub(crate) struct Found {
    sessions: Vec<SessionRecord>,
    subscriptions: Vec<SubscriptionRecord>,
    unreleased: Vec<(u64, u16)>,
    pub(crate) last_session: u64,
    last_message: u64,
}

async fn find(tx: &mut Tx) -> Result<Found> {
    Ok(Found {
        sessions: store::sessions(tx).await?,
        subscriptions: store::subscriptions(tx).await?,
        unreleased: store::unreleased(tx).await?,
        last_session: store::last_session(tx).await?,
        last_message: store::last_message(tx).await?,
    })
}

impl Committer {
    /// Opens the tables and reads what must be known from the start.
    pub(crate) async fn open(db: Db, clock: Clock) -> Result<(Self, Found)> {
        let found = db.scan(|tx| Box::pin(find(tx))).await?;
        let committer = Self {
            db,
            clock,
            inbox: Lock::new(Inbox::default()),
            wake: Notify::new(),
            later: Notify::new(),
            idle: Notify::new(),
            last_message: AtomicU64::new(found.last_message),
        };
        Ok((committer, found))
    }

    /// A number that no other stored message has.
    pub(super) fn next_message(&self) -> u64 {
        self.last_message.fetch_add(1, Relaxed) + 1
    }

    /// The retained messages of a channel.
    pub(crate) async fn retained_of(&self, room: &Room) -> Result<Vec<(Box<str>, Retained)>> {
        let moment = Moment::now(&self.clock);
        let channel = room.channel;
        let mut all: Vec<(Box<str>, Retained)> = Vec::new();
        loop {
            let after = all.last().map(|(subtopic, _)| subtopic.to_string());
            let step = self
                .db
                .read(move |tx| {
                    Box::pin(async move {
                        store::load_retained(tx, channel, after.as_deref(), RETAINED_AT_A_TIME).await
                    })
                })
                .await?;
            let is_last = step.len() < RETAINED_AT_A_TIME;
            all.extend(step.into_iter().map(|record| records::retained(record, &moment)));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// How many retained messages are stored, and the bytes that they count.
    pub(crate) async fn retained_total(&self) -> Result<(u64, u64)> {
        self.db.scan(|tx| Box::pin(store::retained_total(tx))).await
    }
}

impl Core {
    /// Makes the sessions that were found, in their rooms.
    pub(crate) fn restore(&self, committer: &Committer, found: Found) {
        let moment = Moment::now(&self.clock);
        let mut by_id: HashMap<u64, Arc<Session>> = HashMap::new();
        for record in found.sessions {
            let session = self.found_session(committer, &record, &moment);
            by_id.insert(record.id, session);
        }
        for (id, packet_id) in found.unreleased {
            if let (Some(session), Some(packet_id)) = (by_id.get(&id), PacketId::new(packet_id)) {
                session.state.lock().unreleased.insert(packet_id);
            }
        }
        let mut doubtful = Vec::new();
        for record in found.subscriptions {
            let Some(session) = by_id.get(&record.session) else { continue };
            if let Some(room) = self.found_subscription(session, &record) {
                doubtful.push((Arc::clone(session), room));
            }
        }
        self.verify_found(doubtful);
    }

    fn found_session(&self, committer: &Committer, record: &SessionRecord, moment: &Moment) -> Arc<Session> {
        let identity = Identity::Client { client: record.client, domain: record.domain };
        let name = Text::from(record.name.as_str());
        // One that had a connection when the node died may have been sent anything.
        let sent = record.ends_at.map(|_| record.sent).filter(|&sent| sent != UNKNOWN);
        let session = Arc::new_cyclic(|myself| {
            let stored = Box::new(Stored::found(myself.clone(), sent));
            Session::new(record.id, &identity, name, Arc::clone(&self.shared), Some(stored))
        });
        self.shared.stats.sessions.fetch_add(1, Relaxed);
        self.shared.stats.stored_sessions.fetch_add(1, Relaxed);
        let mut shard = self.registry.shard(session.identity).lock();
        let mut state = session.state.lock();
        state.expiry = record.expiry;
        state.will = record.will.as_ref().and_then(records::testament);
        let now = moment.wall_now();
        let ends_at = record.ends_at.unwrap_or_else(|| now.after(Duration::from_secs(record.expiry.into())));
        let will_due = record.will.as_ref().map(|will| {
            let delay = will.delay.min(record.expiry);
            will.due.unwrap_or_else(|| now.after(Duration::from_secs(delay.into())))
        });
        state.ends_at = Some(moment.instant(ends_at));
        state.will_due = will_due.map(|due| moment.instant(due));
        if ends_at <= now {
            drop((state, shard));
            self.end_found(&session);
            return session;
        }
        if record.ends_at.is_none() {
            let (session, expiry, sent) = (record.id, record.expiry, UNKNOWN);
            committer.note(Change::Detach { session, expiry, ends_at, sent, will_due });
        }
        self.deadlines.set(&session, &mut state);
        drop(state);
        let sessions = shard.entry(session.identity).or_default();
        let earlier = sessions.insert(session.client_id.clone(), Arc::clone(&session));
        drop(shard);
        if let Some(earlier) = earlier {
            // Two of a name: the later one is the one that the client knows.
            self.end_found(&earlier);
        }
        session
    }

    fn end_found(&self, session: &Arc<Session>) {
        let mut aftermath = Aftermath::default();
        {
            let mut state = session.state.lock();
            let will = state.will.take();
            aftermath.wills.extend(will.map(|will| (state.identity.clone(), will)));
            let held = session.end(&mut state);
            aftermath.ended.push((Arc::clone(session), held));
        }
        self.settle(aftermath);
    }

    fn found_subscription(&self, session: &Arc<Session>, record: &SubscriptionRecord) -> Option<Arc<Room>> {
        let room = self.rooms.open(record.domain, record.channel)?;
        let held = Held::found(record, Arc::clone(&room));
        let options = records::options(record.options);
        {
            let mut state = session.state.lock();
            if state.ended {
                return None;
            }
            state.subscriptions.push(held.clone());
        }
        self.shared.stats.subscriptions.fetch_add(1, Relaxed);
        held.enter(session, options, record.identifier.and_then(SubscriptionId::new));
        Some(room)
    }

    /// Asks about each subscription that was found, however long the gate takes, and ends those that do not hold.
    fn verify_found(&self, doubtful: Vec<(Arc<Session>, Arc<Room>)>) {
        let Some(core) = self.myself.upgrade().filter(|_| !doubtful.is_empty()) else { return };
        let closing = core.closing.clone();
        tokio::spawn(async move {
            let asking = stream::iter(doubtful).map(|(session, room)| {
                let core = Arc::clone(&core);
                async move { core.verify_found_one(&session, &room).await }
            });
            let asked = asking.buffer_unordered(ASKED_AT_ONCE).for_each(|()| std::future::ready(()));
            // Whoever is not asked about by then will be after the next start.
            let _all = closing.run_until_cancelled(asked).await;
        });
    }

    async fn verify_found_one(&self, session: &Session, room: &Room) {
        if self.ask_again(session, room).await.is_err() {
            let lost = self.drop_channel(session, room.channel);
            self.shared.stats.subscriptions_revoked.fetch_add(lost as u64, Relaxed);
        }
    }

    /// Reads the retained messages of a room that has just been opened.
    pub(crate) async fn load_retained(&self, room: &Room) -> Result<()> {
        let Some(committer) = self.shared.committer.as_ref().filter(|_| !room.has_its_retained()) else {
            return Ok(());
        };
        let found = committer.retained_of(room).await?;
        room.put_retained(found);
        Ok(())
    }
}

/// Stored for a session of which nobody knows what it has been sent.
pub(crate) const UNKNOWN: u64 = i64::MAX as u64;
