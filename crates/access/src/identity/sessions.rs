//! Sessions: logins that can be refreshed.
//!
//! Each refresh exchanges the refresh token for a new one of the same session. Whoever shows a token that was already
//! exchanged either repeats a request whose answer was lost, which is honoured for [`REPEAT_WITHIN`], or one of two
//! holders has stolen it, which ends the session for both (reference 01 §13 item 11).

use std::{fmt, time::Duration};

use db::{Tx, params};
use kernel::{Error, Kind, Result, Rng, Timestamp, UserId};

/// How long after an exchange the old refresh token may be shown again.
pub const REPEAT_WITHIN: Duration = Duration::from_secs(30);

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which stays the same through all refreshes.
    pub id: String,
    /// What the user called it at login; may be empty.
    pub description: String,
}

/// The most sessions that one user has at a time; the oldest end first.
const MOST: i64 = 100;

/// The id of a refresh token: the session it belongs to, and which of its tokens it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenId {
    session: String,
    token: String,
}

impl TokenId {
    /// The first token of a new session.
    pub fn first(rng: &Rng) -> Self {
        Self { session: rng.uuid().to_string(), token: rng.uuid().to_string() }
    }

    /// From the claim `jti`.
    pub fn parse(jti: &str) -> Option<Self> {
        let (session, token) = jti.split_once('.')?;
        Some(Self { session: session.to_owned(), token: token.to_owned() })
    }

    /// The next token of the same session.
    #[must_use]
    pub fn next(&self, rng: &Rng) -> Self {
        Self { session: self.session.clone(), token: rng.uuid().to_string() }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session, self.token)
    }
}

/// What showing a refresh token leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The session goes on under this refresh token.
    Continued {
        /// The id for the new refresh token.
        id: TokenId,
        /// When the session ends.
        expires_at: Timestamp,
    },
    /// The session is not there, or has just been ended because the token had been used before.
    Refused,
}

/// Starts a session with its first refresh token. Ends the user's oldest sessions where there are too many.
pub async fn start(
    tx: &mut Tx,
    id: &TokenId,
    user: UserId,
    description: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "DELETE FROM sessions
          WHERE user_id = $1
            AND (expires_at <= $2
                 OR id IN (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $3 OFFSET $4))",
        params![user, now, MOST, MOST - 1],
    )
    .await?;
    tx.execute(
        "INSERT INTO sessions (id, user_id, description, token_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![id.session.as_str(), user, description, id.token.as_str(), now, expires_at],
    )
    .await?;
    Ok(())
}

/// Exchanges the refresh token `shown` for `next`.
///
/// The update decides: of two requests with the same token one exchanges it, and the other is its repetition.
pub async fn exchange(
    tx: &mut Tx,
    shown: &TokenId,
    next: TokenId,
    user: UserId,
    now: Timestamp,
) -> Result<Exchange> {
    let exchanged = tx
        .one_or_none(
            "UPDATE sessions SET token_id = $3, previous_id = $2, previous_until = $4
              WHERE id = $1 AND token_id = $2 AND user_id = $5 AND expires_at > $6
             RETURNING expires_at",
            params![
                shown.session.as_str(),
                shown.token.as_str(),
                next.token.as_str(),
                now.after(REPEAT_WITHIN),
                user,
                now
            ],
        )
        .await?;
    if let Some(row) = exchanged {
        return Ok(Exchange::Continued { id: next, expires_at: row.get("expires_at")? });
    }
    let sql = format!(
        "SELECT token_id, previous_id, previous_until, expires_at FROM sessions
          WHERE id = $1 AND user_id = $2 AND expires_at > $3{}",
        tx.for_update()
    );
    let row = tx.one_or_none(&sql, params![shown.session.as_str(), user, now]).await?;
    let Some(row) = row else { return Ok(Exchange::Refused) };
    let previous: Option<String> = row.get("previous_id")?;
    let until: Option<Timestamp> = row.get("previous_until")?;
    if previous.as_deref() == Some(shown.token.as_str()) && until.is_some_and(|until| until > now) {
        let id = TokenId { session: shown.session.clone(), token: row.get("token_id")? };
        return Ok(Exchange::Continued { id, expires_at: row.get("expires_at")? });
    }
    tx.execute("DELETE FROM sessions WHERE id = $1", params![shown.session.as_str()]).await?;
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

/// Ends one session of `user`, named by its id or by the id of one of its refresh tokens; an unknown one, or another
/// user's, is not found.
pub async fn revoke(tx: &mut Tx, id: &str, user: UserId) -> Result<()> {
    let id = id.split_once('.').map_or(id, |(session, _)| session);
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
