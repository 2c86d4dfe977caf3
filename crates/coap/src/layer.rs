//! The message layer (RFC 7252 §4): repetitions are found, answers repeated, confirmable messages sent until they are
//! acknowledged. It does no I/O and keeps no clock: datagrams and instants come in, datagrams wait in [`Layer::out`].
//!
//! The rules that must hold:
//! - A request is worked on once, however often it comes (within the bounds of what is remembered).
//! - An address that has not shown that it is real gets little: at most thrice what came from it (RFC 9175 §2.4).
//! - Every confirmable message ends as delivered, refused or lost, and whoever sent it is told.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;

use coap_lite::{MessageClass, MessageType, Packet};
use tokio::time::Instant;

use crate::limits::{ACK_TIMEOUT, AMPLIFICATION, ANSWER_WITHIN, FREE_BYTES, Limits, MAX_RETRANSMIT};
use crate::peers::{Answer, Outgoing, Peers};
use crate::random;
use crate::stats::{Stats, count};
use crate::wire::{self, Reply, Undecodable};

/// Messages to one peer that it has not acknowledged, from which on answers are sent without asking for that. Many more
/// than observations and questions of ours can make.
const MOST_OUTGOING: usize = 256;

/// A request that wants an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) peer: SocketAddr,
    pub(crate) id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) is_confirmable: bool,
    /// Its size in bytes, which bounds the answer to a stranger.
    pub(crate) size: usize,
}

/// How a message of ours ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was acknowledged.
    Delivered,
    /// The peer does not know what it is about (RST).
    Refused,
    /// Nobody has answered.
    Lost,
}

/// What came of a datagram.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A request, for the first time.
    Request(Ticket, Packet),
    /// The end of a message of ours.
    Settled { peer: SocketAddr, id: u16, fate: Fate },
}

/// What is to be done at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Repeat a message of ours.
    Repeat(SocketAddr, u16),
    /// Acknowledge a request that is still being worked on.
    Acknowledge(SocketAddr, u16),
}

/// The message layer of one socket.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) peers: Peers,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// Datagrams to be sent.
    pub(crate) out: Vec<(SocketAddr, Vec<u8>)>,
    /// Peers that were pushed out: what belongs to them must go as well.
    pub(crate) gone: Vec<SocketAddr>,
    limits: Arc<Limits>,
    stats: Arc<Stats>,
}

impl Layer {
    pub(crate) fn new(limits: Arc<Limits>, stats: Arc<Stats>) -> Self {
        Self {
            peers: Peers::default(),
            timers: BinaryHeap::new(),
            out: Vec::new(),
            gone: Vec::new(),
            limits,
            stats,
        }
    }

    /// Takes a datagram.
    pub(crate) fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Option<Incoming> {
        count(&self.stats.datagrams);
        let packet = match wire::decode(datagram) {
            Ok(packet) => packet,
            Err(undecodable) => {
                count(&self.stats.malformed);
                if let Undecodable::Rejected(id) = undecodable {
                    self.out.push((from, wire::empty(MessageType::Reset, id)));
                }
                return None;
            }
        };
        let id = packet.header.message_id;
        match (packet.header.get_type(), packet.header.code) {
            (MessageType::Acknowledgement, _) => self.settled(from, id, Fate::Delivered, now),
            (MessageType::Reset, _) => self.settled(from, id, Fate::Refused, now),
            (kind, MessageClass::Request(_)) => {
                self.requested(from, kind == MessageType::Confirmable, packet, datagram.len(), now)
            }
            // Codes that are no requests: a CON that is empty asks whether somebody is there, and a response or a
            // reserved code is nothing that anybody here waits for. All are answered alike (RFC 7252 §4.2, §4.3).
            (MessageType::Confirmable, _) => {
                self.out.push((from, wire::empty(MessageType::Reset, id)));
                None
            }
            (MessageType::NonConfirmable, _) => None,
        }
    }

    fn settled(&mut self, from: SocketAddr, id: u16, fate: Fate, now: Instant) -> Option<Incoming> {
        let peer = self.peers.get_mut(from)?;
        if peer.settle(id) {
            // Its id was drawn at random: whoever names it has seen it.
            peer.is_proven = true;
            peer.heard = now;
        } else if fate == Fate::Delivered {
            return None;
        }
        // A RST may also refuse a message that was not confirmable; whoever sent it knows its id.
        Some(Incoming::Settled { peer: from, id, fate })
    }

    fn requested(
        &mut self,
        from: SocketAddr,
        is_confirmable: bool,
        packet: Packet,
        size: usize,
        now: Instant,
    ) -> Option<Incoming> {
        let id = packet.header.message_id;
        let (peer, gone) = self.peers.heard(from, now, &self.limits);
        self.gone.extend(gone);
        if let Some(exchange) = peer.exchange(id, now) {
            count(&self.stats.repeated);
            match &exchange.answer {
                Answer::Given(bytes) if !bytes.is_empty() => self.out.push((from, bytes.clone())),
                Answer::Acknowledged if is_confirmable => {
                    self.out.push((from, wire::empty(MessageType::Acknowledgement, id)));
                }
                Answer::Given(_) | Answer::Acknowledged | Answer::Pending => {}
            }
            return None;
        }
        peer.remember(id, now, self.limits.exchanges);
        peer.under_way += 1;
        if is_confirmable {
            self.timers.push(Reverse((now + ANSWER_WITHIN, Timer::Acknowledge(from, id))));
        }
        let token = packet.get_token().to_vec();
        Some(Incoming::Request(Ticket { peer: from, id, token, is_confirmable, size }, packet))
    }

