//! The half of a link that sends.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{datagram::Fragment, link::Bounds};

/// How long the other side may take to say that it has received something, before it is sent again.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same after many attempts: a network that is cut is tried once a second.
const MOST_PATIENCE: Duration = Duration::from_secs(1);
/// Fragments that may be under way. After a loss it is one, and doubles with each sign that they arrive again.
const WINDOW: u64 = 64;

#[derive(Debug)]
pub(crate) struct Sending {
    bounds: Bounds,
    /// What the other side has not processed. The first has the number `processed + 1`.
    waiting: VecDeque<Fragment>,
    /// Their cost.
    bytes: usize,
    processed: u64,
    received: u64,
    /// The last fragment that is under way, and the last that ever was.
    sent: u64,
    ever_sent: u64,
    window: u64,
    patience: Duration,
    again_at: Option<Duration>,
    /// The other side is to be asked how far it is.
    asks: bool,
}

impl Sending {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: VecDeque::new(),
            bytes: 0,
            processed: 0,
            received: 0,
            sent: 0,
            ever_sent: 0,
            window: WINDOW,
            patience: PATIENCE,
            again_at: None,
            asks: false,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes < self.bounds.waiting
    }

    /// The number of the message's last fragment. The caller has seen that there is room.
    pub(crate) fn push(&mut self, mut message: Bytes) -> u64 {
        loop {
            let payload = message.split_to(message.len().min(self.bounds.fragment));
            let number = self.processed + self.waiting.len() as u64 + 1;
            self.bytes += cost(&payload);
            let last = message.is_empty();
            self.waiting.push_back(Fragment { number, last, payload });
            if last {
                return number;
            }
        }
    }

    /// The next fragment to send, if one may be sent.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Fragment> {
        if self.sent >= self.received + self.window {
            return None;
        }
        let index = usize::try_from(self.sent - self.processed).ok()?;
        let fragment = self.waiting.get(index)?.clone();
        self.sent = fragment.number;
        self.ever_sent = self.ever_sent.max(self.sent);
        let again_at = now + self.patience;
        self.again_at = Some(self.again_at.map_or(again_at, |at| at.min(again_at)));
        Some(fragment)
    }

    /// The other side says how far it is. False if it claims what was never sent.
    pub(crate) fn heard(&mut self, now: Duration, received: u64, processed: u64) -> bool {
        if received > self.ever_sent || processed > received {
            return false;
        }
        let progress = received > self.received || processed > self.processed;
        if received > self.received {
            self.received = received;
            self.sent = self.sent.max(received);
            self.window = (self.window * 2).min(WINDOW);
            self.patience = PATIENCE;
        }
        while self.processed < processed {
            let Some(fragment) = self.waiting.pop_front() else { break };
            self.bytes -= cost(&fragment.payload);
            self.processed = fragment.number;
        }
        if progress {
            self.again_at = if self.sent > self.received {
                Some(now + PATIENCE)
            } else {
                // That all is processed is said once, and may be lost.
                (self.received > self.processed).then(|| now + MOST_PATIENCE)
            };
        }
        true
    }

    /// When [`Sending::tick`] has something to do.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.again_at
    }

    /// Goes back to what was not received, if that took too long; asks about what was received long ago.
    pub(crate) fn tick(&mut self, now: Duration) {
        if self.again_at.is_none_or(|at| at > now) {
            return;
        }
        if self.sent == self.received {
            self.asks = true;
            self.again_at = Some(now + MOST_PATIENCE);
            return;
        }
        self.again_at = None;
        self.sent = self.received;
        self.window = 1;
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
    }

    /// Whether there is a question to send, which is thereby sent.
    pub(crate) fn asks(&mut self) -> bool {
        std::mem::take(&mut self.asks)
    }

    pub(crate) fn processed(&self) -> u64 {
        self.processed
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes that a fragment counts while it waits: its own, and the records around it.
pub(crate) fn cost(payload: &Bytes) -> usize {
    const RECORDS: usize = 64;
    payload.len() + RECORDS
}
