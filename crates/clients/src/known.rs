//! What is known of clients that have connected: their credentials, kept in memory.
//!
//! A fleet that reconnects asks for the same credentials again and again. They are remembered by the client's id and
//! forgotten by the commit that changes the client's row, so that a secret that was replaced, or a client that was
//! disabled or removed, is refused from the answer to that change on. Which client shows a secret is remembered by the
//! secret's digest, but believed only if the client's own credentials confirm it; so that one place has to be forgotten.

use std::sync::Arc;

use access::{cache::Fresh, crypto::Digest};
use db::{Db, Tx};
use kernel::{ClientId, DomainId, Result};

use crate::{model::Credentials, store};

/// How many clients are remembered; about 100 bytes each, and as much again where they connect by secret alone.
const CAPACITY: usize = 50_000;

/// Credentials as they are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) credentials: Credentials,
    /// Of the secret, within the client's domain.
    pub(crate) digest: [u8; 32],
}

/// Credentials by client, and clients by secret.
pub(crate) struct Known {
    by_client: Arc<Fresh<ClientId, Stored>>,
    by_digest: Fresh<[u8; 32], ClientId>,
}

impl Known {
    pub(crate) fn new(db: &Db) -> Self {
        Self { by_client: Fresh::new(CAPACITY).hearing(db, "client"), by_digest: Fresh::new(CAPACITY) }
    }

    /// The credentials of a client, if there is such a client.
    pub(crate) async fn of_client(&self, db: &Db, id: ClientId) -> Result<Option<Stored>> {
        let find = || db.read(move |tx| Box::pin(async move { store::credentials(tx, id).await }));
        self.by_client.get_or_find(id, find).await
    }

    /// Whose secret in `domain` has this digest.
    pub(crate) async fn holder(
        &self,
        db: &Db,
        domain: DomainId,
        digest: Digest,
    ) -> Result<Option<Credentials>> {
        let find = || db.read(move |tx| Box::pin(async move { store::holder(tx, domain, digest).await }));
        let key = digest.bytes();
        let Some(id) = self.by_digest.get_or_find(key, find).await? else { return Ok(None) };
        if let Some(stored) = self.of_client(db, id).await?
            && stored.credentials.domain == domain
            && digest.matches(&stored.digest)
        {
            return Ok(Some(stored.credentials));
        }
        // The secret was another client's, or is nobody's any more.
        self.by_digest.forget(&key);
        let Some(id) = self.by_digest.get_or_find(key, find).await? else { return Ok(None) };
        let stored = self.of_client(db, id).await?;
        Ok(stored.filter(|stored| digest.matches(&stored.digest)).map(|stored| stored.credentials))
    }

    /// Forgets a client whose row the transaction changes, once it has committed.
    pub(crate) fn changed(&self, tx: &mut Tx, id: ClientId) {
        self.by_client.changed(tx, id);
    }
}
