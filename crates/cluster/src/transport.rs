//! Who carries datagrams.

use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::Peers;

/// One run of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Carries datagrams from this node to others. They may be lost, repeated, or overtake each other.
///
/// What arrives at this node goes to [`crate::Peers::arrived`].
pub trait Transport: Send + Sync + 'static {
    /// Sends a datagram. May wait for as long as the network is busy, but need not say what became of it.
    fn send(&self, to: NodeId, datagram: Bytes) -> BoxFuture<'_, ()>;
}

/// Hands what arrives to [`Peers`], until it is dropped.
pub type Listening = Box<dyn Any + Send + Sync>;

/// Where nodes can be reached, once they know who they are.
pub trait Network: Send + Sync + 'static {
    /// What carries datagrams to other nodes.
    fn transport(&self) -> Arc<dyn Transport>;

    /// Begins to take what others send to this node.
    ///
    /// # Errors
    ///
    /// The network cannot be used.
    fn listen(&self, me: NodeId, peers: Peers) -> BoxFuture<'_, kernel::Result<Listening>>;
}
