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
mod known;
pub mod model;
pub mod service;
mod store;

pub use registry::OnRemove;
pub use service::Clients;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "clients/0001", sql: include_str!("../migrations/0001_clients.sql") },
    db::Migration { id: "clients/0002", sql: include_str!("../migrations/0002_orders.sql") },
];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;
    use registry::Operations;

    /// Create clients in a domain.
    pub const CREATE: Operation = Operation::new("domains", "create_clients");
    /// List the clients of a domain.
    pub const LIST: Operation = Operation::new("domains", "list_clients");
    /// The same as another user sees it; a name for callouts, which takes no right of its own.
    pub const LIST_OF_USER: Operation = Operation::new("domains", "list_user_clients");
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
    /// Put it into a group.
    pub const SET_PARENT: Operation = Operation::new("clients", "set_parent_group");
    /// Take it out of its group.
    pub const REMOVE_PARENT: Operation = Operation::new("clients", "remove_parent_group");
    /// Let a group have a client; asked for on the group.
    pub const SET_CHILD: Operation = Operation::new("groups", "set_child_client");
    /// Let a group lose a client; asked for on the group.
    pub const REMOVE_CHILD: Operation = Operation::new("groups", "remove_child_client");
    /// Connect it to a channel.
    pub const CONNECT: Operation = Operation::new("clients", "connect_to_channel");
    /// Disconnect it from a channel.
    pub const DISCONNECT: Operation = Operation::new("clients", "disconnect_from_channel");

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
        UPDATE_SECRET,
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
