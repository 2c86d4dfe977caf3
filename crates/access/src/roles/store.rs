//! The tables of roles and of their members.

use db::{Filter, List, Row, Tx, Val, params};
use kernel::{Direction, DomainId, EntityId, Error, Page, PageRequest, Result, RoleId, UserId};

use super::model::{Role, RoleName};
use crate::Object;

const COLUMNS: &str =
    "id, name, entity_id, actions, built_in, created_by, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<Role> {
    Ok(Role {
        id: row.get("id")?,
        name: row.get("name")?,
        entity_id: row.get("entity_id")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
        actions: read_actions(row)?,
        built_in: row.get::<i64>("built_in")? == 1,
    })
}

/// The actions of a role, from the column `actions`.
pub(crate) fn read_actions(row: &Row) -> Result<Vec<String>> {
    serde_json::from_str(&row.get::<String>("actions")?).map_err(Error::internal)
}

fn stored(actions: &[String]) -> Result<Val> {
    serde_json::to_string(actions).map(Val::Json).map_err(Error::internal)
}

/// The row that ties a thing to what it belongs to: a domain to the platform, anything else to its domain.
const fn place(object: Object) -> &'static str {
    if is_domain(object) { "organization" } else { "domain" }
}

/// Whether it is a domain, whose roles say who belongs to it.
pub(crate) const fn is_domain(object: Object) -> bool {
    matches!(object.kind().as_bytes(), b"domain")
}

/// Ties a thing to what it belongs to.
pub(crate) async fn put_in_place(tx: &mut Tx, object: Object) -> Result<()> {
    let (kind, id) = if is_domain(object) {
        ("platform", crate::graph::PLATFORM_ID.to_owned())
    } else {
        (DomainId::KIND, object.in_domain().to_string())
    };
    tx.execute_later(
        "INSERT INTO relations (object_kind, object_id, relation, subject_kind, subject_id)
         VALUES ($1, $2, $3, $4, $5)",
        params![object.kind(), object.id_text(), place(object), kind, id],
    )
    .await
}

/// Holds a thing's roles against all other changes until the transaction ends; whether there is such a thing.
///
/// Whoever removes the thing holds them first too, so that no role can come to a thing that is gone.
pub(crate) async fn hold(tx: &mut Tx, object: Object) -> Result<bool> {
    let sql = format!(
        "SELECT subject_id FROM relations WHERE object_kind = $1 AND object_id = $2 AND relation = $3{}",
        tx.for_update()
    );
    let row = tx.one_or_none(&sql, params![object.kind(), object.id_text(), place(object)]).await?;
    Ok(row.is_some())
}

/// Conflict where the name is taken on the thing.
pub(crate) async fn insert(tx: &mut Tx, object: Object, role: &Role) -> Result<()> {
    let values = [
        role.id.as_str().into(),
        role.name.as_str().into(),
        object.kind().into(),
        object.id_text().into(),
        object.in_domain().into(),
        stored(&role.actions)?,
        i64::from(role.built_in).into(),
        role.created_by.into(),
        role.created_at.into(),
    ];
    tx.execute_later(
        "INSERT INTO roles (id, name, entity_kind, entity_id, domain_id, actions, built_in, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &values,
    )
    .await
}

/// Whether the thing has a role of this name other than `role`.
pub(crate) async fn name_taken(
    tx: &mut Tx,
    object: Object,
    name: &RoleName,
    role: Option<&RoleId>,
) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT id FROM roles WHERE entity_kind = $1 AND entity_id = $2 AND name = $3",
            params![object.kind(), object.id_text(), name.as_str()],
        )
        .await?;
    let holder = row.map(|row| row.get::<RoleId>("id")).transpose()?;
    Ok(holder.is_some_and(|holder| Some(&holder) != role))
}

