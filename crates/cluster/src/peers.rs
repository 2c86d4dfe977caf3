//! The other nodes, and the links to them.
//!
//! Each link is driven by a task of its own and has an inbox of its own, so that a slow node holds up nobody but those who
//! send to it. All queues have bounds: what is to be sent waits with its sender, a datagram that comes too fast is lost and
//! comes again, and messages that nobody takes fill the link, which slows down the node that sends them.
//!
//! A datagram carries the number of its sender and a mark that only nodes with the key of the cluster can make, for sender,
//! receiver and contents; one without it is dropped. An old one that somebody sends again is a repetition like any other.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::{Bounds, Link, NodeId, Transport};

/// Datagrams that wait for the task of their link.
const DATAGRAMS: usize = 256;
/// Messages of one node that wait for whoever takes them; more stay in the link.
const INBOX: usize = 16;
/// Bytes of the mark: half of HMAC-SHA256, as RFC 2104 §5 allows.
const MARK: usize = 16;

/// The other node is no more, or was told to be so: what it has not processed it never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other node has gone")]
pub struct Gone;

/// Why a message was not handed to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// There is no link to the node (any more).
    #[error("the other node has gone")]
    Gone,
    /// No link takes a message of this length.
    #[error("the message is longer than what nodes send to each other")]
    TooLong,
}

/// The other nodes of the cluster. A clone is the same.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    me: NodeId,
    bounds: Bounds,
    transport: Arc<dyn Transport>,
    key: hmac::Key,
    peers: Mutex<HashMap<NodeId, Peer>>,
}

struct Peer {
    outbox: mpsc::Sender<Outgoing>,
    datagrams: mpsc::Sender<Bytes>,
    task: AbortHandle,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Outgoing {
    message: Bytes,
    processed: oneshot::Sender<()>,
}

/// A message that its link has taken.
#[derive(Debug)]
pub struct Sent(oneshot::Receiver<()>);

impl Sent {
    /// Returns when the other node has processed it.
    ///
    /// # Errors
    ///
    /// `Gone` if the node was dismissed before it said so. It may have processed the message nevertheless.
    pub async fn processed(self) -> Result<(), Gone> {
        self.0.await.map_err(|_| Gone)
    }
}

/// A message of another node. One that is dropped without [`Incoming::done`] never counts as processed, nor does anything
/// behind it.
#[derive(Debug)]
pub struct Incoming {
    /// Who sent it.
    pub from: NodeId,
    /// What it says.
    pub message: Bytes,
    number: u64,
    done: Arc<Done>,
}

impl Incoming {
    /// It is processed: its sender may know.
    pub fn done(self) {
        lock(&self.done.numbers).push(self.number);
        self.done.some.notify_one();
    }
}

/// Messages that were processed since the task of the link last looked. The link's bounds are its bound.
#[derive(Debug, Default)]
struct Done {
    numbers: Mutex<Vec<u64>>,
    some: Notify,
}

impl Peers {
    /// Nobody yet. All nodes of the cluster have the same `key`, and nobody else has it.
    #[must_use]
    pub fn new(me: NodeId, bounds: Bounds, key: &[u8], transport: Arc<dyn Transport>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self(Arc::new(Inner { me, bounds, transport, key, peers: Mutex::default() }))
    }

    /// From now on there is a link to this node; what it will send comes out of the receiver in order. `None`: there was
    /// one already.
    pub fn admit(&self, node: NodeId) -> Option<mpsc::Receiver<Incoming>> {
        let inner = &self.0;
        let mut peers = lock(&inner.peers);
        let Entry::Vacant(place) = peers.entry(node) else { return None };
        let (outbox, waiting) = mpsc::channel(1);
        let (datagrams, arriving) = mpsc::channel(DATAGRAMS);
        let (inbox, messages) = mpsc::channel(INBOX);
        {
            let driver = Driver {
                me: inner.me,
                node,
                link: Link::new(inner.bounds),
                began: Instant::now(),
                transport: Arc::clone(&inner.transport),
                key: inner.key.clone(),
                inbox,
                unprocessed: BTreeMap::new(),
                done: Arc::default(),
            };
            let task = tokio::spawn(driver.run(waiting, arriving)).abort_handle();
            place.insert(Peer { outbox, datagrams, task });
        }
        Some(messages)
    }

    /// The node is no more. No datagram of it is taken from now on, and who waits for it learns that it has gone. Messages
    /// that have come out of its link before stay in its inbox, which then ends.
    pub fn dismiss(&self, node: NodeId) {
        lock(&self.0.peers).remove(&node);
    }

    /// Nodes to which there are links, in no order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        lock(&self.0.peers).keys().copied().collect()
    }

