//! Retained messages.

use db::{Row, Tx, params};
use kernel::{ChannelId, Result, Timestamp};

use super::queue::Contents;

/// A retained message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetainedRecord {
    pub(crate) channel: ChannelId,
    pub(crate) subtopic: String,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    /// What it counts against the bounds of the node.
    pub(crate) bytes: u64,
    pub(crate) contents: Contents,
}

pub(super) async fn save(tx: &mut Tx, record: &RetainedRecord) -> Result<()> {
    let Contents { payload, properties, expires_at } = &record.contents;
    tx.execute_later(
        "INSERT INTO mqtt_retained (channel_id, subtopic, qos, bytes, payload, properties, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (channel_id, subtopic) DO UPDATE
            SET qos = excluded.qos, bytes = excluded.bytes, payload = excluded.payload,
                properties = excluded.properties, expires_at = excluded.expires_at",
        params![
            record.channel,
            &record.subtopic,
            record.qos,
            record.bytes,
            &**payload,
            &**properties,
            *expires_at
        ],
    )
    .await
}

pub(super) async fn remove(tx: &mut Tx, channel: ChannelId, subtopic: &str) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_retained WHERE channel_id = $1 AND subtopic = $2",
        params![channel, subtopic],
    )
    .await
}

pub(super) async fn close(tx: &mut Tx, channel: ChannelId) -> Result<()> {
    tx.execute_later("DELETE FROM mqtt_retained WHERE channel_id = $1", params![channel]).await
}

pub(super) async fn expire(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute_later("DELETE FROM mqtt_retained WHERE expires_at <= $1", params![now]).await
}

/// The next retained messages of a channel, after a subtopic or from the first one, in the order of their subtopics.
pub(crate) async fn load_retained(
    tx: &mut Tx,
    channel: ChannelId,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<RetainedRecord>> {
    let rows = tx
        .all(
            "SELECT subtopic, qos, bytes, payload, properties, expires_at
               FROM mqtt_retained
              WHERE channel_id = $1 AND ($2 OR subtopic > $3)
              ORDER BY subtopic
              LIMIT $4",
            params![channel, after.is_none(), after.unwrap_or_default(), most],
        )
        .await?;
    rows.iter().map(|row| retained(channel, row)).collect()
}

/// The retained message of one topic.
pub(crate) async fn retained_at(
    tx: &mut Tx,
    channel: ChannelId,
    subtopic: &str,
) -> Result<Option<RetainedRecord>> {
    let row = tx
        .one_or_none(
            "SELECT subtopic, qos, bytes, payload, properties, expires_at
               FROM mqtt_retained
              WHERE channel_id = $1 AND subtopic = $2",
            params![channel, subtopic],
        )
        .await?;
    row.map(|row| retained(channel, &row)).transpose()
}

fn retained(channel: ChannelId, row: &Row) -> Result<RetainedRecord> {
    let contents = Contents {
        payload: row.get::<Vec<u8>>("payload")?.into(),
        properties: row.get::<Vec<u8>>("properties")?.into(),
        expires_at: row.get("expires_at")?,
    };
    let (subtopic, qos, bytes) = (row.get("subtopic")?, row.get("qos")?, row.get("bytes")?);
    Ok(RetainedRecord { channel, subtopic, qos, bytes, contents })
}

/// How many retained messages there are, and the bytes that they count.
pub(crate) async fn retained_total(tx: &mut Tx) -> Result<(u64, u64)> {
    let row = tx
        .one(
            "SELECT COUNT(*) AS messages, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
               FROM mqtt_retained",
            &[],
        )
        .await?;
    Ok((row.get("messages")?, row.get("bytes")?))
}
