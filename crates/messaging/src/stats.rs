//! What the engine counts.
//!
//! A connection counts its messages in a `Tally` of its own and adds it to the shared [`Stats`] once per batch.
//! Nothing looks up a metric by name while a message is under way: [`Stats::export`] publishes all of them at once.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::time::Duration;

use crate::protocol::Protocol;
use crate::wire::QoS;

/// What one protocol carries.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Gauge: open connections.
    pub connections: AtomicU64,
    /// Messages from publishers, by QoS.
    pub received: [AtomicU64; 3],
    /// Payload bytes from publishers.
    pub received_bytes: AtomicU64,
    /// Messages to subscribers, by QoS.
    pub delivered: [AtomicU64; 3],
    /// Payload bytes to subscribers.
    pub delivered_bytes: AtomicU64,
    /// How long messages took, of a sample; see `engine/output/sample.rs`.
    delays: OnceLock<metrics::Histogram>,
}

impl Traffic {
    /// A message of the sample has been written to its subscriber so long after it was accepted.
    pub(crate) fn took(&self, protocol: Protocol, elapsed: Duration) {
        let delays = self
            .delays
            .get_or_init(|| metrics::histogram!("messaging_delivery_seconds", "protocol" => protocol.name()));
        delays.record(elapsed.as_secs_f64());
    }

    fn deliver(&self, qos: QoS, bytes: usize) {
        if let Some(counter) = self.delivered.get(usize::from(qos.bits())) {
            count(counter);
        }
        self.delivered_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// Numbers since the start of the node; all but the gauges only grow.
#[derive(Debug, Default)]
pub struct Stats {
    /// What MQTT carries.
    pub mqtt: Traffic,
    /// What requests of HTTP carry.
    pub http: Traffic,
    /// What raw WebSockets carry.
    pub websocket: Traffic,
    /// What server-sent events carry.
    pub events: Traffic,
    /// What CoAP carries.
    pub coap: Traffic,
    /// Gauge: sessions, connected or not.
    pub sessions: AtomicU64,
    /// Gauge: sessions that are stored.
    pub stored_sessions: AtomicU64,
    /// Batches and changes that the database did not take.
    pub store_failures: AtomicU64,
    /// Gauge: subscriptions.
    pub subscriptions: AtomicU64,
    /// Gauge: retained messages.
    pub retained_messages: AtomicU64,
    /// Gauge: bytes of retained messages.
    pub retained_bytes: AtomicU64,
    /// Connections accepted by a listener.
    pub accepted: AtomicU64,
    /// Connections closed at once, because [`Limits::connections`](crate::Limits::connections) were open or
    /// [`Limits::handshakes`](crate::Limits::handshakes) were under way.
    pub refused: AtomicU64,
    /// Handshakes of TLS that failed.
    pub tls_failures: AtomicU64,
    /// CONNECTs answered with a failure.
    pub connect_failures: AtomicU64,
    /// QoS 0 messages dropped because a subscriber's output buffer was full.
    pub dropped_slow: AtomicU64,
    /// Messages dropped because they expired before they were delivered.
    pub dropped_expired: AtomicU64,
    /// Messages dropped because they were larger than a subscriber accepts.
    pub dropped_large: AtomicU64,
    /// QoS 0 messages dropped because their publisher or its domain was over a rate.
    pub dropped_rate: AtomicU64,
    /// QoS 1 and 2 messages refused for the same reason.
    pub refused_rate: AtomicU64,
    /// Times that a publisher was made to wait because it or its domain was over a rate.
    pub slowed: AtomicU64,
    /// Messages refused because the publisher may not publish there.
    pub denied: AtomicU64,
    /// Sessions without a connection that ended because more waited for them than they may keep.
    pub sessions_overflowed: AtomicU64,
    /// Retained messages not kept because the store was full.
    pub refused_retained: AtomicU64,
    /// Times that a publisher was made to wait for a subscriber.
    pub stalls: AtomicU64,
    /// Connections closed because the subscriber took nothing while publishers waited, or its socket nothing at all.
    pub slow_closed: AtomicU64,
    /// Connections closed because the peer broke a rule of the protocol.
    pub violations: AtomicU64,
    /// Gauge: 1 while the file of the topic map says something else than what is in force, because it is broken.
    pub topic_map_outdated: AtomicU64,
    /// Subscriptions ended because the right to them was revoked.
    pub subscriptions_revoked: AtomicU64,
}

impl Stats {
    /// What a protocol carries.
    pub const fn of(&self, protocol: Protocol) -> &Traffic {
        match protocol {
            Protocol::Mqtt => &self.mqtt,
            Protocol::Http => &self.http,
            Protocol::WebSocket => &self.websocket,
            Protocol::Events => &self.events,
            Protocol::Coap => &self.coap,
        }
    }

    /// Publishes every number through the `metrics` facade; called before metrics are rendered.
    pub fn export(&self) {
        let gauge = |name: &'static str, value: &AtomicU64| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float, and 2^53 of anything suffices"
            )]
            metrics::gauge!(name).set(value.load(Relaxed) as f64);
        };
        gauge("messaging_sessions", &self.sessions);
        gauge("messaging_stored_sessions", &self.stored_sessions);
        gauge("messaging_subscriptions", &self.subscriptions);
        gauge("messaging_retained_messages", &self.retained_messages);
        gauge("messaging_retained_bytes", &self.retained_bytes);
        gauge("messaging_topic_map_outdated", &self.topic_map_outdated);

