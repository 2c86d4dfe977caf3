//! SQLite and PostgreSQL behind one interface: one SQL text, one transaction type, two engines.
//!
//! A use case hands a closure to [`Db::write`], [`Db::read`] or [`Db::scan`]; the closure gets a [`Tx`] and gives it to
//! store functions, which run SQL and never begin or commit. What holds on both engines:
//!
//! - A write job is all or nothing, and the caller is answered only after its COMMIT is durable.
//! - After a statement of a job has failed, the job can only fail: PostgreSQL refuses further statements, and so do we
//!   on SQLite. Stores that want to go on after a duplicate say so in SQL (`ON CONFLICT`).
//! - A job awaits nothing but the database. On SQLite its statements run in place, so its future is ready at the first
//!   poll; one that is not is an error, and no network call can hide inside a transaction.
//! - [`Tx::on_commit`] hooks run after the COMMIT and before the answer: a caller that has its answer never reads a
//!   cache older than its own write. They run even if the caller has gone away in the meantime.
//!
//! # One SQL text
//!
//! | Thing | Written | SQLite | PostgreSQL |
//! |---|---|---|---|
//! | placeholder | `$1` | `?1` (SQLite numbers `$n` by first appearance) | `$1` |
//! | text, ids | `TEXT` | compared by bytes | `TEXT COLLATE "C"`: the same order |
//! | JSON document | `JSONB`, bound as [`Val::Json`] | text | `jsonb` |
//! | bytes | `BYTEA` | blob | `bytea` |
//! | truth | `BOOLEAN` or `BIGINT` | integer | as declared |
//! | instant | `BIGINT`, microseconds | integer | `bigint` |
//! | does a document contain another (`@>`) | `json_contains(doc, want)` | Rust ([`json`]) | `doc @> want` |
//! | has a list one of, or all, these tags | `tags_any(doc, want)`, `tags_all(doc, want)` | Rust | `?|`, `@>` |
//! | does a name contain a part, in any case | `name_contains(name, part)` | Rust | `strpos` over `upper` |
//!
//! The type words are translated in [`Migration`]s only, and only where they are written in capitals.
//!
//! # Engines
//!
//! SQLite has one writer, a thread of its own: jobs travel there whole and share a COMMIT (`sqlite/writer.rs`).
//! Reads run beside it on pooled read-only connections. PostgreSQL jobs run on a pooled connection; BEGIN travels with
//! the first statement (`postgres/session.rs`).
//!
//! Caches live in the process. So one process uses a database at a time, unless all that use a PostgreSQL database say that
//! they share it ([`Sharing`]): then a commit tells the others what it has changed ([`Tx::tell`]).
//!
//! What this crate does not do: retry. A lost connection, a deadlock or a full disk is `Kind::Unavailable`, and the
//! caller decides.

mod engine;
mod error;
mod filter;
mod job;
pub mod json;
mod landmarks;
mod list;
mod migrate;
mod postgres;
mod row;
mod sqlite;
pub mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tx;
mod val;
mod words;

pub use engine::{Db, Engine, Options, Sharing};
pub use error::violated;
pub use filter::Filter;
pub use job::BoxFuture;
pub use list::List;
pub use migrate::Migration;
pub use row::{Cell, Column, FromVal, Row};
pub use tx::Tx;
pub use val::Val;
pub use words::{Hears, Word};
