//! Groups contain clients, channels and groups: the relation `parent_group`, kept in one place.
//!
//! A thing has at most one parent. Nothing else stores it: what a thing's parent is, which groups are above it and what
//! lies below a group is asked of the relations table, so that a move is one row and no path can go stale. Depth is
//! bounded by [`MAX_DEPTH`], and so is every walk. The walks are CROSS JOINs, which SQLite does in the order in which they
//! are written: it would otherwise read all relations of a kind at each step.

use std::collections::HashMap;

use db::{Filter, Tx, Val, params};
use kernel::{ClientId, DomainId, GroupId, Result};

use crate::{Access, Object, Permit};

/// The most levels of groups, a root being the first (reference 02 §3.3).
pub const MAX_DEPTH: usize = 20;

/// The parent of the row whose id is in `column`, as a column of a SELECT; NULL where it has none. `kind` is the
/// schema's word for the rows.
pub fn parent_column(kind: &str, column: &str) -> String {
    format!(
        "(SELECT p.subject_id FROM relations p WHERE p.object_kind = '{kind}' AND p.object_id = {column}
            AND p.relation = 'parent_group')"
    )
}

/// The groups at and below those that `roots` selects (a subquery of one column), as a subquery.
pub fn below(roots: &str) -> String {
    format!(
        "(WITH RECURSIVE below(id) AS (
            {roots}
            UNION
            SELECT r.object_id FROM below b CROSS JOIN relations r
             WHERE r.subject_kind = 'group' AND r.subject_id = b.id
               AND r.object_kind = 'group' AND r.relation = 'parent_group')
          SELECT id FROM below)"
    )
}

/// And the thing of `kind` whose id is in `column` lies in `group` or below it.
pub fn within(filter: Filter, kind: &str, column: &str, group: GroupId) -> Filter {
    let groups = below(
        "SELECT object_id FROM relations WHERE object_kind = 'group' AND object_id = ? AND relation = 'domain'",
    );
    filter.and_among(
        column,
        &format!(
            "SELECT object_id FROM relations WHERE object_kind = '{kind}' AND relation = 'parent_group'
                AND subject_kind = 'group' AND subject_id IN {groups}"
        ),
        [group.into()],
    )
}

/// And the thing of `kind` whose id is in `column` has no parent.
pub fn without_parent(filter: Filter, kind: &str, column: &str) -> Filter {
    filter.and_all(&format!("{} IS NULL", parent_column(kind, column)), [])
}

/// Keeps the hierarchy of a domain as it is until the transaction ends: two moves at once could otherwise close a
/// circle that neither sees.
pub async fn hold(tx: &mut Tx, domain: DomainId) -> Result<()> {
    let sql = format!("SELECT status FROM domain_gates WHERE domain_id = $1{}", tx.for_update());
    tx.one_or_none(&sql, params![domain]).await.map(drop)
}

/// The group that contains a thing.
pub async fn parent(tx: &mut Tx, object: Object) -> Result<Option<GroupId>> {
    let row = tx
        .one_or_none(
            "SELECT subject_id FROM relations
              WHERE object_kind = $1 AND object_id = $2 AND relation = 'parent_group'",
            params![object.kind(), object.id_text()],
        )
        .await?;
    row.map(|row| row.get("subject_id")).transpose()
}

/// Puts a thing into a group; the caller has checked that it has no parent. Both must be in the same domain.
pub async fn set_parent(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    object: Object,
    group: GroupId,
) -> Result<()> {
    tx.execute_later(
        "INSERT INTO relations (object_kind, object_id, relation, subject_kind, subject_id)
         VALUES ($1, $2, 'parent_group', 'group', $3)",
        params![object.kind(), object.id_text(), group],
    )
    .await?;
    access.graph().changed(tx, object, &[])
}

/// Takes a thing out of its group; returns whether it was in one.
pub async fn clear_parent(tx: &mut Tx, access: &Access, _permit: &Permit, object: Object) -> Result<bool> {
    let removed = tx
        .execute(
            "DELETE FROM relations WHERE object_kind = $1 AND object_id = $2 AND relation = 'parent_group'",
            params![object.kind(), object.id_text()],
        )
        .await?;
    access.graph().changed(tx, object, &[])?;
    Ok(removed > 0)
}

/// Takes clients out of `group`; returns those of these that were in it.
pub async fn take_out(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    domain: DomainId,
    group: GroupId,
    clients: &[ClientId],
) -> Result<Vec<ClientId>> {
    let these = Filter::new()
        .and_all("object_kind = 'client' AND relation = 'parent_group' AND subject_kind = 'group'", [])
        .and("subject_id = ?", group)
        .and_in("object_id", clients.iter().map(Val::from));
    let sql = format!("DELETE FROM relations{} RETURNING object_id", these.sql());
    let rows = tx.all(&sql, these.params()).await?;
    let mut taken = rows.iter().map(|row| row.get("object_id")).collect::<Result<Vec<ClientId>>>()?;
    taken.sort_unstable();
    for client in &taken {
        access.graph().changed(tx, Object::client(domain, *client), &[])?;
    }
    Ok(taken)
}

/// Up to so many things, caches forget each one that a statement changes; beyond it they forget everything.
const FORGOTTEN_ONE_BY_ONE: u64 = 1000;

