//! Groups nest clients, channels and other groups.
//!
//! A role on a group reaches what lies in it (`client_*`, `channel_*`) and, with its `subgroup_*` actions, what lies
//! below it. So where a thing is decides who may touch it, and every move asks both ends. Which thing is in which group
//! is kept by `access::hierarchy` alone; the groups table knows neither parent nor path. What must hold:
//!
//! - No circle, and at most `access::hierarchy::MAX_DEPTH` levels: whoever moves or deletes a group holds the
//!   hierarchy of the domain until the commit.
//! - Nothing is in a group that is not there: whoever puts something into one asks [`enabled_in`] in the same
//!   transaction. Deleting a group leaves what was in it where nothing contains it.
//!
//! Start reading at [`service`]; moves are in [`moves`], what lies above and below in [`tree`], who and what is let go
//! together in [`members`], the wire shapes in [`http`], the promises in reference 02 §3.

mod events;
pub mod http;
pub mod members;
pub mod model;
pub mod moves;
pub mod service;
mod store;
pub mod tree;

pub use service::{Groups, enabled_in};

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "groups/0001", sql: include_str!("../migrations/0001_groups.sql") },
    db::Migration { id: "groups/0002", sql: include_str!("../migrations/0002_orders.sql") },
];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;

    /// Create groups in a domain.
    pub const CREATE: Operation = Operation::new("domains", "create_groups");
    /// List the groups of a domain.
    pub const LIST: Operation = Operation::new("domains", "list_groups");
    /// The same as another user sees it; a name for callouts, which takes no right of its own.
    pub const LIST_OF_USER: Operation = Operation::new("domains", "list_user_groups");
    /// View one group.
    pub const VIEW: Operation = Operation::new("groups", "view");
    /// Change name, description or metadata.
    pub const UPDATE: Operation = Operation::new("groups", "update");
    /// Replace the tags.
    pub const UPDATE_TAGS: Operation = Operation::new("groups", "update_tags");
    /// Let things be put into it again.
    pub const ENABLE: Operation = Operation::new("groups", "enable");
    /// Let nothing be put into it.
    pub const DISABLE: Operation = Operation::new("groups", "disable");
    /// Remove it.
    pub const DELETE: Operation = Operation::new("groups", "delete");
    /// See what lies above or below it.
    pub const HIERARCHY: Operation = Operation::new("groups", "retrieve_group_hierarchy");
    /// List the groups below it.
    pub const LIST_CHILDREN: Operation = Operation::new("groups", "list_children_groups");
    /// Put it into a group.
    pub const ADD_PARENT: Operation = Operation::new("groups", "add_parent_group");
    /// Take it out of its group; asked of that group too.
    pub const REMOVE_PARENT: Operation = Operation::new("groups", "remove_parent_group");
    /// Put groups into it.
    pub const ADD_CHILDREN: Operation = Operation::new("groups", "add_children_groups");
    /// Take groups out of it.
    pub const REMOVE_CHILDREN: Operation = Operation::new("groups", "remove_children_groups");
    /// Take all groups out of it.
    pub const REMOVE_ALL_CHILDREN: Operation = Operation::new("groups", "remove_all_children_groups");

    /// Take a client out of its group.
    pub const REMOVE_CLIENT: Operation = Operation::new("clients", "remove_parent_group");
    /// Let a group lose a client; asked of the group.
    pub const REMOVE_CHILD_CLIENT: Operation = Operation::new("groups", "remove_child_client");
    /// Take from users whatever role they hold on it.
    pub const REMOVE_MEMBERS: Operation = Operation::new("groups", "role_remove_all_members");

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
        HIERARCHY,
        LIST_CHILDREN,
        ADD_PARENT,
        REMOVE_PARENT,
        ADD_CHILDREN,
        REMOVE_CHILDREN,
        REMOVE_ALL_CHILDREN,
        REMOVE_CLIENT,
        REMOVE_CHILD_CLIENT,
        REMOVE_MEMBERS,
    ];
}
