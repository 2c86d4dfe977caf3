//! Which things a list may show.

use db::Filter;
use kernel::{DomainId, UserId};

/// Which things a list may show to the caller: a condition for the list's own query, so that nothing is loaded to be
/// dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    All,
    /// Those of one kind in one domain to which the user's roles reach.
    To {
        /// The user.
        user: UserId,
        /// The domain.
        domain: DomainId,
        /// The schema's word for the kind: `client`, `channel`, `group`.
        kind: &'static str,
    },
    /// The domains in which the user holds a role.
    DomainsOf(UserId),
}

impl Visible {
    /// And the column that holds the thing's id names a visible one.
    pub fn restrict(self, filter: Filter, column: &str) -> Filter {
        match self {
            Self::All => filter,
            Self::To { user, domain, kind: _ } => filter.and_all(
                &format!("{column} IN (SELECT entity_id FROM role_members WHERE member_id = ? AND domain_id = ?)"),
                [user.into(), domain.into()],
            ),
            Self::DomainsOf(user) => filter.and(
                &format!("{column} IN (SELECT entity_id FROM role_members WHERE member_id = ? AND entity_id = domain_id)"),
                user,
            ),
        }
    }
}
