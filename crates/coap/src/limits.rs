//! Bounds of the endpoint, and the times of the protocol.

use std::time::Duration;

/// How much the endpoint keeps and does at a time. Anything that others can make grow has its bound here.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest body of a message, whole or in blocks, in bytes. 1 MiB.
    pub message_bytes: usize,
    /// Peers that have shown credentials that held; the one that was silent longest goes. 20,000.
    pub peers: usize,
    /// Peers that have not: these push out each other and nobody else. 4,096.
    pub strangers: usize,
    /// Message ids of one peer that are remembered with their answer. 32.
    pub exchanges: usize,
    /// Requests under way from peers of the first kind, and of the second. 1,024 and 256.
    pub requests: usize,
    /// See [`Limits::requests`].
    pub stranger_requests: usize,
    /// Requests under way from one peer. 16.
    pub requests_per_peer: usize,
    /// Bodies that one peer is sending in blocks. 2.
    pub uploads_per_peer: usize,
    /// Bytes of bodies that all peers are sending or fetching in blocks. 64 MiB.
    pub block_bytes: usize,
    /// Observations of the node. 50,000.
    pub observations: usize,
    /// Observations of one peer. 64.
    pub observations_per_peer: usize,
    /// Messages that wait for one observer; above it the oldest is dropped. 128.
    pub notifications: usize,
    /// Bytes that wait for one observer, with the same consequence. 1 MiB.
    pub notification_bytes: usize,
    /// DTLS connections, their handshakes included. 10,000.
    pub connections: usize,
    /// DTLS handshakes under way. 1,000.
    pub handshakes: usize,
    /// DTLS handshakes under way from one address. 32.
    pub handshakes_per_address: usize,
    /// How long a DTLS connection that observes nothing may be silent. 10 min.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            peers: 20_000,
            strangers: 4_096,
            exchanges: 32,
            requests: 1_024,
            stranger_requests: 256,
            requests_per_peer: 16,
            uploads_per_peer: 2,
            block_bytes: 64 << 20,
            observations: 50_000,
            observations_per_peer: 64,
            notifications: 128,
            notification_bytes: 1 << 20,
            connections: 10_000,
            handshakes: 1_000,
            handshakes_per_address: 32,
            idle: Duration::from_secs(600),
        }
    }
}

/// Largest datagram that is read; a larger one is cut and then not understood. Path MTU of Ethernet.
pub(crate) const DATAGRAM: usize = 1_500;
/// First wait for an acknowledgement; each peer's is up to half longer (RFC 7252 §4.8).
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// Repetitions of a message that is not acknowledged.
pub(crate) const MAX_RETRANSMIT: u32 = 4;
/// A request that takes longer is acknowledged first and answered later: half of the time after which it would be
/// repeated.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long a message id is not used again (EXCHANGE_LIFETIME).
pub(crate) const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);
/// How long a body in blocks waits for its next block.
pub(crate) const BLOCK_PATIENCE: Duration = Duration::from_secs(30);
/// After how long an observer must show again that it is there.
pub(crate) const CONFIRM_EVERY: Duration = Duration::from_secs(15);
/// After how long without a message an observer is asked whether it is there.
pub(crate) const PING_AFTER: Duration = Duration::from_secs(12 * 3_600);
/// What may be sent to an address that has not shown that it is real, at least, in bytes; else thrice what came from it
/// (RFC 9175 §2.4).
pub(crate) const FREE_BYTES: usize = 136;
/// See [`FREE_BYTES`].
pub(crate) const AMPLIFICATION: usize = 3;
