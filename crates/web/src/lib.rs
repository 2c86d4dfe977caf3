//! One way to serve HTTP: every service of the platform is a table of routes, and everything else follows from it.
//!
//! A capability writes one [`Routes`] table in its `http.rs`. From it come the router, the guard that fails closed,
//! the metrics, the OpenAPI document, the page under `/docs` and the test that calls every route. A [`Route`] without
//! a name and a [`Rule`] does not compile.
//!
//! One walk through a request:
//!
//! 1. [`Listener`] accepts the connection, bounds it (slow headers, idle time, number) and notes who is asking
//!    ([`Connection`]).
//! 2. [`App`] gives the request its [`RequestId`], strips a trailing slash, answers `OPTIONS`, bounds body and time,
//!    and puts a [`Guard`] into the request's extensions.
//! 3. The router finds the [`Route`]; the guard now knows the declared rule.
//! 4. The extractors ([`Json`], [`Query`], [`Path`], [`Bearer`]) decode. What they refuse has the contract's words.
//! 5. The handler runs; `access` marks the guard when it has authenticated and authorized the caller.
//! 6. [`App`] renders an [`Error`], turns a success without proof of authorization into a 500, adds the headers,
//!    counts, and writes one line to the log.
//!
//! Paths, statuses, words and headers follow reference 01 §1 and 07 §5–§8. This crate knows no tokens, no permissions
//! and no database.

mod answer;
mod app;
mod cors;
mod docs;
mod error;
mod exchange;
mod extract;
mod guard;
mod health;
mod listener;
mod metrics;
mod openapi;
mod origins;
mod proxies;
pub mod proxy_protocol;
mod request_id;
mod routes;

pub use answer::{Created, Empty};
pub use app::{App, AppInfo, AppOptions};
pub use cors::Cors;
pub use error::{Error, Result, status};
pub use extract::{
    Bearer, Json, JsonList, List, Path, Payload, Query,
    query::{form_fields, json_value, parsed, present},
};
pub use guard::Guard;
pub use health::ReadinessCheck;
pub use listener::{ClientCertificate, Connection, Encryption, Listener, ListenerOptions};
pub use metrics::Metrics;
pub use origins::SocketOrigins;
pub use proxies::{Network, TrustedProxies};
pub use request_id::RequestId;
pub use routes::{Route, RouteFacts, Routes, Rule, Unnamed, Unruled};
