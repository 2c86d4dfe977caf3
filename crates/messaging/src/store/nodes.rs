//! The nodes that share the database, and which of them has which session.
//!
//! A node holds a lease: it is renewed by the database's clock, and who has not renewed it in time is deleted by another
//! node. Everything that a node writes holds its row, so that nothing of it comes after that.

use std::time::Duration;

use db::{Engine, Tx, params};
use kernel::{Error, Result};

/// What a node that has lost its lease is told.
const GONE: &str = "this node has lost its lease: other nodes have taken its place";

/// Microseconds of the database's own clock.
const fn clock(tx: &Tx) -> &'static str {
    match tx.engine() {
        Engine::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        Engine::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    }
}

/// Makes a node, with an id that none has had, and tells the others.
pub(crate) async fn join(tx: &mut Tx) -> Result<u64> {
    let row = tx.one("UPDATE cluster_last SET id = id + 1 WHERE one = 1 RETURNING id", &[]).await?;
    let id: u64 = row.get("id")?;
    let sql = format!("INSERT INTO cluster_nodes (id, renewed) VALUES ($1, {})", clock(tx));
    tx.execute(&sql, params![id]).await?;
    tx.tell(NODES, "joined");
    Ok(id)
}

/// The topic of the words about nodes ([`Tx::tell`]).
pub(crate) const NODES: &str = "cluster_node";

/// Renews the lease; `false`: it is lost.
pub(crate) async fn renew(tx: &mut Tx, me: u64) -> Result<bool> {
    let sql = format!("UPDATE cluster_nodes SET renewed = {} WHERE id = $1", clock(tx));
    Ok(tx.execute(&sql, params![me]).await? > 0)
}

/// The nodes that hold a lease.
pub(crate) async fn nodes(tx: &mut Tx) -> Result<Vec<u64>> {
    let rows = tx.all("SELECT id FROM cluster_nodes ORDER BY id", &[]).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Deletes the nodes whose lease has run out, and tells the others. Whoever takes this node for dead is not dead itself: it
/// must hold its own lease.
pub(crate) async fn bury(tx: &mut Tx, me: u64, lease: Duration) -> Result<u64> {
    hold(tx, me).await?;
    let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    let sql = format!("DELETE FROM cluster_nodes WHERE id <> $1 AND renewed < {} - $2", clock(tx));
    let buried = tx.execute(&sql, params![me, lease]).await?;
    if buried > 0 {
        tx.tell(NODES, "gone");
    }
    Ok(buried)
}

/// A node goes in good order.
pub(crate) async fn leave(tx: &mut Tx, me: u64) -> Result<()> {
    tx.execute("DELETE FROM cluster_nodes WHERE id = $1", params![me]).await?;
    tx.tell(NODES, "gone");
    Ok(())
}

/// Holds the lease of a node until the transaction ends.
///
/// # Errors
///
/// `Unprocessable`: it is lost.
pub(crate) async fn hold(tx: &mut Tx, me: u64) -> Result<()> {
    // Not `FOR SHARE`, which would hold up the renewal.
    let sql = match tx.engine() {
        Engine::Sqlite => "SELECT id FROM cluster_nodes WHERE id = $1",
        Engine::Postgres => "SELECT id FROM cluster_nodes WHERE id = $1 FOR KEY SHARE",
    };
    match tx.one_or_none(sql, params![me]).await? {
        Some(_) => Ok(()),
        None => Err(Error::new(kernel::Kind::Unprocessable, GONE)),
    }
}

/// Takes the sessions that no living node has; their numbers.
pub(crate) async fn adopt(tx: &mut Tx, me: u64) -> Result<Vec<u64>> {
    let rows = tx
        .all(
            "UPDATE mqtt_sessions
                SET owner = $1
              WHERE owner IS NULL OR owner NOT IN (SELECT id FROM cluster_nodes)
             RETURNING id",
            params![me],
        )
        .await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Makes a session a node's, unless another living node has it; whether it is the node's now.
pub(crate) async fn own(tx: &mut Tx, me: u64, session: u64) -> Result<bool> {
    let owned = tx
        .execute(
            "UPDATE mqtt_sessions
                SET owner = $1
              WHERE id = $2
                AND (owner = $1 OR owner IS NULL OR owner NOT IN (SELECT id FROM cluster_nodes))",
            params![me, session],
        )
        .await?;
    Ok(owned > 0)
}

/// Gives a session to a node.
pub(super) async fn give(tx: &mut Tx, session: u64, owner: u64) -> Result<()> {
    tx.execute_later("UPDATE mqtt_sessions SET owner = $2 WHERE id = $1", params![session, owner]).await
}
