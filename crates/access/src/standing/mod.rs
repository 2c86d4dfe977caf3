//! How users stand to things: by which role they come to what a list shows, and by which roles to one thing.
//!
//! A right may come from four places (reference 02 §4.5): a role on the thing itself, on the group it is in, on a group
//! further up, on the domain. [`of_page`] says for each row of a list which one counts, the nearest; [`roles_of`] and
//! [`everybody`] list all of them for one thing.

mod filter;
mod sources;
mod viewed;

use std::{collections::HashMap, fmt, str::FromStr};

use db::{Filter, Row, Tx, Val, params};
use kernel::{DomainId, Error, GroupId, Result, RoleId, UserId};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

pub use filter::RoleFilter;
pub use sources::{Member, MemberFilter, MemberOrder, MemberRole, everybody, roles_of};
pub use viewed::{Viewed, Viewing};

use crate::{
    hierarchy::MAX_DEPTH,
    roles::store::read_actions,
    visible::{listing, read_below, read_inside},
};

/// Where a right comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
pub enum AccessType {
    /// A role on the thing itself.
    #[schema(rename = "direct")]
    Direct,
    /// A role on the group that the thing is in.
    #[schema(rename = "direct_group")]
    DirectGroup,
    /// A role on a group further up.
    #[schema(rename = "indirect_group")]
    IndirectGroup,
    /// In lists of groups: a role on a group above.
    #[schema(rename = "indirect")]
    Indirect,
    /// A role on the domain.
    #[schema(rename = "domain")]
    Domain,
}

impl AccessType {
    const ALL: [Self; 5] =
        [Self::Direct, Self::DirectGroup, Self::IndirectGroup, Self::Indirect, Self::Domain];

    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::DirectGroup => "direct_group",
            Self::IndirectGroup => "indirect_group",
            Self::Indirect => "indirect",
            Self::Domain => "domain",
        }
    }
}

impl fmt::Display for AccessType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for AccessType {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word).ok_or_else(|| {
            Error::invalid(
                "invalid access type, one of direct, direct_group, indirect_group, indirect, domain",
            )
        })
    }
}

impl Serialize for AccessType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// How a user comes to one row of a list: made for `#[serde(flatten)]`. What does not apply is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Standing {
    /// The role that the user holds on the thing itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_id: Option<RoleId>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_name: Option<String>,
    /// Its actions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Where the right comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,
    /// The group or the domain on which the user holds the role that reaches here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub access_provider_id: Option<Uuid>,
    /// That role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_provider_role_id: Option<RoleId>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_provider_role_name: Option<String>,
    /// Its actions; of a domain's role those alone that are about this kind of thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_provider_role_actions: Vec<String>,
}

impl Standing {
    fn direct(row: &Row) -> Result<Self> {
        Ok(Self {
            role_id: Some(row.get("role_id")?),
            role_name: Some(row.get("role_name")?),
            actions: read_actions(row)?,
            access_type: Some(AccessType::Direct),
            ..Self::default()
        })
    }

    fn through(access_type: AccessType, provider: Uuid, row: &Row) -> Result<Self> {
        Ok(Self {
            access_type: Some(access_type),
            access_provider_id: Some(provider),
            access_provider_role_id: Some(row.get("role_id")?),
            access_provider_role_name: Some(row.get("role_name")?),
            access_provider_role_actions: read_actions(row)?,
            ..Self::default()
        })
    }
}

/// How the user comes to each of these things of one kind in a domain; a thing that no role reaches is not in the
/// answer. A role on the thing itself counts before one on its group, a nearer group before one further up, and those
/// before one on the domain.
pub async fn of_page(
    tx: &mut Tx,
    user: UserId,
    domain: DomainId,
    kind: &'static str,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Standing>> {
    let mut known = held(tx, user, kind, ids).await?;
    let rest: Vec<Uuid> = ids.iter().filter(|id| !known.contains_key(id)).copied().collect();
    if !rest.is_empty() {
        known.extend(through_groups(tx, user, kind, &rest).await?);
    }
    if ids.iter().all(|id| known.contains_key(id)) {
        return Ok(known);
    }
    if let Some(standing) = through_domain(tx, user, domain, kind).await? {
        for id in ids {
            known.entry(*id).or_insert_with(|| standing.clone());
        }
    }
    Ok(known)
}

fn text(id: &Uuid) -> Val {
    Val::Text(id.as_hyphenated().to_string())
}

fn uuid(row: &Row, column: &str) -> Result<Uuid> {
    row.get::<String>(column)?.parse().map_err(Error::internal)
}

/// The roles that the user holds on these things of one kind themselves; a thing on which none that allows anything is
/// held is not in the answer.
pub async fn held(
    tx: &mut Tx,
    user: UserId,
    kind: &'static str,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Standing>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (sql, filter) = held_sql(user, kind, ids);
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((uuid(row, "entity_id")?, Standing::direct(row)?))).collect()
}

