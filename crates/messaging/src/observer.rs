//! What happens in the engine, told to whoever must know: the event streams of reference 05 §11 and the consumers of
//! messages (writers, rules) that come later.
//!
//! The engine calls an [`Observer`] from the task of the connection, between messages: it must return at once. An
//! observer that has work to do puts the event into a bounded queue of its own.

use bytes::Bytes;
use kernel::{ChannelId, DomainId, Timestamp};

use crate::gate::IdentityKey;
use crate::protocol::Protocol;
use crate::wire::QoS;

/// Sees what happens.
pub trait Observer: Send + Sync + 'static {
    /// Whether [`Event::Published`] is wanted. Asked once; without it a message costs nothing here.
    fn wants_messages(&self) -> bool {
        false
    }

    /// Something happened. Must not block.
    fn observe(&self, event: Event<'_>);
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A session has a connection; of MQTT alone, since others have none before they subscribe.
    Connected {
        /// Whose.
        identity: IdentityKey,
        /// The client identifier of the protocol.
        client_id: &'a str,
    },
    /// A connection ended, for whatever reason.
    Disconnected {
        /// Whose.
        identity: IdentityKey,
        /// The client identifier of the protocol.
        client_id: &'a str,
    },
    /// A subscription was made or renewed.
    Subscribed {
        /// Whose.
        identity: IdentityKey,
        /// The client identifier of the protocol; a random one where it has none.
        client_id: &'a str,
        /// How.
        protocol: Protocol,
        /// Domain of the channel.
        domain: DomainId,
        /// The channel.
        channel: ChannelId,
        /// The filter below the channel.
        subtopic: &'a str,
    },
    /// A subscription was ended by its owner; where it is the whole connection, it ends with that.
    Unsubscribed {
        /// Whose.
        identity: IdentityKey,
        /// The client identifier of the protocol; a random one where it has none.
        client_id: &'a str,
        /// How.
        protocol: Protocol,
        /// Domain of the channel.
        domain: DomainId,
        /// The channel.
        channel: ChannelId,
        /// The filter below the channel.
        subtopic: &'a str,
    },
    /// A message was accepted.
    Published(PublishedMessage<'a>),
}

/// An accepted message, as the bus will carry it (reference 05 §10.1).
#[derive(Debug, Clone, Copy)]
pub struct PublishedMessage<'a> {
    /// Who sent it.
    pub publisher: IdentityKey,
    /// The client identifier of the protocol; empty for HTTP.
    pub client_id: &'a str,
    /// How it came.
    pub protocol: Protocol,
    /// Domain of the channel.
    pub domain: DomainId,
    /// The channel.
    pub channel: ChannelId,
    /// Levels below the channel, separated by `/`.
    pub subtopic: &'a str,
    /// Payload; shares the buffer that it was read into: copy it to keep it.
    pub payload: &'a Bytes,
    /// Delivery guarantee.
    pub qos: QoS,
    /// Whether it was kept.
    pub retain: bool,
    /// When it was received.
    pub created: Timestamp,
}