/// The role, if it is on this thing.
pub(crate) async fn get(tx: &mut Tx, object: Object, role: &RoleId) -> Result<Option<Role>> {
    let sql = format!("SELECT {COLUMNS} FROM roles WHERE id = $1 AND entity_kind = $2 AND entity_id = $3");
    let row = tx.one_or_none(&sql, params![role.as_str(), object.kind(), object.id_text()]).await?;
    row.as_ref().map(read).transpose()
}

/// How many roles a thing has.
pub(crate) async fn count(tx: &mut Tx, object: Object) -> Result<u64> {
    let sql = "SELECT count(*) AS n FROM roles WHERE entity_kind = $1 AND entity_id = $2";
    tx.one(sql, params![object.kind(), object.id_text()]).await?.get("n")
}

/// A page of a thing's roles, the oldest first.
pub(crate) async fn page(tx: &mut Tx, object: Object, request: PageRequest) -> Result<Page<Role>> {
    let filter = Filter::new().and("entity_kind = ?", object.kind()).and("entity_id = ?", object.id_text());
    let list =
        List { table: "roles", columns: COLUMNS, order: "created_at", direction: Direction::Ascending };
    list.page(tx, filter, request, None, read).await
}

/// Writes name, actions, and who changed them.
pub(crate) async fn update(tx: &mut Tx, role: &Role) -> Result<()> {
    let values = [
        role.id.as_str().into(),
        role.name.as_str().into(),
        stored(&role.actions)?,
        role.updated_by.into(),
        role.updated_at.into(),
    ];
    tx.execute_later(
        "UPDATE roles SET name = $2, actions = $3, updated_by = $4, updated_at = $5 WHERE id = $1",
        &values,
    )
    .await
}

/// Removes a role; its members are gone already.
pub(crate) async fn delete(tx: &mut Tx, role: &RoleId) -> Result<()> {
    tx.execute_later("DELETE FROM roles WHERE id = $1", params![role.as_str()]).await
}

/// Removes all roles of a thing; their members are gone already.
pub(crate) async fn delete_all(tx: &mut Tx, object: Object) -> Result<()> {
    tx.execute_later(
        "DELETE FROM roles WHERE entity_kind = $1 AND entity_id = $2",
        params![object.kind(), object.id_text()],
    )
    .await
}

/// Removes all members of all roles of a thing.
pub(crate) async fn delete_all_members(tx: &mut Tx, object: Object) -> Result<Removed> {
    let rows = tx
        .all(
            "DELETE FROM role_members
              WHERE role_id IN (SELECT id FROM roles WHERE entity_kind = $1 AND entity_id = $2)
             RETURNING role_id, member_id",
            params![object.kind(), object.id_text()],
        )
        .await?;
    rows.iter().map(membership).collect()
}

/// Removes every relation from and to a thing; returns what was related to it: kind and id.
pub(crate) async fn cut_off(tx: &mut Tx, object: Object) -> Result<Vec<(String, EntityId)>> {
    let values = params![object.kind(), object.id_text()];
    tx.execute_later("DELETE FROM relations WHERE object_kind = $1 AND object_id = $2", values).await?;
    let rows = tx
        .all(
            "DELETE FROM relations WHERE subject_kind = $1 AND subject_id = $2 RETURNING object_kind, object_id",
            values,
        )
        .await?;
    rows.iter().map(|row| Ok((row.get("object_kind")?, row.get("object_id")?))).collect()
}

/// The members of a thing's roles.
pub(crate) fn on(object: Object) -> Filter {
    Filter::new().and("entity_kind = ?", object.kind()).and("entity_id = ?", object.id_text())
}

/// The role that a user holds on a thing, for each of these users that holds one.
pub(crate) async fn held_by(tx: &mut Tx, object: Object, users: &[UserId]) -> Result<Vec<(RoleId, UserId)>> {
    let filter = on(object).and_in("member_id", users.iter().map(Val::from));
    let sql = format!("SELECT role_id, member_id FROM role_members{}", filter.sql());
    tx.all(&sql, filter.params()).await?.iter().map(membership).collect()
}

