//! CoAP: the message engine over UDP, for devices that are too small for MQTT.
//!
//! POST or PUT on a topic publishes, GET with Observe subscribes (reference 05 §7); who may is asked of the engine's gate
//! each time. One walk of a request: `server.rs` reads a datagram, `layer.rs` finds out whether it is a repetition,
//! `request.rs` what it asks for, `endpoint.rs` starts the task that does it (`service.rs`), and the answer goes back in
//! the acknowledgement. Bodies in blocks are put together in `uploads.rs`; observers get their messages from
//! `observers.rs`, which reads them from the engine like every other subscriber.
//!
//! Over DTLS (`dtls`) the same endpoint gets what connections have decrypted, and knows who is at their other end.
//!
//! What holds against the network: everything kept has a bound ([`Limits`]); strangers, whose addresses may be made up,
//! push out only strangers (`peers.rs`), and get little before they have shown that they are there.

mod block;
mod content_format;
mod dtls;
mod endpoint;
mod failures;
mod layer;
mod limits;
mod observers;
mod peers;
mod random;
mod request;
mod server;
mod service;
mod stats;
mod uploads;
mod wire;

pub use limits::Limits;
pub use server::Listener;
pub use stats::Stats;
