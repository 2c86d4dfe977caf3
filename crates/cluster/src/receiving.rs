//! The half of a link that receives.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{datagram::Fragment, link::Bounds, sending::cost};

#[derive(Debug)]
pub(crate) struct Receiving {
    bounds: Bounds,
    received: u64,
    processed: u64,
    /// The beginning of a message, and its cost.
    begun: BytesMut,
    begun_cost: usize,
    ready: VecDeque<(u64, Bytes)>,
    /// Whole messages that are not processed, those that are ready included.
    held: VecDeque<Held>,
    /// The cost of all that is held or begun.
    bytes: usize,
    /// The other side waits to hear how far this one is.
    owes: bool,
}

#[derive(Debug)]
struct Held {
    number: u64,
    cost: usize,
    done: bool,
}

impl Receiving {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            received: 0,
            processed: 0,
            begun: BytesMut::new(),
            begun_cost: 0,
            ready: VecDeque::new(),
            held: VecDeque::new(),
            bytes: 0,
            owes: false,
        }
    }

    /// Takes the fragment if it is the next one. False if a node that keeps its bounds would not have sent it.
    pub(crate) fn take(&mut self, fragment: Fragment) -> bool {
        self.owes = true;
        if fragment.number != self.received + 1 {
            return true;
        }
        let (number, cost) = (fragment.number, cost(&fragment.payload));
        let too_long = self.begun.len() + fragment.payload.len() > self.bounds.message;
        if too_long || self.bytes + cost > self.bounds.held() {
            return false;
        }
        self.received = number;
        self.bytes += cost;
        self.begun_cost += cost;
        if !fragment.last {
            self.begun.extend_from_slice(&fragment.payload);
            return true;
        }
        let message = if self.begun.is_empty() {
            fragment.payload
        } else {
            self.begun.extend_from_slice(&fragment.payload);
            std::mem::take(&mut self.begun).freeze()
        };
        let cost = std::mem::take(&mut self.begun_cost);
        self.held.push_back(Held { number, cost, done: false });
        self.ready.push_back((number, message));
        true
    }

    pub(crate) fn next(&mut self) -> Option<(u64, Bytes)> {
        self.ready.pop_front()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What was processed out of turn counts when all before it is.
    pub(crate) fn done(&mut self, number: u64) {
        if let Ok(index) = self.held.binary_search_by_key(&number, |held| held.number)
            && let Some(held) = self.held.get_mut(index)
        {
            held.done = true;
        }
        while let Some(held) = self.held.pop_front_if(|held| held.done) {
            self.processed = held.number;
            self.bytes -= held.cost;
            self.owes = true;
        }
    }

    /// Up to which fragment was received and processed, for the datagram that is about to go out.
    pub(crate) fn tell(&mut self) -> (u64, u64) {
        self.owes = false;
        (self.received, self.processed)
    }

    /// The other side asks how far this one is.
    pub(crate) fn asked(&mut self) {
        self.owes = true;
    }

    pub(crate) fn owes(&self) -> bool {
        self.owes
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
