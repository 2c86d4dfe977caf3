//! A session: what a client identifier owns, with or without a connection.
//!
//! Everything changes under one lock, which is never held across an await or a system call. Messages come in from
//! the tasks of their publishers ([`Session::offer_now`], [`Session::offer`]); acknowledgements from the task of the
//! connection. The races it must win: a message is either sent or queued, never both and never neither; and a
//! connection that has lost its session to another cannot change it any more: every call from a connection names its
//! [`Link`], and only the current one counts.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use hashbrown::HashSet;
use kernel::ChannelId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::commit::Committer;
use super::depths::Depth;
use super::inflight::{Again, Last, Receipt, Window};
use super::link::{Close, Link};
use super::message::Parcel;
use super::nodes::Nodes;
use super::output::{Output, Written, recycle, write_out};
use super::stored::Stored;
use super::subscribe::Held;
use super::will::Testament;
use crate::gate::{Identity, IdentityKey};
use crate::limits::Limits;
use crate::lock::Lock;
use crate::stats::{Stats, Tally, count};
use crate::wire::{Ack, Frame, Packet, PacketId, QoS, ReasonCode, Text, encode};

/// Where a session is that this node has, and one that no node has.
const HERE: u64 = 0;
const NOWHERE: u64 = u64::MAX;

/// Turns that one flush takes before it leaves the rest to the connection's own task.
const FLUSH_TURNS: usize = 8;

/// What every session shares with the engine.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) stats: Stats,
    /// Where sessions are stored; `None`: nowhere.
    pub(crate) committer: Option<Arc<Committer>>,
    /// The other nodes; `None`: there are none.
    pub(crate) nodes: Option<Arc<Nodes>>,
}

/// A session.
pub(crate) struct Session {
    /// Unique in this process; tells sessions of the same name apart.
    pub(crate) id: u64,
    pub(crate) identity: IdentityKey,
    pub(crate) client_id: Text,
    /// Changes when decisions about the identity must be asked again; see `revoke.rs`.
    generation: AtomicU64,
    connected: AtomicBool,
    pub(super) full: AtomicBool,
    /// Woken when the queue has room again, or is gone.
    pub(crate) room_made: Notify,
    pub(super) shared: Arc<Shared>,
    stored: bool,
    /// The node that has it; 0: this one.
    elsewhere: AtomicU64,
    /// Other nodes have been told that it is full.
    told_full: AtomicBool,
    /// It is not stored, but its will is.
    will_stored: AtomicBool,
    pub(crate) state: Lock<State>,
}

/// The changing part of a session.
pub(crate) struct State {
    pub(crate) identity: Identity,
    /// The session is over; nothing may be added to it.
    pub(crate) ended: bool,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) output: Output,
    pub(super) window: Window,
    pub(super) queue: VecDeque<Parcel>,
    queue_bytes: usize,
    /// What waits in the tables, if the session is stored.
    pub(super) stored: Option<Box<Stored>>,
    /// Publishers wait for room.
    awaited: bool,
    /// Acknowledgements of messages that were on their way, and messages that left the queue; tells a slow subscriber
    /// from one that takes nothing. Bytes do not count: a client may read for ever and acknowledge nothing.
    pub(crate) progress: u64,
    /// QoS 2 messages received and not released yet.
    pub(super) unreleased: HashSet<PacketId>,
    pub(crate) subscriptions: Vec<Held>,
    pub(crate) will: Option<Box<Testament>>,
    /// Seconds that the session outlives its connection.
    pub(crate) expiry: u32,
    /// Without a connection: when the session ends and when the will is due.
    pub(crate) ends_at: Option<Instant>,
    pub(crate) will_due: Option<Instant>,
    /// When `expiry.rs` looks at the session again.
    pub(crate) deadline: Option<Instant>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} of {:?}", self.id, self.identity)
    }
}

/// How a message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the output buffer, which nobody had promised to flush.
    Unflushed,
    /// It is taken care of, or was dropped as the rules allow.
    Done,
    /// It is in the queue, which is over its bound now: the publisher must wait.
    Full,
}