/// The query of [`held`]. It walks from the things to the user's roles on them: a user may hold roles on a million
/// things, which SQLite would otherwise look through for these.
fn held_sql(user: UserId, kind: &'static str, ids: &[Uuid]) -> (String, Filter) {
    let mut filter = Filter::new()
        .and("m.member_id = ?", user)
        .and("m.entity_kind = ?", kind)
        .and_all("m.entity_id = w.id AND o.id = m.role_id AND CAST(o.actions AS text) <> '[]'", []);
    let condition = filter.sql().to_owned();
    // Repeated up to a power of two, so that pages of many lengths share few prepared statements.
    let repeated = ids.iter().chain(ids.last().into_iter().cycle()).take(ids.len().next_power_of_two());
    let wanted: Vec<String> = repeated.map(|id| format!("({})", filter.bind(text(id)))).collect();
    let sql = format!(
        "WITH wanted(id) AS (VALUES {})
         SELECT m.entity_id, o.id AS role_id, o.name AS role_name, o.actions
           FROM wanted w CROSS JOIN role_members m CROSS JOIN roles o{condition}",
        wanted.join(", ")
    );
    (sql, filter)
}

async fn through_groups(
    tx: &mut Tx,
    user: UserId,
    kind: &'static str,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Standing>> {
    let mut filter = Filter::new()
        .and("r.object_kind = ?", kind)
        .and_all("r.relation = 'parent_group'", [])
        .and_in("r.object_id", ids.iter().map(text));
    let condition = filter.sql().to_owned();
    let (depth, user) = (filter.bind(MAX_DEPTH), filter.bind(user));
    let sql = format!(
        "WITH RECURSIVE above(thing, group_id, depth) AS (
            SELECT r.object_id, r.subject_id, 1 FROM relations r{condition}
            UNION ALL
            SELECT a.thing, r.subject_id, a.depth + 1 FROM above a CROSS JOIN relations r
             WHERE r.object_kind = 'group' AND r.object_id = a.group_id AND r.relation = 'parent_group'
               AND a.depth < {depth})
         SELECT a.thing, a.group_id, a.depth, o.id AS role_id, o.name AS role_name, o.actions
           FROM above a CROSS JOIN role_members m CROSS JOIN roles o
          WHERE m.member_id = {user} AND m.entity_kind = 'group' AND m.entity_id = a.group_id AND o.id = m.role_id
          ORDER BY a.depth"
    );
    let rows = tx.all(&sql, filter.params()).await?;
    let (inside, below) = (read_inside(kind), read_below(kind));
    let mut nearest = HashMap::new();
    for row in &rows {
        let (thing, provider) = (uuid(row, "thing")?, uuid(row, "group_id")?);
        let (access_type, needed) = match (&inside, row.get::<i64>("depth")?) {
            (None, _) => (AccessType::Indirect, &below),
            (Some(inside), 1) => (AccessType::DirectGroup, inside),
            (Some(_), _) => (AccessType::IndirectGroup, &below),
        };
        if !nearest.contains_key(&thing) && read_actions(row)?.contains(needed) {
            nearest.insert(thing, Standing::through(access_type, provider, row)?);
        }
    }
    Ok(nearest)
}

async fn through_domain(
    tx: &mut Tx,
    user: UserId,
    domain: DomainId,
    kind: &'static str,
) -> Result<Option<Standing>> {
    let row = tx
        .one_or_none(
            "SELECT o.id AS role_id, o.name AS role_name, o.actions
               FROM role_members m JOIN roles o ON o.id = m.role_id
              WHERE m.member_id = $1 AND m.entity_kind = 'domain' AND m.entity_id = $2
                AND json_contains(o.actions, $3)",
            params![user, domain, listing(&format!("{kind}_read"))],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut standing = Standing::through(AccessType::Domain, domain.uuid(), &row)?;
    let about = format!("{kind}_");
    standing.access_provider_role_actions.retain(|action| action.starts_with(&about));
    Ok(Some(standing))
}

/// Whether a kind of thing can be in a group.
fn can_be_in_a_group(kind: &str) -> bool {
    ["client", "channel", GroupId::KIND].contains(&kind)
}

#[cfg(test)]
mod tests {
    use db::testing::TestDb;
    use kernel::Rng;

    use super::*;

    #[tokio::test]
    async fn sqlite_finds_the_roles_on_a_page_from_its_things_however_many_the_user_holds() {
        let db = TestDb::sqlite().await;
        db.migrate(&[events::MIGRATIONS, crate::MIGRATIONS].concat()).await.unwrap();
        let rng = Rng::seeded(1);
        let ids: Vec<Uuid> = (0..10).map(|_| rng.uuid()).collect();
        let (sql, filter) = held_sql(UserId::generate(&rng), "client", &ids);
        assert_eq!(filter.params().len(), 2 + 16);
        let plan = db
            .db()
            .read(move |tx| {
                Box::pin(async move {
                    let rows = tx.all(&format!("EXPLAIN QUERY PLAN {sql}"), filter.params()).await?;
                    rows.iter().map(|row| row.get::<String>("detail")).collect::<Result<Vec<_>>>()
                })
            })
            .await
            .unwrap()
            .join("; ");
        let wanted = "role_members_entity (member_id=? AND entity_kind=? AND entity_id=?)";
        assert!(plan.contains(wanted), "{plan}");
    }
}
