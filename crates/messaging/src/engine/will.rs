//! Wills: what a client wants to have said when its connection breaks.
//!
//! A will needs the right to publish twice: when it is made (the CONNECT is refused without it) and when it is
//! published, which may be much later. When that is, is decided where the connection or the session ends:
//! `disconnect.rs`, `takeover.rs`, `expiry.rs`.

use super::Core;
use super::publish::Origin;
use crate::gate::Identity;
use crate::protocol::Protocol;
use crate::wire::{Publish, Will};

/// A will that waits for its day.
#[derive(Debug)]
pub(crate) struct Testament {
    pub(crate) publish: Publish,
    /// Seconds between the end of the connection and the will.
    pub(crate) delay: u32,
}

impl From<Will> for Testament {
    /// Copies the will out of the read buffer.
    fn from(will: Will) -> Self {
        let publish = Publish {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic.detached(),
            payload: bytes::Bytes::copy_from_slice(&will.payload),
            message_expiry: will.message_expiry,
            properties: will.properties.detached(),
            ..Publish::default()
        };
        Self { publish, delay: will.delay }
    }
}

impl Core {
    /// Publishes a will in a task of its own, because the gate must be asked first.
    pub(crate) fn publish_will(&self, identity: Identity, will: Box<Testament>) {
        let Some(core) = self.myself.upgrade() else { return };
        tokio::spawn(async move {
            let origin = Origin { identity: &identity, session: None, protocol: Protocol::Mqtt };
            if let Err(refusal) = core.publish_once(origin, &will.publish).await {
                tracing::debug!(identity = ?identity, ?refusal, "a will was not published");
            }
        });
    }
}
