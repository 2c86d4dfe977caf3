//! Messages that wait for sessions, or are on their way to them.
//!
//! A message for one session stands in its row of the queue; one for several stands in a table of its own, and goes
//! when no row names it any more.

use bytes::Bytes;
use db::{Row, Tx, Val, params};
use kernel::{ChannelId, Result, Timestamp};

/// A message that several sessions are to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRecord {
    pub(crate) id: u64,
    pub(crate) contents: Contents,
}

/// What is the same for everybody who gets a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) payload: Bytes,
    /// As in PUBLISH of MQTT 5.
    pub(crate) properties: Bytes,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A message in the queue of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRecord {
    pub(crate) session: u64,
    /// Below 0: another node than the session's has stored it, and it has no place yet. The nearer to 0, the older.
    pub(crate) seq: i64,
    /// 1 or 2.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) channel: ChannelId,
    /// As the subscriber spells it.
    pub(crate) topic: String,
    /// Of its subscriptions.
    pub(crate) identifiers: Vec<u32>,
    /// What it counts against the bounds of the queue.
    pub(crate) bytes: u64,
    pub(crate) body: Body,
}

/// Where the contents of a queued message are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// In its row.
    Own(Contents),
    /// In the message of this number.
    Shared(u64),
}

/// What is found in the queue of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A message, its contents filled in. A shared one has its number.
    Message { record: QueueRecord, shared: Option<u64> },
    /// Only the release of this seq.
    Released { seq: u64 },
}

pub(super) async fn insert_message(tx: &mut Tx, record: &MessageRecord) -> Result<()> {
    let Contents { payload, properties, expires_at } = &record.contents;
    tx.execute_later(
        "INSERT INTO mqtt_messages (id, payload, properties, expires_at) VALUES ($1, $2, $3, $4)",
        params![record.id, &**payload, &**properties, *expires_at],
    )
    .await
}

pub(super) async fn insert(tx: &mut Tx, records: &[&QueueRecord]) -> Result<()> {
    let rows = records.iter().map(|record| values(record)).collect();
    tx.insert_many(
        "INSERT INTO mqtt_queue
                (session_id, seq, released, qos, retain, channel_id, topic, identifiers, bytes,
                 message_id, payload, properties, expires_at)
         VALUES",
        rows,
    )
    .await
    .map(drop)
}

fn values(record: &QueueRecord) -> Vec<Val> {
    let identifiers: Vec<String> = record.identifiers.iter().map(u32::to_string).collect();
    let mut values = vec![
        record.session.into(),
        record.seq.into(),
        false.into(),
        record.qos.into(),
        record.retain.into(),
        record.channel.into(),
        record.topic.as_str().into(),
        identifiers.join(",").into(),
        record.bytes.into(),
    ];
    values.extend(match &record.body {
        Body::Own(Contents { payload, properties, expires_at }) => {
            [Val::Null, (&**payload).into(), (&**properties).into(), (*expires_at).into()]
        }
        Body::Shared(id) => [(*id).into(), Val::Null, Val::Null, Val::Null],
    });
    values
}

/// The message itself is no longer needed, only that its release is still to be acknowledged.
pub(super) async fn received(tx: &mut Tx, session: u64, seq: u64) -> Result<()> {
    tx.execute_later(
        "UPDATE mqtt_queue
            SET released = TRUE, payload = NULL, properties = NULL, message_id = NULL
          WHERE session_id = $1 AND seq = $2",
        params![session, seq],
    )
    .await
}

pub(super) async fn finished(tx: &mut Tx, session: u64, first: u64, last: u64) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_queue WHERE session_id = $1 AND seq BETWEEN $2 AND $3",
        params![session, first, last],
    )
    .await
}

pub(super) async fn unneeded(tx: &mut Tx, messages: &[u64]) -> Result<()> {
    for id in messages {
        tx.execute_later(
            "DELETE FROM mqtt_messages
              WHERE id = $1
                AND NOT EXISTS (SELECT 1 FROM mqtt_queue WHERE message_id = $1)",
            params![*id],
        )
        .await?;
    }
    Ok(())
}

/// The messages that wait for nobody go.
pub(super) async fn sweep(tx: &mut Tx) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_messages
          WHERE NOT EXISTS (SELECT 1 FROM mqtt_queue WHERE message_id = mqtt_messages.id)",
        &[],
    )
    .await
}

/// Everything that waits for a session goes, and the messages that waited for it alone.
pub(super) async fn clear(tx: &mut Tx, session: u64) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_messages
          WHERE id IN (SELECT message_id FROM mqtt_queue WHERE session_id = $1 AND message_id IS NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM mqtt_queue
                             WHERE message_id = mqtt_messages.id AND session_id <> $1)",
        params![session],
    )
    .await?;
    tx.execute_later("DELETE FROM mqtt_queue WHERE session_id = $1", params![session]).await
}

