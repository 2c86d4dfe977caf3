//! All roles that reach one thing, and everybody who holds one of them (reference 02 §4.5).

use std::collections::HashMap;

use db::{Filter, Row, Tx, Val};
use kernel::{Direction, Error, GroupId, Page, PageRequest, Result, RoleId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AccessType, can_be_in_a_group, filter::all_of};
use crate::{Object, hierarchy, hierarchy::MAX_DEPTH, roles::store::read_actions};

/// One role by which a user comes to a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemberRole {
    /// The role.
    pub role_id: RoleId,
    /// Its name.
    pub role_name: String,
    /// All of its actions.
    pub actions: Vec<String>,
    /// The group or the domain that it is on, if it is not on the thing itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_provider_id: Option<String>,
    /// The way from the topmost group to that group, with dots between the ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_provider_path: Option<String>,
    /// Where the right comes from.
    pub access_type: AccessType,
}

/// A user, and all roles by which this user comes to a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// The user.
    pub member_id: UserId,
    /// The roles, the nearest first.
    pub roles: Vec<MemberRole>,
}

/// Which members are asked for: those with one role of which all of this is true.
#[derive(Debug, Clone, Default)]
pub struct MemberFilter {
    /// It is this one.
    pub role_id: Option<RoleId>,
    /// It has this name.
    pub role_name: Option<String>,
    /// It holds all of these actions: `read,update`.
    pub actions: Option<String>,
    /// The right comes from there.
    pub access_type: Option<AccessType>,
    /// It is on this group or domain.
    pub access_provider_id: Option<String>,
}

/// By what members are ordered; who has several such roles is put where the first of them belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemberOrder {
    /// By the user's id.
    #[default]
    Member,
    /// By the role's id.
    RoleId,
    /// By the role's name.
    RoleName,
    /// By where the right comes from, the nearest first.
    AccessType,
    /// By the group or domain.
    AccessProvider,
}

impl MemberOrder {
    /// The order with this word; other words order by the user's id (reference 02 §4.5).
    pub fn named(word: &str) -> Self {
        match word {
            "role_id" => Self::RoleId,
            "role_name" => Self::RoleName,
            "access_type" => Self::AccessType,
            "access_provider_id" => Self::AccessProvider,
            _ => Self::Member,
        }
    }

    const fn column(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::RoleId => Some("s.role_id"),
            Self::RoleName => Some("s.role_name"),
            Self::AccessType => Some("s.nearness"),
            Self::AccessProvider => Some("s.provider"),
        }
    }
}

/// The roles by which a user comes to a thing, from everywhere, the nearest first.
pub async fn roles_of(tx: &mut Tx, user: UserId, object: Object) -> Result<Vec<MemberRole>> {
    let sources = Sources::of(object, AccessType::DirectGroup);
    let mut found = sources.roles(tx, &[user]).await?;
    Ok(found.remove(&user).unwrap_or_default())
}

/// A page of everybody who comes to a thing by a role, with all of these roles.
pub async fn everybody(
    tx: &mut Tx,
    object: Object,
    filter: &MemberFilter,
    order: MemberOrder,
    direction: Direction,
    request: PageRequest,
) -> Result<Page<Member>> {
    // The list of a group's members knows no parent, only groups above (reference 02 §4.5).
    let of_a_group = object.kind() == GroupId::KIND;
    let parent = if of_a_group { AccessType::IndirectGroup } else { AccessType::DirectGroup };
    let sources = Sources::of(object, parent);
    let asked = sources.asked(filter);
    let total = sources.count(tx, &asked).await?;
    let users = sources.page(tx, asked, order, direction, &request).await?;
    let mut roles = sources.roles(tx, &users).await?;
    let member = |user| Member { member_id: user, roles: roles.remove(&user).unwrap_or_default() };
    Ok(Page { total, request, items: users.into_iter().map(member).collect() })
}

/// The roles that reach one thing, as the head of a query: `WITH … sources(…)`.
struct Sources {
    object: Object,
    parent: AccessType,
    with: String,
}

