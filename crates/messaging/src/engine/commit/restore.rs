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
use kernel::{Clock, Result};
use tokio::sync::Notify;

use super::records::{self, Moment};
use super::{Committer, Inbox};
use crate::engine::Core;
use crate::engine::connect::Aftermath;
use crate::engine::nodes::{Nodes, by_session};
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
    /// Sessions with messages that other nodes have stored.
    unplaced: Vec<u64>,
}

/// The highest numbers that were given.
pub(crate) struct Last {
    pub(crate) session: u64,
    pub(crate) message: u64,
}

async fn find(tx: &mut Tx) -> Result<Found> {
    Ok(Found {
        sessions: store::sessions(tx).await?,
        subscriptions: store::subscriptions(tx).await?,
        unreleased: store::unreleased(tx).await?,
        unplaced: store::unplaced(tx).await?,
    })
}

impl Last {
    /// Those of a node that is alone.
    pub(crate) async fn find(db: &Db) -> Result<Self> {
        let find = db.scan(|tx| {
            Box::pin(async move {
                Ok(Self { session: store::last_session(tx).await?, message: store::last_message(tx).await? })
            })
        });
        find.await
    }

    /// Those of a node with others: they have numbers of their own.
    pub(crate) fn of(nodes: &Nodes) -> Self {
        Self { session: nodes.first_number(), message: nodes.first_number() }
    }
}

impl Committer {
    /// Writes to tables that nobody else writes to, but for the other nodes.
    pub(crate) fn new(db: Db, clock: Clock, last: &Last, nodes: Option<Arc<Nodes>>) -> Self {
        Self {
            db,
            clock,
            inbox: Lock::new(Inbox::default()),
            wake: Notify::new(),
            later: Notify::new(),
            idle: Notify::new(),
            last_message: AtomicU64::new(last.message),
            nodes,
        }
    }

    /// Reads what must be known from the start.
    pub(crate) async fn find(&self) -> Result<Found> {
        self.db.scan(|tx| Box::pin(find(tx))).await
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
    /// Makes the sessions that were found, in their rooms. Those of other nodes are only known.
    pub(crate) fn restore(&self, committer: &Committer, found: Found) {
        let moment = Moment::now(&self.clock);
        let mut subscriptions = by_session(found.subscriptions);
        let mut doubtful = Vec::new();
        for record in found.sessions {
            let subscriptions = subscriptions.remove(&record.id).unwrap_or_default();
            match self.shared.nodes.as_ref().filter(|nodes| record.owner != Some(nodes.me)) {
                Some(nodes) => self.shadow(nodes, &record, Some(subscriptions)),
                None => {
                    let (session, rooms) =
                        self.settle_found(committer, &record, subscriptions, &found.unreleased, &moment);
                    doubtful.extend(rooms.into_iter().map(|room| (Arc::clone(&session), room)));
                    if found.unplaced.contains(&record.id) {
                        committer.place_later(&session);
                    }
                }
            }
        }
        self.verify_found(doubtful);
    }

    /// A session of which only its rows are known.
    pub(crate) fn unsettled(&self, record: &SessionRecord) -> Arc<Session> {
        let identity = Identity::Client { client: record.client, domain: record.domain };
        let name = Text::from(record.name.as_str());
        Arc::new_cyclic(|myself| {
            let stored = Box::new(Stored::found(myself.clone(), None));
            Session::new(record.id, &identity, name, Arc::clone(&self.shared), Some(stored))
        })
    }

    /// Lets a session that was found live here: one of before, or one that another node had. With the rooms
    /// that its subscriptions are in: they are to be asked about.
    pub(crate) fn settle_found(
        &self,
        committer: &Committer,
        record: &SessionRecord,
        subscriptions: Vec<SubscriptionRecord>,
        unreleased: &[(u64, u16)],
        moment: &Moment,
    ) -> (Arc<Session>, Vec<Arc<Room>>) {
        let known = self.shared.nodes.as_ref().and_then(|nodes| nodes.known(record.id));
        if let Some(session) = known.as_ref().filter(|session| session.is_here()) {
            return (Arc::clone(session), Vec::new());
        }
        let session = known.unwrap_or_else(|| self.unsettled(record));
        let of_session = unreleased.iter().filter(|(id, _)| *id == record.id);
        let unreleased = of_session.filter_map(|(_, packet_id)| PacketId::new(*packet_id)).collect();
        session.state.lock().unreleased = unreleased;
        self.stand(committer, &session, record, moment);
        if let Some(nodes) = &self.shared.nodes {
            nodes.know(&session);
        }
        let rooms = self.put_subscriptions(&session, subscriptions);
        (session, rooms)
    }

    /// Gives a session that was found its place among those of this node.
    fn stand(&self, committer: &Committer, session: &Arc<Session>, record: &SessionRecord, moment: &Moment) {
        // One that had a connection when the node died may have been sent anything.
        let sent = record.ends_at.map(|_| record.sent).filter(|&sent| sent != UNKNOWN);
        self.shared.stats.sessions.fetch_add(1, Relaxed);
        self.shared.stats.stored_sessions.fetch_add(1, Relaxed);
        let mut shard = self.registry.shard(session.identity).lock();
        let mut state = session.state.lock();
        state.stored = Some(Box::new(Stored::found(Arc::downgrade(session), sent)));
        session.come_here();
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
            self.end_found(session);
            return;
        }
        if record.ends_at.is_none() {
            let (session, expiry, sent) = (record.id, record.expiry, UNKNOWN);
            committer.note(Change::Detach { session, expiry, ends_at, sent, will_due });
        }
        self.deadlines.set(session, &mut state);
        drop(state);
        let sessions = shard.entry(session.identity).or_default();
        let earlier = sessions.insert(session.client_id.clone(), Arc::clone(session));
        drop(shard);
        if let Some(earlier) = earlier {
            // Two of a name: the later one is the one that the client knows.
            self.end_found(&earlier);
        }
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

    /// Lets a session have these subscriptions and no others; the rooms that they are in.
    pub(crate) fn put_subscriptions(
        &self,
        session: &Arc<Session>,
        records: Vec<SubscriptionRecord>,
    ) -> Vec<Arc<Room>> {
        let mut found = Vec::new();
        for record in records {
            let Some(room) = self.rooms.open(record.domain, record.channel) else { continue };
            let id = record.identifier.and_then(SubscriptionId::new);
            found.push((Held::found(&record, room), records::options(record.options), id));
        }
        let held: Vec<Held> = found.iter().map(|(held, _, _)| held.clone()).collect();
        let earlier = {
            let mut state = session.state.lock();
            if state.ended {
                return Vec::new();
            }
            std::mem::replace(&mut state.subscriptions, held.clone())
        };
        if session.is_here() {
            self.shared.stats.subscriptions.fetch_add(held.len() as u64, Relaxed);
        }
        for (held, options, id) in &found {
            held.enter(session, *options, *id);
        }
        earlier.iter().for_each(|held| held.leave(session));
        let mut rooms: Vec<Arc<Room>> = held.into_iter().map(|held| held.room).collect();
        rooms.sort_unstable_by_key(|room| room.channel);
        rooms.dedup_by_key(|room| room.channel);
        rooms
    }

    /// Asks about each subscription that was found, however long the gate takes, and ends those that do not hold.
    pub(crate) fn verify_found(&self, doubtful: Vec<(Arc<Session>, Arc<Room>)>) {
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
