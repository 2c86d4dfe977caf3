//! The Rust client of the platform's HTTP API; it also speaks to SuperMQ and Magistrala (references 01 to 03).
//!
//! An [`Api`] knows where the services are and whose token to show. From it come small handles, one per service:
//! [`Api::tokens`], [`Api::domains`], [`Api::clients`], [`Api::channels`], [`Api::messages`]. Their methods are named as
//! the API names its operations; each is one request. What the platform refuses is [`Error::Refused`] with the status and
//! the platform's own message.
//!
//! ```no_run
//! # async fn tour() -> Result<(), sdk::Error> {
//! let api = sdk::Api::new(sdk::Remotes::one("http://localhost:8080"))?;
//! let tokens = api.tokens().issue("admin", &"12345678".to_owned().into()).await?;
//! let api = api.with_token(tokens.access_token);
//! let domain = api.domains().create(&sdk::NewDomain::named("Plant", "plant")).await?;
//! let client = api.clients(domain.id).create(&sdk::NewClient::named("Boiler")).await?;
//! # Ok(()) }
//! ```

mod api;
mod channels;
mod clients;
mod domains;
mod error;
mod health;
mod messages;
mod page;
mod registry;
#[cfg(test)]
mod tests;
mod tokens;

pub use api::{Api, Remotes};
pub use channels::{Channel, ChannelChange, Channels, ConnectionType, Connections, NewChannel};
pub use clients::{Client, ClientChange, Clients, Credentials, NewClient};
pub use domains::{Domain, DomainChange, DomainStatus, Domains, NewDomain};
pub use error::{Error, Result};
pub use health::Health;
pub use messages::Messages;
pub use page::{Page, Query};
pub use registry::{Kind, Registry};
pub use tokens::{TokenPair, Tokens};
