//! The MQTT codec: bytes of MQTT 3.1, 3.1.1 and 5.0 to packets and back.
//!
//! All versions become the same [`Packet`] here, at the edge: what a version cannot say has the meaning that the
//! specification gives to its absence (a 3.1.1 session that is not clean never expires, a 3.1.1 subscription
//! sends retained messages, and so on). Nothing behind the codec asks which version a packet came in.
//!
//! A read goes through a [`Decoder`], which yields packets or the [`Violation`] that ends the connection; answers
//! go through [`encode()`]; a message for subscribers is a [`Delivery`], and a [`Frame`] when many see it alike.
//! Start reading at [`packet`]. Rules about *state* (packet identifiers in use, topic aliases that were never set,
//! who may do what) are not here: they belong to the engine.
//!
//! Topic and payload of a PUBLISH are slices of the read buffer, so a message travels through the engine without
//! being copied until it is written into a subscriber's buffer.

#[cfg(test)]
mod conformance;
pub mod decode;
mod decode_connect;
mod decode_publish;
mod decode_subscribe;
pub mod encode;
pub mod frame;
pub mod message_properties;
pub mod packet;
mod property;
mod reader;
pub mod reason;
#[cfg(test)]
mod roundtrip;
pub mod text;
mod topic;
pub mod violation;

pub use decode::{Decoder, Side};
pub use encode::{EncodeError, encode};
pub use frame::{Delivery, Frame};
pub use message_properties::{MessageProperties, MessageProperty};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Diagnostics, Disconnect, Packet, PacketId, Publish, QoS, RetainHandling,
    SubAck, Subscribe, Subscription, SubscriptionId, SubscriptionOptions, UnsubAck, Unsubscribe,
    UserProperty, Version, Will,
};
pub use reason::ReasonCode;
pub use text::Text;
pub use violation::Violation;
