//! API keys: tokens with a row of their own, which work until that row is gone.
//!
//! A key may do all that its owner may, and cannot be listed; so a change of the owner's password voids every key for
//! good, whoever has made it. While the owner is disabled its keys rest.

use std::sync::Arc;

use db::{BoxFuture, Db, Tx, params};
use kernel::{KeyId, Result, Timestamp, UserId};

use crate::cache::Fresh;

/// How many keys are kept in memory; about 100 bytes each.
const CAPACITY: usize = 20_000;

/// An API key, without the token that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The id, which is the token's own.
    pub id: KeyId,
    /// For whom it acts.
    pub user: UserId,
    /// The generation of the account's credentials for which it was made.
    pub generation: i64,
    /// The key that has signed it; none for a secret of the settings.
    pub kid: Option<String>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// Whose keys there are, read through a cache; cheap to clone.
#[derive(Clone)]
pub struct ApiKeys(Arc<Fresh<KeyId, Option<UserId>>>);

impl ApiKeys {
    pub(crate) fn new(db: &Db) -> Self {
        Self(Fresh::new(CAPACITY).hearing(db, "api_key"))
    }

    /// Whose key this is, if there is such a key.
    pub async fn owner(&self, db: &Db, id: KeyId) -> Result<Option<UserId>> {
        self.0.get_or_load(id, || load_owner(db, id)).await
    }

    /// Stores a new key.
    pub async fn insert(&self, tx: &mut Tx, key: &ApiKey) -> Result<()> {
        tx.execute(
            "INSERT INTO api_keys (id, user_id, credential_generation, kid, issued_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            params![key.id, key.user, key.generation, key.kid.clone(), key.issued_at, key.expires_at],
        )
        .await?;
        self.forget(tx, key.id);
        Ok(())
    }

    /// Removes a user's key; whether it was there.
    pub async fn delete(&self, tx: &mut Tx, user: UserId, id: KeyId) -> Result<bool> {
        let deleted =
            tx.execute("DELETE FROM api_keys WHERE id = $1 AND user_id = $2", params![id, user]).await?;
        self.forget(tx, id);
        Ok(deleted == 1)
    }

    fn forget(&self, tx: &mut Tx, id: KeyId) {
        self.0.changed(tx, id);
    }
}

/// A user's key.
pub async fn get(tx: &mut Tx, user: UserId, id: KeyId) -> Result<Option<ApiKey>> {
    let row = tx
        .one_or_none(
            "SELECT id, user_id, credential_generation, kid, issued_at, expires_at FROM api_keys
              WHERE id = $1 AND user_id = $2",
            params![id, user],
        )
        .await?;
    row.map(|row| {
        Ok(ApiKey {
            id: row.get("id")?,
            user: row.get("user_id")?,
            generation: row.get("credential_generation")?,
            kid: row.get("kid")?,
            issued_at: row.get("issued_at")?,
            expires_at: row.get("expires_at")?,
        })
    })
    .transpose()
}

/// How many keys a user has that are good at `now`; those that are not are removed.
pub async fn count(tx: &mut Tx, user: UserId, generation: i64, now: Timestamp) -> Result<u64> {
    tx.execute(
        "DELETE FROM api_keys WHERE user_id = $1 AND (credential_generation <> $2 OR expires_at <= $3)",
        params![user, generation, now],
    )
    .await?;
    tx.one("SELECT count(*) AS n FROM api_keys WHERE user_id = $1", params![user]).await?.get("n")
}

/// Removes every key of a user who is removed.
pub(crate) async fn delete_all(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute("DELETE FROM api_keys WHERE user_id = $1", params![user]).await?;
    Ok(())
}

/// Boxed, so that it is compiled once and takes no room in the futures of those who find a key in memory.
fn load_owner(db: &Db, id: KeyId) -> BoxFuture<'_, Result<Option<UserId>>> {
    Box::pin(db.read(move |tx| Box::pin(select_owner(tx, id))))
}

async fn select_owner(tx: &mut Tx, id: KeyId) -> Result<Option<UserId>> {
    let row = tx.one_or_none("SELECT user_id FROM api_keys WHERE id = $1", params![id]).await?;
    row.map(|row| row.get("user_id")).transpose()
}
