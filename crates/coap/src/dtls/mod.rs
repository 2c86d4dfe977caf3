//! CoAP over DTLS 1.2 (RFC 7252 §9): a pre-shared key, which is a client's id and secret, proves who is there.
//!
//! The handshake itself is `dimpl`'s, which knows neither addresses nor sockets. Here stands what it leaves open: nothing
//! is kept for an address before it has returned a cookie (`cookie.rs`, `hello.rs`), the key of a client is looked up
//! while its handshake waits (`connection.rs`), and connections and handshakes have their bounds (`connections.rs`).
//!
//! Everything of `dimpl` is used in `session.rs` alone, because its interface changes with each release. Its limits are
//! ours: `TLS_PSK_WITH_AES_128_CCM_8`, extended master secret, no connection ids, no resumption.

mod connection;
mod connections;
mod cookie;
mod hello;
mod session;

pub(crate) use connections::{Connections, Opened, Shown};
