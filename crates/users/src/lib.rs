//! Users: people and programs that manage things, and how they log in.
//!
//! The rules that hold here: a password is only ever kept as an Argon2id hash; an answer never tells whether an account
//! exists; a caller cannot choose its own role; disabling a user or changing a password ends all sessions at once
//! (the account behind the tokens is access's, and changes in the same transaction).
//!
//! Start reading at [`service`]; logins are in [`login`] and [`oauth`], the wire shapes in [`http`], the promises in reference 01.

mod background;
mod events;
pub mod http;
pub mod login;
mod lookup;
pub mod mail;
pub mod model;
pub mod oauth;
pub mod service;
mod store;
mod verifications;

pub use background::Background;
pub use service::{FirstAdmin, OnPurge, Settings, Users};

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "users/0001", sql: include_str!("../migrations/0001_users.sql") },
    db::Migration { id: "users/0002", sql: include_str!("../migrations/0002_profiles.sql") },
    db::Migration { id: "users/0003", sql: include_str!("../migrations/0003_mails.sql") },
    db::Migration { id: "users/0004", sql: include_str!("../migrations/0004_oauth.sql") },
    db::Migration { id: "users/0005", sql: include_str!("../migrations/0005_usernames.sql") },
    db::Migration { id: "users/0006", sql: include_str!("../migrations/0006_recovery.sql") },
];
