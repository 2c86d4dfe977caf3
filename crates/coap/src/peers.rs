//! Who has been heard of: what is remembered of each address, and who goes when there are too many.
//!
//! Addresses of UDP can be made up. Those from which nothing has come yet that held before the gate are *strangers*;
//! however many there are, they push out only each other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use tokio::time::Instant;

use crate::limits::{EXCHANGE_LIFETIME, Limits};
use crate::random;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is being worked on.
    Pending,
    /// It is being worked on and was acknowledged; the answer comes by itself.
    Acknowledged,
    /// It was answered with these bytes; a repetition gets them again. Empty: a repetition gets nothing.
    Given(Vec<u8>),
}

/// A message id of a request, for as long as it may be repeated.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) id: u16,
    pub(crate) at: Instant,
    pub(crate) answer: Answer,
}

/// A confirmable message of ours that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: u16,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sent: u32,
    pub(crate) due: Instant,
    /// The next wait.
    pub(crate) wait: std::time::Duration,
}

/// What is remembered of one address.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its place in the order of silence.
    turn: u64,
    /// It has shown credentials that held.
    pub(crate) is_known: bool,
    /// It has answered something that only it can have seen.
    pub(crate) is_proven: bool,
    /// Requests that are being worked on.
    pub(crate) under_way: usize,
    pub(crate) heard: Instant,
    exchanges: VecDeque<Exchange>,
    pub(crate) outgoing: Vec<Outgoing>,
    next_id: u16,
}

impl Peer {
    fn new(turn: u64, now: Instant) -> Self {
        Self {
            turn,
            is_known: false,
            is_proven: false,
            under_way: 0,
            heard: now,
            exchanges: VecDeque::new(),
            outgoing: Vec::new(),
            // Nobody who does not see our messages should guess their ids.
            next_id: random::u16(),
        }
    }

    /// A message id for a message of ours.
    pub(crate) fn fresh_id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            let id = self.next_id;
            if !self.outgoing.iter().any(|outgoing| outgoing.id == id) {
                return id;
            }
        }
    }

    /// The exchange with this id, if it may still be a repetition.
    pub(crate) fn exchange(&mut self, id: u16, now: Instant) -> Option<&mut Exchange> {
        let found = self.exchanges.iter_mut().rev().find(|exchange| exchange.id == id);
        found.filter(|exchange| now.duration_since(exchange.at) < EXCHANGE_LIFETIME)
    }

    /// Remembers a new exchange; the oldest goes when there are too many.
    pub(crate) fn remember(&mut self, id: u16, now: Instant, most: usize) {
        self.exchanges.retain(|exchange| exchange.id != id);
        while self.exchanges.len() >= most {
            self.exchanges.pop_front();
        }
        self.exchanges.push_back(Exchange { id, at: now, answer: Answer::Pending });
    }

    /// Ends the wait for an acknowledgement; whether there was one.
    pub(crate) fn settle(&mut self, id: u16) -> bool {
        let before = self.outgoing.len();
        self.outgoing.retain(|outgoing| outgoing.id != id);
        self.outgoing.len() < before
    }

    fn forget_old(&mut self, now: Instant) {
        while self.exchanges.front().is_some_and(|oldest| now.duration_since(oldest.at) >= EXCHANGE_LIFETIME)
        {
            self.exchanges.pop_front();
        }
    }

    /// Whether nothing about it has to be remembered.
    fn is_idle(&self) -> bool {
        self.exchanges.is_empty() && self.outgoing.is_empty() && self.under_way == 0
    }
}

/// All peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    // The standard map: its hash has a secret, for keys that others choose.
    by_address: HashMap<SocketAddr, Peer>,
    /// Strangers and known peers by the turn at which they were last heard.
    silence: [BTreeMap<u64, SocketAddr>; 2],
    turn: u64,
}

impl Peers {
    pub(crate) fn get(&self, address: SocketAddr) -> Option<&Peer> {
        self.by_address.get(&address)
    }

    pub(crate) fn get_mut(&mut self, address: SocketAddr) -> Option<&mut Peer> {
        self.by_address.get_mut(&address)
    }

    /// The peer at an address from which something has just come, and whom it has pushed out.
    pub(crate) fn heard(
        &mut self,
        address: SocketAddr,
        now: Instant,
        limits: &Limits,
    ) -> (&mut Peer, Option<SocketAddr>) {
        self.turn += 1;
        let turn = self.turn;
        let mut gone = None;
        if let Some(peer) = self.by_address.get(&address) {
            let (is_known, last) = (peer.is_known, peer.turn);
            let order = self.silence_of(is_known);
            order.remove(&last);
            order.insert(turn, address);
        } else {
            gone = self.make_room(false, limits.strangers);
            self.silence_of(false).insert(turn, address);
        }
        let peer = self.by_address.entry(address).or_insert_with(|| Peer::new(turn, now));
        peer.turn = turn;
        peer.heard = now;
        (peer, gone)
    }