impl Session {
    /// A session in memory, or with `stored` one that outlives the process.
    pub(crate) fn new(
        id: u64,
        identity: &Identity,
        client_id: Text,
        shared: Arc<Shared>,
        stored: Option<Box<Stored>>,
    ) -> Self {
        Self {
            id,
            identity: identity.key(),
            client_id,
            generation: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            full: AtomicBool::new(false),
            room_made: Notify::new(),
            shared,
            stored: stored.is_some(),
            elsewhere: AtomicU64::new(HERE),
            told_full: AtomicBool::new(false),
            will_stored: AtomicBool::new(false),
            state: Lock::new(State {
                identity: identity.clone(),
                ended: false,
                link: None,
                output: Output::default(),
                window: Window::new(),
                queue: VecDeque::new(),
                queue_bytes: 0,
                stored,
                awaited: false,
                progress: 0,
                unreleased: HashSet::new(),
                subscriptions: Vec::new(),
                will: None,
                expiry: 0,
                ends_at: None,
                will_due: None,
                deadline: None,
            }),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Makes every decision about the identity stale for this session.
    pub(crate) fn outdate(&self) {
        self.generation.fetch_add(1, SeqCst);
    }

    /// Whether it outlives the process.
    pub(crate) const fn is_stored(&self) -> bool {
        self.stored
    }

    /// Whether it is this node that has it. One that is elsewhere is a shadow of itself: see `nodes`.
    pub(crate) fn is_here(&self) -> bool {
        self.elsewhere.load(SeqCst) == HERE
    }

    /// The other node that has it; `None`: this one has.
    pub(crate) fn owner(&self) -> Option<u64> {
        Some(self.elsewhere.load(SeqCst)).filter(|&node| node != HERE)
    }

    /// Another node has it, and there it has a connection or has not. Node 0 is none: nobody has it at the moment.
    pub(crate) fn be_at(&self, node: u64, connected: bool) {
        self.elsewhere.store(if node == HERE { NOWHERE } else { node }, SeqCst);
        self.connected.store(connected, Relaxed);
        if !connected {
            self.is_said_to_be_full(false);
        }
    }

    /// Its node says whether those who publish to it must wait.
    pub(crate) fn is_said_to_be_full(&self, full: bool) {
        self.full.store(full, Relaxed);
        if !full {
            self.room_made.notify_waiters();
        }
    }

    /// Tells other nodes, whose messages for it are stored already, that those who publish them must wait, or need no longer.
    pub(super) fn tell_nodes(&self, full: bool) {
        if let Some(nodes) = &self.shared.nodes
            && self.told_full.swap(full, Relaxed) != full
        {
            nodes.full(self.id, full);
        }
    }

    /// From now on this node has it.
    pub(crate) fn come_here(&self) {
        self.connected.store(false, Relaxed);
        self.is_said_to_be_full(false);
        self.elsewhere.store(HERE, SeqCst);
    }

    /// Its will is about to be stored, though nothing else of it is.
    pub(crate) fn note_stored_will(&self) {
        self.will_stored.store(true, Relaxed);
    }

    /// Whether there is a row of it in the tables.
    pub(crate) fn has_row(&self) -> bool {
        self.stored || self.will_stored.load(Relaxed)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Whether a QoS 1 or 2 message would find its queue full and nobody there to empty it.
    pub(crate) fn is_full_and_absent(&self) -> bool {
        !self.is_connected() && self.full.load(Relaxed)
    }

    /// Whether its queue is over its bound.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// The connection that the session has now.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.state.lock().link.clone()
    }

    /// Whether it is that of a reader inside the process (`reader.rs`), which has it only as long as its connection.
    pub(crate) fn is_read_inside(&self) -> bool {
        self.state.lock().link.as_ref().is_some_and(|link| link.is_inside())
    }

    /// Offers a QoS 0 message, encoded for the version of the connection by `frame`. Not kept without a connection.
    pub(crate) fn offer_now(
        &self,
        payload: usize,
        accepted: Instant,
        tally: &mut Tally,
        append: impl FnOnce(&Link, &mut Output) -> bool,
    ) -> Taken {
        let mut state = self.state.lock();
        let state = &mut *state;
        let open = !state.ended && !state.output.sealed;
        let Some(link) = state.link.as_ref().filter(|_| open) else { return Taken::Done };
        if state.output.len() >= self.shared.limits.output_bytes {
            count(&self.shared.stats.dropped_slow);
            return Taken::Done;
        }
        if !append(link, &mut state.output) {
            count(&self.shared.stats.dropped_large);
            return Taken::Done;
        }
        tally.deliver(&self.shared.stats, link.protocol, QoS::AtMostOnce, payload);
        state.output.promise(Some(accepted))
    }

    /// Offers a QoS 1 or 2 message. It is sent if it may be, else it is queued; a queue over its bound takes it too,
    /// and the publisher must wait before it brings another.
    pub(crate) fn offer(
        &self,
        parcel: Parcel,
        accepted: Instant,
        tally: &mut Tally,
        frame: impl FnOnce(&Link) -> Option<Frame>,
    ) -> Taken {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.ended {
            return Taken::Done;
        }
        let direct = state.queue.is_empty()
            && state.window.is_open(0)
            && !state.output.sealed
            && state.output.len() < self.shared.limits.output_bytes;
        match &state.link {
            Some(link) if direct => {
                let packet_id = state.window.take_id();
                let is_written = if state.output.has_aliases() {
                    // Which alias a topic has is a matter of this connection alone.
                    state.output.carry(&parcel, link, packet_id, accepted)
                } else {
                    let fitting = frame(link).filter(|frame| frame.len() <= link.maximum_packet_size);
                    fitting.map(|frame| frame.append_to(Some(packet_id), state.output.buffer())).is_some()
                };
                if !is_written {
                    count(&self.shared.stats.dropped_large);
                    return Taken::Done;
                }
                let payload = parcel.message.payload.len();
                tally.deliver(&self.shared.stats, link.protocol, parcel.qos, payload);
                state.window.sent(packet_id, parcel);
                state.output.promise(Some(accepted))
            }
            link => {
                let taken = if link.is_some() { Taken::Full } else { Taken::Done };
                state.enqueue(parcel);
                let full = state.is_full(&self.shared.limits);
                self.full.store(full, Relaxed);
                if full { taken } else { Taken::Done }
            }
        }
    }

    /// Queues retained messages for a subscription behind what is there and sends what may be sent. Over the bound
    /// the subscriber itself must wait before it gets more. `None`: the subscription is no more.
    pub(crate) fn append(
        &self,
        link: &Arc<Link>,
        held: &Held,
        parcels: impl IntoIterator<Item = Parcel>,
        now: Instant,
    ) -> Option<Taken> {
        let mut state = self.state.lock();
        if !state.is_current(link) || !state.subscriptions.iter().any(|known| known.is_same(held)) {
            return None;
        }
        parcels.into_iter().for_each(|parcel| state.enqueue(parcel));
        self.send_waiting(&mut state, now);
        let full = state.is_full(&self.shared.limits);
        self.full.store(full, Relaxed);
        Some(if full { Taken::Full } else { Taken::Done })
    }

    /// Appends whole packets of the connection itself, such as acknowledgements.
    pub(crate) fn reply(&self, link: &Arc<Link>, bytes: &[u8]) {
        let mut state = self.state.lock();
        if state.is_current(link) {
            state.output.buffer().extend_from_slice(bytes);
        }
    }

    /// Appends the last packet of the connection. From here on messages wait as if there were no connection
    /// ([MQTT-3.14.4-1]).
    pub(crate) fn say_goodbye(&self, link: &Arc<Link>, bytes: &[u8]) {
        self.reply(link, bytes);
        let mut state = self.state.lock();
        if state.is_current(link) {
            state.output.sealed = true;
        }
    }

    /// Writes to the socket what it takes now. Any task may call it.
    pub(crate) fn flush(&self, now: Instant) {
        let Some((link, mut buffer, mut written)) = self.state.lock().take_output() else { return };
        for _ in 0..FLUSH_TURNS {
            let outcome = write_out(&*link.pipe, &buffer, &mut written);
            match self.flushed(&link, buffer, written, &outcome, now) {
                Some(next) => (buffer, written) = next,
                None => return,
            }
        }
        // Others append faster than this task writes: the owner goes on, so that this one can go its way.
        let mut state = self.state.lock();
        if state.is_current(&link) {
            let _not_all = state.output.give_back(buffer, written);
            state.output.blocked = true;
            link.wake.notify_one();
        }
    }

    /// Ends a turn of writing and begins the next, if there is one.
    fn flushed(
        &self,
        link: &Arc<Link>,
        buffer: Vec<u8>,
        written: usize,
        outcome: &Written,
        now: Instant,
    ) -> Option<(Vec<u8>, usize)> {
        let mut state = self.state.lock();
        if !state.is_current(link) {
            recycle(buffer);
            return None;
        }
        if let Some(accepted) = state.output.give_back(buffer, written) {
            self.shared.stats.of(link.protocol).took(link.protocol, accepted.elapsed());
        }
        match outcome {
            Written::All => {
                self.send_waiting(&mut state, now);
                state.output.take()
            }
            Written::Blocked => {
                state.output.block(now);
                link.wake.notify_one();
                None
            }
            Written::Broken => {
                link.close(Close::Broken);
                None
            }
        }
    }

    /// The socket has room again; only the owner of the connection knows.
    pub(crate) fn unblock(&self, link: &Arc<Link>, now: Instant) {
        let mut state = self.state.lock();
        if state.is_current(link) {
            state.output.blocked = false;
            drop(state);
            self.flush(now);
        }
    }

    /// Takes what waits, for a pipe that only the owner of the connection writes to. Until [`Session::end_turn`] it counts
    /// as unsent. `None`: there is nothing, or somebody is looking whether there is and will wake the owner.
    pub(crate) fn begin_turn(&self, link: &Arc<Link>) -> Option<(Vec<u8>, usize)> {
        let mut state = self.state.lock();
        if !state.is_current(link) {
            return None;
        }
        state.output.blocked = false;
        state.output.take()
    }

    /// What was taken is out up to `written`; takes what has come since.
    pub(crate) fn end_turn(
        &self,
        link: &Arc<Link>,
        buffer: Vec<u8>,
        written: usize,
        now: Instant,
    ) -> Option<(Vec<u8>, usize)> {
        self.flushed(link, buffer, written, &Written::All, now)
    }

    /// Moves messages from the queue into the output while the window and the buffer have room, and wakes the
    /// publishers that wait for it.
    pub(super) fn send_waiting(&self, state: &mut State, now: Instant) {
        let Some(link) = state.link.clone().filter(|_| !state.output.sealed) else { return };
        let mut tally = Tally::of_deliveries();
        for _ in 0..state.send_again(&link, self.shared.limits.output_bytes, now) {
            count(&self.shared.stats.dropped_large);
        }
        while state.window.is_open(state.next_seq()) && state.output.len() < self.shared.limits.output_bytes {
            let Some(parcel) = state.dequeue() else { break };
            self.send_one(state, &link, parcel, &mut tally, now);
        }
        tally.settle(&self.shared.stats);
        self.want_more(state, &link);
        self.note_room(state);
    }

    fn send_one(&self, state: &mut State, link: &Link, parcel: Parcel, tally: &mut Tally, now: Instant) {
        // One that the client may have is not dropped: with QoS 2 it would wait for the rest of the exchange for ever.
        let again = state.was_sent(parcel.place);
        if !again && parcel.message.is_expired(now) {
            count(&self.shared.stats.dropped_expired);
            self.forget_place(parcel.place);
            return;
        }
        if parcel.encoded_len(link.version, now) > link.maximum_packet_size {
            count(&self.shared.stats.dropped_large);
            self.forget_place(parcel.place);
            return;
        }
        tally.deliver(&self.shared.stats, link.protocol, parcel.qos, parcel.message.payload.len());
        // What came before the connection did has waited for the client and not for us.
        if let Some(accepted) = parcel.message.accepted.filter(|at| !parcel.retain && *at >= link.since) {
            state.output.carries(accepted);
        }
        let packet_id = (parcel.qos > QoS::AtMostOnce).then(|| state.take_id(parcel.place));
        let is_written = match packet_id {
            Some(packet_id) if state.output.has_aliases() && !again => {
                state.output.carry(&parcel, link, packet_id, now)
            }
            _ => parcel.encode(link.version, packet_id, again, now, state.output.buffer()).is_ok(),
        };
        if let Some(packet_id) = packet_id.filter(|_| is_written) {
            state.window.sent(packet_id, parcel);
        }
    }

    /// Wakes waiting publishers once the queue is down to half its bound, so that they do not wake for each message.
    pub(crate) fn note_room(&self, state: &mut State) {
        let limits = &self.shared.limits;
        let (messages, bytes) = state.backlog();
        let low = state.ended || (messages <= limits.queue_messages / 2 && bytes <= limits.queue_bytes / 2);
        if low {
            self.tell_nodes(false);
            self.full.store(false, Relaxed);
            if std::mem::take(&mut state.awaited) {
                self.room_made.notify_waiters();
            }
        }
    }

    /// Whether a publisher still has to wait for this session, and then for how much progress it looks. A session
    /// without a connection is not waited for: see `publish.rs`.
    pub(crate) fn must_await(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let wait = (state.link.is_some() || !self.is_here()) && self.full.load(Relaxed);
        state.awaited |= wait;
        wait.then_some(state.progress)
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses.
    pub(crate) fn acknowledged(
        &self,
        link: &Arc<Link>,
        packet_id: PacketId,
        last: Last,
        now: Instant,
    ) -> Receipt {
        let mut state = self.state.lock();
        if !state.is_current(link) {
            return Receipt::First;
        }
        let place = if self.stored { state.window.place_of(packet_id) } else { None };
        let receipt = state.window.finish(packet_id, last);
        if receipt == Receipt::First {
            state.progress += 1;
            self.forget_place(place.unwrap_or_default());
        }
        if !state.queue.is_empty() || !state.window.is_open(0) {
            self.send_waiting(&mut state, now);
        }
        receipt
    }

    /// PUBREC.
    pub(crate) fn received(&self, link: &Arc<Link>, packet_id: PacketId, now: Instant) -> Receipt {
        let mut state = self.state.lock();
        if !state.is_current(link) {
            return Receipt::First;
        }
        let receipt = state.window.received(packet_id);
        if receipt == Receipt::First {
            state.progress += 1;
            // The message itself is no longer kept, which may have opened the window.
            if !state.queue.is_empty() {
                self.send_waiting(&mut state, now);
            }
        }
        receipt
    }

    /// A QoS 2 message arrives: whether it is new ([MQTT-4.3.3-10]). `None`: more than the Receive Maximum are
    /// unreleased.
    pub(crate) fn receive_once(&self, link: &Arc<Link>, packet_id: PacketId) -> Option<bool> {
        let mut state = self.state.lock();
        if !state.is_current(link) {
            // The answer goes nowhere, and the message comes again on the connection that has the session now.
            return Some(false);
        }
        let maximum = usize::from(self.shared.limits.receive_maximum.get());
        if state.unreleased.len() >= maximum && !state.unreleased.contains(&packet_id) {
            return None;
        }
        Some(state.unreleased.insert(packet_id))
    }

    /// PUBREL, or a QoS 2 message that was refused after all. Whether the packet identifier was known.
    pub(crate) fn release(&self, link: &Arc<Link>, packet_id: PacketId) -> bool {
        let mut state = self.state.lock();
        !state.is_current(link) || state.unreleased.remove(&packet_id)
    }

    /// Forgets the messages of a channel that wait or are on their way: the right to them is gone. A connection whose
    /// socket takes no more ends, because some of them may stand in its output.
    pub(crate) fn forget_channel(&self, state: &mut State, channel: ChannelId) {
        state.window.forget_channel(channel);
        match &state.link {
            Some(link) if link.is_inside() => link.close(Close::Told(ReasonCode::NOT_AUTHORIZED)),
            Some(link) if state.output.blocked => link.close(Close::Broken),
            Some(_) | None => {}
        }
        state.queue.retain(|parcel| parcel.message.channel != channel);
        state.queue_bytes = state.queue.iter().map(Parcel::cost).sum();
        self.forget_stored(channel);
        self.note_room(state);
    }

    /// Gives the session a connection; the packets of `greeting` go first, then what is unfinished, then the queue.
    pub(crate) fn attach(
        &self,
        state: &mut State,
        link: &Arc<Link>,
        greeting: &[u8],
        window: u16,
        now: Instant,
    ) {
        state.link = Some(Arc::clone(link));
        state.output = Output::accepting(link.topic_alias_maximum);
        state.output.buffer().extend_from_slice(greeting);
        state.window.restart(window, self.shared.limits.queue_bytes);
        state.ends_at = None;
        state.will_due = None;
        self.connected.store(true, Relaxed);
        self.send_waiting(state, now);
    }

    /// Takes the connection away. Publishers that wait for it go on.
    pub(crate) fn detach(&self, state: &mut State) -> Option<Arc<Link>> {
        let link = state.link.take()?;
        self.connected.store(false, Relaxed);
        state.output = Output::default();
        self.unload(state);
        self.tell_nodes(false);
        if std::mem::take(&mut state.awaited) {
            self.room_made.notify_waiters();
        }
        Some(link)
    }

    /// Ends the session: what it held is gone. The caller removes its subscriptions from the rooms.
    pub(crate) fn end(&self, state: &mut State) -> Vec<Held> {
        state.ended = true;
        state.ends_at = None;
        state.will_due = None;
        state.clear_queue();
        if let Some(stored) = &mut state.stored {
            stored.clear();
        }
        state.window = Window::new();
        state.unreleased = HashSet::new();
        self.note_room(state);
        std::mem::take(&mut state.subscriptions)
    }
}

impl State {
    /// Whether the session belongs to this connection.
    pub(crate) fn is_current(&self, link: &Arc<Link>) -> bool {
        self.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link))
    }

    /// Whether its publishers must wait. What waits in the tables for a client that is away has a bound of its own.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        let (most, most_bytes) = if self.link.is_none() && self.stored.is_some() {
            (limits.stored_messages, limits.stored_bytes)
        } else {
            (limits.queue_messages, limits.queue_bytes)
        };
        let (messages, bytes) = self.backlog();
        messages >= most || bytes >= most_bytes
    }

    /// What waits, and what is on its way.
    pub(super) fn depth(&self) -> Depth {
        let (stored_messages, stored_bytes) = self.stored.as_ref().map_or((0, 0), |stored| stored.waiting());
        Depth {
            messages: self.queue.len(),
            bytes: self.queue_bytes,
            stored_messages,
            stored_bytes,
            inflight: self.window.len(),
            output_bytes: self.output.len(),
        }
    }

    /// The messages that wait, in memory and in the tables, and their bytes.
    fn backlog(&self) -> (usize, usize) {
        let (messages, bytes) = self.stored.as_ref().map_or((0, 0), |stored| stored.waiting());
        (self.queue.len() + messages, self.queue_bytes + bytes)
    }

    /// Forgets what is in memory only because of the connection.
    pub(super) fn clear_queue(&mut self) {
        self.queue = VecDeque::new();
        self.queue_bytes = 0;
    }

    pub(super) fn enqueue(&mut self, parcel: Parcel) {
        self.queue_bytes += parcel.cost();
        self.queue.push_back(parcel);
    }

    fn dequeue(&mut self) -> Option<Parcel> {
        let parcel = self.queue.pop_front()?;
        self.queue_bytes -= parcel.cost();
        self.progress += 1;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(parcel)
    }

    fn take_output(&mut self) -> Option<(Arc<Link>, Vec<u8>, usize)> {
        let link = self.link.clone()?;
        let (buffer, written) = self.output.take()?;
        Some((link, buffer, written))
    }

    /// Sends again what an earlier connection left unfinished, as far as the output has room. What this client accepts
    /// no more, because its Maximum Packet Size has become smaller, is finished ([MQTT-3.1.2-25]); how many those were.
    fn send_again(&mut self, link: &Link, output_bytes: usize, now: Instant) -> usize {
        let mut too_large = Vec::new();
        while self.output.len() < output_bytes
            && let Some(again) = self.window.next_again()
        {
            let out = self.output.buffer();
            // Both were written on an earlier connection, so they can be encoded.
            let _written = match again {
                Again::Publish(id, parcel)
                    if parcel.encoded_len(link.version, now) > link.maximum_packet_size =>
                {
                    let last = if parcel.qos == QoS::ExactlyOnce { Last::Refusal } else { Last::PubAck };
                    too_large.push((id, last));
                    continue;
                }
                Again::Publish(id, parcel) => parcel.encode(link.version, Some(id), true, now, out),
                Again::Release(id) => encode(&Packet::PubRel(Ack::new(id)), link.version, out),
            };
        }
        for (id, last) in &too_large {
            self.window.finish(*id, *last);
        }
        too_large.len()
    }
}

