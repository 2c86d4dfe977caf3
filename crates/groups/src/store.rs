//! The groups table.

use access::{Sight, Visible, hierarchy};
use db::{Filter, List, Row, Tx, Val, params, tally};
use kernel::{DomainId, Error, GroupId, Page, Result, Status};

use crate::model::{Description, Group, Levels, Listed, Placed, Query};

const COLUMNS: &str =
    "id, domain_id, name, description, tags, metadata, status, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<Group> {
    let description: Option<String> = row.get("description")?;
    Ok(Group {
        id: row.get("id")?,
        domain: row.get("domain_id")?,
        name: row.get("name")?,
        description: description.map(|text| text.parse::<Description>()).transpose()?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        status: row.get("status")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
    })
}

pub(crate) async fn insert(tx: &mut Tx, group: &Group) -> Result<()> {
    tx.execute_later(
        "INSERT INTO groups (id, domain_id, name, description, tags, metadata, status, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        params![
            group.id,
            group.domain,
            &group.name,
            group.description.as_ref().map(Description::as_str),
            &group.tags,
            &group.metadata,
            group.status,
            group.created_at
        ],
    )
    .await
}

/// Notes that so many groups of each status came or went; called once in a transaction, after the rows.
pub(crate) async fn count(
    tx: &mut Tx,
    domain: DomainId,
    seed: GroupId,
    changes: Vec<(Status, i64)>,
) -> Result<()> {
    tally::add(tx, GroupId::KIND, domain, seed.uuid().as_u128(), changes).await
}

pub(crate) async fn get(tx: &mut Tx, domain: DomainId, id: GroupId) -> Result<Option<Placed>> {
    let sql = format!("SELECT {COLUMNS} FROM groups WHERE id = $1 AND domain_id = $2");
    match tx.one_or_none(&sql, params![id, domain]).await? {
        Some(row) => place(tx, read(&row)?).await.map(Some),
        None => Ok(None),
    }
}

/// The row, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, domain: DomainId, id: GroupId) -> Result<Option<Group>> {
    let sql = format!("SELECT {COLUMNS} FROM groups WHERE id = $1 AND domain_id = $2{}", tx.for_update());
    tx.one_or_none(&sql, params![id, domain]).await?.as_ref().map(read).transpose()
}

/// The status of a group, which stays until the transaction ends.
pub(crate) async fn held_status(tx: &mut Tx, domain: DomainId, id: GroupId) -> Result<Option<Status>> {
    let sql = format!("SELECT status FROM groups WHERE id = $1 AND domain_id = $2{}", tx.for_share());
    tx.one_or_none(&sql, params![id, domain]).await?.map(|row| row.get("status")).transpose()
}

/// The domain of a group, for the one path that names none.
pub(crate) async fn domain_of(tx: &mut Tx, id: GroupId) -> Result<Option<DomainId>> {
    let row = tx.one_or_none("SELECT domain_id FROM groups WHERE id = $1", params![id]).await?;
    row.map(|row| row.get("domain_id")).transpose()
}

/// How many of these are groups of the domain.
pub(crate) async fn known(tx: &mut Tx, domain: DomainId, ids: &[GroupId]) -> Result<usize> {
    let filter = Filter::of_domain(domain).and_in("id", ids.iter().map(Val::from));
    let sql = format!("SELECT count(*) AS n FROM groups{}", filter.sql());
    tx.one(&sql, filter.params()).await?.get("n")
}

pub(crate) async fn update(tx: &mut Tx, group: &Group) -> Result<()> {
    tx.execute_later(
        "UPDATE groups
            SET name = $2, description = $3, tags = $4, metadata = $5, status = $6, updated_by = $7,
                updated_at = $8, changed_at = $8
          WHERE id = $1",
        params![
            group.id,
            &group.name,
            group.description.as_ref().map(Description::as_str),
            &group.tags,
            &group.metadata,
            group.status,
            group.updated_by,
            group.updated_at
        ],
    )
    .await?;
    tally::touch(tx, GroupId::KIND, group.domain, group.id.uuid().as_u128()).await
}

/// NotFound where it is not there.
pub(crate) async fn delete(tx: &mut Tx, domain: DomainId, id: GroupId) -> Result<()> {
    let group = get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)?;
    tx.execute_later("DELETE FROM groups WHERE id = $1", params![id]).await?;
    count(tx, domain, id, vec![(group.status, -1)]).await
}

