//! Who observes what (RFC 7641): messages wait here until their observer may have them.
//!
//! Messages go out as they come, not confirmed, and now and then one that the observer must acknowledge; until it has,
//! the others wait. So a peer that is gone is noticed, and an address that was made up never gets more than one small
//! message. A message that needs more than one block waits until it has been fetched, so that each block belongs to the
//! body that the observer is putting together.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use coap_lite::{CoapOption, ResponseType};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::block::{self, Block};
use crate::layer::{Fate, Layer};
use crate::limits::{BLOCK_PATIENCE, CONFIRM_EVERY, Limits, PING_AFTER};
use crate::request::Request;
use crate::stats::{Stats, count};
use crate::wire::Reply;

/// Bits of the sequence number (RFC 7641 §3.4).
const SEQUENCE: u32 = 0x00ff_ffff;

/// A message of ours that the observer must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// It shows that somebody is there.
    Ping(u16),
    /// A message.
    Message(u16),
}

/// A body that its observer fetches.
#[derive(Debug)]
struct Download {
    body: Bytes,
    tag: Vec<u8>,
    heard: Instant,
}

/// One observation.
#[derive(Debug)]
struct Observation {
    /// Tells its messages from those of an earlier observation with the same token.
    number: u64,
    token: Vec<u8>,
    key: Vec<u8>,
    /// Content format of what it gets (reference 05 §7.1: text, unless the observer asks for another).
    format: u32,
    exponent: u8,
    sequence: u32,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    awaited: Awaited,
    /// Id of the last message that need not be acknowledged: a RST may name it.
    last_id: Option<u16>,
    /// When the observer last showed that it is there. `None`: it has not yet.
    confirmed: Option<Instant>,
    download: Option<Download>,
    /// Reads from the engine for as long as the observation lives.
    reading: JoinHandle<()>,
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// An observation that is about to begin.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) peer: SocketAddr,
    pub(crate) token: Vec<u8>,
    pub(crate) number: u64,
    pub(crate) reading: JoinHandle<()>,
}

/// All observations.
#[derive(Debug)]
pub(crate) struct Observers {
    by_peer: HashMap<SocketAddr, Vec<Observation>>,
    total: usize,
    tags: u32,
    limits: Arc<Limits>,
    stats: Arc<Stats>,
}

impl Observers {
    pub(crate) fn new(limits: Arc<Limits>, stats: Arc<Stats>) -> Self {
        Self { by_peer: HashMap::new(), total: 0, tags: 0, limits, stats }
    }

    /// Whether there is room for an observation of a peer with this token.
    pub(crate) fn has_room(&self, peer: SocketAddr, token: &[u8]) -> bool {
        let own = self.by_peer.get(&peer).map_or(&[] as &[_], Vec::as_slice);
        own.iter().any(|observation| observation.token == token)
            || (own.len() < self.limits.observations_per_peer && self.total < self.limits.observations)
    }

    /// Begins an observation, or renews the one with the same token; the answer to its request. The peer is asked
    /// whether it is there if nobody knows yet.
    pub(crate) fn begin(&mut self, begun: Beginning, request: &Request, layer: &Layer) -> Reply {
        let earlier = self.take(begun.peer, &begun.token);
        let sequence = earlier.map_or(0, |earlier| earlier.sequence.wrapping_add(1) & SEQUENCE);
        let is_proven = layer.peers.get(begun.peer).is_some_and(|peer| peer.is_proven);
        self.by_peer.entry(begun.peer).or_default().push(Observation {
            number: begun.number,
            token: begun.token,
            key: request.key.clone(),
            format: request.accept.unwrap_or(0),
            exponent: request.block2.map_or(block::LARGEST, |block| block.exponent),
            sequence,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            awaited: Awaited::Nothing,
            last_id: None,
            confirmed: is_proven.then(Instant::now),
            download: None,
            reading: begun.reading,
        });
        self.counted(1);
        Reply::empty(ResponseType::Content).with_number(CoapOption::Observe, sequence)
    }

    /// Lets an observation begin that has been answered.
    pub(crate) fn start(&mut self, peer: SocketAddr, number: u64, layer: &mut Layer, now: Instant) {
        let Some(observation) = self.find(peer, |observation| observation.number == number) else { return };
        if observation.confirmed.is_none()
            && let Some(id) = layer.ping(peer, now)
        {
            observation.awaited = Awaited::Ping(id);
        }
    }

