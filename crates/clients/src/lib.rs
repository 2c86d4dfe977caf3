//! Clients are devices and applications: whatever connects with a secret of its own.
//!
//! A client belongs to one domain and may publish and subscribe where it is connected (see the `channels` crate).
//! Its secret is compared by a keyed digest; a sealed copy lets those who may view the client see it again, never a
//! list, an event or a log (design §7). Disabling or deleting a client, or changing its secret, emits an event on
//! which the message plane ends the client's open connections.
//!
//! Start reading at [`service`]; the wire shapes are in [`http`], the promises in reference 03 §5.

pub mod connections;
mod events;
pub mod http;
pub mod model;
pub mod service;
mod store;

pub use service::Clients;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] =
    &[db::Migration { id: "clients/0001", sql: include_str!("../migrations/0001_clients.sql") }];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;

    /// Create clients in a domain.
    pub const CREATE: Operation = Operation::new("domains", "create_clients");
    /// List the clients of a domain.
    pub const LIST: Operation = Operation::new("domains", "list_clients");
    /// View one client, its secret included.
    pub const VIEW: Operation = Operation::new("clients", "view");
    /// Change name or metadata.
    pub const UPDATE: Operation = Operation::new("clients", "update");
    /// Replace the tags.
    pub const UPDATE_TAGS: Operation = Operation::new("clients", "update_tags");
    /// Replace the secret.
    pub const UPDATE_SECRET: Operation = Operation::new("clients", "update_secret");
    /// Let it connect again.
    pub const ENABLE: Operation = Operation::new("clients", "enable");
    /// Keep it from connecting.
    pub const DISABLE: Operation = Operation::new("clients", "disable");
    /// Remove it.
    pub const DELETE: Operation = Operation::new("clients", "delete");
    /// Connect it to a channel.
    pub const CONNECT: Operation = Operation::new("clients", "connect_to_channel");
    /// Disconnect it from a channel.
    pub const DISCONNECT: Operation = Operation::new("clients", "disconnect_from_channel");

    /// All of them, for the check of the permission table at start.
    pub const ALL: &[Operation] = &[
        CREATE,
        LIST,
        VIEW,
        UPDATE,
        UPDATE_TAGS,
        UPDATE_SECRET,
        ENABLE,
        DISABLE,
        DELETE,
        CONNECT,
        DISCONNECT,
    ];
}
