//! Messages: what the platform exists for.
//!
//! One engine ([`Engine`]) routes, keeps and delivers; each protocol is a thin adapter in front of it: [`mqtt`] over
//! TCP, TLS and WebSocket, [`http`] for publishing, and for reading by WebSocket and server-sent events. A message is written once and read by any protocol. Who may do what is asked of a
//! [`Gate`], which the binary implements over the registry; [`Engine::revoke`] ends rights that were asked about.
//!
//! Start reading at [`engine`]; topics are in [`topic`], what an operator makes of others' in [`TopicMap`], the codec in [`wire`], the promises in reference 05.

pub mod engine;
pub mod gate;
pub mod http;
pub mod limits;
mod lock;
pub mod mqtt;
pub mod observer;
mod protocol;
pub mod stats;
mod store;
pub mod topic;
mod topic_map;
pub mod wire;

pub use engine::{Ended, Engine, Epoch, Publisher, Reader, Reading, Setup};
pub use gate::{Action, Attempt, Credentials, Gate, Identity, IdentityKey, Revocable, Revocation, SharedKey};
pub use limits::{Limits, Rate};
pub use observer::{Event, Observer, PublishedMessage};
pub use protocol::Protocol;
pub use stats::{Stats, Traffic};
pub use store::MIGRATIONS;
pub use topic_map::{Fault, TopicMap};
