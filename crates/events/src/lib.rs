//! Telling the rest of the program, and others, what has changed.
//!
//! 1. A use case makes an [`Event`] and calls [`Outbox::push`] in the transaction of its change: after a crash both are
//!    there, or neither.
//! 2. After the COMMIT the [`Relay`] is woken. It moves rows of the outbox to the [`Bus`] and deletes them afterwards,
//!    so each event is delivered *at least once*: a consumer may see one twice and must not mind.
//! 3. Consumers hold a [`Subscription`]. One that is too slow is told how many events it missed; it never holds up the
//!    others or the publisher.
//!
//! Events of one entity ([`Event::entity`]) arrive in the order of their commits; see [`relay`] for how, also where
//! several nodes share a PostgreSQL database. Between entities there is no order.
//!
//! The bus is in this process. Where several nodes share a database, an event goes to the buses of all when it is committed
//! ([`db::Tx::tell`]), and once more to that of the one node whose relay claimed it. A node that could not hear the others
//! for a while is told that it may have missed some. Where others outside are to be told as well, the relay leaves each
//! event for a [`Forwarder`], which hands it to a [`Sink`].
//!
//! Which events there are is written where they are made: `events.rs` of each capability, after the catalogue of the
//! reference (01 §9, 02 §10, 03 §8). Their common shape is one flat JSON object with `operation`, `occurred_at` (Unix
//! nanoseconds) and mostly `request_id`. Outward they are grouped in streams, see [`Event::stream`].

mod bus;
mod event;
mod forward;
mod outbox;
pub mod relay;

pub use bus::{Bus, Received, Subscription};
pub use event::{Event, STREAM_PREFIX};
pub use forward::{Forwarder, Outward, Sink};
pub use outbox::Outbox;
pub use relay::Relay;

/// The schema of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "events/0001", sql: include_str!("../migrations/0001_outbox.sql") },
    db::Migration { id: "events/0002", sql: include_str!("../migrations/0002_outward.sql") },
];
