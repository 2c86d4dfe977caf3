//! What is to be written, and what waits for it.

use std::sync::Arc;

use kernel::ChannelId;
use tokio::sync::oneshot;

use super::{NotStored, Stored};
use crate::engine::link::Link;
use crate::engine::message::Parcel;
use crate::engine::nodes::Post;
use crate::engine::session::Session;
use crate::store::Change;
use crate::wire::{PacketId, ReasonCode};

/// What the packets of one read, or one request, leave to be stored.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) deliveries: Vec<(Arc<Session>, Parcel)>,
    /// QoS 2 messages: the session that sent them, and the packet identifiers that are new or came again.
    pub(super) sender: Option<Arc<Session>>,
    pub(super) received: Vec<PacketId>,
    pub(super) repeated: Vec<PacketId>,
    /// A retained message of QoS 1 or 2 is among those that wait to be stored.
    pub(super) retains: bool,
    /// Sessions of other nodes among those that messages are stored for.
    pub(super) elsewhere: Vec<Arc<Session>>,
    /// Nodes that must have taken what they were sent before anybody is told that the batch has been taken.
    to_nodes: Vec<Arc<Post>>,
}

impl Batch {
    /// A message for a stored session.
    pub(crate) fn deliver(&mut self, session: &Arc<Session>, parcel: Parcel) {
        self.deliveries.push((Arc::clone(session), parcel));
    }

    /// A QoS 2 message has been taken: by a stored session, or with something else that is to be stored.
    pub(crate) fn receive(&mut self, sender: &Arc<Session>, packet_id: PacketId) {
        self.sender.get_or_insert_with(|| Arc::clone(sender));
        self.received.push(packet_id);
    }

    /// A QoS 2 message has come again. Whether it was stored the first time, is not known here.
    pub(crate) fn repeat(&mut self, sender: &Arc<Session>, packet_id: PacketId) {
        self.sender.get_or_insert_with(|| Arc::clone(sender));
        self.repeated.push(packet_id);
    }

    /// Whoever sent the batch waits for the retained message, too.
    pub(crate) const fn retain(&mut self) {
        self.retains = true;
    }

    /// These nodes have been sent a message that they must have taken.
    pub(crate) fn send_to(&mut self, nodes: Vec<Arc<Post>>) {
        for node in nodes {
            if !self.to_nodes.iter().any(|known| Arc::ptr_eq(known, &node)) {
                self.to_nodes.push(node);
            }
        }
    }

    /// The nodes that have to be waited for.
    pub(crate) fn take_nodes(&mut self) -> Vec<Arc<Post>> {
        std::mem::take(&mut self.to_nodes)
    }

    /// Whether there is nothing to store, and nobody to wait for.
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.sender.is_none() && !self.retains && self.to_nodes.is_empty()
    }
}

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Order {
    /// Messages, and who waits for them to be stored.
    Accept { batch: Batch, done: oneshot::Sender<Stored> },
    /// One change.
    Change { change: Change, needed: bool, done: Option<oneshot::Sender<Result<(), NotStored>>> },
    /// PUBREC: a QoS 2 message has reached its subscriber, who gets a PUBREL then.
    Received { session: Arc<Session>, link: Arc<Link>, packet_id: PacketId, seq: u64, shared: u64 },
    /// PUBREL: a QoS 2 message is released, and its publisher gets a PUBCOMP then.
    Released { session: Arc<Session>, link: Arc<Link>, packet_id: PacketId, reason: ReasonCode },
    /// A session goes to another node.
    Give { session: Arc<Session>, to: u64, done: oneshot::Sender<()> },
    /// What waits from a channel for a session is gone.
    Forget { session: u64, channel: ChannelId },
    /// A connection is to have the next messages of its session.
    Load { session: Arc<Session>, link: Arc<Link> },
}

impl Order {
    /// Whether it must be made, however long that takes.
    pub(super) const fn is_needed(&self) -> bool {
        match self {
            Self::Accept { .. } => false,
            Self::Change { needed, .. } => *needed,
            Self::Received { .. }
            | Self::Released { .. }
            | Self::Give { .. }
            | Self::Forget { .. }
            | Self::Load { .. } => true,
        }
    }
}
