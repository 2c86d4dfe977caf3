//! The bounds of the message plane, as the operator has set them.

use messaging::{Limits, Rate};

use crate::config::Settings;

/// What is not a setting keeps its default.
pub(crate) fn coap_limits(settings: &Settings) -> coap::Limits {
    let Settings { coap, messaging, .. } = settings;
    coap::Limits {
        message_bytes: messaging.max_packet.0,
        peers: coap.max_peers.0,
        observations: coap.max_observations.0,
        observations_per_peer: coap.max_observations_per_peer.0,
        notifications: coap.max_waiting.0,
        connections: coap.max_dtls_connections.0,
        idle: coap.dtls_idle_timeout,
        ..coap::Limits::default()
    }
}

/// What is not a setting keeps its default.
pub(crate) fn limits(settings: &Settings) -> Limits {
    let messaging = &settings.messaging;
    Limits {
        packet_bytes: u32::try_from(messaging.max_packet.0).unwrap_or(u32::MAX),
        connections: messaging.max_connections.0,
        handshake: messaging.handshake_timeout,
        keep_alive: u16::try_from(messaging.max_keep_alive.as_secs()).unwrap_or(u16::MAX),
        subscriptions: messaging.max_subscriptions.0,
        queue_messages: messaging.queue_messages.0,
        queue_bytes: messaging.queue_bytes.0,
        stored_messages: messaging.stored_messages.0,
        stored_bytes: messaging.stored_bytes.0,
        slow_subscriber: messaging.slow_subscriber_timeout,
        session_expiry: u32::try_from(messaging.max_session_expiry.as_secs()).unwrap_or(u32::MAX),
        sessions: messaging.max_sessions.0,
        sessions_per_identity: messaging.max_sessions_per_identity.0,
        topic_bytes: messaging.max_topic.0,
        handshakes: messaging.max_handshakes.0,
        handshakes_per_address: messaging.max_handshakes_per_address.0,
        retained_messages: messaging.retained_messages.0,
        retained_bytes: messaging.retained_bytes.0,
        rate: Rate { messages: messaging.max_messages_per_second.0, bytes: messaging.max_bytes_per_second.0 },
        domain_rate: Rate {
            messages: messaging.max_domain_messages_per_second.0,
            bytes: messaging.max_domain_bytes_per_second.0,
        },
        shutdown: settings.node.shutdown_grace,
        ..Limits::default()
    }
}
