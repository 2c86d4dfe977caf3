//! The Rust client of the platform's HTTP API; it also speaks to SuperMQ and Magistrala (references 01 to 04).
//!
//! An [`Api`] knows where the services are and whose token to show. From it come small handles, one per service:
//! [`Api::tokens`], [`Api::users`], [`Api::domains`], [`Api::invitations`], [`Api::groups`], [`Api::clients`],
//! [`Api::channels`], [`Api::certs`], [`Api::pats`], [`Api::keys`], [`Api::configs`], [`Api::devices`], [`Api::provision`],
//! [`Api::messages`]; roles hang on what they are roles on
//! ([`Registry::roles`], [`Domains::roles`]). Their methods are named as the API names its operations; each is one request.
//! Shapes take what the platform may add later: unknown fields are passed over. What the platform refuses is [`Error::Refused`] with the status and
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

mod access;
mod api;
mod authz;
mod bootstrap;
mod certs;
mod channels;
mod clients;
mod domains;
mod error;
mod groups;
mod health;
mod invitations;
mod keys;
mod messages;
mod page;
mod pats;
mod provision;
mod registry;
mod roles;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

pub use access::{MemberRole, Standing};
pub use api::{Answers, Api, Remotes};
pub use authz::{Authz, Explained, Inquiry as AuthzInquiry, Reason, Step};
pub use bootstrap::{
    Config, ConfigChange, ConfigChannel, ConfigQuery, Configs, DeviceConfig, Devices, NewConfig,
};
pub use certs::{
    AuthorityChain, CertAuthority, Certificate, CertificateNames, CertificateQuery, Certs, IssuedCertificate,
    NewCertificate,
};
pub use channels::{Channel, ChannelChange, Channels, ConnectionType, Connections, NewChannel};
pub use clients::{Client, ClientChange, Clients, Credentials, NewClient};
pub use domains::{Domain, DomainChange, DomainStatus, Domains, NewDomain};
pub use error::{Error, Result};
pub use groups::{ChildrenQuery, Group, GroupChange, Groups, Hierarchy, HierarchyQuery, NewGroup};
pub use health::Health;
pub use invitations::{Invitation, InvitationQuery, Invitations, NewInvitation};
pub use keys::{Key, Keys, NewKey, SigningKey, SigningKeys};
pub use messages::Messages;
pub use page::{Page, Query, Span};
pub use pats::{NewPat, NewScope, Pat, PatQuery, PatStatus, Pats, Scope};
pub use provision::{Certified, Gateway, NewGateway, Provision};
pub use registry::{Bulk, Kind, Registry};
pub use roles::{Member, MemberQuery, NewRole, Role, Roles};
pub use tokens::{Session, TokenPair, Tokens};
pub use users::{
    Login, NewCredentials, NewUser, Role as UserRole, User, UserChange, UserQuery, UserSearch, Users,
};
