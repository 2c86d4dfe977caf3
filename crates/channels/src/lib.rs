//! Channels carry messages between the clients of one domain.
//!
//! A client may publish or subscribe only where it is *connected* with that right. [`service::Channels::connect`] and
//! [`service::Channels::disconnect`] are the only writers of connections, and each change emits an event on which the
//! message plane asks anew. Users need no connection: the relations decide ([`service::Channels::may_user`]).
//!
//! Start reading at [`service`]; the wire shapes are in [`http`], the promises in reference 03 §6.

mod events;
pub mod http;
pub mod model;
pub mod service;
mod store;

pub use service::Channels;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] =
    &[db::Migration { id: "channels/0001", sql: include_str!("../migrations/0001_channels.sql") }];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;

    /// Create channels in a domain.
    pub const CREATE: Operation = Operation::new("domains", "create_channels");
    /// List the channels of a domain.
    pub const LIST: Operation = Operation::new("domains", "list_channels");
    /// View one channel.
    pub const VIEW: Operation = Operation::new("channels", "view");
    /// Change name or metadata.
    pub const UPDATE: Operation = Operation::new("channels", "update");
    /// Replace the tags.
    pub const UPDATE_TAGS: Operation = Operation::new("channels", "update_tags");
    /// Let messages pass again.
    pub const ENABLE: Operation = Operation::new("channels", "enable");
    /// Let no message pass.
    pub const DISABLE: Operation = Operation::new("channels", "disable");
    /// Remove it.
    pub const DELETE: Operation = Operation::new("channels", "delete");
    /// Connect clients to it.
    pub const CONNECT: Operation = Operation::new("channels", "connect_client");
    /// Disconnect clients from it.
    pub const DISCONNECT: Operation = Operation::new("channels", "disconnect_client");

    /// All of them, for the check of the permission table at start.
    pub const ALL: &[Operation] =
        &[CREATE, LIST, VIEW, UPDATE, UPDATE_TAGS, ENABLE, DISABLE, DELETE, CONNECT, DISCONNECT];
}
