//! MQTT 3.1, 3.1.1 and 5 told apart by their CONNECT on one port, over TCP, TLS or whatever else carries bytes
//! (`transport.rs`).
//!
//! [`Listener`] accepts, `handshake.rs` lets a client in, `connection.rs` serves it until it goes: one task per
//! connection, no buffers while it is idle.

mod answer;
mod connection;
mod explain;
mod handshake;
mod input;
mod listener;
mod transport;

pub use listener::{Listener, serve_stream};
pub use transport::ByteStream;
