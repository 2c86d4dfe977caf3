//! TLS for every listener: a certificate from files that is renewed without a restart, and clients' certificates.
//!
//! [`Tls`] says what to show and what to be shown, [`Server::load`] reads it, [`Server::accept`] makes a handshake
//! within its bounds, and [`Server::tend`] looks for new files. Who a client is by its certificate is for others to
//! say: [`Certificate`] is what it has shown, proven by the handshake. Whether a certificate was revoked is asked of
//! [`Revocations`] at every handshake.
//!
//! TLS 1.2 and 1.3, one provider (aws-lc-rs). Sessions are resumed by tickets, which saves a reconnecting fleet most of a
//! handshake; the certificate of a resumed session is checked like that of a new one.

mod certificate;
mod pem;
mod server;
#[cfg(test)]
mod tests;
mod tickets;
mod verifier;

pub use certificate::Certificate;
pub use pem::{Clients, Loaded, Pem, Tls};
pub use server::{Bounds, Server, Stream};
pub use verifier::Revocations;
