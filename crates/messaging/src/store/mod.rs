//! What of the engine outlives the process, in the tables of the database: sessions that outlive their connection,
//! their subscriptions, what waits for them, and retained messages.
//!
//! The engine's side is `engine/commit`: one task that writes. Here is SQL and nothing else: [`apply`] makes a list of
//! [`Change`]s in their order, within a transaction; `sessions.rs`, `queue.rs`, `retained.rs` and `nodes.rs` hold the statements.

mod change;
mod nodes;
mod queue;
mod retained;
mod sessions;
#[cfg(test)]
mod tests;

pub(crate) use change::{Change, apply};
pub(crate) use nodes::{NODES, adopt, bury, hold, join, leave, nodes, own, renew};
pub(crate) use queue::{
    Body, Contents, MessageRecord, QueueRecord, Waiting, count, last_message, last_seq, load, place, unplaced,
};
pub(crate) use retained::{RetainedRecord, load_retained, retained_at, retained_total};
pub(crate) use sessions::{
    SessionRecord, SubscriptionRecord, WillRecord, last_session, named, sessions, sessions_of, subscriptions,
    subscriptions_of, unreleased, unreleased_of,
};

/// The tables.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "messaging/0001", sql: include_str!("../../migrations/0001_sessions.sql") },
    db::Migration { id: "messaging/0002", sql: include_str!("../../migrations/0002_nodes.sql") },
];