/// Makes users members of a role.
pub(crate) async fn insert_members(
    tx: &mut Tx,
    object: Object,
    role: &RoleId,
    users: &[UserId],
) -> Result<()> {
    let row = |user: &UserId| {
        vec![
            role.as_str().into(),
            (*user).into(),
            object.kind().into(),
            object.id_text().into(),
            object.in_domain().into(),
        ]
    };
    tx.insert_many(
        "INSERT INTO role_members (role_id, member_id, entity_kind, entity_id, domain_id) VALUES",
        users.iter().map(row).collect(),
    )
    .await
    .map(drop)
}

/// Who no longer holds which role after a removal.
pub(crate) type Removed = Vec<(RoleId, UserId)>;

/// Removes the members that `filter` chooses.
pub(crate) async fn delete_members(tx: &mut Tx, filter: Filter) -> Result<Removed> {
    let sql = format!("DELETE FROM role_members{} RETURNING role_id, member_id", filter.sql());
    tx.all(&sql, filter.params()).await?.iter().map(membership).collect()
}

fn membership(row: &Row) -> Result<(RoleId, UserId)> {
    Ok((row.get("role_id")?, row.get("member_id")?))
}

/// The thing's built-in role, if it has no member.
pub(crate) async fn bare_built_in(tx: &mut Tx, object: Object) -> Result<Option<RoleId>> {
    let row = tx
        .one_or_none(
            "SELECT r.id FROM roles r
              WHERE r.entity_kind = $1 AND r.entity_id = $2 AND r.built_in = 1
                AND NOT EXISTS (SELECT 1 FROM role_members m WHERE m.role_id = r.id)",
            params![object.kind(), object.id_text()],
        )
        .await?;
    row.map(|row| row.get("id")).transpose()
}

/// A page of a role's members, in the order of their ids.
pub(crate) async fn page_of_members(
    tx: &mut Tx,
    role: &RoleId,
    request: PageRequest,
) -> Result<Page<UserId>> {
    let sql = "SELECT count(*) AS n FROM role_members WHERE role_id = $1";
    let total = tx.one(sql, params![role.as_str()]).await?.get("n")?;
    let mut filter = Filter::new().and("role_id = ?", role.as_str());
    let condition = filter.sql().to_owned();
    let limits = filter.page(&request);
    let sql = format!("SELECT member_id FROM role_members{condition} ORDER BY member_id{limits}");
    let rows = tx.all(&sql, filter.params()).await?;
    let items = rows.iter().map(|row| row.get("member_id")).collect::<Result<_>>()?;
    Ok(Page { total, request, items })
}

/// Of these users, how many are registered on the platform; they stay so until the transaction ends.
pub(crate) async fn registered(tx: &mut Tx, users: &[UserId]) -> Result<usize> {
    let filter = Filter::new()
        .and("object_kind = 'platform' AND object_id = ?", crate::graph::PLATFORM_ID)
        .and_all("relation = 'member' AND subject_kind = 'user'", [])
        .and_in("subject_id", users.iter().map(Val::from));
    let sql = format!("SELECT subject_id FROM relations{}{}", filter.sql(), tx.for_share());
    tx.all(&sql, filter.params()).await.map(|rows| rows.len())
}

/// Of these users, how many belong to the domain: hold a role on it that holds an action. They stay so until the
/// transaction ends.
pub(crate) async fn belonging(tx: &mut Tx, domain: DomainId, users: &[UserId]) -> Result<usize> {
    let filter = Filter::new()
        .and("m.entity_kind = 'domain' AND m.entity_id = ?", domain)
        .and_in("m.member_id", users.iter().map(Val::from))
        .and("r.actions <> ?", Val::Json("[]".to_owned()));
    let sql = format!(
        "SELECT m.member_id FROM role_members m JOIN roles r ON r.id = m.role_id{}{}",
        filter.sql(),
        tx.for_share()
    );
    tx.all(&sql, filter.params()).await.map(|rows| rows.len())
}
