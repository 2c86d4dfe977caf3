//! Where events wait until they are delivered.

use std::sync::Arc;

use db::{Row, Tx, Val, params};
use kernel::{Error, Result};
use serde_json::Value;
use tokio::sync::Notify;

use crate::Event;

/// The way into the outbox. Clones wake the same relay.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    wake: Arc<Notify>,
}

impl Outbox {
    /// A way in; hand it to [`crate::Relay::start`] as well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces what the transaction does, if it commits. Call it after the change of the entity's row: whoever
    /// changes the same entity at the same time waits for that row, and so the events get their order.
    pub async fn push(&self, tx: &mut Tx, event: Event) -> Result<()> {
        tx.execute_later(
            "INSERT INTO outbox (entity, operation, payload, created_at) VALUES ($1, $2, $3, $4)",
            params![event.entity(), event.operation(), Value::from(event.payload().clone()), event.at()],
        )
        .await?;
        let wake = Arc::clone(&self.wake);
        tx.on_commit(move || wake.notify_one());
        Ok(())
    }

    /// Waits until something has been pushed and committed since the last call.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }
}

/// An event that waits, with its place in the order.
pub(crate) struct Waiting {
    pub(crate) id: i64,
    pub(crate) event: Event,
}

const COLUMNS: &str = "id, entity, operation, payload, created_at";

/// The next events after `id`, oldest first.
pub(crate) async fn after(tx: &mut Tx, id: i64, limit: usize) -> Result<Vec<Waiting>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id > $1 ORDER BY id LIMIT $2");
    tx.all(&sql, params![id, limit]).await?.iter().map(waiting).collect()
}

/// Claims entities for the rest of the transaction and returns their events, oldest first (PostgreSQL).
///
/// The claim is a lock on an entity's oldest row. No other node can take a later row of that entity: it looks for the
/// oldest, finds it locked, and passes over the entity.
pub(crate) async fn claim(tx: &mut Tx, entities: usize, limit: usize) -> Result<Vec<Waiting>> {
    let heads = tx
        .all(
            "SELECT entity FROM outbox AS head
              WHERE NOT EXISTS (SELECT 1 FROM outbox AS earlier
                                 WHERE earlier.entity = head.entity AND earlier.id < head.id)
              ORDER BY id
              LIMIT $1
                FOR UPDATE SKIP LOCKED",
            params![entities],
        )
        .await?;
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let claimed = heads.iter().map(|row| row.get("entity").map(Val::Text)).collect::<Result<Vec<_>>>()?;
    let mut filter = db::Filter::new().and_in("entity", claimed);
    let limit = filter.bind(limit);
    let sql = format!("SELECT {COLUMNS} FROM outbox{} ORDER BY id LIMIT {limit}", filter.sql());
    tx.all(&sql, filter.params()).await?.iter().map(waiting).collect()
}

/// Deletes all events up to and with `id`.
pub(crate) async fn delete_to(tx: &mut Tx, id: i64) -> Result<()> {
    tx.execute("DELETE FROM outbox WHERE id <= $1", params![id]).await.map(drop)
}

/// Deletes these events.
pub(crate) async fn delete(tx: &mut Tx, events: &[Waiting]) -> Result<()> {
    let filter = db::Filter::new().and_in("id", events.iter().map(|waiting| Val::Int(waiting.id)));
    tx.execute_later(&format!("DELETE FROM outbox{}", filter.sql()), filter.params()).await
}

fn waiting(row: &Row) -> Result<Waiting> {
    let Value::Object(payload) = row.get("payload")? else {
        return Err(Error::internal("an event in the outbox is no JSON object"));
    };
    let event = Event::stored(row.get("operation")?, row.get("entity")?, row.get("created_at")?, payload);
    Ok(Waiting { id: row.get("id")?, event })
}
