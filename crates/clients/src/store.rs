//! The clients table, as far as it is the clients' alone: secrets and credentials. The rest is `registry::store`.

use access::crypto::Digest;
use db::{Tx, params};
use kernel::{ClientId, DomainId, Error, Result};
use registry::{
    Registered,
    store::{taken, touched},
};

use crate::{
    known::Stored,
    model::{Client, Credentials},
};

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
    touched(tx, client).await
}

/// What a client shows to connect.
pub(crate) async fn credentials(tx: &mut Tx, id: ClientId) -> Result<Option<Stored>> {
    let row = tx
        .one_or_none("SELECT domain_id, status, secret_digest FROM clients WHERE id = $1", params![id])
        .await?;
    row.map(|row| {
        let digest: Vec<u8> = row.get("secret_digest")?;
        let digest = digest
            .try_into()
            .map_err(|_| Error::internal(format!("clients.secret_digest of {id} has not 32 bytes")))?;
        let credentials = Credentials { id, domain: row.get("domain_id")?, status: row.get("status")? };
        Ok(Stored { credentials, digest })
    })
    .transpose()
}

/// The client of a domain whose secret has this digest.
pub(crate) async fn holder(tx: &mut Tx, domain: DomainId, digest: Digest) -> Result<Option<ClientId>> {
    let row = tx
        .one_or_none(
            "SELECT id FROM clients WHERE domain_id = $1 AND secret_digest = $2",
            params![domain, digest.to_vec()],
        )
        .await?;
    row.map(|row| row.get("id")).transpose()
}
