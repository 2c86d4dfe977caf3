//! The channels table.

use access::Visible;
use clients::connections;
use db::{Filter, List, Row, Tx, Val, params, tally};
use kernel::{ChannelId, DomainId, Error, Page, Result, Route, Status};

use crate::model::{Channel, Query};

const COLUMNS: &str =
    "id, domain_id, name, route, tags, metadata, status, created_by, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<Channel> {
    Ok(Channel {
        id: row.get("id")?,
        domain: row.get("domain_id")?,
        name: row.get("name")?,
        route: row.get("route")?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        status: row.get("status")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Conflict where the id is taken, or the route is taken in the domain.
pub(crate) async fn insert(tx: &mut Tx, channel: &Channel) -> Result<()> {
    tx.execute(
        "INSERT INTO channels (id, domain_id, name, route, tags, metadata, status, created_by, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        params![
            channel.id,
            channel.domain,
            &channel.name,
            channel.route.as_ref(),
            &channel.tags,
            &channel.metadata,
            channel.status,
            channel.created_by,
            channel.created_at
        ],
    )
    .await
    .map_err(|error| match db::violated(&error) {
        Some("channels_route") => Error::conflict("route not available").cause(error),
        Some(_) => Error::conflict("channel id already exists").cause(error),
        None => error,
    })?;
    Ok(())
}

/// Notes that so many channels of each status came or went; called once in a transaction, after the rows.
pub(crate) async fn count(
    tx: &mut Tx,
    domain: DomainId,
    seed: ChannelId,
    changes: Vec<(Status, i64)>,
) -> Result<()> {
    tally::add(tx, ChannelId::KIND, domain, seed.uuid().as_u128(), changes).await
}

pub(crate) async fn get(tx: &mut Tx, domain: DomainId, id: ChannelId) -> Result<Option<Channel>> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE id = $1 AND domain_id = $2");
    tx.one_or_none(&sql, params![id, domain]).await?.as_ref().map(read).transpose()
}

/// The row, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, domain: DomainId, id: ChannelId) -> Result<Option<Channel>> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE id = $1 AND domain_id = $2{}", tx.for_update());
    tx.one_or_none(&sql, params![id, domain]).await?.as_ref().map(read).transpose()
}

/// As [`get_for_update`], but only an enabled channel: a disabled one is not changed (reference 03 §6).
pub(crate) async fn get_enabled(tx: &mut Tx, domain: DomainId, id: ChannelId) -> Result<Option<Channel>> {
    Ok(get_for_update(tx, domain, id).await?.filter(|channel| channel.status == Status::Enabled))
}

pub(crate) async fn update(tx: &mut Tx, channel: &Channel) -> Result<()> {
    tx.execute(
        "UPDATE channels
            SET name = $2, tags = $3, metadata = $4, status = $5, updated_by = $6, updated_at = $7, changed_at = $7
          WHERE id = $1",
        params![
            channel.id,
            &channel.name,
            &channel.tags,
            &channel.metadata,
            channel.status,
            channel.updated_by,
            channel.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Removes the channel and its connections. NotFound where it is not there.
pub(crate) async fn delete(tx: &mut Tx, domain: DomainId, id: ChannelId) -> Result<()> {
    let channel = get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)?;
    connections::forget_channel(tx, id).await?;
    tx.execute("DELETE FROM channels WHERE id = $1", params![id]).await?;
    count(tx, domain, id, vec![(channel.status, -1)]).await
}

/// A page of a domain's channels, of those that are visible.
pub(crate) async fn list(
    tx: &mut Tx,
    domain: DomainId,
    query: &Query,
    visible: Visible,
) -> Result<Page<Channel>> {
    let whole = Filter::new().and("domain_id = ?", domain).and_opt("status = ?", query.status.code());
    let mut filter =
        visible.restrict(whole.clone(), "id").and_opt("id = ?", query.id).and_listing(&query.listing);
    if let Some(client) = query.client {
        filter = connections::of_client(filter, "id", client, query.connection_type);
    }
    let total = match filter == whole {
        true => Some(tally::sum(tx, ChannelId::KIND, domain, query.status).await?),
        false => None,
    };
    let list = List::ordered("channels", COLUMNS, &query.listing);
    list.page(tx, filter, query.listing.page, total, read).await
}

pub(crate) async fn by_route(tx: &mut Tx, domain: DomainId, route: &Route) -> Result<Option<ChannelId>> {
    let row = tx
        .one_or_none("SELECT id FROM channels WHERE domain_id = $1 AND route = $2", params![domain, route])
        .await?;
    row.map(|row| row.get("id")).transpose()
}

pub(crate) async fn domain_of(tx: &mut Tx, id: ChannelId) -> Result<Option<DomainId>> {
    let row = tx.one_or_none("SELECT domain_id FROM channels WHERE id = $1", params![id]).await?;
    row.map(|row| row.get("domain_id")).transpose()
}

/// Whether the channel is in the domain and enabled.
pub(crate) async fn is_enabled(tx: &mut Tx, domain: DomainId, id: ChannelId) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS enabled FROM channels WHERE id = $1 AND domain_id = $2 AND status = $3",
            params![id, domain, Status::Enabled],
        )
        .await?;
    Ok(row.is_some())
}

/// Of these channels, those that are in the domain, with their status, which stays until the transaction ends.
pub(crate) async fn statuses(
    tx: &mut Tx,
    domain: DomainId,
    ids: &[ChannelId],
) -> Result<Vec<(ChannelId, Status)>> {
    let filter = Filter::new().and("domain_id = ?", domain).and_in("id", ids.iter().map(Val::from));
    let sql = format!("SELECT id, status FROM channels{} ORDER BY id{}", filter.sql(), tx.for_share());
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("status")?))).collect()
}