    /// Takes a message for an observer; the oldest goes when too many wait.
    pub(crate) fn offer(
        &mut self,
        peer: SocketAddr,
        number: u64,
        message: Bytes,
        layer: &mut Layer,
        now: Instant,
    ) {
        let (most, most_bytes) = (self.limits.notifications, self.limits.notification_bytes);
        let stats = Arc::clone(&self.stats);
        let Some(observation) = self.find(peer, |observation| observation.number == number) else { return };
        observation.waiting_bytes += message.len();
        observation.waiting.push_back(message);
        while observation.waiting.len() > most
            || (observation.waiting_bytes > most_bytes && observation.waiting.len() > 1)
        {
            let dropped = observation.waiting.pop_front().unwrap_or_default();
            observation.waiting_bytes -= dropped.len();
            count(&stats.dropped);
        }
        self.flush(peer, number, layer, now);
    }

    /// Sends what may be sent.
    fn flush(&mut self, peer: SocketAddr, number: u64, layer: &mut Layer, now: Instant) {
        let stats = Arc::clone(&self.stats);
        let mut tags = self.tags;
        if let Some(observation) = self.find(peer, |observation| observation.number == number) {
            while observation.may_send() {
                let Some(message) = observation.waiting.pop_front() else { break };
                observation.waiting_bytes -= message.len();
                observation.send(peer, message, &mut tags, layer, now);
                count(&stats.notified);
            }
        }
        self.tags = tags;
    }

    /// A message of ours has come to its end.
    pub(crate) fn settled(&mut self, peer: SocketAddr, id: u16, fate: Fate, layer: &mut Layer, now: Instant) {
        let awaits = |observation: &Observation| matches!(observation.awaited, Awaited::Ping(awaited) | Awaited::Message(awaited) if awaited == id);
        let found = self.find(peer, |observation| {
            awaits(observation) || (fate == Fate::Refused && observation.last_id == Some(id))
        });
        let Some(observation) = found else { return };
        let number = observation.number;
        let is_ping = observation.awaited == Awaited::Ping(id);
        match fate {
            // Nobody is there: nothing that this peer observes will reach it.
            Fate::Lost => self.forget(peer),
            Fate::Refused if !is_ping => {
                let token = observation.token.clone();
                self.end(peer, &token);
            }
            Fate::Refused | Fate::Delivered => {
                observation.awaited = Awaited::Nothing;
                observation.confirmed = Some(now);
                self.flush(peer, number, layer, now);
            }
        }
    }

    /// The answer to a request for a further block of a message; after the last one comes [`Observers::resume`].
    pub(crate) fn further_block(
        &mut self,
        peer: SocketAddr,
        request: &Request,
        now: Instant,
    ) -> Option<Reply> {
        let asked = request.block2.filter(|block| block.number > 0)?;
        let observation =
            self.find(peer, |observation| observation.key == request.key && observation.download.is_some())?;
        let format = observation.format;
        let download = observation.download.as_mut()?;
        let Some((range, block)) = asked.part_of(download.body.len()) else {
            return Some(Reply::text(ResponseType::BadOption, "the message ends before this block"));
        };
        download.heard = now;
        let reply = Reply {
            payload: download.body.slice(range),
            ..Reply::empty(ResponseType::Content)
                .with(CoapOption::ETag, download.tag.clone())
                .with_number(CoapOption::ContentFormat, format)
                .with(CoapOption::Block2, block.write())
        };
        if !block.more {
            observation.download = None;
        }
        Some(reply)
    }

    /// Sends what a peer may have now.
    pub(crate) fn resume(&mut self, peer: SocketAddr, layer: &mut Layer, now: Instant) {
        let own = self.by_peer.get(&peer).into_iter().flatten();
        let numbers: Vec<u64> = own.map(|observation| observation.number).collect();
        for number in numbers {
            self.flush(peer, number, layer, now);
        }
    }

    /// Ends the observation with this token, if there is one.
    pub(crate) fn end(&mut self, peer: SocketAddr, token: &[u8]) {
        drop(self.take(peer, token));
    }

