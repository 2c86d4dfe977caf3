//! How much waits, gathered from the sessions when somebody asks: counting along would cost every message.

use super::Engine;

/// What waits for one session, or for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// QoS 1 and 2 messages in memory that have not been sent, and what they count.
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// The same in the tables.
    pub(crate) stored_messages: usize,
    pub(crate) stored_bytes: usize,
    /// Messages that have been sent and not acknowledged.
    pub(crate) inflight: usize,
    /// Bytes that the socket has not taken.
    pub(crate) output_bytes: usize,
}

impl Engine {
    /// Publishes every number through the `metrics` facade; called before metrics are rendered.
    pub fn export(&self) {
        self.stats().export();
        let (mut all, mut longest, mut full) = (Depth::default(), 0, 0);
        for session in self.0.registry.all() {
            let depth = session.state.lock().depth();
            longest = longest.max(depth.messages + depth.stored_messages);
            full += usize::from(session.is_full());
            all = all + depth;
        }
        let gauge = |name: &'static str, value: usize| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float, and 2^53 of anything suffices"
            )]
            metrics::gauge!(name).set(value as f64);
        };
        gauge("messaging_queued_messages", all.messages);
        gauge("messaging_queued_bytes", all.bytes);
        gauge("messaging_stored_messages", all.stored_messages);
        gauge("messaging_stored_bytes", all.stored_bytes);
        gauge("messaging_longest_queue_messages", longest);
        gauge("messaging_full_queues", full);
        gauge("messaging_inflight_messages", all.inflight);
        gauge("messaging_output_bytes", all.output_bytes);
    }
}

impl std::ops::Add for Depth {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            stored_messages: self.stored_messages + other.stored_messages,
            stored_bytes: self.stored_bytes + other.stored_bytes,
            inflight: self.inflight + other.inflight,
            output_bytes: self.output_bytes + other.output_bytes,
        }
    }
}
