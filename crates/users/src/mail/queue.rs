//! The table of mails that wait to be sent.

use std::time::Duration;

use db::{Row, Tx, params};
use kernel::{Error, Result, Timestamp};

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A link to a new password.
    Reset,
    /// A link that verifies the address.
    Verification,
}

impl Kind {
    const fn code(self) -> i64 {
        match self {
            Self::Reset => 0,
            Self::Verification => 1,
        }
    }

    const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Reset),
            1 => Some(Self::Verification),
            _ => None,
        }
    }
}

/// A mail that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) email_key: String,
    pub(crate) request: String,
    pub(crate) attempts: i64,
    pub(crate) created_at: Timestamp,
}

fn read(row: &Row) -> Result<Waiting> {
    let kind = row.get("kind")?;
    Ok(Waiting {
        id: row.get("id")?,
        kind: Kind::from_code(kind).ok_or_else(|| Error::internal(format!("mails.kind is {kind}")))?,
        email_key: row.get("email_key")?,
        request: row.get("request")?,
        attempts: row.get("attempts")?,
        created_at: row.get("created_at")?,
    })
}

/// Leaves a mail to be sent, unless one of the kind waits for the address already.
pub(crate) async fn push(
    tx: &mut Tx,
    id: &str,
    kind: Kind,
    email_key: &str,
    request: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO mails (id, kind, email_key, request, attempts, due_at, created_at)
         VALUES ($1, $2, $3, $4, 0, $5, $5)
         ON CONFLICT DO NOTHING",
        params![id, kind.code(), email_key, request, now],
    )
    .await?;
    Ok(())
}

/// Takes the mail that is due next, and puts it off by `pause` in case that nobody comes back to it.
pub(crate) async fn take(tx: &mut Tx, now: Timestamp, pause: Duration) -> Result<Option<Waiting>> {
    let row = tx
        .one_or_none(
            "UPDATE mails SET attempts = attempts + 1, due_at = $2
              WHERE id = (SELECT id FROM mails WHERE due_at <= $1 ORDER BY due_at, id LIMIT 1)
             RETURNING id, kind, email_key, request, attempts, created_at",
            params![now, now.after(pause)],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

/// Puts a mail off.
pub(crate) async fn put_off(tx: &mut Tx, id: &str, due_at: Timestamp) -> Result<()> {
    tx.execute("UPDATE mails SET due_at = $2 WHERE id = $1", params![id, due_at]).await?;
    Ok(())
}

/// Makes every mail due that was put off.
pub(crate) async fn resume(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE mails SET due_at = $1 WHERE due_at > $1", params![now]).await?;
    Ok(())
}

/// Ends a mail: it was sent, or nobody wants it any more.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM mails WHERE id = $1", params![id]).await?;
    Ok(())
}

/// When the next mail is due.
pub(crate) async fn next_due(tx: &mut Tx) -> Result<Option<Timestamp>> {
    let row = tx.one("SELECT min(due_at) AS due_at FROM mails", params![]).await?;
    row.get("due_at")
}