    /// The peer has shown credentials that held. Whom it has pushed out.
    pub(crate) fn make_known(&mut self, address: SocketAddr, limits: &Limits) -> Option<SocketAddr> {
        let turn = self.by_address.get(&address).filter(|peer| !peer.is_known)?.turn;
        let gone = self.make_room(true, limits.peers);
        self.silence_of(false).remove(&turn);
        self.silence_of(true).insert(turn, address);
        if let Some(peer) = self.by_address.get_mut(&address) {
            peer.is_known = true;
        }
        gone
    }

    /// Forgets a peer.
    pub(crate) fn forget(&mut self, address: SocketAddr) {
        if let Some(peer) = self.by_address.remove(&address) {
            self.silence_of(peer.is_known).remove(&peer.turn);
        }
    }

    /// Forgets what is too old to matter; `keep` names the peers that must stay.
    pub(crate) fn sweep(&mut self, now: Instant, keep: impl Fn(SocketAddr) -> bool) {
        let mut idle = Vec::new();
        for (address, peer) in &mut self.by_address {
            peer.forget_old(now);
            if peer.is_idle() && !keep(*address) {
                idle.push(*address);
            }
        }
        for address in idle {
            self.forget(address);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    fn make_room(&mut self, known: bool, most: usize) -> Option<SocketAddr> {
        let order = self.silence_of(known);
        if order.len() < most.max(1) {
            return None;
        }
        let (_, address) = order.pop_first()?;
        self.by_address.remove(&address);
        Some(address)
    }

    fn silence_of(&mut self, known: bool) -> &mut BTreeMap<u64, SocketAddr> {
        let [strangers, peers] = &mut self.silence;
        if known { peers } else { strangers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn limits() -> Limits {
        Limits { strangers: 3, peers: 2, ..Limits::default() }
    }

    #[test]
    fn strangers_push_out_the_most_silent_stranger_and_nobody_who_is_known() {
        let (mut peers, limits, now) = (Peers::default(), limits(), Instant::now());
        peers.heard(at(1), now, &limits);
        assert_eq!(peers.make_known(at(1), &limits), None);
        for port in 2..5 {
            assert_eq!(peers.heard(at(port), now, &limits).1, None);
        }
        peers.heard(at(2), now, &limits);
        assert_eq!(peers.heard(at(5), now, &limits).1, Some(at(3)));
        for port in 100..10_000 {
            peers.heard(at(port), now, &limits);
        }
        assert!(peers.get(at(1)).is_some_and(|peer| peer.is_known));
        assert_eq!(peers.len(), 4);
    }

    #[test]
    fn known_peers_push_out_the_one_that_was_silent_longest() {
        let (mut peers, limits, now) = (Peers::default(), limits(), Instant::now());
        for port in 1..3 {
            peers.heard(at(port), now, &limits);
            peers.make_known(at(port), &limits);
        }
        peers.heard(at(1), now, &limits);
        peers.heard(at(3), now, &limits);
        assert_eq!(peers.make_known(at(3), &limits), Some(at(2)));
        assert!(peers.get(at(1)).is_some() && peers.get(at(2)).is_none());
    }

    #[test]
    fn a_bounded_number_of_ids_is_remembered_for_as_long_as_they_may_be_repeated() {
        let now = Instant::now();
        let mut peer = Peer::new(1, now);
        for id in 0..10 {
            peer.remember(id, now, 4);
        }
        assert!(peer.exchange(5, now).is_none() && peer.exchange(6, now).is_some());
        assert!(peer.exchange(6, now + EXCHANGE_LIFETIME).is_none());
        peer.forget_old(now + EXCHANGE_LIFETIME);
        assert!(peer.is_idle());
    }

    #[test]
    fn who_is_idle_is_forgotten_unless_somebody_needs_it() {
        let (mut peers, limits, now) = (Peers::default(), limits(), Instant::now());
        peers.heard(at(1), now, &limits);
        peers.heard(at(2), now, &limits);
        peers.sweep(now, |address| address == at(2));
        assert!(peers.get(at(1)).is_none() && peers.get(at(2)).is_some());
        peers.sweep(now, |_| false);
        assert_eq!((peers.len(), peers.silence[0].len()), (0, 0));
    }
}
