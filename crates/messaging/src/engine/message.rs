//! A message that must outlive the buffer it was read into.
//!
//! QoS 0 messages never become one: they are copied from the read buffer into the buffers of their subscribers. A
//! message that waits for an acknowledgement, in a queue or as a retained one has memory of its own, so that a small
//! payload does not keep a whole read buffer alive.

use std::sync::Arc;

use bytes::Bytes;
use kernel::ChannelId;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::wire::{
    Delivery, EncodeError, MessageProperties, PacketId, Publish, QoS, SubscriptionId, Text, Version,
};

/// Identifiers of the subscriptions that a message is sent for; nearly always none or one.
pub(crate) type SubscriptionIds = SmallVec<[SubscriptionId; 1]>;

/// Payload and properties, shared by everybody who waits for them.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) channel: ChannelId,
    pub(crate) payload: Bytes,
    pub(crate) properties: MessageProperties,
    /// When it is no longer worth delivering (MQTT 5.0 §3.3.2.3.3).
    pub(crate) expires_at: Option<Instant>,
    /// When it came; `None` where that was before the start of the node.
    pub(crate) accepted: Option<Instant>,
}

impl Message {
    /// Copies what must be kept of a PUBLISH.
    pub(crate) fn keep(
        publish: &Publish,
        channel: ChannelId,
        expires_at: Option<Instant>,
        accepted: Option<Instant>,
    ) -> Arc<Self> {
        let properties = if publish.properties.is_empty() {
            MessageProperties::default()
        } else {
            publish.properties.detached()
        };
        let payload = Bytes::copy_from_slice(&publish.payload);
        Arc::new(Self { channel, payload, properties, expires_at, accepted })
    }

    /// Whether it is too late for it.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The seconds left, as a subscriber is told ([MQTT-3.3.2-6]); at least one.
    fn seconds_left(&self, now: Instant) -> Option<u32> {
        let left = self.expires_at?.saturating_duration_since(now).as_secs_f64().ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it came from a u32")]
        Some((left as u32).max(1))
    }
}

/// A message on its way to one session.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) message: Arc<Message>,
    /// In the subscriber's spelling.
    pub(crate) topic: Text,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: SubscriptionIds,
    pub(crate) place: Place,
}

/// Where a message stands in the tables, if its session is stored (`commit`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its place in the order of the session; 0: it is in memory only.
    pub(crate) seq: u64,
    /// The number of a message that several sessions have; 0: it is stored for this one alone.
    pub(crate) shared: u64,
}

impl Parcel {
    /// What it counts against the bounds of a queue, in bytes: contents and the records around them.
    pub(crate) fn cost(&self) -> usize {
        const RECORDS: usize = 256;
        self.message.payload.len() + self.message.properties.as_encoded().len() + self.topic.len() + RECORDS
    }

    /// Appends the PUBLISH.
    pub(crate) fn encode(
        &self,
        version: Version,
        packet_id: Option<PacketId>,
        dup: bool,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.delivery(version, dup, now, &[self.topic.as_bytes()]).append_to(packet_id, out)
    }

    /// Length of the PUBLISH in bytes; the largest number when it cannot be encoded.
    pub(crate) fn encoded_len(&self, version: Version, now: Instant) -> usize {
        self.delivery(version, false, now, &[self.topic.as_bytes()]).encoded_len().unwrap_or(usize::MAX)
    }

    /// The PUBLISH that it becomes; `topic` is the one of the parcel.
    pub(crate) fn delivery<'a>(
        &'a self,
        version: Version,
        dup: bool,
        now: Instant,
        topic: &'a [&'a [u8]],
    ) -> Delivery<'a> {
        Delivery {
            version,
            dup,
            qos: self.qos,
            retain: self.retain,
            topic,
            payload: &self.message.payload,
            topic_alias: None,
            message_expiry: self.message.seconds_left(now),
            subscription_ids: &self.subscription_ids,
            properties: &self.message.properties,
        }
    }
}
