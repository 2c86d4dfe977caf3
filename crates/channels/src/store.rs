//! The channels table, as far as it is the channels' alone: routes, and what the message plane asks. The rest is
//! `registry::store`.

use db::{Tx, params};
use kernel::{ChannelId, DomainId, Result, Route, Status};

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
