//! How a box on a shelf becomes a configured device: it shows an id and a key of its own and gets a configuration.
//!
//! A [`model::Config`] waits for one device under its *external id*. It comes in two kinds, and both live side by side
//! (reference 04 §3.4). One knows its client and the client's channels: enabling it connects them, disabling it takes the
//! connections back. The other is independent of clients: a [`model::Profile`] may be assigned to it, whose template is
//! rendered for each device from values and from the clients and channels in its slots ([`model::Binding`]).
//!
//! - The external key is kept as a keyed digest alone; a private key is sealed. No event, list or error shows either.
//! - An id that is not known and a key that is wrong get the same answer, and both count as failed attempts ([`service`]).
//! - What stands in a slot is read when a device asks, so that what it gets is never stale.
//! - Whoever puts a client into a configuration, or into a slot, must be allowed to view it: the device gets its secret.
//!
//! Start reading at [`service`]; the wire shapes are in [`http`], the promises in reference 04 §3.

mod cipher;
mod events;
pub mod http;
pub mod model;
mod removal;
mod render;
pub mod service;
mod store;
mod yaml;

pub use cipher::Cipher;
pub use removal::{on_channel_removed, on_client_removed};
pub use service::Bootstrap;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] =
    &[db::Migration { id: "bootstrap/0001", sql: include_str!("../migrations/0001_bootstrap.sql") }];

/// The operations that this crate asks permission for (reference 04 §3.2).
pub mod operations {
    use kernel::Operation;

    /// Make configurations and profiles.
    pub const CREATE: Operation = Operation::new("bootstrap", "create");
    /// List them.
    pub const LIST: Operation = Operation::new("bootstrap", "list");
    /// View one.
    pub const VIEW: Operation = Operation::new("bootstrap", "view");
    /// Change one, its profile or what is in its slots.
    pub const UPDATE: Operation = Operation::new("bootstrap", "update");
    /// Replace its certificates.
    pub const UPDATE_CERT: Operation = Operation::new("bootstrap", "update_cert");
    /// Remove one.
    pub const REMOVE: Operation = Operation::new("bootstrap", "remove");
    /// Enable or disable one.
    pub const CHANGE_STATE: Operation = Operation::new("bootstrap", "change_state");

    /// All of them, for the check of the permission table at start.
    pub const ALL: &[Operation] = &[CREATE, LIST, VIEW, UPDATE, UPDATE_CERT, REMOVE, CHANGE_STATE];
}
