//! Groups contain clients, channels and groups: the relation `parent_group`, kept in one place.
//!
//! A thing has at most one parent. Nothing else stores it: what a thing's parent is, which groups are above it and what
//! lies below a group is asked of the relations table, so that a move is one row and no path can go stale. Depth is
//! bounded by [`MAX_DEPTH`], and so is every walk.

use db::{Filter, Tx, Val, params};
use kernel::{DomainId, Error, GroupId, Result};

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
            SELECT r.object_id FROM below b JOIN relations r
                ON r.subject_kind = 'group' AND r.subject_id = b.id
               AND r.object_kind = 'group' AND r.relation = 'parent_group')
          SELECT id FROM below)"
    )
}

/// And the thing of `kind` whose id is in `column` lies in `group` or below it.
pub fn within(filter: Filter, kind: &str, column: &str, group: GroupId) -> Filter {
    let groups = below(
        "SELECT object_id FROM relations WHERE object_kind = 'group' AND object_id = ? AND relation = 'domain'",
    );
    filter.and(
        &format!(
            "{column} IN (SELECT object_id FROM relations WHERE object_kind = '{kind}' AND relation = 'parent_group'
                AND subject_kind = 'group' AND subject_id IN {groups})"
        ),
        group,
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

/// The groups above a group, its parent first.
pub async fn ancestors(tx: &mut Tx, group: GroupId) -> Result<Vec<GroupId>> {
    let mut above = Vec::new();
    let mut next = parent_of(tx, group).await?;
    while let Some(group) = next {
        if above.len() >= MAX_DEPTH {
            return Err(Error::internal(format!(
                "the groups above {group} are deeper than {MAX_DEPTH} levels"
            )));
        }
        above.push(group);
        next = parent_of(tx, group).await?;
    }
    Ok(above)
}

async fn parent_of(tx: &mut Tx, group: GroupId) -> Result<Option<GroupId>> {
    let row = tx
        .one_or_none(
            "SELECT subject_id FROM relations
              WHERE object_kind = 'group' AND object_id = $1 AND relation = 'parent_group'",
            params![group],
        )
        .await?;
    row.map(|row| row.get("subject_id")).transpose()
}

/// How many levels of groups hang below a group; 0 for a leaf.
pub async fn levels_below(tx: &mut Tx, group: GroupId) -> Result<usize> {
    let mut level = vec![Val::from(group)];
    for depth in 0..=MAX_DEPTH {
        let filter = Filter::new()
            .and_all("object_kind = 'group' AND relation = 'parent_group' AND subject_kind = 'group'", [])
            .and_in("subject_id", level);
        let rows =
            tx.all(&format!("SELECT object_id FROM relations{}", filter.sql()), filter.params()).await?;
        if rows.is_empty() {
            return Ok(depth);
        }
        level =
            rows.iter().map(|row| Ok(Val::from(row.get::<GroupId>("object_id")?))).collect::<Result<_>>()?;
    }
    Err(Error::internal(format!("the groups below {group} are deeper than {MAX_DEPTH} levels")))
}
