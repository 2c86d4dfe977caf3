//! Messages between two nodes, in order and each once, over datagrams that may be lost, repeated or overtaken.
//!
//! A link does no I/O and has no clock: whoever drives it says what time it is. It goes back to the first lost fragment
//! and sends from there again, because the networks that it is made for lose much at once or nothing.
//!
//! The other side says two things: what it has received, so that it is not sent again, and what it has processed, so that
//! it need not be kept. What is kept has a bound, and so a slow node slows down those that send to it.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    datagram::{Body, Datagram},
    receiving::Receiving,
    sending::Sending,
};

/// What a link may hold. Both sides must have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one message.
    pub message: usize,
    /// Bytes of one fragment, at least 1.
    pub fragment: usize,
    /// Bytes that wait until the other side has processed them; with so many a link has no room. The last message may go beyond.
    pub waiting: usize,
}

impl Default for Bounds {
    /// 512 KiB a fragment, for a NATS takes a mebibyte.
    fn default() -> Self {
        Self { message: 16 << 20, fragment: 512 << 10, waiting: 8 << 20 }
    }
}

impl Bounds {
    /// The most that one side can have sent before the other has processed it.
    pub(crate) fn held(&self) -> usize {
        let records = (self.message / self.fragment.max(1) + 1) * 64;
        self.waiting + self.message + records
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing of this length is ever taken.
    #[error("the message is longer than what nodes send to each other")]
    TooLong,
    /// There will be room when the other side has processed some.
    #[error("the other node has not processed what it was sent")]
    Full,
}

/// A datagram that no link sends, or that lies about what this one has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a datagram that is none of a node")]
pub struct Malformed;

/// One end of the way between two nodes.
#[derive(Debug)]
pub struct Link {
    bounds: Bounds,
    sending: Sending,
    receiving: Receiving,
}

impl Link {
    /// A link over which nothing has gone.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let bounds = Bounds { fragment: bounds.fragment.max(1), ..bounds };
        Self { bounds, sending: Sending::new(bounds), receiving: Receiving::new(bounds) }
    }

    /// Takes a message and returns its number; numbers grow.
    ///
    /// # Errors
    ///
    /// `TooLong` and `Full` by the [`Bounds`].
    pub fn send(&mut self, message: Bytes) -> Result<u64, Refused> {
        if message.len() > self.bounds.message {
            return Err(Refused::TooLong);
        }
        if !self.has_room() {
            return Err(Refused::Full);
        }
        Ok(self.sending.push(message))
    }

    /// Whether a message would be taken now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sending.has_room()
    }

    /// Takes what has arrived. `now` is the time since any fixed instant.
    ///
    /// # Errors
    ///
    /// The datagram has changed nothing but, perhaps, what the other side is known to have received.
    pub fn arrived(&mut self, now: Duration, datagram: Bytes) -> Result<(), Malformed> {
        let datagram = Datagram::decode(datagram).ok_or(Malformed)?;
        if !self.sending.heard(now, datagram.received, datagram.processed) {
            return Err(Malformed);
        }
        match datagram.body {
            Body::Fragment(fragment) => return self.receiving.take(fragment).then_some(()).ok_or(Malformed),
            Body::Question => self.receiving.asked(),
            Body::Nothing => {}
        }
        Ok(())
    }

    /// The next datagram to send; to be asked until there is none.
    pub fn departs(&mut self, now: Duration) -> Option<Bytes> {
        let body = match self.sending.next(now) {
            Some(fragment) => Body::Fragment(fragment),
            None if self.sending.asks() => Body::Question,
            None if self.receiving.owes() => Body::Nothing,
            None => return None,
        };
        let (received, processed) = self.receiving.tell();
        Some(Datagram { received, processed, body }.encode())
    }

    /// The next message of the other side, with its number for [`Link::done`].
    pub fn take(&mut self) -> Option<(u64, Bytes)> {
        self.receiving.next()
    }

    /// Whether [`Link::take`] has one.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.receiving.has_ready()
    }

    /// The message with this number is processed. The other side hears of it when all before it are, too.
    pub fn done(&mut self, number: u64) {
        self.receiving.done(number);
    }

    /// The other side has processed all messages up to this number.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.sending.processed()
    }

    /// When [`Link::tick`] wants to be called, unless something arrives before.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.sending.due()
    }

    /// Lets time pass; [`Link::departs`] may have more afterwards.
    pub fn tick(&mut self, now: Duration) {
        self.sending.tick(now);
    }

    /// Bytes that wait here to be processed there, and that wait to be processed here, with what is counted for records.
    #[must_use]
    pub fn bytes(&self) -> (usize, usize) {
        (self.sending.bytes(), self.receiving.bytes())
    }
}
