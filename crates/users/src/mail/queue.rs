//! The table of mails that wait to be sent.

use std::{sync::Arc, time::Duration};

use db::{Row, Tx, params};
use kernel::{Error, Result, Timestamp, UserId};

use crate::model::Email;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How many mails of one kind an address is sent in an hour: enough for who looks for a lost one, too few to annoy.
const MOST_IN_AN_HOUR: i64 = 5;

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A link to a new password.
    Reset,
    /// A link that verifies the address.
    Verification,
    /// Word that the account has another address now.
    Notice,
}

impl Kind {
    const fn code(self) -> i64 {
        match self {
            Self::Reset => 0,
            Self::Verification => 1,
            Self::Notice => 2,
        }
    }

    const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Reset),
            1 => Some(Self::Verification),
            2 => Some(Self::Notice),
            _ => None,
        }
    }
}

/// To whom the word goes that an account has another address now.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// Whose account it is.
    pub(crate) user: UserId,
    /// The address that was left.
    pub(crate) recipient: Email,
}

/// A mail that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) email_key: String,
    /// To whom a notice goes.
    pub(crate) notice: Option<Notice>,
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
        notice: match (row.get::<Option<UserId>>("user_id")?, row.get::<Option<String>>("recipient")?) {
            (Some(user), Some(recipient)) => Some(Notice { user, recipient: recipient.parse()? }),
            _ => None,
        },
        request: row.get("request")?,
        attempts: row.get("attempts")?,
        created_at: row.get("created_at")?,
    })
}

/// A mail to be left in the queue.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) email_key: String,
    pub(crate) notice: Option<Notice>,
    pub(crate) request: Arc<str>,
}

/// Leaves a mail to be sent; false where one of the kind waits for the address already, or the address was sent one within
/// a minute, or five within an hour.
pub(crate) async fn push(tx: &mut Tx, mail: &Outgoing, now: Timestamp) -> Result<bool> {
    if !count(tx, mail, now).await? {
        return Ok(false);
    }
    let notice = mail.notice.as_ref();
    let left = tx
        .execute(
            "INSERT INTO mails (id, kind, email_key, request, attempts, due_at, created_at, user_id, recipient)
             VALUES ($1, $2, $3, $4, 0, $5, $5, $6, $7)
             ON CONFLICT DO NOTHING",
            params![
                mail.id.as_str(),
                mail.kind.code(),
                mail.email_key.as_str(),
                &*mail.request,
                now,
                notice.map(|notice| notice.user),
                notice.map(|notice| notice.recipient.as_str())
            ],
        )
        .await?;
    Ok(left == 1)
}

/// Counts a mail to an address; false where it has had enough of the kind. One statement, so that two at once count both.
async fn count(tx: &mut Tx, mail: &Outgoing, now: Timestamp) -> Result<bool> {
    let counted = tx
        .execute(
            "INSERT INTO mail_counts (email_key, kind, last_at, since, count)
             VALUES ($1, $2, $3, $3, 1)
             ON CONFLICT (email_key, kind) DO UPDATE
               SET last_at = excluded.last_at,
                   since = CASE WHEN mail_counts.since <= $4 THEN excluded.since ELSE mail_counts.since END,
                   count = CASE WHEN mail_counts.since <= $4 THEN 1 ELSE mail_counts.count + 1 END
             WHERE mail_counts.last_at <= $5 AND (mail_counts.since <= $4 OR mail_counts.count < $6)",
            params![
                mail.email_key.as_str(),
                mail.kind.code(),
                now,
                now.before(HOUR),
                now.before(MINUTE),
                MOST_IN_AN_HOUR
            ],
        )
        .await?;
    Ok(counted == 1)
}

/// Forgets the counts that say nothing any more.
pub(crate) async fn forget_counts(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM mail_counts WHERE last_at <= $1", params![now.before(HOUR)]).await?;
    Ok(())
}

/// Takes the mail that is due next, and puts it off by `pause` in case that nobody comes back to it.
pub(crate) async fn take(tx: &mut Tx, now: Timestamp, pause: Duration) -> Result<Option<Waiting>> {
    let row = tx
        .one_or_none(
            "UPDATE mails SET attempts = attempts + 1, due_at = $2
              WHERE id = (SELECT id FROM mails WHERE due_at <= $1 ORDER BY due_at, id LIMIT 1)
             RETURNING id, kind, email_key, user_id, recipient, request, attempts, created_at",
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