/// A page of a domain's groups, of those that are visible.
pub(crate) async fn list(tx: &mut Tx, domain: DomainId, query: &Query, sight: Sight) -> Result<Page<Listed>> {
    let whole = Filter::of_domain(domain).and_opt("status = ?", query.status.code());
    let mut filter = asked(whole.clone(), domain, query, sight);
    if query.topmost {
        filter = hierarchy::topmost(filter, "id", sight.visible.restrict(Filter::new(), "subject_id"));
    }
    let tally = match filter == whole {
        true => Some(tally::sum(tx, GroupId::KIND, domain, query.status).await?),
        false => None,
    };
    page(tx, filter, domain, query, sight, tally).await
}

/// A page of the groups that lie so far below `group`, of those that are visible.
pub(crate) async fn list_below(
    tx: &mut Tx,
    (domain, group): (DomainId, GroupId),
    levels: Levels,
    query: &Query,
    sight: Sight,
) -> Result<Page<Listed>> {
    let whole = Filter::of_domain(domain).and_opt("status = ?", query.status.code());
    let filter = hierarchy::at_levels(whole, "id", group, levels.from, levels.to);
    page(tx, asked(filter, domain, query, sight), domain, query, sight, None).await
}

fn asked(filter: Filter, domain: DomainId, query: &Query, sight: Sight) -> Filter {
    let filter = sight
        .visible
        .restrict(filter, "id")
        .and_opt("id = ?", query.id)
        .and_opt("created_at >= ?", query.created_from)
        .and_opt("created_at <= ?", query.created_to)
        .and_listing(&query.listing);
    query.access.restrict(filter, "id", sight.user, domain, GroupId::KIND)
}

async fn page(
    tx: &mut Tx,
    filter: Filter,
    domain: DomainId,
    query: &Query,
    sight: Sight,
    tally: Option<tally::Tally>,
) -> Result<Page<Listed>> {
    let list = List::ordered("groups", COLUMNS, &query.listing);
    let Page { total, request, items } = list.page(tx, filter, query.listing.page, tally, read).await?;
    let ids: Vec<_> = items.iter().map(|group| group.id.uuid()).collect();
    let mut standings = sight.standings(tx, domain, GroupId::KIND, &ids).await?;
    let listed = |placed: Placed| {
        let standing = standings.remove(&placed.group.id.uuid()).unwrap_or_default();
        Listed { placed, standing }
    };
    let items = place_all(tx, items).await?.into_iter().map(listed).collect();
    Ok(Page { total, request, items })
}

/// The group and the groups above it, up to `levels` of these, of those that are visible.
pub(crate) async fn upward(
    tx: &mut Tx,
    domain: DomainId,
    group: GroupId,
    levels: usize,
    visible: Visible,
) -> Result<Vec<Placed>> {
    let above = hierarchy::ancestors(tx, group).await?;
    let wanted = std::iter::once(&group).chain(above.iter().take(levels));
    let filter = Filter::of_domain(domain).and_in("id", wanted.map(Val::from));
    some(tx, visible.restrict(filter, "id"), levels + 1).await
}

/// The group and the groups down to `levels` below it, at most `most`, of those that are visible.
pub(crate) async fn downward(
    tx: &mut Tx,
    (domain, group): (DomainId, GroupId),
    levels: usize,
    visible: Visible,
    most: usize,
) -> Result<Vec<Placed>> {
    let filter = hierarchy::at_levels(Filter::of_domain(domain), "id", group, 0, levels);
    some(tx, visible.restrict(filter, "id"), most).await
}

async fn some(tx: &mut Tx, mut filter: Filter, most: usize) -> Result<Vec<Placed>> {
    let condition = filter.sql().to_owned();
    let limit = filter.bind(most);
    let rows = tx
        .all(&format!("SELECT {COLUMNS} FROM groups{condition} ORDER BY id LIMIT {limit}"), filter.params())
        .await?;
    let groups = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    place_all(tx, groups).await
}

/// The group and where it is.
pub(crate) async fn place(tx: &mut Tx, group: Group) -> Result<Placed> {
    let above = hierarchy::paths(tx, &[group.id]).await?.remove(&group.id).unwrap_or_default();
    Ok(Placed { group, above })
}

async fn place_all(tx: &mut Tx, groups: Vec<Group>) -> Result<Vec<Placed>> {
    let ids: Vec<GroupId> = groups.iter().map(|group| group.id).collect();
    let mut paths = hierarchy::paths(tx, &ids).await?;
    let placed = |group: Group| Placed { above: paths.remove(&group.id).unwrap_or_default(), group };
    Ok(groups.into_iter().map(placed).collect())
}