    /// The engine has no more for an observer: tells it why, and ends the observation.
    pub(crate) fn close(
        &mut self,
        peer: SocketAddr,
        number: u64,
        why: &Reply,
        layer: &mut Layer,
        now: Instant,
    ) {
        let Some(observation) = self.find(peer, |observation| observation.number == number) else { return };
        let token = observation.token.clone();
        // An address that never answered gets no more.
        if observation.confirmed.is_some() {
            layer.send(peer, &token, why, true, now);
        }
        self.end(peer, &token);
    }

    /// Ends everything of a peer.
    pub(crate) fn forget(&mut self, peer: SocketAddr) {
        let ended = self.by_peer.remove(&peer).map_or(0, |observations| observations.len());
        self.total -= ended;
        self.counted(0);
    }

    /// Whether a peer observes anything.
    pub(crate) fn has(&self, peer: SocketAddr) -> bool {
        self.by_peer.contains_key(&peer)
    }

    /// Gives up on blocks that nobody fetches, and asks observers that were silent for long whether they are there.
    pub(crate) fn sweep(&mut self, layer: &mut Layer, now: Instant) {
        let mut freed = Vec::new();
        for (peer, observations) in &mut self.by_peer {
            for observation in observations {
                let is_left = |download: &Download| now.duration_since(download.heard) >= BLOCK_PATIENCE;
                if observation.download.as_ref().is_some_and(is_left) {
                    observation.download = None;
                    freed.push((*peer, observation.number));
                }
                let is_silent = observation.confirmed.is_some_and(|at| now.duration_since(at) >= PING_AFTER);
                if is_silent
                    && observation.awaited == Awaited::Nothing
                    && let Some(id) = layer.ping(*peer, now)
                {
                    observation.awaited = Awaited::Ping(id);
                }
            }
        }
        for (peer, number) in freed {
            self.flush(peer, number, layer, now);
        }
    }

    fn find(&mut self, peer: SocketAddr, wanted: impl Fn(&Observation) -> bool) -> Option<&mut Observation> {
        self.by_peer.get_mut(&peer)?.iter_mut().find(|observation| wanted(observation))
    }

    fn take(&mut self, peer: SocketAddr, token: &[u8]) -> Option<Observation> {
        let observations = self.by_peer.get_mut(&peer)?;
        let at = observations.iter().position(|observation| observation.token == token)?;
        let taken = observations.swap_remove(at);
        if observations.is_empty() {
            self.by_peer.remove(&peer);
        }
        self.total -= 1;
        self.counted(0);
        Some(taken)
    }

    fn counted(&mut self, more: usize) {
        self.total += more;
        self.stats.observations.store(self.total as u64, Relaxed);
    }
}

impl Observation {
    /// Whether the next message may go out.
    fn may_send(&self) -> bool {
        self.confirmed.is_some() && self.awaited == Awaited::Nothing && self.download.is_none()
    }

    fn send(&mut self, peer: SocketAddr, message: Bytes, tags: &mut u32, layer: &mut Layer, now: Instant) {
        self.sequence = self.sequence.wrapping_add(1) & SEQUENCE;
        let mut reply = Reply::empty(ResponseType::Content)
            .with_number(CoapOption::Observe, self.sequence)
            .with_number(CoapOption::ContentFormat, self.format);
        let first = Block { number: 0, more: false, exponent: self.exponent };
        let is_large = message.len() > first.size();
        if is_large {
            *tags = tags.wrapping_add(1);
            let tag = tags.to_be_bytes().to_vec();
            reply = reply
                .with(CoapOption::ETag, tag.clone())
                .with(CoapOption::Block2, Block { more: true, ..first }.write())
                .with_number(CoapOption::Size2, u32::try_from(message.len()).unwrap_or(u32::MAX));
            reply.payload = message.slice(..first.size());
            self.download = Some(Download { body: message, tag, heard: now });
        } else {
            reply.payload = message;
        }
        let is_stale = self.confirmed.is_none_or(|at| now.duration_since(at) >= CONFIRM_EVERY);
        let confirmable = is_large || is_stale;
        let id = layer.send(peer, &self.token, &reply, confirmable, now);
        match id {
            Some(id) if confirmable => self.awaited = Awaited::Message(id),
            id => self.last_id = id,
        }
    }
}
