//! Domains are tenants: whatever a user manages is in one, and no right reaches across.
//!
//! Whoever makes a domain holds its `admin` role and with it every right inside. The domain's status is its gate:
//! while it is disabled only its administrators may work in it and no message passes, while it is frozen only the
//! platform's administrators may. The gate is kept by `access` (it is asked at every request); this crate writes it
//! in the same transaction as its own row.
//!
//! Start reading at [`service`]; the wire shapes are in [`http`], the promises in reference 02 §1. Invitations and
//! role management come with the whole control plane.

mod events;
pub mod http;
pub mod model;
pub mod service;
mod store;

pub use service::Domains;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] =
    &[db::Migration { id: "domains/0001", sql: include_str!("../migrations/0001_domains.sql") }];

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

    /// Those that take a permission, for the check of the table at start.
    pub const ALL: &[Operation] = &[READ, UPDATE, ENABLE, DISABLE];
}
