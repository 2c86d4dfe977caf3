//! The tables of the registry, as far as they are alike.

use std::collections::HashMap;

use access::{Sight, hierarchy};
use db::{Filter, List, Row, Tx, Val, tally};
use kernel::{DomainId, Error, GroupId, Page, Result, Status};

use crate::{Entry, EntryId, InGroup, Listed, Query, Registered};

const COLUMNS: &str =
    "id, domain_id, name, tags, metadata, status, created_by, created_at, updated_by, updated_at";

/// What is selected of a kind: the shared columns, the group that contains it, and its own.
fn columns<T: Registered>() -> String {
    let parent = hierarchy::parent_column(T::Id::KIND, "id");
    format!("{COLUMNS}, {parent} AS parent_group_id{}", T::OWN_COLUMNS)
}

/// A thing from a row that was selected with [`select`] or a list.
fn read<T: Registered>(row: &Row) -> Result<T> {
    let entry = Entry {
        id: row.get("id")?,
        domain: row.get("domain_id")?,
        name: row.get("name")?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        status: row.get("status")?,
        parent: row.get("parent_group_id")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
    };
    T::read(entry, row)
}

/// Adds the row; `own` are the columns of the kind's own. Conflict where the id or something else that is unique is
/// taken.
pub(crate) async fn insert<T: Registered>(
    tx: &mut Tx,
    thing: &T,
    own: Vec<(&'static str, Val)>,
) -> Result<()> {
    let entry = thing.entry();
    let mut columns =
        "id, domain_id, name, tags, metadata, status, created_by, created_at, changed_at".to_owned();
    let mut places = "$1, $2, $3, $4, $5, $6, $7, $8, $8".to_owned();
    let mut values = vec![
        entry.id.into(),
        entry.domain.into(),
        Val::from(&entry.name),
        Val::from(&entry.tags),
        Val::from(&entry.metadata),
        entry.status.into(),
        entry.created_by.into(),
        entry.created_at.into(),
    ];
    for (column, value) in own {
        values.push(value);
        columns.push_str(&format!(", {column}"));
        places.push_str(&format!(", ${}", values.len()));
    }
    let sql = format!("INSERT INTO {} ({columns}) VALUES ({places})", T::Id::TABLE);
    tx.execute(&sql, &values).await.map_err(taken::<T>)?;
    Ok(())
}

/// What a broken unique index means to the caller.
pub fn taken<T: Registered>(error: Error) -> Error {
    match db::violated(&error) {
        Some(index) => Error::conflict(T::taken(index).unwrap_or(T::REFUSALS.id_taken)).cause(error),
        None => error,
    }
}

/// Notes that so many things of each status came or went; called once in a transaction, after the rows.
pub(crate) async fn count<I: EntryId>(
    tx: &mut Tx,
    domain: DomainId,
    one: I,
    changes: Vec<(Status, i64)>,
) -> Result<()> {
    tally::add(tx, I::KIND, domain, seed(domain, one), changes).await
}

/// One thing.
pub async fn get<T: Registered>(tx: &mut Tx, domain: DomainId, id: T::Id) -> Result<Option<T>> {
    select(tx, domain, id, "").await
}

/// The row, held against other writers until the transaction ends.
pub async fn get_for_update<T: Registered>(tx: &mut Tx, domain: DomainId, id: T::Id) -> Result<Option<T>> {
    let hold = tx.for_update();
    select(tx, domain, id, hold).await
}

/// As [`get_for_update`], but only what is enabled: what is disabled is not changed (reference 03 §5.2).
pub async fn get_enabled<T: Registered>(tx: &mut Tx, domain: DomainId, id: T::Id) -> Result<Option<T>> {
    Ok(get_for_update::<T>(tx, domain, id).await?.filter(|thing| thing.entry().status == Status::Enabled))
}

async fn select<T: Registered>(tx: &mut Tx, domain: DomainId, id: T::Id, hold: &str) -> Result<Option<T>> {
    let sql =
        format!("SELECT {} FROM {} WHERE id = $1 AND domain_id = $2{hold}", columns::<T>(), T::Id::TABLE);
    tx.one_or_none(&sql, &[id.into(), domain.into()]).await?.as_ref().map(read).transpose()
}

/// Writes what may change: the shared part and those of the kind's own columns that it names.
pub(crate) async fn update<T: Registered>(tx: &mut Tx, thing: &T) -> Result<()> {
    let entry = thing.entry();
    let mut sql = format!(
        "UPDATE {}
            SET name = $2, tags = $3, metadata = $4, status = $5, updated_by = $6, updated_at = $7, changed_at = $7",
        T::Id::TABLE
    );
    let mut values = vec![
        entry.id.into(),
        Val::from(&entry.name),
        Val::from(&entry.tags),
        Val::from(&entry.metadata),
        entry.status.into(),
        entry.updated_by.into(),
        entry.updated_at.into(),
    ];
    for (column, value) in thing.changed_values() {
        values.push(value);
        sql.push_str(&format!(", {column} = ${}", values.len()));
    }
    sql.push_str(" WHERE id = $1");
    tx.execute(&sql, &values).await?;
    touched(tx, thing).await
}

/// Notes that the thing has another name or time of change, which [`update`] does by itself.
pub async fn touched<T: Registered>(tx: &mut Tx, thing: &T) -> Result<()> {
    let Entry { id, domain, .. } = *thing.entry();
    tally::touch(tx, T::Id::KIND, domain, seed(domain, id)).await
}

/// Which part of the counts a thing belongs to.
fn seed<I: EntryId>(domain: DomainId, id: I) -> u128 {
    id.object(domain).id().as_u128()
}

/// Removes the row and what goes with it. NotFound where it is not there.
pub(crate) async fn delete<T: Registered>(tx: &mut Tx, domain: DomainId, id: T::Id) -> Result<()> {
    let thing = get_for_update::<T>(tx, domain, id).await?.ok_or_else(Error::not_found)?;
    T::forget(tx, id).await?;
    tx.execute(&format!("DELETE FROM {} WHERE id = $1", T::Id::TABLE), &[id.into()]).await?;
    count(tx, domain, id, vec![(thing.entry().status, -1)]).await
}

/// A page of a domain's things, of those that are visible and meet the kind's own conditions.
pub async fn list<T: Registered>(
    tx: &mut Tx,
    domain: DomainId,
    query: &Query<T::Id>,
    sight: &Sight,
    own: impl FnOnce(Filter) -> Filter,
) -> Result<Page<Listed<T>>> {
    let whole = Filter::of_domain(domain).and_opt("status = ?", query.status.code());
    let mut filter = sight
        .visible
        .restrict(whole.clone(), "id")
        .and_opt("id = ?", query.id)
        .and_opt("created_at >= ?", query.created_from)
        .and_opt("created_at <= ?", query.created_to)
        .and_listing(&query.listing);
    filter = match query.group {
        None => filter,
        Some(InGroup::Within(group)) => hierarchy::within(filter, T::Id::KIND, "id", group),
        Some(InGroup::Nowhere) => hierarchy::without_parent(filter, T::Id::KIND, "id"),
    };
    if !query.access.is_empty() {
        filter = query.access.restrict(filter, "id", sight.user, domain, T::Id::KIND);
    }
    filter = own(filter);
    let tally = match filter == whole {
        true => Some(tally::sum(tx, T::Id::KIND, domain, query.status).await?),
        false => None,
    };
    let columns = columns::<T>();
    let list = List::ordered(T::Id::TABLE, &columns, &query.listing);
    let page = list.page(tx, filter, query.listing.page, tally, read::<T>).await?;
    let paths = parent_paths(tx, &page.items).await?;
    let uuid = |thing: &T| thing.entry().id.object(domain).id();
    let ids: Vec<_> = page.items.iter().map(uuid).collect();
    let mut standings = sight.standings(tx, domain, T::Id::KIND, &ids).await?;
    Ok(page.map(|item| {
        let path = item.entry().parent.and_then(|parent| paths.get(&parent).cloned());
        let standing = standings.remove(&uuid(&item)).unwrap_or_default();
        Listed { parent_path: path.unwrap_or_default(), standing, item }
    }))
}

/// The path of every group that contains one of these.
async fn parent_paths<T: Registered>(tx: &mut Tx, things: &[T]) -> Result<HashMap<GroupId, String>> {
    let mut parents: Vec<GroupId> = things.iter().filter_map(|thing| thing.entry().parent).collect();
    if parents.is_empty() {
        return Ok(HashMap::new());
    }
    parents.sort_unstable();
    parents.dedup();
    let mut above = hierarchy::paths(tx, &parents).await?;
    let path = |parent: GroupId| {
        let mut path = above.remove(&parent).unwrap_or_default();
        path.push(parent);
        let labels: Vec<String> = path.iter().map(GroupId::to_string).collect();
        (parent, labels.join("."))
    };
    Ok(parents.into_iter().map(path).collect())
}

/// Of these things, those that are in the domain, with their status. Their rows are held, in the order of their ids, until
/// the transaction ends: against writers with `for_update`, else only as they are.
pub async fn statuses<I: EntryId>(
    tx: &mut Tx,
    domain: DomainId,
    ids: &[I],
    for_update: bool,
) -> Result<Vec<(I, Status)>> {
    let filter = Filter::of_domain(domain).and_in("id", ids.iter().map(|id| (*id).into()));
    let hold = if for_update { tx.for_update() } else { tx.for_share() };
    let sql = format!("SELECT id, status FROM {}{} ORDER BY id{hold}", I::TABLE, filter.sql());
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("status")?))).collect()
}

/// Whether the group is in the domain. Whoever may add to a group of another domain is not refused before.
pub(crate) async fn is_group_in(tx: &mut Tx, domain: DomainId, group: GroupId) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS there FROM relations
              WHERE object_kind = 'group' AND object_id = $1 AND relation = 'domain' AND subject_id = $2",
            &[group.into(), domain.into()],
        )
        .await?;
    Ok(row.is_some())
}
