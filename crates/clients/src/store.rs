//! The clients table.

use access::{Visible, crypto::Digest};
use db::{Filter, List, Row, Tx, Val, params, tally};
use kernel::{ClientId, DomainId, Error, Page, Result, Secret, Status};

use crate::{
    connections,
    model::{Client, Credentials, Identity, Query},
};

/// A client as it goes into the table.
pub(crate) struct Stored {
    pub(crate) client: Client,
    pub(crate) secret: Secret<String>,
    pub(crate) digest: Digest,
    pub(crate) sealed: Vec<u8>,
}

const COLUMNS: &str = "id, domain_id, name, identity, tags, metadata, private_metadata, status, \
                       created_by, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<Client> {
    Ok(Client {
        id: row.get("id")?,
        domain: row.get("domain_id")?,
        name: row.get("name")?,
        identity: row.get::<String>("identity")?.parse::<Identity>()?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        private_metadata: row.get("private_metadata")?,
        status: row.get("status")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Conflict where the id is taken, or the secret is in use in the domain.
pub(crate) async fn insert(tx: &mut Tx, stored: &Stored) -> Result<()> {
    let client = &stored.client;
    tx.execute(
        "INSERT INTO clients (id, domain_id, name, identity, tags, metadata, private_metadata, secret_digest,
                              secret_sealed, status, created_by, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        params![
            client.id,
            client.domain,
            &client.name,
            client.identity.as_str(),
            &client.tags,
            &client.metadata,
            &client.private_metadata,
            stored.digest.to_vec(),
            stored.sealed.clone(),
            client.status,
            client.created_by,
            client.created_at
        ],
    )
    .await
    .map_err(taken)?;
    Ok(())
}

fn taken(error: Error) -> Error {
    match db::violated(&error) {
        Some("clients_secret") => Error::conflict("client key is not available").cause(error),
        Some(_) => Error::conflict("entity already exists").cause(error),
        None => error,
    }
}

/// Notes that so many clients of each status came or went; called once in a transaction, after the rows.
pub(crate) async fn count(
    tx: &mut Tx,
    domain: DomainId,
    seed: ClientId,
    changes: Vec<(Status, i64)>,
) -> Result<()> {
    tally::add(tx, ClientId::KIND, domain, seed.uuid().as_u128(), changes).await
}

pub(crate) async fn get_sealed(
    tx: &mut Tx,
    domain: DomainId,
    id: ClientId,
) -> Result<Option<(Client, Vec<u8>)>> {
    let sql = format!("SELECT {COLUMNS}, secret_sealed FROM clients WHERE id = $1 AND domain_id = $2");
    let row = tx.one_or_none(&sql, params![id, domain]).await?;
    row.map(|row| Ok((read(&row)?, row.get("secret_sealed")?))).transpose()
}

/// The row, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, domain: DomainId, id: ClientId) -> Result<Option<Client>> {
    let sql = format!("SELECT {COLUMNS} FROM clients WHERE id = $1 AND domain_id = $2{}", tx.for_update());
    tx.one_or_none(&sql, params![id, domain]).await?.as_ref().map(read).transpose()
}

/// As [`get_for_update`], but only an enabled client: a disabled one is not changed (reference 03 §5.2).
pub(crate) async fn get_enabled(tx: &mut Tx, domain: DomainId, id: ClientId) -> Result<Option<Client>> {
    Ok(get_for_update(tx, domain, id).await?.filter(|client| client.status == Status::Enabled))
}

pub(crate) async fn update(tx: &mut Tx, client: &Client) -> Result<()> {
    tx.execute(
        "UPDATE clients
            SET name = $2, tags = $3, metadata = $4, private_metadata = $5, status = $6, updated_by = $7,
                updated_at = $8, changed_at = $8
          WHERE id = $1",
        params![
            client.id,
            &client.name,
            &client.tags,
            &client.metadata,
            &client.private_metadata,
            client.status,
            client.updated_by,
            client.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Conflict where the secret is in use in the domain.
pub(crate) async fn update_secret(
    tx: &mut Tx,
    client: &Client,
    digest: Digest,
    sealed: Vec<u8>,
) -> Result<()> {
    tx.execute(
        "UPDATE clients
            SET secret_digest = $2, secret_sealed = $3, updated_by = $4, updated_at = $5, changed_at = $5
          WHERE id = $1",
        params![client.id, digest.to_vec(), sealed, client.updated_by, client.updated_at],
    )
    .await
    .map_err(taken)?;
    Ok(())
}

/// Removes the client and its connections. NotFound where it is not there.
pub(crate) async fn delete(tx: &mut Tx, domain: DomainId, id: ClientId) -> Result<()> {
    let client = get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)?;
    connections::forget_client(tx, id).await?;
    tx.execute("DELETE FROM clients WHERE id = $1", params![id]).await?;
    count(tx, domain, id, vec![(client.status, -1)]).await
}

/// A page of a domain's clients, of those that are visible.
pub(crate) async fn list(
    tx: &mut Tx,
    domain: DomainId,
    query: &Query,
    visible: Visible,
) -> Result<Page<Client>> {
    let whole = Filter::new().and("domain_id = ?", domain).and_opt("status = ?", query.status.code());
    let mut filter = visible
        .restrict(whole.clone(), "id")
        .and_opt("id = ?", query.id)
        .and_opt("name_contains(identity, ?)", query.identity.as_deref())
        .and_listing(&query.listing);
    if let Some(channel) = query.channel {
        filter = connections::of_channel(filter, "id", channel, query.connection_type);
    }
    let total = match filter == whole {
        true => Some(tally::sum(tx, ClientId::KIND, domain, query.status).await?),
        false => None,
    };
    let list = List::ordered("clients", COLUMNS, &query.listing);
    list.page(tx, filter, query.listing.page, total, read).await
}

pub(crate) async fn credentials_by_id(tx: &mut Tx, id: ClientId) -> Result<Option<(Credentials, Vec<u8>)>> {
    let row = tx
        .one_or_none("SELECT id, domain_id, status, secret_digest FROM clients WHERE id = $1", params![id])
        .await?;
    row.map(|row| Ok((credentials(&row)?, row.get("secret_digest")?))).transpose()
}

pub(crate) async fn credentials_by_digest(
    tx: &mut Tx,
    domain: DomainId,
    digest: Digest,
) -> Result<Option<Credentials>> {
    let row = tx
        .one_or_none(
            "SELECT id, domain_id, status FROM clients WHERE domain_id = $1 AND secret_digest = $2",
            params![domain, digest.to_vec()],
        )
        .await?;
    row.as_ref().map(credentials).transpose()
}

fn credentials(row: &Row) -> Result<Credentials> {
    Ok(Credentials { id: row.get("id")?, domain: row.get("domain_id")?, status: row.get("status")? })
}

/// Of these clients, those that are in the domain, with their status, which stays until the transaction ends.
pub(crate) async fn statuses(
    tx: &mut Tx,
    domain: DomainId,
    ids: &[ClientId],
) -> Result<Vec<(ClientId, Status)>> {
    let filter = Filter::new().and("domain_id = ?", domain).and_in("id", ids.iter().map(Val::from));
    let sql = format!("SELECT id, status FROM clients{} ORDER BY id{}", filter.sql(), tx.for_share());
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("status")?))).collect()
}
