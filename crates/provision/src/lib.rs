//! A gateway and all that belongs to it, made by one request (reference 04 §2).
//!
//! An operator writes a [`Layout`]: the clients and channels that every gateway has, and what its bootstrap
//! configuration holds. One request names a gateway; its clients, channels, connections, configuration and certificates
//! are made in one transaction, so that a failure leaves nothing behind.
//!
//! Start reading at [`service`]; the wire shapes are in [`http`].

pub mod http;
pub mod layout;
pub mod service;

pub use layout::Layout;
pub use service::{Credentials, Provision, Services};
