//! Operations: what callers ask for, as the permission table and the scopes of access tokens name them.

use std::fmt;

/// One operation on one kind of thing, for example `clients` / `view`.
///
/// The pair is the key of the operation → permission table (reference 02 §5.6) and of a personal access token's
/// scope (reference 02 §5.9). Which permission it takes is data, not code: see `access::permission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The kind of thing in the plural, as the table's first level names it: `domains`, `groups`, `clients`, `channels`.
    pub entity: &'static str,
    /// The operation's name in the table: `view`, `update`, `create_clients`.
    pub name: &'static str,
}

impl Operation {
    /// The operation `name` on things of kind `entity`.
    pub const fn new(entity: &'static str, name: &'static str) -> Self {
        Self { entity, name }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity, self.name)
    }
}