/// Takes every group out of `group`; returns how many those were.
pub async fn clear_children(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    domain: DomainId,
    group: GroupId,
) -> Result<u64> {
    let children = "object_kind = 'group' AND relation = 'parent_group' AND subject_kind = 'group' \
                    AND subject_id = $1";
    let some = format!("SELECT object_id FROM relations WHERE {children} LIMIT $2");
    let some = tx.all(&some, params![group, FORGOTTEN_ONE_BY_ONE]).await?;
    let removed = tx.execute(&format!("DELETE FROM relations WHERE {children}"), params![group]).await?;
    if removed > FORGOTTEN_ONE_BY_ONE {
        access.graph().everything_changed(tx);
        return Ok(removed);
    }
    for row in &some {
        access.graph().changed(tx, Object::group(domain, row.get("object_id")?), &[])?;
    }
    Ok(removed)
}

/// The parents of these groups; a root is not in the answer.
pub async fn parents(tx: &mut Tx, groups: &[GroupId]) -> Result<HashMap<GroupId, GroupId>> {
    let filter = Filter::new()
        .and_all("object_kind = 'group' AND relation = 'parent_group'", [])
        .and_in("object_id", groups.iter().map(Val::from));
    let sql = format!("SELECT object_id, subject_id FROM relations{}", filter.sql());
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((row.get("object_id")?, row.get("subject_id")?))).collect()
}

/// The groups above each of these, the topmost first, in one query; a root is not in the answer.
pub async fn paths(tx: &mut Tx, groups: &[GroupId]) -> Result<HashMap<GroupId, Vec<GroupId>>> {
    let these = Filter::new()
        .and_all("object_kind = 'group' AND relation = 'parent_group'", [])
        .and_in("object_id", groups.iter().map(Val::from));
    let sql = format!(
        "WITH RECURSIVE above(thing, id, distance) AS (
           SELECT object_id, subject_id, 1 FROM relations{}
           UNION ALL
           SELECT a.thing, r.subject_id, a.distance + 1 FROM above a CROSS JOIN relations r
            WHERE r.object_kind = 'group' AND r.object_id = a.id AND r.relation = 'parent_group'
              AND a.distance < {MAX_DEPTH})
         SELECT thing, id FROM above ORDER BY thing, distance DESC",
        these.sql()
    );
    let mut paths: HashMap<GroupId, Vec<GroupId>> = HashMap::with_capacity(groups.len());
    for row in &tx.all(&sql, these.params()).await? {
        paths.entry(row.get("thing")?).or_default().push(row.get("id")?);
    }
    Ok(paths)
}

/// The groups above a group, its parent first.
pub async fn ancestors(tx: &mut Tx, group: GroupId) -> Result<Vec<GroupId>> {
    let mut above = paths(tx, &[group]).await?.remove(&group).unwrap_or_default();
    above.reverse();
    Ok(above)
}

/// How many levels of groups hang below the one of these that has most below it; 0 where all are leaves.
pub async fn levels_below(tx: &mut Tx, groups: &[GroupId]) -> Result<usize> {
    let these = Filter::new()
        .and_all("object_kind = 'group' AND relation = 'domain'", [])
        .and_in("object_id", groups.iter().map(Val::from));
    let sql = format!(
        "WITH RECURSIVE {} SELECT max(depth) AS depth FROM below",
        counted_below(&format!("SELECT object_id, 0 FROM relations{}", these.sql()), MAX_DEPTH)
    );
    let depth: Option<u32> = tx.one(&sql, these.params()).await?.get("depth")?;
    Ok(depth.unwrap_or_default() as usize)
}

/// And the group whose id is in `column` lies at least `from` and at most `to` levels below `group`, which is 0 levels
/// below itself.
pub fn at_levels(filter: Filter, column: &str, group: GroupId, from: usize, to: usize) -> Filter {
    let root = "SELECT object_id, 0 FROM relations WHERE object_kind = 'group' AND object_id = ? AND relation = 'domain'";
    let to = to.min(MAX_DEPTH);
    let below = counted_below(root, to);
    filter.and_among(
        column,
        &format!("WITH RECURSIVE {below} SELECT id FROM below WHERE depth BETWEEN {from} AND {to}"),
        [group.into()],
    )
}

/// And none of the groups above the group whose id is in `column` is one that `seen` lets through; `seen` is about the
/// column `subject_id`.
pub fn topmost(filter: Filter, column: &str, seen: Filter) -> Filter {
    let under = "(WITH RECURSIVE under(id) AS (
                    SELECT object_id FROM relations WHERE object_kind = 'group' AND relation = 'parent_group'
                       AND subject_kind = 'group'{}
                    UNION
                    SELECT r.object_id FROM under u CROSS JOIN relations r
                     WHERE r.subject_kind = 'group' AND r.subject_id = u.id
                       AND r.object_kind = 'group' AND r.relation = 'parent_group')
                  SELECT id FROM under)";
    filter.and_nested(&format!("{column} NOT IN {under}"), seen)
}

/// `below(id, depth)` for a WITH RECURSIVE: the groups that `roots` selects with depth 0, and those below them.
fn counted_below(roots: &str, deepest: usize) -> String {
    format!(
        "below(id, depth) AS (
           {roots}
           UNION ALL
           SELECT r.object_id, b.depth + 1 FROM below b CROSS JOIN relations r
            WHERE r.subject_kind = 'group' AND r.subject_id = b.id
              AND r.object_kind = 'group' AND r.relation = 'parent_group'
              AND b.depth < {deepest})"
    )
}
