//! The clients table, as far as it is the clients' alone: secrets and credentials. The rest is `registry::store`.

use access::crypto::Digest;
use db::{Row, Tx, params};
use kernel::{ClientId, DomainId, Result};
use registry::{Registered, store::taken};

use crate::model::{Client, Credentials};

/// The sealed secret of a client.
pub(crate) async fn sealed(tx: &mut Tx, domain: DomainId, id: ClientId) -> Result<Option<Vec<u8>>> {
    let row = tx
        .one_or_none(
            "SELECT secret_sealed FROM clients WHERE id = $1 AND domain_id = $2",
            params![id, domain],
        )
        .await?;
    row.map(|row| row.get("secret_sealed")).transpose()
}

/// Conflict where the secret is in use in the domain.
pub(crate) async fn update_secret(
    tx: &mut Tx,
    client: &Client,
    digest: Digest,
    sealed: Vec<u8>,
) -> Result<()> {
    let entry = client.entry();
    tx.execute(
        "UPDATE clients
            SET secret_digest = $2, secret_sealed = $3, updated_by = $4, updated_at = $5, changed_at = $5
          WHERE id = $1",
        params![entry.id, digest.to_vec(), sealed, entry.updated_by, entry.updated_at],
    )
    .await
    .map_err(taken::<Client>)?;
    Ok(())
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
