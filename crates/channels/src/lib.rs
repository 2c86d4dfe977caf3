//! Channels carry messages between the clients of one domain.
//!
//! A client may publish or subscribe only where it is *connected* with that right. [`service::Channels::connect`] and
//! [`service::Channels::disconnect`], and their twins for other services of the installation in [`trusted`], are the only
//! writers of connections, and each change emits an event on which the message plane asks anew. Users need no connection:
//! the relations decide ([`service::Channels::may_user`]).
//!
//! Start reading at [`service`]; the wire shapes are in [`http`], the promises in reference 03 §6.

mod events;
pub mod http;
pub mod model;
pub mod service;
mod store;
pub mod trusted;

pub use service::Channels;
pub use trusted::Connection;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "channels/0001", sql: include_str!("../migrations/0001_channels.sql") },
    db::Migration { id: "channels/0002", sql: include_str!("../migrations/0002_orders.sql") },
];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;
    use registry::Operations;

    /// Create channels in a domain.
    pub const CREATE: Operation = Operation::new("domains", "create_channels");
    /// List the channels of a domain.
    pub const LIST: Operation = Operation::new("domains", "list_channels");
    /// The same as another user sees it; a name for callouts, which takes no right of its own.
    pub const LIST_OF_USER: Operation = Operation::new("domains", "list_user_channels");
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
    /// Put it into a group.
    pub const SET_PARENT: Operation = Operation::new("channels", "set_parent_group");
    /// Take it out of its group.
    pub const REMOVE_PARENT: Operation = Operation::new("channels", "remove_parent_group");
    /// Let a group have a channel; asked for on the group.
    pub const SET_CHILD: Operation = Operation::new("groups", "set_child_channel");
    /// Let a group lose a channel; asked for on the group.
    pub const REMOVE_CHILD: Operation = Operation::new("groups", "remove_child_channel");
    /// Connect clients to it.
    pub const CONNECT: Operation = Operation::new("channels", "connect_client");
    /// Disconnect clients from it.
    pub const DISCONNECT: Operation = Operation::new("channels", "disconnect_client");

    /// Those that all things of the registry have.
    pub(crate) const SHARED: Operations = Operations {
        create: CREATE,
        list: LIST,
        list_of_user: LIST_OF_USER,
        view: VIEW,
        update: UPDATE,
        update_tags: UPDATE_TAGS,
        enable: ENABLE,
        disable: DISABLE,
        delete: DELETE,
        set_parent: SET_PARENT,
        remove_parent: REMOVE_PARENT,
        set_child: SET_CHILD,
        remove_child: REMOVE_CHILD,
    };

    /// All of them, for the check of the permission table at start.
    pub const ALL: &[Operation] = &[
        CREATE,
        LIST,
        VIEW,
        UPDATE,
        UPDATE_TAGS,
        ENABLE,
        DISABLE,
        DELETE,
        SET_PARENT,
        REMOVE_PARENT,
        SET_CHILD,
        REMOVE_CHILD,
        CONNECT,
        DISCONNECT,
    ];
}
