//! What tests need around them: throw-away servers, foreign clients, and waiting without sleeping.
//!
//! - [`postgres::url`] gives each caller an empty PostgreSQL database of its own.
//! - [`Server`] runs the `trunkline` program on free ports in a data directory of its own.
//! - [`curl`], [`mosquitto`] and [`coap`] speak to it with clients that others wrote.
//! - [`nats`] starts a throw-away nats-server.
//! - [`oidc::Issuer`] is an identity provider that signs whatever it is told to.
//! - [`wait_until`] and [`wait_until_async`] wait for a condition, never for time to pass.
//!
//! Nothing survives a test process, however it ends: each child process is registered with a small shell that
//! outlives us by a moment and cleans up (see [`process`] and [`postgres`]). A tool that is missing makes the
//! test fail with a message that names it; no test is skipped.
//!
//! All functions panic instead of returning errors: a test has no better use for them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its kit fails"
)]

pub mod coap;
pub mod curl;
pub mod mosquitto;
pub mod nats;
pub mod oidc;
pub mod openbao;
pub mod ports;
pub mod postgres;
pub mod process;
mod server;
mod wait;

pub use server::{ADMIN, Launch, Server, Storage, program};
pub use tempfile::TempDir;
pub use wait::{PATIENCE, wait_until, wait_until_async};
