//! What the endpoint counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers since the start of the node; all but the gauges only grow.
#[derive(Debug, Default)]
pub struct Stats {
    /// Gauge: addresses about which something is remembered.
    pub peers: AtomicU64,
    /// Gauge: observations.
    pub observations: AtomicU64,
    /// Gauge: DTLS connections whose handshake is complete.
    pub dtls_connections: AtomicU64,
    /// Datagrams received.
    pub datagrams: AtomicU64,
    /// Datagrams that are no messages.
    pub malformed: AtomicU64,
    /// Requests that came again.
    pub repeated: AtomicU64,
    /// Requests that were not worked on because too many were.
    pub overloaded: AtomicU64,
    /// Messages of ours that were sent again.
    pub retransmitted: AtomicU64,
    /// Messages of ours that nobody has acknowledged.
    pub lost: AtomicU64,
    /// Messages that were accepted from publishers.
    pub published: AtomicU64,
    /// Messages to observers.
    pub notified: AtomicU64,
    /// Messages that an observer had no room for.
    pub dropped: AtomicU64,
    /// Requests that were refused, by their class: 4.xx and 5.xx.
    pub refused: [AtomicU64; 2],
    /// DTLS handshakes that did not succeed.
    pub dtls_failures: AtomicU64,
}

impl Stats {
    /// Publishes every number through the `metrics` facade; called before metrics are rendered.
    pub fn export(&self) {
        for (name, value) in [
            ("coap_peers", &self.peers),
            ("coap_observations", &self.observations),
            ("coap_dtls_connections", &self.dtls_connections),
        ] {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float, and 2^53 of anything suffices"
            )]
            metrics::gauge!(name).set(value.load(Relaxed) as f64);
        }
        for (name, value) in [
            ("coap_datagrams_total", &self.datagrams),
            ("coap_malformed_total", &self.malformed),
            ("coap_repeated_total", &self.repeated),
            ("coap_overloaded_total", &self.overloaded),
            ("coap_retransmitted_total", &self.retransmitted),
            ("coap_lost_total", &self.lost),
            ("coap_published_total", &self.published),
            ("coap_notified_total", &self.notified),
            ("coap_dropped_total", &self.dropped),
            ("coap_dtls_failures_total", &self.dtls_failures),
        ] {
            metrics::counter!(name).absolute(value.load(Relaxed));
        }
        for (class, value) in ["4", "5"].into_iter().zip(&self.refused) {
            metrics::counter!("coap_refused_total", "class" => class).absolute(value.load(Relaxed));
        }
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
