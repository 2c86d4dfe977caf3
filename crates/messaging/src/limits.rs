//! The bounds of the engine: every queue, table and wait has one.

use std::{
    num::{NonZeroU16, NonZeroU64},
    time::Duration,
};

/// What may be published in a second; `None`: as much as anybody likes. What was not used of the last second may come at
/// once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Messages.
    pub messages: Option<NonZeroU64>,
    /// Bytes of topics and payloads.
    pub bytes: Option<NonZeroU64>,
}

/// Bounds, with defaults that suit one node of a few gigabytes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest MQTT packet that is accepted, in bytes; sent as Maximum Packet Size. 1 MiB, as the reference's
    /// brokers have it (reference 05 §9.1).
    pub packet_bytes: u32,
    /// Largest CONNECT that is accepted, its will included, in bytes: nobody knows yet who sends it. 64 KiB.
    pub connect_bytes: u32,
    /// Longest keep alive, in seconds; a longer one, or none, is replaced by it in MQTT 5 (Server Keep Alive).
    /// MQTT 3 cannot be told, so there only `0` is respected. 65,535 = leave the client its choice.
    pub keep_alive: u16,
    /// Open connections; more are closed as they are accepted. 100,000.
    pub connections: usize,
    /// Connections that have not got their CONNACK yet; more are closed as they are accepted. 10,000.
    pub handshakes: usize,
    /// The same for one address, or one network of 64 bits in IPv6, so that it leaves room for others. 1,000.
    pub handshakes_per_address: usize,
    /// Time from accepting a connection to its CONNECT, and for the gate's answer. 10 s.
    pub handshake: Duration,
    /// Time for one answer of the gate while connected. 5 s.
    pub gate: Duration,
    /// Longest topic or topic filter, in bytes. 1 KiB.
    pub topic_bytes: usize,
    /// Subscriptions of one session, and filters of one SUBSCRIBE. 1,000.
    pub subscriptions: usize,
    /// Unfinished QoS 2 messages that a client may have on their way to the server; sent as Receive Maximum. 1,024.
    pub receive_maximum: NonZeroU16,
    /// QoS 1 and 2 messages on their way to one client; its own Receive Maximum may be smaller. 1,024.
    pub inflight: u16,
    /// Bytes in the output buffer of one connection: above it QoS 0 messages are dropped and QoS 1 and 2 wait in
    /// the queue. 1 MiB.
    pub output_bytes: usize,
    /// QoS 1 and 2 messages that wait for one session; above it its publishers wait, and a session without a
    /// connection ends with the next one. 10,000 (reference 05 §9.1).
    pub queue_messages: usize,
    /// Bytes that wait for one session, with the same consequences. 4 MiB.
    pub queue_bytes: usize,
    /// QoS 1 and 2 messages that are stored for one session whose client is away, if there is a database; with more
    /// the session ends. 100,000.
    pub stored_messages: usize,
    /// Bytes that are stored for one session whose client is away, with the same consequence. 64 MiB.
    pub stored_bytes: usize,
    /// How long publishers wait for a subscriber that takes nothing before its connection is closed; without a keep
    /// alive also how long a socket may take nothing of what waits for it. 10 s.
    pub slow_subscriber: Duration,
    /// Bytes of one publisher that are read ahead while it waits for a subscriber, so that its acknowledgements
    /// are still seen. 256 KiB.
    pub held_bytes: usize,
    /// Retained messages of the node. 100,000.
    pub retained_messages: usize,
    /// Bytes of the retained messages of the node. 256 MiB.
    pub retained_bytes: usize,
    /// Sessions of the node, connected or not. 200,000.
    pub sessions: usize,
    /// Sessions of one client or user, connected or not; readers that do not speak MQTT have none of these. 100.
    pub sessions_per_identity: usize,
    /// Longest life of a session without a connection, in seconds; MQTT 3 sessions that are not clean get it.
    /// 24 h (reference 05 §4.2).
    pub session_expiry: u32,
    /// Topic aliases that a client may set. 64.
    pub topic_aliases: u16,
    /// Topics that one connection remembers with their decision and their subscribers. 256.
    pub topic_cache: usize,
    /// What one connection may publish; for HTTP and CoAP what one client or user may. No limit.
    pub rate: Rate,
    /// What all publishers of one domain may together. No limit.
    pub domain_rate: Rate,
    /// How long a publisher of QoS 1 or 2 that is over a rate is made to wait; MQTT 5 is told (0x97) where it would be
    /// longer. MQTT 3 has no words for it and waits. 5 s.
    pub rate_patience: Duration,
    /// How often figures of the node are told to those who read them. 10 s (reference 05 §4.2).
    pub figures: Duration,
    /// Time for connections to take their last bytes at shutdown. 5 s.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes: 1 << 20,
            connect_bytes: 64 << 10,
            keep_alive: u16::MAX,
            connections: 100_000,
            handshakes: 10_000,
            handshakes_per_address: 1_000,
            handshake: Duration::from_secs(10),
            gate: Duration::from_secs(5),
            topic_bytes: 1 << 10,
            subscriptions: 1_000,
            receive_maximum: NonZeroU16::MIN.saturating_add(1_023),
            inflight: 1_024,
            output_bytes: 1 << 20,
            queue_messages: 10_000,
            queue_bytes: 4 << 20,
            stored_messages: 100_000,
            stored_bytes: 64 << 20,
            slow_subscriber: Duration::from_secs(10),
            held_bytes: 256 << 10,
            retained_messages: 100_000,
            retained_bytes: 256 << 20,
            sessions: 200_000,
            sessions_per_identity: 100,
            session_expiry: 24 * 3_600,
            topic_aliases: 64,
            topic_cache: 256,
            rate: Rate::default(),
            domain_rate: Rate::default(),
            rate_patience: Duration::from_secs(5),
            figures: Duration::from_secs(10),
            shutdown: Duration::from_secs(5),
        }
    }
}
