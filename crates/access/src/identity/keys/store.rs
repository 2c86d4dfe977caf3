//! The keys in the database. SQL only.

use std::sync::Arc;

use db::{Tx, params};
use kernel::{Error, Result, Timestamp};

use super::key::{Kept, SigningKey};
use crate::crypto::Sealer;

/// The key that signs, as far as it must be known to decide whether another one has to.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub(super) algorithm: String,
    pub(super) created_at: Timestamp,
}

/// A new key.
pub(super) struct Fresh {
    pub(super) kid: String,
    pub(super) algorithm: &'static str,
    pub(super) sealed: Vec<u8>,
}

/// What a private key is sealed for.
pub(super) fn context(kid: &str) -> String {
    format!("signing_key:{kid}")
}

/// The key that signs, if one of these does.
pub(super) async fn active(tx: &mut Tx) -> Result<Option<Active>> {
    let row =
        tx.one_or_none("SELECT algorithm, created_at FROM signing_keys WHERE active = 1", params![]).await?;
    row.map(|row| Ok(Active { algorithm: row.get("algorithm")?, created_at: row.get("created_at")? }))
        .transpose()
}

/// How many keys retire at `now`, without those that only API keys hold.
pub(super) async fn retiring(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let sql = "SELECT count(*) AS n FROM signing_keys WHERE active = 0 AND ends_at > $1";
    tx.one(sql, params![now]).await?.get("n")
}

/// Stores a key that signs from now on.
pub(super) async fn insert(tx: &mut Tx, fresh: &Fresh, longest_life: i64, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO signing_keys (kid, algorithm, sealed, active, created_at, longest_life)
         VALUES ($1, $2, $3, 1, $4, $5)",
        params![fresh.kid.as_str(), fresh.algorithm, fresh.sealed.clone(), now, longest_life],
    )
    .await?;
    Ok(())
}

/// The key that signs signs no more; it verifies for as long as what it has signed may be good.
pub(super) async fn retire(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE signing_keys SET active = 0, ends_at = longest_life + $1 WHERE active = 1",
        params![now],
    )
    .await?;
    Ok(())
}

/// The key that signs may from now on sign what lives as long as this, in microseconds.
pub(super) async fn lengthen(tx: &mut Tx, longest_life: i64) -> Result<()> {
    tx.execute(
        "UPDATE signing_keys SET longest_life = $1 WHERE active = 1 AND longest_life < $1",
        params![longest_life],
    )
    .await?;
    Ok(())
}

/// Removes keys when nothing that they have signed is good any more; returns how many.
pub(super) async fn delete_ended(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    tx.execute(
        "DELETE FROM signing_keys
          WHERE active = 0
            AND ends_at <= $1
            AND NOT EXISTS (
                  SELECT 1
                    FROM api_keys
                    JOIN accounts ON accounts.user_id = api_keys.user_id
                   WHERE api_keys.kid = signing_keys.kid
                     AND api_keys.credential_generation = accounts.credential_generation
                     AND (api_keys.expires_at IS NULL OR api_keys.expires_at > $1))",
        params![now],
    )
    .await
}

/// All keys, the active one first.
pub(super) async fn all(tx: &mut Tx, sealer: &Sealer) -> Result<Vec<Arc<SigningKey>>> {
    let rows = tx
        .all(
            "SELECT kid, sealed, ends_at FROM signing_keys ORDER BY active DESC, created_at DESC, kid",
            params![],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let kid: String = row.get("kid")?;
            let pkcs8 = sealer.open(&context(&kid), &row.get::<Vec<u8>>("sealed")?).map_err(|error| {
                Error::unprocessable(
                    "this database was made with another master key; give that one with `master_key`, or copy \
                     `master.key` from the data directory of the node that made it",
                )
                .cause(error)
            })?;
            let mut key = SigningKey::pkcs8(&kid, &pkcs8, Kept::Database)
                .ok_or_else(|| Error::internal(format!("the signing key `{kid}` is damaged")))?;
            key.ends_at = row.get("ends_at")?;
            Ok(Arc::new(key))
        })
        .collect()
}
