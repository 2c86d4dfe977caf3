//! A session that outlives the process: what of it is in memory, and what is in the tables.
//!
//! Every message of QoS 1 and 2 for such a session is in the tables before anything else happens to it, under a place
//! in the session's order that the one task of `commit` gives. Memory holds the next few of them while the client is
//! connected, and none while it is away: so a queue costs memory only where somebody empties it.
//!
//! The race it must win: the client comes and goes while messages are being stored and read back. Places are given,
//! messages are brought and read by that one task, in turn, and what it reads counts only for the connection that it
//! was read for. So memory is always the front of the table, without a gap and without a repetition.

use std::sync::{Arc, Weak, atomic::Ordering::Relaxed};

use kernel::ChannelId;
use tokio::time::Instant;

use super::commit::Order;
use super::inflight::{Receipt, identifier_of};
use super::link::Link;
use super::message::{Parcel, Place};
use super::session::{Session, State, Taken};
use super::subscribe::Held;
use crate::wire::{Ack, Packet, PacketId, ReasonCode, encode};

/// Messages that are read at a time, and that stand in memory in front of the rest.
pub(super) const AT_A_TIME: usize = 256;
/// With fewer in memory the next ones are read.
const LOW: usize = 64;

/// What a stored session knows of its rows.
#[derive(Debug)]
pub(crate) struct Stored {
    myself: Weak<Session>,
    /// The last place that was given; `None` until it has been read.
    pub(super) last: Option<u64>,
    /// Places up to this one have been in memory since the client has connected.
    pub(super) loaded: u64,
    /// Places up to this one have been sent, at some time; `None`: nobody knows.
    pub(super) sent: Option<u64>,
    /// Messages behind `loaded` and their bytes; `None` until they have been counted.
    waiting: Option<(usize, usize)>,
    loading: bool,
    /// PUBRECs and PUBRELs of the client that wait to be stored.
    handshakes: usize,
}

/// What was read from the queue of a session.
#[derive(Debug)]
pub(super) enum Loaded {
    Message(Parcel),
    /// The client has it; only its PUBREL is to be sent again.
    Released(u64),
}

/// Whether the numbers of a session must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Yes,
    /// From this place on.
    No(u64),
}

impl Stored {
    /// One that has no rows yet.
    pub(super) const fn new(myself: Weak<Session>) -> Self {
        Self {
            myself,
            last: Some(0),
            loaded: 0,
            sent: Some(0),
            waiting: Some((0, 0)),
            loading: false,
            handshakes: 0,
        }
    }

    /// One that has been found in the tables, with what had been sent before.
    pub(super) const fn found(myself: Weak<Session>, sent: Option<u64>) -> Self {
        Self { myself, last: None, loaded: 0, sent, waiting: None, loading: false, handshakes: 0 }
    }

    /// Messages that are in the tables only, as far as they have been counted, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.waiting.unwrap_or_default()
    }

    /// The session is over.
    pub(super) const fn clear(&mut self) {
        self.waiting = Some((0, 0));
        self.loading = false;
    }

    /// The next place; `None` until [`Stored::last`] is known.
    pub(super) fn next_place(&mut self) -> Option<u64> {
        let next = self.last? + 1;
        self.last = Some(next);
        Some(next)
    }

    pub(super) const fn counted(&self) -> Counted {
        if self.waiting.is_some() { Counted::Yes } else { Counted::No(self.loaded) }
    }
}

impl State {
    /// The place of the next message; 0: there is none, or it has none.
    pub(super) fn next_seq(&self) -> u64 {
        self.queue.front().map_or(0, |parcel| parcel.place.seq)
    }

    /// Whether the client may have it already.
    pub(super) fn was_sent(&self, place: Place) -> bool {
        self.stored
            .as_ref()
            .is_some_and(|stored| place.seq > 0 && stored.sent.is_none_or(|sent| place.seq <= sent))
    }

    /// The packet identifier for a message that is being sent.
    pub(super) fn take_id(&mut self, place: Place) -> PacketId {
        match &mut self.stored {
            Some(stored) if place.seq > 0 => {
                stored.sent = stored.sent.map(|sent| sent.max(place.seq));
                identifier_of(place.seq)
            }
            _ => self.window.take_id(),
        }
    }
}

impl Session {
    /// A message is not needed any more: its row may go.
    pub(super) fn forget_place(&self, place: Place) {
        if let Some(committer) = self.shared.committer.as_ref().filter(|_| place.seq > 0) {
            committer.finished(self.id, place);
        }
    }

    /// The rows of a channel may go.
    pub(super) fn forget_stored(&self, channel: ChannelId) {
        if self.is_stored()
            && let Some(committer) = &self.shared.committer
        {
            committer.push(Order::Forget { session: self.id, channel });
        }
    }

