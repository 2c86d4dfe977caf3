//! What must outlive the process is written here, by one task.
//!
//! Connections, publishers and the housekeeping push [`Order`]s; the task takes all that wait, writes them in one
//! transaction, and then does what had to wait for it: answers publishers, gives messages to the sessions that they are
//! stored for, sends PUBREL and PUBCOMP. So many publishers share one COMMIT, and everything about a session is
//! written in the order in which it happened.
//!
//! What holds:
//! - A PUBACK or PUBREC of a client, or the answer to an HTTP request, comes after the COMMIT of the message for every
//!   stored session that is to have it, and of the packet identifier of a QoS 2 message of a stored session.
//! - A message reaches a stored session only after that COMMIT. Its packet identifier follows from its place in the
//!   session's order, so that it is the same when it is sent again after a crash.
//! - PUBREL and PUBCOMP are sent after the step of the exchange that they confirm is stored. A PUBACK or PUBCOMP of a
//!   subscriber deletes its row later: a crash in between repeats the message, as QoS 1 allows, or the PUBREL.
//! - A database that fails lets publishes fail, one by one; what has happened and cannot fail (a session has ended, a
//!   message was acknowledged) is kept and written when it can be.
//!
//! Sessions of users are not stored: who they are is known by a token that is not ours to keep.

mod orders;
mod placing;
mod records;
mod restore;
mod task;

use std::sync::{Arc, atomic::AtomicU64};

use db::Db;
use hashbrown::HashMap;
use kernel::{ChannelId, Clock};
use tokio::sync::{Notify, oneshot};

pub(crate) use orders::{Batch, Order};
pub(crate) use records::{Moment, SubscriptionParts, retained, session_record, subscription_record};
pub(crate) use restore::{Last, UNKNOWN};
pub(crate) use task::run;

use super::message::Place;
use super::nodes::Nodes;
use super::room::Room;
use super::session::Session;
use crate::lock::Lock;
use crate::store::Change;

/// The database failed: nothing has been stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotStored;

/// What came of a batch: the sessions that are over their bound now.
pub(crate) type Stored = Result<Vec<Arc<Session>>, NotStored>;

/// The way to the task.
#[derive(Debug)]
pub(crate) struct Committer {
    db: Db,
    clock: Clock,
    inbox: Lock<Inbox>,
    /// Something waits that somebody waits for.
    wake: Notify,
    /// Something waits that has time.
    later: Notify,
    /// Everything that was pushed is written.
    idle: Notify,
    last_message: AtomicU64,
    /// The other nodes; `None`: there are none.
    nodes: Option<Arc<Nodes>>,
}

#[derive(Debug, Default)]
struct Inbox {
    /// Sessions for which other nodes have stored messages.
    unplaced: HashMap<u64, Arc<Session>>,
    orders: Vec<Order>,
    /// Places that sessions do not need any more.
    finished: Vec<(u64, Place)>,
    /// Topics whose retained message has changed.
    retained: HashMap<(ChannelId, Box<str>), Arc<Room>>,
    /// The task is at work.
    busy: bool,
    closed: bool,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.orders.is_empty()
            && self.finished.is_empty()
            && self.retained.is_empty()
            && self.unplaced.is_empty()
    }
}

impl Committer {
    /// Writes an order, soon.
    pub(crate) fn push(&self, order: Order) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            inbox.orders.push(order);
            drop(inbox);
            self.wake.notify_one();
        }
    }

    /// Makes a change that cannot be refused: it is tried until it is made.
    pub(crate) fn note(&self, change: Change) {
        self.push(Order::Change { change, needed: true, done: None });
    }

    /// Makes a change, and says when it is made. One that is not `needed` is given up when the database fails.
    pub(crate) fn change(&self, change: Change, needed: bool) -> oneshot::Receiver<Result<(), NotStored>> {
        let (done, made) = oneshot::channel();
        self.push(Order::Change { change, needed, done: Some(done) });
        made
    }

    /// Stores a batch, and says when it is stored and with its sessions.
    pub(crate) fn accept(&self, batch: Batch) -> oneshot::Receiver<Stored> {
        let (done, stored) = oneshot::channel();
        self.push(Order::Accept { batch, done });
        stored
    }

    /// A message is with its subscriber, or dropped: its row is deleted when there is time.
    pub(crate) fn finished(&self, session: u64, place: Place) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            inbox.finished.push((session, place));
            drop(inbox);
            self.later.notify_one();
        }
    }

    /// Other nodes have stored messages for a session of this one: they get places, and go on their way.
    pub(crate) fn place_later(&self, session: &Arc<Session>) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            inbox.unplaced.insert(session.id, Arc::clone(session));
            drop(inbox);
            self.wake.notify_one();
        }
    }

    /// The database.
    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    /// What time it is.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The retained message of a topic has changed: it is stored when there is time, or with the next batch.
    pub(crate) fn retained(&self, room: &Arc<Room>, subtopic: &str) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            inbox.retained.insert((room.channel, subtopic.into()), Arc::clone(room));
            drop(inbox);
            self.later.notify_one();
        }
    }

    /// Returns when everything that was pushed before is written.
    pub(crate) async fn drained(&self) {
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            {
                let inbox = self.inbox.lock();
                if inbox.closed || (inbox.is_empty() && !inbox.busy) {
                    return;
                }
            }
            self.wake.notify_one();
            idle.await;
        }
    }

    /// Ends the task; what has not been written is lost.
    pub(crate) fn close(&self) {
        let dropped = std::mem::replace(&mut *self.inbox.lock(), Inbox { closed: true, ..Inbox::default() });
        drop(dropped);
        self.wake.notify_one();
        self.idle.notify_waiters();
    }
}

/// Waits for an answer of the task; a task that is gone has stored nothing.
pub(crate) async fn answer<T>(answer: oneshot::Receiver<Result<T, NotStored>>) -> Result<T, NotStored> {
    answer.await.unwrap_or(Err(NotStored))
}
