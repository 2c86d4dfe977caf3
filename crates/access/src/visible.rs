//! Which things a list may show.
//!
//! A user who may read everything of a kind in a domain gets [`Visible::All`], and such a list pays nothing. For all
//! others there are three ways to a thing (reference 02 §5.3), each a subquery of ids that starts at the user's own
//! roles; nothing is loaded to be dropped. `agreement` holds them to what single checks say.

use std::collections::HashMap;

use db::{Filter, Tx, Val};
use kernel::{DomainId, GroupId, Result, UserId};
use uuid::Uuid;

use crate::{
    hierarchy,
    standing::{self, Standing},
};

/// Which things a list may show to the caller: a condition for the list's own query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    All,
    /// Those of one kind in one domain to which the user's roles reach: on the thing itself, or on a group above it.
    To {
        /// The user.
        user: UserId,
        /// The domain.
        domain: DomainId,
        /// The schema's word for the kind: `client`, `channel`, `group`.
        kind: &'static str,
    },
    /// The domains in which the user holds a role that allows anything (reference 02 §1.4).
    DomainsOf(UserId),
}

impl Visible {
    /// And the column that holds the thing's id names a visible one.
    pub fn restrict(self, filter: Filter, column: &str) -> Filter {
        match self {
            Self::All => filter,
            Self::To { user, domain, kind } => Ways { user, domain, kind }.any().holds(filter, column),
            Self::DomainsOf(user) => filter.and_among(
                column,
                "SELECT m.entity_id FROM role_members m JOIN roles o ON o.id = m.role_id
                  WHERE m.member_id = ? AND m.entity_kind = 'domain' AND CAST(o.actions AS text) <> '[]'",
                [user.into()],
            ),
        }
    }
}

/// Whose list it is, and what it may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Which things.
    pub visible: Visible,
    /// Who looks.
    pub user: UserId,
    /// Whether the rows say how the user comes to them; for an administrator of the platform there is nothing to say.
    pub explained: bool,
}

impl Sight {
    /// How the user comes to these things of one page; of those that are not in the answer there is nothing to say.
    pub async fn standings(
        self,
        tx: &mut Tx,
        domain: DomainId,
        kind: &'static str,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Standing>> {
        match self.explained {
            true => standing::of_page(tx, self.user, domain, kind, ids).await,
            false => Ok(HashMap::new()),
        }
    }
}

/// How a user comes to things of a kind in a domain without a right to all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ways {
    pub(crate) user: UserId,
    pub(crate) domain: DomainId,
    /// The schema's word.
    pub(crate) kind: &'static str,
}

/// A subquery of one column of ids, with the values for its placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    sql: String,
    values: Vec<Val>,
}

impl Ids {
    fn new(sql: impl Into<String>, values: impl IntoIterator<Item = Val>) -> Self {
        Self { sql: sql.into(), values: values.into_iter().collect() }
    }

    /// And `column` is one of these.
    pub(crate) fn holds(self, filter: Filter, column: &str) -> Filter {
        filter.and_among(column, &self.sql, self.values)
    }

    /// And `column` is none of these.
    pub(crate) fn lacks(self, filter: Filter, column: &str) -> Filter {
        filter.and_all(&format!("{column} NOT IN ({})", self.sql), self.values)
    }

    fn or(self, other: Self) -> Self {
        Self::new(format!("{} UNION {}", self.sql, other.sql), self.values.into_iter().chain(other.values))
    }

    /// What lies directly in these groups.
    fn contents(self, kind: &str) -> Self {
        // CROSS: SQLite, which knows little of the tables, must not begin with all relations of the kind.
        let sql = format!(
            "SELECT r.object_id AS id FROM ({}) AS g CROSS JOIN relations r
              WHERE r.subject_kind = 'group' AND r.subject_id = g.id
                AND r.relation = 'parent_group' AND r.object_kind = '{kind}'",
            self.sql
        );
        Self { sql, ..self }
    }

    /// These groups and all below them.
    fn and_below(self) -> Self {
        Self { sql: format!("SELECT g.id FROM {} AS g", hierarchy::below(&self.sql)), ..self }
    }
}

/// The action by which a role on a group lets its members read things of `kind` in the group itself; none for groups,
/// of which each speaks for itself.
pub(crate) fn read_inside(kind: &str) -> Option<String> {
    (kind != GroupId::KIND).then(|| format!("{kind}_read"))
}

/// The action by which a role on a group lets its members read things of `kind` further down.
pub(crate) fn read_below(kind: &str) -> String {
    if kind == GroupId::KIND { "subgroup_read".to_owned() } else { format!("subgroup_{kind}_read") }
}

/// The JSON of a list of this one action, as `json_contains` takes it.
pub(crate) fn listing(action: &str) -> Val {
    Val::Json(format!("[\"{action}\"]"))
}

impl Ways {
    /// Things that one of the ways leads to.
    pub(crate) fn any(self) -> Ids {
        let own = self.direct().or(self.through_ancestors());
        match self.through_parent() {
            Some(inside) => own.or(inside),
            None => own,
        }
    }

    /// Things on which the user holds a role that allows anything.
    pub(crate) fn direct(self) -> Ids {
        Ids::new(
            "SELECT m.entity_id FROM role_members m JOIN roles o ON o.id = m.role_id
              WHERE m.member_id = ? AND m.domain_id = ? AND m.entity_kind = ? AND CAST(o.actions AS text) <> '[]'",
            [self.user.into(), self.domain.into(), self.kind.into()],
        )
    }

    /// Things in groups in which a role lets the user read such things.
    pub(crate) fn through_parent(self) -> Option<Ids> {
        read_inside(self.kind).map(|action| self.groups(&action).contents(self.kind))
    }

    /// Things further down from groups below which a role lets the user read such things.
    pub(crate) fn through_ancestors(self) -> Ids {
        let below = self.groups(&read_below(self.kind)).contents(GroupId::KIND).and_below();
        if self.kind == GroupId::KIND { below } else { below.contents(self.kind) }
    }

    fn groups(self, action: &str) -> Ids {
        Ids::new(
            "SELECT m.entity_id AS id FROM role_members m JOIN roles o ON o.id = m.role_id
              WHERE m.member_id = ? AND m.domain_id = ? AND m.entity_kind = 'group' AND json_contains(o.actions, ?)",
            [self.user.into(), self.domain.into(), listing(action)],
        )
    }
}
