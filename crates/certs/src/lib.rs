//! Certificates: who a device is, proven by a key that it holds.
//!
//! The platform has an authority of its own ([`Authority`]): a root and an intermediate, made at the first start, whose
//! keys lie sealed in the database. A certificate belongs to a client of a domain. It names the client by its id in an
//! alternative name (`urn:uuid:…`), so that no common name, which its owner chooses, can stand for another client. Keys
//! that are made here are kept sealed, so that they can be downloaded by whoever may change the client; lists, events and
//! logs never show one.
//!
//! For other capabilities, which authorize by themselves:
//!
//! - `Certs::make(NewCertificate, now) -> Result<Issued>`: outside of transactions, for it may ask an authority elsewhere.
//!   `NewCertificate::of_client(client, ttl)` is the usual one.
//! - `Certs::record(tx, &permit, request, domain, &issued)` keeps it and announces it in the caller's transaction.
//! - `Certs::revoke_of_client(tx, &permit, request, client, reason)` takes back all that a client has.
//!
//! An OpenBao can sign in place of that authority ([`OpenBao`]). What is kept, who may, and what handshakes ask is the same.
//!
//! Revoked certificates are in memory ([`Revoked`]), which every handshake asks; the commit that revokes one puts it
//! there. Start reading at [`service`]; the promises are in reference 04 §4.

mod archive;
mod authority;
mod callers;
pub mod development;
mod events;
pub mod http;
pub mod model;
mod ocsp;
mod openbao;
mod revoked;
mod serial;
pub mod service;
mod store;

pub use authority::{Authority, Imported, Limits, Request, import};
pub use callers::Callers;
pub use model::{Issued, NewCertificate};
pub use openbao::{OpenBao, Options as OpenBaoOptions, SecretId};
pub use revoked::Revoked;
pub use service::{Certs, Settings, on_client_removed};

/// What the service is built with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Of the authority.
    pub limits: Limits,
    /// Of the service.
    pub settings: Settings,
    /// What signs in place of the built-in authority.
    pub outside: Option<OpenBao>,
    /// Where handshakes look.
    pub revoked: Revoked,
    /// Where handshakes with callers of gRPC look.
    pub callers: Callers,
}

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "certs/0001", sql: include_str!("../migrations/0001_certificates.sql") },
    db::Migration { id: "certs/0002", sql: include_str!("../migrations/0002_outside.sql") },
];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;

    /// Have a certificate made for a client, or its key certified.
    pub const ISSUE: Operation = Operation::new("clients", "issue_cert");
    /// View a client's certificate.
    pub const VIEW: Operation = Operation::new("clients", "view_cert");
    /// Have a certificate made anew.
    pub const RENEW: Operation = Operation::new("clients", "renew_cert");
    /// Take a certificate back, or all that a client has.
    pub const REVOKE: Operation = Operation::new("clients", "revoke_cert");
    /// Download a certificate with its private key.
    pub const DOWNLOAD: Operation = Operation::new("clients", "download_cert");
    /// List the certificates of a domain; those of clients that the caller may see are shown.
    pub const LIST: Operation = Operation::new("domains", "list_certs");
    /// Look for a certificate that no client of the domain has, and see those of clients that are no more.
    pub const FIND: Operation = Operation::new("domains", "find_cert");

    /// All that take a permission, for the check of the permission table at start.
    pub const ALL: &[Operation] = &[ISSUE, VIEW, RENEW, REVOKE, DOWNLOAD, LIST, FIND];
}
