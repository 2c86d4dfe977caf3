//! gRPC: the services by which other people's adapters, and nodes without a database, ask this platform
//! (reference 01 §6, 02 §7, 03 §7, 04 §4.2).
//!
//! These interfaces are between services: a caller has authorized by itself, and nothing it shows is checked but, where
//! that is demanded, its certificate. **Whoever reaches a port can have tokens made for any user.** So no port is
//! open until an operator says so, and the listener serves loopback addresses alone, unless client certificates are
//! required ([`listener::Listener::bind`] refuses the rest, or the operator insists).
//!
//! One walk through it: [`listener`] accepts and bounds a connection; tonic decodes the call by the code of [`pb`], which
//! the build generates from `proto/`; one file per service ([`auth`], [`clients`], …) reads the ids, calls one plain
//! function of a capability in [`Services::call`], and gives the answer; [`status`] turns an error into a code. What is
//! changed is changed in one transaction with its event, so that open connections hear of it as of everybody's changes.
//!
//! It is one crate rather than a file per capability, so that generated code and tonic stay out of their builds.

mod auth;
pub mod brokers;
mod certs;
mod channels;
mod clients;
mod domains;
mod groups;
mod incoming;
pub mod listener;
pub mod pb;
mod services;
mod status;
mod token;
mod users;

pub use listener::{Listener, ListenerOptions};
pub use services::Services;
