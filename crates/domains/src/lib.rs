//! Domains are tenants: whatever a user manages is in one, and no right reaches across.
//!
//! Whoever makes a domain holds its `admin` role and with it every right inside. The domain's status is its gate:
//! while it is disabled only its administrators may work in it and no message passes, while it is frozen only the
//! platform's administrators may. The gate is kept by `access` (it is asked at every request); this crate writes it
//! in the same transaction as its own row.
//!
//! Start reading at [`service`]; how users come into a domain is in [`invitations`], the wire shapes are in [`http`], the
//! promises in reference 02 §1 and §2.

mod departure;
mod events;
pub mod http;
pub mod invitations;
pub mod model;
pub mod service;
mod store;

pub use service::Domains;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "domains/0001", sql: include_str!("../migrations/0001_domains.sql") },
    db::Migration { id: "domains/0002", sql: include_str!("../migrations/0002_invitations.sql") },
];

/// The operations that this crate asks permission for.
pub mod operations {
    use kernel::Operation;

    /// Make one. Any user may; a personal access token needs the scope.
    pub const CREATE: Operation = Operation::new("domains", "create");
    /// List one's own. Any user may; a personal access token needs the scope.
    pub const LIST: Operation = Operation::new("domains", "list");
    /// Close it to all but the platform's administrators, who alone may.
    pub const FREEZE: Operation = Operation::new("domains", "freeze");
    /// View one domain.
    pub const READ: Operation = Operation::new("domains", "read");
    /// Change name, tags or metadata.
    pub const UPDATE: Operation = Operation::new("domains", "update");
    /// Open it.
    pub const ENABLE: Operation = Operation::new("domains", "enable");
    /// Close it to all but its administrators.
    pub const DISABLE: Operation = Operation::new("domains", "disable");

    /// Invite a user into it; takes an administrator of the domain besides.
    pub const SEND_INVITATION: Operation = Operation::new("domains", "send_invitation");
    /// See who is invited into it.
    pub const LIST_DOMAIN_INVITATION: Operation = Operation::new("domains", "list_domain_invitation");
    /// Withdraw an invitation.
    pub const DELETE_INVITATION: Operation = Operation::new("domains", "delete_invitation");
    /// See one's own invitations. Any user may; a personal access token needs the scope.
    pub const LIST_INVITATION: Operation = Operation::new("domains", "list_invitation");
    /// Accept one's own invitation. Any user may; a personal access token needs the scope.
    pub const ACCEPT_INVITATION: Operation = Operation::new("domains", "accept_invitation");
    /// Reject one's own invitation. Any user may; a personal access token needs the scope.
    pub const REJECT_INVITATION: Operation = Operation::new("domains", "reject_invitation");

    /// Those that take a permission, for the check of the table at start.
    pub const ALL: &[Operation] =
        &[READ, UPDATE, ENABLE, DISABLE, SEND_INVITATION, LIST_DOMAIN_INVITATION, DELETE_INVITATION];
}
