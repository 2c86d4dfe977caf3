//! The table of one-time passwords that verify addresses.

use db::{Tx, params};
use kernel::{Result, Timestamp, UserId};

/// How many one-time passwords one user has at a time; the oldest go first.
const MOST: i64 = 5;

/// What a one-time password was made for.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    pub(crate) id: String,
    pub(crate) user: UserId,
    pub(crate) email_key: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) used_at: Option<Timestamp>,
}

pub(crate) async fn insert(
    tx: &mut Tx,
    verification: &Verification,
    otp_digest: Vec<u8>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "DELETE FROM email_verifications
          WHERE user_id = $1
            AND id NOT IN (SELECT id FROM email_verifications WHERE user_id = $1
                            ORDER BY created_at DESC, id LIMIT $2)",
        params![verification.user, MOST - 1],
    )
    .await?;
    tx.execute(
        "INSERT INTO email_verifications (id, user_id, email_key, otp_digest, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![
            verification.id.as_str(),
            verification.user,
            verification.email_key.as_str(),
            otp_digest,
            now,
            verification.expires_at
        ],
    )
    .await?;
    Ok(())
}

/// The one with this one-time password, held against other uses until the transaction ends.
pub(crate) async fn by_otp(tx: &mut Tx, otp_digest: Vec<u8>) -> Result<Option<Verification>> {
    let sql = format!(
        "SELECT id, user_id, email_key, expires_at, used_at FROM email_verifications WHERE otp_digest = $1{}",
        tx.for_update()
    );
    let row = tx.one_or_none(&sql, params![otp_digest]).await?;
    row.map(|row| {
        Ok(Verification {
            id: row.get("id")?,
            user: row.get("user_id")?,
            email_key: row.get("email_key")?,
            expires_at: row.get("expires_at")?,
            used_at: row.get("used_at")?,
        })
    })
    .transpose()
}

/// Uses up all one-time passwords of a user for an address.
pub(crate) async fn use_up(tx: &mut Tx, user: UserId, email_key: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE email_verifications SET used_at = $3 WHERE user_id = $1 AND email_key = $2 AND used_at IS NULL",
        params![user, email_key, now],
    )
    .await?;
    Ok(())
}

/// Forgets all one-time passwords of a user.
pub(crate) async fn delete_of(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute("DELETE FROM email_verifications WHERE user_id = $1", params![user]).await?;
    Ok(())
}