/// What waits from a channel goes. A release that is still to be acknowledged stays.
pub(super) async fn forget(tx: &mut Tx, session: u64, channel: ChannelId) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_messages
          WHERE id IN (SELECT message_id FROM mqtt_queue
                        WHERE session_id = $1 AND channel_id = $2 AND message_id IS NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM mqtt_queue
                             WHERE message_id = mqtt_messages.id AND session_id <> $1)",
        params![session, channel],
    )
    .await?;
    tx.execute_later(
        "DELETE FROM mqtt_queue WHERE session_id = $1 AND channel_id = $2 AND NOT released",
        params![session, channel],
    )
    .await
}

/// Gives places after `last` to the messages of a session that have none, in their order; how many these are, and the
/// bytes that they count. What another node has stored after the session has lost the right to its channel goes.
pub(crate) async fn place(tx: &mut Tx, session: u64, last: u64) -> Result<(u64, u64)> {
    tx.execute_later(
        "DELETE FROM mqtt_queue
          WHERE session_id = $1 AND seq < 0
            AND channel_id NOT IN (SELECT channel_id FROM mqtt_subscriptions WHERE session_id = $1)",
        params![session],
    )
    .await?;
    let rows = tx
        .all(
            "UPDATE mqtt_queue
                SET seq = $2 + placed.place
               FROM (SELECT seq AS was, ROW_NUMBER() OVER (ORDER BY seq DESC) AS place
                       FROM mqtt_queue
                      WHERE session_id = $1 AND seq < 0) AS placed
              WHERE mqtt_queue.session_id = $1 AND mqtt_queue.seq = placed.was
             RETURNING bytes",
            params![session, last],
        )
        .await?;
    let mut bytes = 0_u64;
    for row in &rows {
        bytes += row.get::<u64>("bytes")?;
    }
    Ok((rows.len() as u64, bytes))
}

/// The sessions with messages that have no place.
pub(crate) async fn unplaced(tx: &mut Tx) -> Result<Vec<u64>> {
    let rows = tx.all("SELECT DISTINCT session_id FROM mqtt_queue WHERE seq < 0", &[]).await?;
    rows.iter().map(|row| row.get("session_id")).collect()
}

/// The highest seq that a session has in its queue; 0: nothing waits.
pub(crate) async fn last_seq(tx: &mut Tx, session: u64) -> Result<u64> {
    let row = tx
        .one(
            "SELECT COALESCE(MAX(seq), 0) AS last FROM mqtt_queue WHERE session_id = $1 AND seq > 0",
            params![session],
        )
        .await?;
    row.get("last")
}

/// The highest number that a message has.
pub(crate) async fn last_message(tx: &mut Tx) -> Result<u64> {
    let row = tx.one("SELECT COALESCE(MAX(id), 0) AS last FROM mqtt_messages", &[]).await?;
    row.get("last")
}

/// How many messages wait for a session after a seq, and the bytes that they count.
pub(crate) async fn count(tx: &mut Tx, session: u64, after: u64) -> Result<(u64, u64)> {
    let row = tx
        .one(
            "SELECT COUNT(*) AS messages, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
               FROM mqtt_queue
              WHERE session_id = $1 AND seq > $2",
            params![session, after],
        )
        .await?;
    Ok((row.get("messages")?, row.get("bytes")?))
}

/// The next messages that wait for a session after a seq.
pub(crate) async fn load(tx: &mut Tx, session: u64, after: u64, most: usize) -> Result<Vec<Waiting>> {
    let rows = tx
        .all(
            "SELECT q.session_id, q.seq, q.released, q.qos, q.retain, q.channel_id, q.topic, q.identifiers,
                    q.bytes, q.message_id, COALESCE(m.payload, q.payload) AS payload,
                    COALESCE(m.properties, q.properties) AS properties,
                    COALESCE(m.expires_at, q.expires_at) AS expires_at
               FROM mqtt_queue q
               LEFT JOIN mqtt_messages m ON m.id = q.message_id
              WHERE q.session_id = $1 AND q.seq > $2
              ORDER BY q.seq
              LIMIT $3",
            params![session, after, most],
        )
        .await?;
    rows.iter().map(waiting).collect()
}

fn waiting(row: &Row) -> Result<Waiting> {
    let seq: u64 = row.get("seq")?;
    if row.get("released")? {
        return Ok(Waiting::Released { seq });
    }
    let identifiers: String = row.get("identifiers")?;
    let contents = Contents {
        payload: row.get::<Option<Vec<u8>>>("payload")?.unwrap_or_default().into(),
        properties: row.get::<Option<Vec<u8>>>("properties")?.unwrap_or_default().into(),
        expires_at: row.get("expires_at")?,
    };
    let record = QueueRecord {
        session: row.get("session_id")?,
        seq: seq.cast_signed(),
        qos: row.get("qos")?,
        retain: row.get("retain")?,
        channel: row.get("channel_id")?,
        topic: row.get("topic")?,
        identifiers: identifiers.split(',').filter_map(|id| id.parse().ok()).collect(),
        bytes: row.get("bytes")?,
        body: Body::Own(contents),
    };
    Ok(Waiting::Message { record, shared: row.get("message_id")? })
}
