//! Who carries datagrams.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;

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
