//! Where things are: what other services of the installation are told of a client, a channel or a group. They authorize
//! by themselves.

use access::hierarchy;
use db::{Db, Filter};
use kernel::{DomainId, Error, GroupId, Result, Status};

use crate::EntryId;

/// A thing, the group that contains it, and whether it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<I> {
    /// Its id.
    pub id: I,
    /// The domain that it belongs to.
    pub domain: DomainId,
    /// The group that contains it.
    pub parent: Option<GroupId>,
    /// Whether it is in use.
    pub status: Status,
}

/// Where a thing is, whatever its status. NotFound where there is none.
pub async fn locate<I: EntryId>(db: &Db, id: I) -> Result<Located<I>> {
    let located = find(db, Filter::new().and("id = ?", id)).await?.pop();
    located.ok_or_else(Error::not_found)
}

/// Where these things are, the oldest first; only those that are enabled.
pub async fn locate_enabled<I: EntryId>(db: &Db, ids: &[I]) -> Result<Vec<Located<I>>> {
    let ids = ids.iter().map(|id| (*id).into());
    find(db, Filter::new().and("status = ?", Status::Enabled).and_in("id", ids)).await
}

async fn find<I: EntryId>(db: &Db, filter: Filter) -> Result<Vec<Located<I>>> {
    let sql = format!(
        "SELECT id, domain_id, status, {} AS parent FROM {}{} ORDER BY created_at, id",
        hierarchy::parent_column(I::KIND, "id"),
        I::TABLE,
        filter.sql()
    );
    let rows = db.read(move |tx| Box::pin(async move { tx.all(&sql, filter.params()).await })).await?;
    let located = rows.iter().map(|row| {
        Ok(Located {
            id: row.get("id")?,
            domain: row.get("domain_id")?,
            parent: row.get("parent")?,
            status: row.get("status")?,
        })
    });
    located.collect()
}
