//! How long messages are on their way, from their publisher's packet to the subscriber's socket.
//!
//! A clock that is read for every message would cost more than many a delivery. So a connection looks at the first of its
//! turns of writing and at every [`EVERY`]th from there, and in a turn at one message.

use tokio::time::Instant;

/// Turns of a connection for one that is looked at.
const EVERY: u8 = 32;

/// The message of a connection that is looked at.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// Turns since the last one.
    turns: u8,
    /// When a message was accepted that waits in the buffer.
    waiting: Option<Instant>,
    /// When a message was accepted that is being written.
    leaving: Option<Instant>,
}

impl Sample {
    /// A turn begins with a message that was accepted at this moment.
    pub(super) fn carries(&mut self, accepted: Instant) {
        if self.turns == 0 && self.waiting.is_none() && self.leaving.is_none() {
            self.waiting = Some(accepted);
        }
        self.turns = (self.turns + 1) % EVERY;
    }

    /// The buffer is being written.
    pub(super) fn taken(&mut self) {
        if self.leaving.is_none() {
            self.leaving = self.waiting.take();
        }
    }

    /// The buffer has been written.
    pub(super) fn left(&mut self) -> Option<Instant> {
        self.leaving.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_turn_of_many_is_looked_at_and_only_when_its_own_bytes_have_left() {
        let mut sample = Sample::default();
        let begin = Instant::now();
        let moment = |turn: u64| begin + Duration::from_secs(turn);
        sample.carries(moment(0));
        assert_eq!(sample.left(), None, "nothing has been taken");
        sample.taken();
        assert_eq!(sample.left(), Some(moment(0)));
        for turn in 1..u64::from(EVERY) {
            sample.carries(moment(turn));
            sample.taken();
            assert_eq!(sample.left(), None, "turn {turn}");
        }
        sample.carries(moment(32));
        sample.taken();
        for turn in 33..70 {
            sample.carries(moment(turn));
        }
        sample.taken();
        assert_eq!(sample.left(), Some(moment(32)), "half of it was written, the rest came later");
    }
}