        let counter = |name: &'static str, value: &AtomicU64| {
            metrics::counter!(name).absolute(value.load(Relaxed));
        };
        counter("messaging_accepted_total", &self.accepted);
        counter("messaging_refused_total", &self.refused);
        counter("messaging_tls_failures_total", &self.tls_failures);
        counter("messaging_store_failures_total", &self.store_failures);
        counter("messaging_connect_failures_total", &self.connect_failures);
        counter("messaging_stalls_total", &self.stalls);
        counter("messaging_slowed_total", &self.slowed);
        counter("messaging_slow_closed_total", &self.slow_closed);
        counter("messaging_sessions_overflowed_total", &self.sessions_overflowed);
        counter("messaging_violations_total", &self.violations);
        counter("messaging_subscriptions_revoked_total", &self.subscriptions_revoked);
        for protocol in Protocol::ALL {
            self.of(protocol).export(protocol.name());
        }
        for (cause, value) in [
            ("slow_subscriber", &self.dropped_slow),
            ("expired", &self.dropped_expired),
            ("too_large", &self.dropped_large),
            ("rate", &self.dropped_rate),
            ("rate_refused", &self.refused_rate),
            ("denied", &self.denied),
            ("retained_full", &self.refused_retained),
        ] {
            metrics::counter!("messaging_dropped_total", "cause" => cause).absolute(value.load(Relaxed));
        }
    }
}

impl Traffic {
    fn export(&self, protocol: &'static str) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and 2^53 of anything suffices")]
        metrics::gauge!("messaging_connections", "protocol" => protocol)
            .set(self.connections.load(Relaxed) as f64);
        for (qos, (received, delivered)) in
            ["0", "1", "2"].into_iter().zip(self.received.iter().zip(&self.delivered))
        {
            metrics::counter!("messaging_received_total", "protocol" => protocol, "qos" => qos)
                .absolute(received.load(Relaxed));
            metrics::counter!("messaging_delivered_total", "protocol" => protocol, "qos" => qos)
                .absolute(delivered.load(Relaxed));
        }
        metrics::counter!("messaging_received_bytes_total", "protocol" => protocol)
            .absolute(self.received_bytes.load(Relaxed));
        metrics::counter!("messaging_delivered_bytes_total", "protocol" => protocol)
            .absolute(self.delivered_bytes.load(Relaxed));
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Messages counted by one batch: what its publisher brought, and what subscribers over MQTT got of it. What others get
/// is counted at once: they are few.
#[derive(Debug)]
pub(crate) struct Tally {
    /// How the publisher is connected.
    from: Protocol,
    received: [u64; 3],
    received_bytes: u64,
    delivered: [u64; 3],
    delivered_bytes: u64,
}

impl Tally {
    pub(crate) const fn from(from: Protocol) -> Self {
        Self { from, received: [0; 3], received_bytes: 0, delivered: [0; 3], delivered_bytes: 0 }
    }

    /// For what had been received before.
    pub(crate) const fn of_deliveries() -> Self {
        Self::from(Protocol::Mqtt)
    }

    /// Adds everything to the shared numbers and starts again from zero.
    pub(crate) fn settle(&mut self, stats: &Stats) {
        let add = |counter: &AtomicU64, by: u64| {
            if by > 0 {
                counter.fetch_add(by, Relaxed);
            }
        };
        let from = stats.of(self.from);
        for (counter, by) in from.received.iter().zip(self.received) {
            add(counter, by);
        }
        for (counter, by) in stats.mqtt.delivered.iter().zip(self.delivered) {
            add(counter, by);
        }
        add(&from.received_bytes, self.received_bytes);
        add(&stats.mqtt.delivered_bytes, self.delivered_bytes);
        *self = Self::from(self.from);
    }

    pub(crate) fn receive(&mut self, qos: QoS, bytes: usize) {
        if let Some(counter) = self.received.get_mut(usize::from(qos.bits())) {
            *counter += 1;
        }
        self.received_bytes += bytes as u64;
    }

    pub(crate) fn deliver(&mut self, stats: &Stats, to: Protocol, qos: QoS, bytes: usize) {
        if to != Protocol::Mqtt {
            return stats.of(to).deliver(qos, bytes);
        }
        if let Some(counter) = self.delivered.get_mut(usize::from(qos.bits())) {
            *counter += 1;
        }
        self.delivered_bytes += bytes as u64;
    }
}
