//! Where events wait until they are delivered.

use std::sync::Arc;

use db::{Row, Tx, Val, params};
use kernel::{Error, Result, Timestamp};
use serde_json::Value;
use tokio::sync::Notify;

use crate::Event;

/// Events, to other nodes.
pub(crate) const TOPIC: &str = "event";

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
        if tx.tells() {
            tx.tell(TOPIC, &event.told());
        }
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
const LEAVE: &str = "INSERT INTO outbox_outward (id, entity, operation, payload, created_at)
     SELECT id, entity, operation, payload, created_at FROM outbox";
/// One that was left before a crash stands there already.
const KNOWN: &str = "ON CONFLICT (id) DO NOTHING";

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

/// Leaves all events up to and with `id` for the forwarder; [`delete_to`] follows.
pub(crate) async fn leave_outward_to(tx: &mut Tx, id: i64) -> Result<()> {
    tx.execute_later(&format!("{LEAVE} WHERE id <= $1 {KNOWN}"), params![id]).await
}

/// Leaves these events for the forwarder; [`delete`] follows.
pub(crate) async fn leave_outward(tx: &mut Tx, events: &[Waiting]) -> Result<()> {
    let filter = db::Filter::new().and_in("id", events.iter().map(|waiting| Val::Int(waiting.id)));
    tx.execute_later(&format!("{LEAVE}{} {KNOWN}", filter.sql()), filter.params()).await
}

/// The oldest events that wait for the forwarder, with their numbers.
pub(crate) async fn outward(tx: &mut Tx, limit: usize) -> Result<Vec<(i64, Event)>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox_outward ORDER BY id LIMIT $1");
    let rows = tx.all(&sql, params![limit]).await?;
    rows.iter().map(|row| waiting(row).map(|waiting| (waiting.id, waiting.event))).collect()
}

/// Deletes events that have been forwarded.
pub(crate) async fn delete_outward(tx: &mut Tx, ids: &[i64]) -> Result<()> {
    let filter = db::Filter::new().and_in("id", ids.iter().map(|id| Val::Int(*id)));
    tx.execute(&format!("DELETE FROM outbox_outward{}", filter.sql()), filter.params()).await.map(drop)
}

/// Deletes events from before an instant that nobody outside has taken, and says how many.
pub(crate) async fn drop_outward(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM outbox_outward WHERE created_at < $1", params![before]).await
}

fn waiting(row: &Row) -> Result<Waiting> {
    let Value::Object(payload) = row.get("payload")? else {
        return Err(Error::internal("an event in the outbox is no JSON object"));
    };
    let event = Event::stored(row.get("operation")?, row.get("entity")?, row.get("created_at")?, payload);
    Ok(Waiting { id: row.get("id")?, event })
}