    /// The client is gone: what waits for it is in the tables, and needs no memory.
    pub(super) fn unload(&self, state: &mut State) {
        let Some(stored) = &mut state.stored else { return };
        stored.loaded = 0;
        stored.waiting = None;
        stored.loading = false;
        state.clear_queue();
        state.window.clear();
        self.full.store(false, Relaxed);
    }

    /// The client is back: what waits for it is to be read.
    pub(super) fn begin_loading(&self, state: &mut State, link: &Arc<Link>) {
        let Some(stored) = &mut state.stored else { return };
        let Some(session) = stored.myself.upgrade() else { return };
        let Some(committer) = &self.shared.committer else { return };
        stored.loading = true;
        committer.push(Order::Load { session, link: Arc::clone(link) });
    }

    /// Asks for the next messages before those in memory run out.
    pub(super) fn want_more(&self, state: &mut State, link: &Arc<Link>) {
        let wanted = |stored: &Stored| !stored.loading && stored.waiting().0 > 0;
        if state.queue.len() < LOW && state.stored.as_deref().is_some_and(wanted) {
            self.begin_loading(state, link);
        }
    }

    /// A message has been stored: it is sent if it may be, and else waits in memory or in the tables.
    pub(super) fn bring(&self, parcel: Parcel, now: Instant) -> Taken {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(stored) = state.stored.as_deref_mut().filter(|_| !state.ended) else { return Taken::Done };
        let in_turn = state.link.is_some() && stored.waiting.is_some_and(|(messages, _)| messages == 0);
        if in_turn && !stored.loading && state.queue.len() < AT_A_TIME {
            stored.loaded = parcel.place.seq;
            state.enqueue(parcel);
            if state.queue.len() == 1 {
                self.send_waiting(state, now);
            }
        } else if let Some((messages, bytes)) = &mut stored.waiting {
            *messages += 1;
            *bytes += parcel.cost();
        }
        let full = state.is_full(&self.shared.limits);
        self.full.store(full, Relaxed);
        match &state.link {
            Some(_) if full => Taken::Full,
            Some(_) if !state.output.is_empty() => state.output.promise(None),
            _ => Taken::Done,
        }
    }

    /// Gives the next place; `None`: the session is over.
    pub(super) fn take_place(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let ended = state.ended;
        state.stored.as_mut().filter(|_| !ended)?.next_place()
    }

    /// The last place that was given; `None`: the session is over, or it is not known.
    pub(super) fn last_place(&self) -> Option<u64> {
        let state = self.state.lock();
        state.stored.as_ref().filter(|_| !state.ended)?.last
    }

