//! Lists that are asked for by how the caller comes to their rows.

use db::{Filter, Val};
use kernel::{DomainId, GroupId, RoleId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::AccessType;
use crate::visible::{Ways, listing};

/// The part of a list's query that is about the caller's own access (reference 03 §5.3): beside the list's other
/// queries, each passes over what the others read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
pub struct RoleFilter {
    /// Where the right comes from: `direct`, `direct_group`, `indirect_group`, `domain`; for groups `direct`,
    /// `indirect`, `domain`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    pub access_type: Option<AccessType>,
    /// Only things on which the user holds this role.
    pub role_id: Option<RoleId>,
    /// Only things on which the user holds a role of this name.
    pub role_name: Option<String>,
    /// Only things on which the user holds a role with all of these actions: `read,update`.
    pub actions: Option<String>,
}

impl RoleFilter {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// And the user comes to the thing of `kind` whose id is in `column` as was asked.
    pub fn restrict(
        &self,
        filter: Filter,
        column: &str,
        user: UserId,
        domain: DomainId,
        kind: &'static str,
    ) -> Filter {
        let ways = Ways { user, domain, kind };
        let filter = match self.access_type {
            Some(access_type) => of_type(filter, column, ways, access_type),
            None => filter,
        };
        self.restrict_to_held(filter, column, user, kind)
    }

    /// And on the thing of `kind` whose id is in `column` the user holds a role as was asked.
    pub fn restrict_to_held(&self, filter: Filter, column: &str, user: UserId, kind: &'static str) -> Filter {
        if self.role_id.is_none() && self.role_name.is_none() && self.actions.is_none() {
            return filter;
        }
        let mut held = String::from(
            "SELECT m.entity_id FROM role_members m JOIN roles o ON o.id = m.role_id
              WHERE m.member_id = ? AND m.entity_kind = ?",
        );
        let mut values: Vec<Val> = vec![user.into(), kind.into()];
        if let Some(role) = &self.role_id {
            held.push_str(" AND o.id = ?");
            values.push(role.as_str().into());
        }
        if let Some(name) = &self.role_name {
            held.push_str(" AND o.name = ?");
            values.push(name.as_str().into());
        }
        if let Some(actions) = &self.actions {
            held.push_str(" AND json_contains(o.actions, ?)");
            values.push(all_of(actions));
        }
        filter.and_among(column, &held, values)
    }
}

/// The JSON of the actions in a text with commas.
pub(super) fn all_of(actions: &str) -> Val {
    let actions: Vec<&str> = actions.split(',').map(str::trim).filter(|action| !action.is_empty()).collect();
    Val::Json(serde_json::Value::from(actions).to_string())
}

/// And this way is the first that leads to the thing.
fn of_type(filter: Filter, column: &str, ways: Ways, access_type: AccessType) -> Filter {
    let of_groups = ways.kind == GroupId::KIND;
    let not_direct = |filter| ways.direct().lacks(filter, column);
    let not_inside = |filter: Filter| match ways.through_parent() {
        Some(inside) => inside.lacks(filter, column),
        None => filter,
    };
    match access_type {
        AccessType::Direct => ways.direct().holds(filter, column),
        AccessType::DirectGroup => match ways.through_parent() {
            Some(inside) => inside.holds(not_direct(filter), column),
            None => filter.and_all("FALSE", []),
        },
        AccessType::IndirectGroup if !of_groups => {
            ways.through_ancestors().holds(not_inside(not_direct(filter)), column)
        }
        AccessType::Indirect if of_groups => ways.through_ancestors().holds(not_direct(filter), column),
        AccessType::IndirectGroup | AccessType::Indirect => filter.and_all("FALSE", []),
        AccessType::Domain => {
            let filter = ways.through_ancestors().lacks(not_inside(not_direct(filter)), column);
            filter.and_all(
                "EXISTS (SELECT 1 FROM role_members m JOIN roles o ON o.id = m.role_id
                  WHERE m.member_id = ? AND m.entity_kind = 'domain' AND m.entity_id = ?
                    AND json_contains(o.actions, ?))",
                [ways.user.into(), ways.domain.into(), listing(&format!("{}_read", ways.kind))],
            )
        }
    }
}