    /// Answers a request: in its acknowledgement, or by itself if that has been sent already.
    pub(crate) fn answer(&mut self, ticket: &Ticket, reply: &Reply, now: Instant) {
        let Some(peer) = self.peers.get_mut(ticket.peer) else { return };
        peer.under_way = peer.under_way.saturating_sub(1);
        let was_acknowledged =
            peer.exchange(ticket.id, now).is_some_and(|exchange| exchange.answer == Answer::Acknowledged);
        let kind = match (ticket.is_confirmable, was_acknowledged) {
            (true, false) => MessageType::Acknowledgement,
            (true, true) if peer.outgoing.len() < MOST_OUTGOING => MessageType::Confirmable,
            (true, true) | (false, _) => MessageType::NonConfirmable,
        };
        let id = if kind == MessageType::Acknowledgement { ticket.id } else { peer.fresh_id() };
        let mut bytes = reply.encode(kind, id, &ticket.token);
        if !peer.is_proven && bytes.len() > (ticket.size * AMPLIFICATION).max(FREE_BYTES) {
            bytes = Reply::empty(reply.code).encode(kind, id, &ticket.token);
        }
        if let Some(exchange) = peer.exchange(ticket.id, now) {
            // A repetition of a request that was acknowledged is acknowledged again; its answer is under way.
            if kind != MessageType::Confirmable {
                exchange.answer = Answer::Given(bytes.clone());
            }
        }
        if kind == MessageType::Confirmable {
            self.transmit(ticket.peer, id, bytes, now);
        } else {
            self.out.push((ticket.peer, bytes));
        }
    }

    /// Sends a message of our own; its id, or `None` where the peer is not known any more.
    pub(crate) fn send(
        &mut self,
        to: SocketAddr,
        token: &[u8],
        reply: &Reply,
        confirmable: bool,
        now: Instant,
    ) -> Option<u16> {
        let peer = self.peers.get_mut(to)?;
        let id = peer.fresh_id();
        if confirmable {
            self.transmit(to, id, reply.encode(MessageType::Confirmable, id, token), now);
        } else {
            self.out.push((to, reply.encode(MessageType::NonConfirmable, id, token)));
        }
        Some(id)
    }

    /// Asks whether the peer is there: it answers with RST (RFC 7252 §4.3).
    pub(crate) fn ping(&mut self, to: SocketAddr, now: Instant) -> Option<u16> {
        let id = self.peers.get_mut(to)?.fresh_id();
        self.transmit(to, id, wire::empty(MessageType::Confirmable, id), now);
        Some(id)
    }

    /// Asks a peer that has not been proven whether it is there, one question at a time: whoever makes addresses up
    /// must not have us write to them more than they write to us, nor keep questions without number.
    pub(crate) fn ask_for_proof(&mut self, to: SocketAddr, now: Instant) {
        if self.peers.get(to).is_some_and(|peer| peer.outgoing.is_empty()) {
            self.ping(to, now);
        }
    }

    fn transmit(&mut self, to: SocketAddr, id: u16, bytes: Vec<u8>, now: Instant) {
        let Some(peer) = self.peers.get_mut(to) else { return };
        let wait = random::up_to_half_longer(ACK_TIMEOUT);
        self.out.push((to, bytes.clone()));
        peer.outgoing.push(Outgoing { id, bytes, sent: 1, due: now + wait, wait: wait * 2 });
        self.timers.push(Reverse((now + wait, Timer::Repeat(to, id))));
    }

    /// When [`Layer::tick`] has something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Does what is due; the messages that were lost.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Incoming> {
        let mut lost = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            let Some(Reverse((at, timer))) = self.timers.pop() else { break };
            match timer {
                Timer::Repeat(to, id) => lost.extend(self.repeat(to, id, at, now)),
                Timer::Acknowledge(to, id) => self.acknowledge(to, id, now),
            }
        }
        lost
    }

    fn repeat(&mut self, to: SocketAddr, id: u16, at: Instant, now: Instant) -> Option<Incoming> {
        let peer = self.peers.get_mut(to)?;
        let outgoing = peer.outgoing.iter_mut().find(|outgoing| outgoing.id == id && outgoing.due == at)?;
        if outgoing.sent > MAX_RETRANSMIT {
            peer.settle(id);
            count(&self.stats.lost);
            return Some(Incoming::Settled { peer: to, id, fate: Fate::Lost });
        }
        outgoing.sent += 1;
        outgoing.due = now + outgoing.wait;
        outgoing.wait *= 2;
        count(&self.stats.retransmitted);
        self.timers.push(Reverse((outgoing.due, Timer::Repeat(to, id))));
        self.out.push((to, outgoing.bytes.clone()));
        None
    }

    fn acknowledge(&mut self, to: SocketAddr, id: u16, now: Instant) {
        let exchange = self.peers.get_mut(to).and_then(|peer| peer.exchange(id, now));
        if let Some(exchange) = exchange.filter(|exchange| exchange.answer == Answer::Pending) {
            exchange.answer = Answer::Acknowledged;
            self.out.push((to, wire::empty(MessageType::Acknowledgement, id)));
        }
    }

    /// The peer has shown credentials that held.
    pub(crate) fn make_known(&mut self, peer: SocketAddr) {
        let gone = self.peers.make_known(peer, &self.limits);
        self.gone.extend(gone);
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
