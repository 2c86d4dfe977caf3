//! Everything that callers see, through the front door: the whole [`web::App`], and real sockets where they matter.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod contract;
mod documents;
mod log;
mod refusals;
mod sample;
mod sockets;