    /// Messages of other nodes have got places, up to `last`. They are in the tables, behind all that came before.
    pub(super) fn placed(&self, last: u64, messages: usize, bytes: usize) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(stored) = state.stored.as_deref_mut().filter(|_| !state.ended) else { return };
        stored.last = Some(last);
        if let Some((waiting, waiting_bytes)) = &mut stored.waiting {
            *waiting += messages;
            *waiting_bytes += bytes;
        }
        let full = state.is_full(&self.shared.limits);
        self.full.store(full, Relaxed);
        if let Some(link) = state.link.clone() {
            self.tell_nodes(full);
            self.want_more(state, &link);
        }
    }

    /// Whether a place can be given.
    pub(super) fn knows_its_last_place(&self) -> bool {
        self.state.lock().stored.as_ref().is_none_or(|stored| stored.last.is_some())
    }

    /// The last place in the tables is known. After a crash it is not known what has been sent: all of it may have
    /// been (DUP says no more than that).
    pub(super) fn continue_after(&self, last: u64) {
        let mut state = self.state.lock();
        if let Some(stored) = &mut state.stored {
            let last = last.max(stored.sent.unwrap_or(0));
            stored.sent.get_or_insert(last);
            stored.last = Some(last);
        }
    }

    /// Whether it is known how much waits.
    pub(super) fn is_counted(&self) -> Option<Counted> {
        self.state.lock().stored.as_ref().map(|stored| stored.counted())
    }

    /// Whether nothing has ever happened to it.
    pub(crate) fn is_blank(&self) -> bool {
        let state = self.state.lock();
        state.subscriptions.is_empty() && state.stored.as_ref().is_none_or(|stored| stored.last == Some(0))
    }

    /// Whether it has a shared subscription.
    pub(super) fn is_in_a_group(&self) -> bool {
        self.state.lock().subscriptions.iter().any(Held::is_of_group)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// QoS 2 messages that could not be stored: they have not come.
    pub(super) fn forget_received(&self, packet_ids: &[PacketId]) {
        let mut state = self.state.lock();
        for packet_id in packet_ids {
            state.unreleased.remove(packet_id);
        }
    }

    /// Whether these QoS 2 messages have come and are not released.
    pub(super) fn has_received(&self, packet_ids: &[PacketId]) -> bool {
        let state = self.state.lock();
        packet_ids.iter().all(|packet_id| state.unreleased.contains(packet_id))
    }

    /// What waits in the tables behind a place has been counted.
    pub(super) fn counted(&self, after: u64, messages: usize, bytes: usize) {
        let mut state = self.state.lock();
        let Some(stored) = &mut state.stored else { return };
        if stored.loaded == after {
            stored.waiting = Some((messages, bytes));
        }
        let full = state.is_full(&self.shared.limits);
        self.full.store(full, Relaxed);
    }

    /// The place after which the messages for a connection are to be read; `None`: it has gone.
    pub(super) fn loads_after(&self, link: &Arc<Link>) -> Option<u64> {
        let state = self.state.lock();
        let stored = state.stored.as_ref().filter(|_| state.is_current(link) && !state.ended)?;
        Some(stored.loaded)
    }

    /// The next messages have been read, up to `most`.
    pub(super) fn loaded(&self, link: &Arc<Link>, found: Vec<Loaded>, now: Instant) {
        let mut state = self.state.lock();
        if !state.is_current(link) || state.ended {
            return;
        }
        let is_last = found.len() < AT_A_TIME;
        let (messages, mut bytes) = (found.len(), 0);
        for one in found {
            let seq = match one {
                Loaded::Message(parcel) => {
                    bytes += parcel.cost();
                    let seq = parcel.place.seq;
                    state.enqueue(parcel);
                    seq
                }
                Loaded::Released(seq) => {
                    let packet_id = state.window.released(seq);
                    // It exists in every version.
                    let _written =
                        encode(&Packet::PubRel(Ack::new(packet_id)), link.version, state.output.buffer());
                    seq
                }
            };
            if let Some(stored) = &mut state.stored {
                stored.loaded = seq;
            }
        }
        if let Some(stored) = &mut state.stored {
            stored.loading = false;
            stored.waiting = match stored.waiting {
                _ if is_last => Some((0, 0)),
                Some((all, all_bytes)) => {
                    Some((all.saturating_sub(messages), all_bytes.saturating_sub(bytes)))
                }
                None => None,
            };
        }
        self.send_waiting(&mut state, now);
        let full = state.is_full(&self.shared.limits);
        self.full.store(full, Relaxed);
        drop(state);
        self.flush(now);
    }

    /// Another PUBREC or PUBREL of the client is to be stored. Whether it may come now: a client cannot have more of them
    /// under way than messages, in both directions and, after it has come back, once more.
    pub(crate) fn begin_handshake(&self) -> bool {
        let limits = &self.shared.limits;
        let most = 2 * (usize::from(limits.receive_maximum.get()) + usize::from(limits.inflight));
        let mut state = self.state.lock();
        let Some(stored) = state.stored.as_mut().filter(|stored| stored.handshakes < most) else {
            return false;
        };
        stored.handshakes += 1;
        true
    }

    /// One of them is stored, or given up.
    pub(super) fn end_handshake(&self) {
        if let Some(stored) = self.state.lock().stored.as_mut() {
            stored.handshakes = stored.handshakes.saturating_sub(1);
        }
    }

    /// PUBREC: the place of the message, if one with this packet identifier waits for it.
    pub(crate) fn place_received(&self, link: &Arc<Link>, packet_id: PacketId) -> Option<Place> {
        let state = self.state.lock();
        let waits = state.is_current(link) && !state.window.is_misplaced(packet_id);
        state.window.place_of(packet_id).filter(|_| waits)
    }

    /// That a QoS 2 message has reached its client is stored: it is released.
    pub(super) fn release_received(&self, link: &Arc<Link>, packet_id: PacketId, now: Instant) {
        let reason = match self.received(link, packet_id, now) {
            Receipt::First | Receipt::Repeated => ReasonCode::SUCCESS,
            Receipt::Unknown | Receipt::Misplaced => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        self.answer(link, &Packet::PubRel(Ack::with_reason(packet_id, reason)), now);
    }

    /// Sends a packet that had to wait until something was stored.
    pub(super) fn answer(&self, link: &Arc<Link>, packet: &Packet, now: Instant) {
        let mut bytes = Vec::new();
        // Acknowledgements exist in every version.
        let _encoded = encode(packet, link.version, &mut bytes);
        self.reply(link, &bytes);
        self.flush(now);
    }
}
