//! Sessions: logins that can be refreshed.
//!
//! Each refresh exchanges the refresh token for a new one. Whoever shows a token that was already exchanged either
//! repeats a request whose answer was lost, which is honoured for [`REPEAT_WITHIN`], or holds a stolen token, which
//! ends the session (reference 01 §13 item 11).

use std::time::Duration;

use db::{Tx, params};
use kernel::{Error, Kind, Result, Timestamp, UserId};

/// How long after an exchange the old refresh token may be shown again.
pub const REPEAT_WITHIN: Duration = Duration::from_secs(30);

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The id of its newest refresh token.
    pub id: String,
    /// What the user called it at login; may be empty.
    pub description: String,
}

/// What showing a refresh token leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The session goes on under this refresh token id.
    Continued {
        /// The id for the new refresh token.
        id: String,
        /// When the session ends.
        expires_at: Timestamp,
    },
    /// The session is not there, or has just been ended because the token had been used before.
    Refused,
}

/// Starts a session under the refresh token `id`.
pub async fn start(
    tx: &mut Tx,
    id: &str,
    user: UserId,
    description: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1 AND expires_at <= $2", params![user, now]).await?;
    tx.execute(
        "INSERT INTO sessions (id, user_id, description, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        params![id, user, description, now, expires_at],
    )
    .await?;
    Ok(())
}

/// Exchanges the refresh token `shown` for one with the id `next`.
pub async fn exchange(
    tx: &mut Tx,
    shown: &str,
    next: String,
    user: UserId,
    now: Timestamp,
) -> Result<Exchange> {
    let current = tx
        .one_or_none(
            "SELECT expires_at FROM sessions WHERE id = $1 AND user_id = $2 AND expires_at > $3",
            params![shown, user, now],
        )
        .await?;
    if let Some(row) = current {
        tx.execute(
            "UPDATE sessions SET id = $2, previous_id = $1, previous_until = $3 WHERE id = $1",
            params![shown, next.as_str(), now.after(REPEAT_WITHIN)],
        )
        .await?;
        return Ok(Exchange::Continued { id: next, expires_at: row.get("expires_at")? });
    }
    let earlier = tx
        .one_or_none(
            "SELECT id, previous_until, expires_at FROM sessions
              WHERE previous_id = $1 AND user_id = $2 AND expires_at > $3",
            params![shown, user, now],
        )
        .await?;
    let Some(row) = earlier else { return Ok(Exchange::Refused) };
    let id: String = row.get("id")?;
    if row.get::<Timestamp>("previous_until")? > now {
        return Ok(Exchange::Continued { id, expires_at: row.get("expires_at")? });
    }
    tx.execute("DELETE FROM sessions WHERE id = $1", params![id.as_str()]).await?;
    Ok(Exchange::Refused)
}

/// The open sessions of a user, oldest first.
pub async fn list(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
    let rows = tx
        .all(
            "SELECT id, description FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at, id",
            params![user, now],
        )
        .await?;
    rows.iter().map(|row| Ok(Session { id: row.get("id")?, description: row.get("description")? })).collect()
}

/// Ends one session of `user`; an unknown one, or another user's, is not found.
pub async fn revoke(tx: &mut Tx, id: &str, user: UserId) -> Result<()> {
    match tx.execute("DELETE FROM sessions WHERE id = $1 AND user_id = $2", params![id, user]).await? {
        0 => Err(Error::new(Kind::NotFound, "entity not found")),
        _ => Ok(()),
    }
}

/// Ends all sessions of `user`.
pub(super) async fn delete_of(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1", params![user]).await?;
    Ok(())
}