    /// Hands a message to the link, and waits until it has room.
    ///
    /// # Errors
    ///
    /// [`Unsent`] says why.
    pub async fn send(&self, to: NodeId, message: Bytes) -> Result<Sent, Unsent> {
        if message.len() > self.0.bounds.message {
            return Err(Unsent::TooLong);
        }
        let outbox = lock(&self.0.peers).get(&to).map(|peer| peer.outbox.clone()).ok_or(Unsent::Gone)?;
        let (processed, sent) = oneshot::channel();
        outbox.send(Outgoing { message, processed }).await.map_err(|_| Unsent::Gone)?;
        Ok(Sent(sent))
    }

    /// Takes a datagram that the transport has brought. One of a node that was not admitted is dropped; it comes again. So
    /// is one without the mark of its sender.
    pub fn arrived(&self, mut datagram: Bytes) {
        if datagram.len() < size_of::<u64>() + MARK {
            return;
        }
        let from = NodeId(datagram.get_u64());
        let mark = datagram.split_to(MARK);
        if let Some(peer) = lock(&self.0.peers).get(&from) {
            let expected = marked(&self.0.key, from, self.0.me, &datagram);
            if aws_lc_rs::constant_time::verify_slices_are_equal(&mark, &expected).is_err() {
                tracing::warn!(node = %from, "dropped a datagram that no node of this cluster has sent");
                return;
            }
            // A full queue is a loss like any other.
            let _taken = peer.datagrams.try_send(datagram);
        }
    }
}

/// The task of one link.
struct Driver {
    me: NodeId,
    node: NodeId,
    link: Link,
    began: Instant,
    transport: Arc<dyn Transport>,
    key: hmac::Key,
    inbox: mpsc::Sender<Incoming>,
    /// Who waits for which number.
    unprocessed: BTreeMap<u64, oneshot::Sender<()>>,
    done: Arc<Done>,
}

impl Driver {
    async fn run(mut self, mut outbox: mpsc::Receiver<Outgoing>, mut datagrams: mpsc::Receiver<Bytes>) {
        let inbox = self.inbox.clone();
        loop {
            let due = self.link.due().map(|due| self.began + due);
            tokio::select! {
                biased;
                Some(datagram) = datagrams.recv() => self.arrived(datagram),
                () = self.done.some.notified() => {
                    for number in std::mem::take(&mut *lock(&self.done.numbers)) {
                        self.link.done(number);
                    }
                }
                Ok(room) = inbox.reserve(), if self.link.has_ready() => self.hand_over(room),
                Some(outgoing) = outbox.recv(), if self.link.has_room() => {
                    // The length was looked at, and there is room.
                    if let Ok(number) = self.link.send(outgoing.message) {
                        self.unprocessed.insert(number, outgoing.processed);
                    }
                }
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => {
                    self.link.tick(self.began.elapsed());
                }
            }
            while let Some(datagram) = self.link.departs(self.began.elapsed()) {
                self.transport.send(self.node, self.addressed(&datagram)).await;
            }
        }
    }

    fn addressed(&self, datagram: &Bytes) -> Bytes {
        let mut out = BytesMut::with_capacity(size_of::<u64>() + MARK + datagram.len());
        out.put_u64(self.me.0);
        out.put_slice(&marked(&self.key, self.me, self.node, datagram));
        out.put_slice(datagram);
        out.freeze()
    }

    fn arrived(&mut self, datagram: Bytes) {
        let now: Duration = self.began.elapsed();
        if let Err(error) = self.link.arrived(now, datagram) {
            tracing::warn!(node = %self.node, %error, "a datagram was dropped");
        }
        let later = self.unprocessed.split_off(&(self.link.processed() + 1));
        for (_, processed) in std::mem::replace(&mut self.unprocessed, later) {
            // Not everybody waits.
            let _heard = processed.send(());
        }
    }

    fn hand_over(&mut self, room: mpsc::Permit<'_, Incoming>) {
        if let Some((number, message)) = self.link.take() {
            room.send(Incoming { from: self.node, message, number, done: Arc::clone(&self.done) });
        }
    }
}

/// What shows that a datagram is of that node and for this one.
fn marked(key: &hmac::Key, from: NodeId, to: NodeId, datagram: &[u8]) -> [u8; MARK] {
    let mut context = hmac::Context::with_key(key);
    context.update(&from.0.to_be_bytes());
    context.update(&to.0.to_be_bytes());
    context.update(datagram);
    let mut mark = [0; MARK];
    for (out, byte) in mark.iter_mut().zip(context.sign().as_ref()) {
        *out = *byte;
    }
    mark
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
