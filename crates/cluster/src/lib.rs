//! What the nodes of a cluster say to each other: messages in order and each once, over a network that may lose them.
//!
//! - [`Link`] is the way between two nodes; it is pure.
//! - [`Transport`] carries datagrams and promises nothing.
//! - [`Peers`] drives a link to each other node. A message is [`Sent`], and with [`Sent::processed`] its sender learns that
//!   the other node has done what it had to do, or is no more.
//!
//! A node has an id of its own for each run ([`NodeId`]), so a link begins and ends with two runs, and nothing of an
//! earlier run is taken for something of this one.

mod datagram;
mod link;
mod peers;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;
mod transport;

pub use link::{Bounds, Link, Malformed, Refused};
pub use peers::{Gone, Incoming, Peers, Sent, Unsent};
pub use transport::{Listening, Network, NodeId, Transport};