impl Sources {
    fn of(object: Object, parent: AccessType) -> Self {
        let kind = object.kind();
        // A role counts if it holds any action about things of this kind; these are the starts of their names.
        let (inside, below) = match kind {
            GroupId::KIND => ("subgroup".to_owned(), "subgroup".to_owned()),
            kind => (kind.to_owned(), format!("subgroup_{kind}")),
        };
        let walks = if can_be_in_a_group(kind) { "" } else { " AND FALSE" };
        let parent_nearness = nearness(parent);
        let further = nearness(AccessType::IndirectGroup);
        let of_domain = nearness(AccessType::Domain);
        let with = format!(
            "WITH RECURSIVE above(group_id, depth) AS (
                SELECT r.subject_id, 1 FROM relations r
                 WHERE r.object_kind = $1 AND r.object_id = $2 AND r.relation = 'parent_group'{walks}
                UNION ALL
                SELECT r.subject_id, a.depth + 1 FROM above a CROSS JOIN relations r
                 WHERE r.object_kind = 'group' AND r.object_id = a.group_id AND r.relation = 'parent_group'
                   AND a.depth < {MAX_DEPTH}),
             sources(role_id, role_name, actions, nearness, provider) AS (
                SELECT o.id, o.name, o.actions, 0, '' FROM roles o
                 WHERE o.entity_kind = $1 AND o.entity_id = $2 AND CAST(o.actions AS text) <> '[]'
                UNION ALL
                SELECT o.id, o.name, o.actions, CASE WHEN a.depth = 1 THEN {parent_nearness} ELSE {further} END,
                       a.group_id
                  FROM above a CROSS JOIN roles o
                 WHERE o.entity_kind = 'group' AND o.entity_id = a.group_id
                   AND CAST(o.actions AS text)
                       LIKE CASE WHEN a.depth = 1 THEN '%\"{inside}%' ELSE '%\"{below}%' END
                UNION ALL
                SELECT o.id, o.name, o.actions, {of_domain}, o.entity_id FROM roles o
                 WHERE o.entity_kind = 'domain' AND o.entity_id = $3 AND $1 <> 'domain'
                   AND CAST(o.actions AS text) LIKE '%\"{kind}%') "
        );
        Self { object, parent, with }
    }

    /// The values that the head of the query takes.
    fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        for value in
            [Val::from(self.object.kind()), self.object.id_text().into(), self.object.in_domain().into()]
        {
            filter.bind(value);
        }
        filter.and_all("m.role_id = s.role_id", [])
    }

    fn asked(&self, asked: &MemberFilter) -> Filter {
        let nearness = asked.access_type.map(nearness);
        self.filter()
            .and_opt("s.role_id = ?", asked.role_id.as_ref().map(RoleId::as_str))
            .and_opt("s.role_name = ?", asked.role_name.as_deref())
            .and_opt("json_contains(s.actions, ?)", asked.actions.as_deref().map(all_of))
            .and_opt("s.nearness = ?", nearness)
            .and_opt("s.provider = ?", asked.access_provider_id.as_deref())
    }

    async fn count(&self, tx: &mut Tx, asked: &Filter) -> Result<u64> {
        let sql = format!(
            "{}SELECT count(DISTINCT m.member_id) AS n
                 FROM sources s CROSS JOIN role_members m{}",
            self.with,
            asked.sql()
        );
        tx.one(&sql, asked.params()).await?.get("n")
    }

    async fn page(
        &self,
        tx: &mut Tx,
        mut asked: Filter,
        order: MemberOrder,
        direction: Direction,
        request: &PageRequest,
    ) -> Result<Vec<UserId>> {
        let direction = direction.sql();
        let first = order.column().map(|column| format!("min({column}) {direction}, ")).unwrap_or_default();
        let condition = asked.sql().to_owned();
        let limits = asked.page(request);
        let sql = format!(
            "{}SELECT m.member_id FROM sources s CROSS JOIN role_members m{condition}
                GROUP BY m.member_id ORDER BY {first}m.member_id {direction}{limits}",
            self.with
        );
        tx.all(&sql, asked.params()).await?.iter().map(|row| row.get("member_id")).collect()
    }

    /// All roles of these users that reach the thing.
    async fn roles(&self, tx: &mut Tx, users: &[UserId]) -> Result<HashMap<UserId, Vec<MemberRole>>> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let filter = self.filter().and_in("m.member_id", users.iter().map(Val::from));
        let sql = format!(
            "{}SELECT m.member_id, s.role_id, s.role_name, s.actions, s.nearness, s.provider
                 FROM sources s CROSS JOIN role_members m{} ORDER BY s.nearness, s.role_id",
            self.with,
            filter.sql()
        );
        let rows = tx.all(&sql, filter.params()).await?;
        let above = self.above(tx).await?;
        let mut found: HashMap<UserId, Vec<MemberRole>> = HashMap::new();
        for row in &rows {
            found.entry(row.get("member_id")?).or_default().push(self.read(row, &above)?);
        }
        Ok(found)
    }

    /// The groups above the thing, its parent first.
    async fn above(&self, tx: &mut Tx) -> Result<Vec<GroupId>> {
        if !can_be_in_a_group(self.object.kind()) {
            return Ok(Vec::new());
        }
        let Some(parent) = hierarchy::parent(tx, self.object).await? else { return Ok(Vec::new()) };
        let mut above = vec![parent];
        above.extend(hierarchy::ancestors(tx, parent).await?);
        Ok(above)
    }

    fn read(&self, row: &Row, above: &[GroupId]) -> Result<MemberRole> {
        let access_type = self.access_type(row.get("nearness")?)?;
        let provider: String = row.get("provider")?;
        let step = above.iter().position(|group| group.to_string() == provider);
        let path = step
            .and_then(|step| above.get(step..))
            .map(|groups| groups.iter().rev().map(GroupId::to_string).collect::<Vec<_>>().join("."));
        Ok(MemberRole {
            role_id: row.get("role_id")?,
            role_name: row.get("role_name")?,
            actions: read_actions(row)?,
            access_provider_id: Some(provider).filter(|provider| !provider.is_empty()),
            access_provider_path: path,
            access_type,
        })
    }

    fn access_type(&self, stored: i64) -> Result<AccessType> {
        let known = [AccessType::Direct, self.parent, AccessType::IndirectGroup, AccessType::Domain];
        known
            .into_iter()
            .find(|&known| nearness(known) == stored)
            .ok_or_else(|| Error::internal(format!("no access type is {stored} steps from {}", self.object)))
    }
}

/// Where a source stands in the order of nearness.
const fn nearness(access_type: AccessType) -> i64 {
    match access_type {
        AccessType::Direct => 0,
        AccessType::DirectGroup => 1,
        AccessType::IndirectGroup | AccessType::Indirect => 2,
        AccessType::Domain => 3,
    }
}
