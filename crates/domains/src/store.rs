//! The domains table.

use std::collections::HashMap;

use access::{
    Visible,
    gates::Gate,
    standing::{self, Standing},
};
use db::{Filter, List, Row, Tx, params};
use kernel::{DomainId, Error, Page, Result, Route};

use crate::model::{Domain, Listed, Query, Status};

const COLUMNS: &str =
    "id, name, route, tags, metadata, status, created_by, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<Domain> {
    let id: DomainId = row.get("id")?;
    let status = row.get("status")?;
    Ok(Domain {
        name: row.get("name")?,
        route: row.get("route")?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        status: Gate::from_code(status)
            .map(Status)
            .ok_or_else(|| Error::internal(format!("domains.status is {status} for {id}")))?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
        id,
    })
}

/// Conflict where the id or the route is taken.
pub(crate) async fn insert(tx: &mut Tx, domain: &Domain) -> Result<()> {
    tx.execute(
        "INSERT INTO domains (id, name, route, tags, metadata, status, created_by, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        params![
            domain.id,
            &domain.name,
            &domain.route,
            &domain.tags,
            &domain.metadata,
            domain.status.0.code(),
            domain.created_by,
            domain.created_at
        ],
    )
    .await
    .map_err(|error| match db::violated(&error) {
        Some("domains_route") => Error::conflict("route not available").cause(error),
        Some(_) => Error::conflict("domain already exists").cause(error),
        None => error,
    })?;
    Ok(())
}

pub(crate) async fn get(tx: &mut Tx, id: DomainId) -> Result<Option<Domain>> {
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE id = $1");
    tx.one_or_none(&sql, params![id]).await?.as_ref().map(read).transpose()
}

/// The row, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, id: DomainId) -> Result<Option<Domain>> {
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE id = $1{}", tx.for_update());
    tx.one_or_none(&sql, params![id]).await?.as_ref().map(read).transpose()
}

/// The row, kept as it is until the transaction ends.
pub(crate) async fn get_for_share(tx: &mut Tx, id: DomainId) -> Result<Option<Domain>> {
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE id = $1{}", tx.for_share());
    tx.one_or_none(&sql, params![id]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn by_route(tx: &mut Tx, route: &Route) -> Result<Option<DomainId>> {
    let row = tx.one_or_none("SELECT id FROM domains WHERE route = $1", params![route]).await?;
    row.map(|row| row.get("id")).transpose()
}

pub(crate) async fn update(tx: &mut Tx, domain: &Domain) -> Result<()> {
    tx.execute(
        "UPDATE domains
            SET name = $2, tags = $3, metadata = $4, status = $5, updated_by = $6, updated_at = $7, changed_at = $7
          WHERE id = $1",
        params![
            domain.id,
            &domain.name,
            &domain.tags,
            &domain.metadata,
            domain.status.0.code(),
            domain.updated_by,
            domain.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// A page of the domains that match, of those that are visible.
pub(crate) async fn list(tx: &mut Tx, query: &Query, visible: Visible) -> Result<Page<Listed>> {
    let mut filter = visible
        .restrict(Filter::new(), "id")
        .and_opt("status = ?", query.status.0.map(Gate::code))
        .and_opt("id = ?", query.id)
        .and_opt("created_at >= ?", query.created_from)
        .and_opt("created_at <= ?", query.created_to)
        .and_listing(&query.listing);
    let member = match visible {
        Visible::DomainsOf(user) => Some(user),
        Visible::All | Visible::To { .. } => None,
    };
    if let Some(user) = member {
        filter = query.role.restrict_to_held(filter, "id", user, DomainId::KIND);
    }
    let list = List::ordered("domains", COLUMNS, &query.listing);
    let page = list.page(tx, filter, query.listing.page, None, read).await?;
    let mut held = match member {
        Some(user) => {
            let ids: Vec<_> = page.items.iter().map(|domain| domain.id.uuid()).collect();
            standing::held(tx, user, DomainId::KIND, &ids).await?
        }
        None => HashMap::new(),
    };
    Ok(page.map(|domain| {
        let standing = held.remove(&domain.id.uuid()).unwrap_or_default();
        // A right to a domain comes from a role on it and from nowhere else, so that there is nothing to tell apart.
        Listed { domain, standing: Standing { access_type: None, ..standing } }
    }))
}