impl Output {
    /// Appends a message of QoS 1 or 2 that is sent for the first time, under a topic alias where there is one. `false`:
    /// it is larger than the client accepts.
    fn carry(&mut self, parcel: &Parcel, link: &Link, packet_id: PacketId, now: Instant) -> bool {
        let topic = [parcel.topic.as_bytes()];
        let delivery = parcel.delivery(link.version, false, now, &topic);
        self.append(&delivery, &parcel.topic, Some(packet_id), link.maximum_packet_size)
    }

    /// Notes that the caller will flush, unless somebody else has promised.
    /// `accepted`: when the message was that the turn begins with; `None`: it has been noted already.
    pub(super) fn promise(&mut self, accepted: Option<Instant>) -> Taken {
        if std::mem::replace(&mut self.promised, true) {
            return Taken::Done;
        }
        if let Some(accepted) = accepted {
            self.carries(accepted);
        }
        Taken::Unflushed
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kernel::{ClientId, DomainId, Rng};

    use super::*;
    use crate::engine::message::{Message, Place};
    use crate::engine::output::Pipe;
    use crate::wire::{Publish, Version};

    /// A socket that takes nothing.
    struct Full;

    impl Pipe for Full {
        fn try_write(&self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn what_is_sent_again_waits_for_room_in_the_output() {
        const PAYLOAD: usize = 1_000;
        const MESSAGES: usize = 100;
        let rng = Rng::seeded(1);
        let identity =
            Identity::Client { client: ClientId::generate(&rng), domain: DomainId::generate(&rng) };
        let limits = Limits { output_bytes: 10 * PAYLOAD, ..Limits::default() };
        let shared = Arc::new(Shared { limits, stats: Stats::default(), committer: None, nodes: None });
        let session = Session::new(1, &identity, Text::from("device"), shared, None);
        let publish = Publish { payload: Bytes::from(vec![0; PAYLOAD]), ..Publish::default() };
        let message = Message::keep(&publish, ChannelId::generate(&rng), None, None);
        let mut state = session.state.lock();
        for _ in 0..MESSAGES {
            let id = state.window.take_id();
            let topic = Text::from("m/d/c/ch");
            let subscription_ids = smallvec::SmallVec::new();
            let message = Arc::clone(&message);
            let qos = QoS::AtLeastOnce;
            let place = Place::default();
            let parcel = Parcel { message, topic, qos, retain: false, subscription_ids, place };
            state.window.sent(id, parcel);
        }
        let now = Instant::now();
        let link = Arc::new(Link::new(Box::new(Full), Version::V5, usize::MAX));
        session.attach(&mut state, &link, &[], 1_000, now);
        let mut sent = 0;
        while !state.output.is_empty() {
            assert!(state.output.len() < 12 * PAYLOAD, "one packet over the bound");
            sent += state.output.len();
            state.output = Output::default();
            session.send_waiting(&mut state, now);
        }
        assert!(sent > MESSAGES * PAYLOAD);
    }
}
