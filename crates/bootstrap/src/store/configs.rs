//! Configurations and the channels of their clients.

use std::collections::HashMap;

use access::crypto::Digest;
use db::{Filter, List, Row, Tx, Val, params};
use kernel::{
    ChannelId, ClientId, ConfigId, Direction, DomainId, Error, Name, Page, ProfileId, Result, Timestamp,
};

use crate::model::{Config, ConfigQuery};

const COLUMNS: &str = "id, domain_id, name, external_id, content, client_cert, ca_cert, status, profile_id, \
                       render_context, client_id, created_at, updated_at";

/// What a configuration is found by and what only the device gets.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// The digest of the external key.
    pub(crate) digest: Vec<u8>,
    /// The private key, sealed.
    pub(crate) client_key: Option<Vec<u8>>,
}

fn read(row: &Row) -> Result<Config> {
    Ok(Config {
        id: row.get("id")?,
        domain: row.get("domain_id")?,
        name: row.get::<Option<Name>>("name")?.unwrap_or_default(),
        external_id: row.get::<String>("external_id")?.parse()?,
        content: row.get("content")?,
        client_cert: row.get("client_cert")?,
        ca_cert: row.get("ca_cert")?,
        status: row.get("status")?,
        profile: row.get("profile_id")?,
        render_context: row.get("render_context")?,
        client: row.get("client_id")?,
        channels: Vec::new(),
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Adds a configuration with its channels. Conflict where the external id, the name or the client is taken.
pub(crate) async fn insert(
    tx: &mut Tx,
    config: &Config,
    digest: Digest,
    client_key: Option<Vec<u8>>,
) -> Result<()> {
    tx.execute(
        "INSERT INTO bootstrap_configs (id, domain_id, name, external_id, external_digest, content, client_cert,
                client_key_sealed, ca_cert, status, profile_id, render_context, client_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        params![
            config.id,
            config.domain,
            named(&config.name),
            config.external_id.as_str(),
            digest.to_vec(),
            config.content.as_str(),
            config.client_cert.as_str(),
            client_key,
            config.ca_cert.as_str(),
            config.status,
            config.profile,
            &config.render_context,
            config.client,
            config.created_at,
        ],
    )
    .await
    .map_err(taken)?;
    set_channels(tx, config.id, &config.channels).await
}

/// Many may have no name; each other one is unique.
fn named(name: &Name) -> Val {
    if name.is_empty() { Val::Null } else { name.into() }
}

fn taken(error: Error) -> Error {
    let message = match db::violated(&error) {
        Some("bootstrap_configs_external") => "entity already exists: the external id is taken",
        Some("bootstrap_configs_name") => "entity already exists: the name is taken",
        Some(_) => "entity already exists: the client has a configuration",
        None => return error,
    };
    Error::conflict(message).cause(error)
}

/// Writes what may change.
pub(crate) async fn update(tx: &mut Tx, config: &Config) -> Result<()> {
    tx.execute(
        "UPDATE bootstrap_configs
            SET name = $2, content = $3, status = $4, profile_id = $5, render_context = $6, updated_at = $7
          WHERE id = $1",
        params![
            config.id,
            named(&config.name),
            config.content.as_str(),
            config.status,
            config.profile,
            &config.render_context,
            config.updated_at,
        ],
    )
    .await
    .map_err(taken)
    .map(drop)
}

/// Replaces the certificates.
pub(crate) async fn update_certificates(
    tx: &mut Tx,
    config: &Config,
    client_key: Option<Vec<u8>>,
) -> Result<()> {
    tx.execute(
        "UPDATE bootstrap_configs
            SET client_cert = $2, client_key_sealed = $3, ca_cert = $4, updated_at = $5
          WHERE id = $1",
        params![
            config.id,
            config.client_cert.as_str(),
            client_key,
            config.ca_cert.as_str(),
            config.updated_at
        ],
    )
    .await
    .map(drop)
}

/// Replaces the channels.
pub(crate) async fn set_channels(tx: &mut Tx, id: ConfigId, channels: &[ChannelId]) -> Result<()> {
    tx.execute("DELETE FROM bootstrap_channels WHERE config_id = $1", params![id]).await?;
    let rows = channels.iter().map(|channel| vec![id.into(), channel.into()]).collect();
    tx.insert_many(
        "INSERT INTO bootstrap_channels (config_id, channel_id) VALUES ON CONFLICT DO NOTHING",
        rows,
    )
    .await
    .map(drop)
}

/// One configuration.
pub(crate) async fn get(tx: &mut Tx, domain: DomainId, id: ConfigId) -> Result<Option<Config>> {
    select(tx, Filter::new().and("id = ?", id).and("domain_id = ?", domain), "").await
}

/// The same, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, domain: DomainId, id: ConfigId) -> Result<Option<Config>> {
    let hold = tx.for_update();
    select(tx, Filter::new().and("id = ?", id).and("domain_id = ?", domain), hold).await
}

async fn select(tx: &mut Tx, filter: Filter, hold: &str) -> Result<Option<Config>> {
    let sql = format!("SELECT {COLUMNS} FROM bootstrap_configs{}{hold}", filter.sql());
    let Some(row) = tx.one_or_none(&sql, filter.params()).await? else { return Ok(None) };
    let mut configs = [read(&row)?];
    add_channels(tx, &mut configs).await?;
    Ok(configs.into_iter().next())
}

/// The configuration that waits for a device, whatever its domain.
pub(crate) async fn of_device(tx: &mut Tx, external_id: &str) -> Result<Option<(Config, Kept)>> {
    let sql = format!(
        "SELECT {COLUMNS}, external_digest, client_key_sealed FROM bootstrap_configs WHERE external_id = $1"
    );
    let Some(row) = tx.one_or_none(&sql, params![external_id]).await? else { return Ok(None) };
    let kept = Kept { digest: row.get("external_digest")?, client_key: row.get("client_key_sealed")? };
    let mut configs = [read(&row)?];
    add_channels(tx, &mut configs).await?;
    Ok(configs.into_iter().next().map(|config| (config, kept)))
}

/// Whether an external id is taken.
pub(crate) async fn is_taken(tx: &mut Tx, external_id: &str) -> Result<bool> {
    let sql = "SELECT 1 AS taken FROM bootstrap_configs WHERE external_id = $1";
    Ok(tx.one_or_none(sql, params![external_id]).await?.is_some())
}

/// A page of a domain's configurations, in the order of their ids.
pub(crate) async fn list(tx: &mut Tx, domain: DomainId, query: &ConfigQuery) -> Result<Page<Config>> {
    let filter = Filter::of_domain(domain)
        .and_opt("status = ?", query.status.code())
        .and_opt("id = ?", query.id)
        .and_opt("external_id = ?", query.external_id.as_deref())
        .and_opt("client_id = ?", query.client)
        .and_opt("name_contains(name, ?)", query.name.as_deref());
    let list = List {
        table: "bootstrap_configs",
        columns: COLUMNS,
        order: "domain_id",
        direction: Direction::Ascending,
    };
    let mut page = list.page(tx, filter, query.page, None, read).await?;
    add_channels(tx, &mut page.items).await?;
    Ok(page)
}

async fn add_channels(tx: &mut Tx, configs: &mut [Config]) -> Result<()> {
    let ids: Vec<Val> =
        configs.iter().filter(|config| config.client.is_some()).map(|config| config.id.into()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let filter = Filter::new().and_in("config_id", ids);
    let sql =
        format!("SELECT config_id, channel_id FROM bootstrap_channels{} ORDER BY channel_id", filter.sql());
    let mut channels: HashMap<ConfigId, Vec<ChannelId>> = HashMap::new();
    for row in &tx.all(&sql, filter.params()).await? {
        channels.entry(row.get("config_id")?).or_default().push(row.get("channel_id")?);
    }
    for config in configs {
        config.channels = channels.remove(&config.id).unwrap_or_default();
    }
    Ok(())
}

/// Removes a configuration and what belongs to it; says whether it was there.
pub(crate) async fn delete(tx: &mut Tx, domain: DomainId, id: ConfigId) -> Result<bool> {
    let sql = "DELETE FROM bootstrap_configs WHERE id = $1 AND domain_id = $2";
    if tx.execute(sql, params![id, domain]).await? == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM bootstrap_channels WHERE config_id = $1", params![id]).await?;
    tx.execute("DELETE FROM bootstrap_bindings WHERE config_id = $1", params![id]).await?;
    Ok(true)
}

/// The configurations that know this client.
pub(crate) async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Vec<(DomainId, ConfigId)>> {
    let sql = "SELECT domain_id, id FROM bootstrap_configs WHERE client_id = $1";
    let rows = tx.all(sql, params![client]).await?;
    rows.iter().map(|row| Ok((row.get("domain_id")?, row.get("id")?))).collect()
}

/// Lets go of a channel that is no more.
pub(crate) async fn forget_channel(tx: &mut Tx, channel: ChannelId) -> Result<()> {
    tx.execute("DELETE FROM bootstrap_channels WHERE channel_id = $1", params![channel]).await?;
    tx.execute("DELETE FROM bootstrap_bindings WHERE resource_id = $1", params![channel]).await.map(drop)
}

/// Lets go of a client that is no more.
pub(crate) async fn forget_client(tx: &mut Tx, client: ClientId) -> Result<()> {
    tx.execute("DELETE FROM bootstrap_bindings WHERE resource_id = $1", params![client]).await.map(drop)
}

/// Lets go of a profile that is no more.
pub(crate) async fn forget_profile(tx: &mut Tx, profile: ProfileId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE bootstrap_configs SET profile_id = NULL, updated_at = $2 WHERE profile_id = $1",
        params![profile, at],
    )
    .await
    .map(drop)
}
