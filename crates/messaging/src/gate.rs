//! The gate: what the engine asks the rest of the platform.
//!
//! The engine knows messages; who somebody is and what he may do is decided elsewhere. The binary implements
//! [`Gate`] over the registry and gives it to the engine. Answers are cached by the engine per connection and
//! dropped by [`Engine::revoke`](crate::Engine::revoke), so an implementation may take its time once, not per
//! message.

use std::{any::Any, fmt, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use kernel::{ChannelId, ClientId, DomainId, KeyId, PatId, Result, Secret, Timestamp, UserId};
use tls::Certificate;

/// Decides who may connect, publish and subscribe.
pub trait Gate: Send + Sync + 'static {
    /// Who is connecting, from the address `peer`.
    ///
    /// `Unauthenticated` for credentials that do not hold, `Denied` for an identity that is known and disabled,
    /// `Limited` where too many attempts have failed, `Unavailable` when nobody can say at the moment.
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
        peer: IpAddr,
    ) -> BoxFuture<'a, Result<Identity>>;

    /// The secret of the client with this id, for a protocol in which it proves itself without being sent. `None`:
    /// nobody may come in with that id, for whatever reason; nobody is told which.
    ///
    /// A gate that does not say otherwise has no such secrets.
    fn shared_key<'a>(&'a self, _client: &'a str, _peer: IpAddr) -> BoxFuture<'a, Result<Option<SharedKey>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// The ids that the domain and channel of a topic stand for, each an id or a route. `domain` is empty for the
    /// legacy topics, whose channel is always an id (reference 05 §2.1). `None`: there is no such channel.
    fn resolve<'a>(
        &'a self,
        domain: &'a str,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<(DomainId, ChannelId)>>>;

    /// The id that a domain's id or route stands for; for the health topic `hc/<domain>`.
    fn resolve_domain<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Option<DomainId>>>;

    /// Whether `identity` may do `action` on the channel now. No, if the channel is not in the domain.
    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        domain: DomainId,
        channel: ChannelId,
        action: Action,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Whether `identity` may read the figures of the node (`$SYS/…`), which are of all domains together.
    ///
    /// A gate that does not say otherwise lets nobody.
    fn may_watch<'a>(&'a self, _identity: &'a Identity) -> BoxFuture<'a, Result<bool>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// What a client proves that it knows; see [`Gate::shared_key`].
#[derive(Debug)]
pub struct SharedKey {
    /// Who has come in when the proof holds.
    pub identity: Identity,
    /// The client's secret.
    pub key: Secret<String>,
    /// To be told when the proof holds; dropped before, the attempt has failed.
    pub attempt: Box<dyn Attempt>,
}

/// An attempt to come in whose outcome is not known yet.
pub trait Attempt: fmt::Debug + Send {
    /// It was the right secret.
    fn succeeded(self: Box<Self>);
}

/// What somebody wants to do on a channel (reference 05 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send messages.
    Publish,
    /// Receive messages.
    Subscribe,
}

/// What a caller shows for who it is (reference 05 §3.3). `Debug` hides the secrets.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// User name and password of MQTT's CONNECT; each is empty when it was not sent.
    ///
    /// An empty user name comes with a user's token, or with a client secret that must be unambiguous.
    Password {
        /// A client's id, or empty.
        user_name: &'a str,
        /// Secret or token.
        password: &'a [u8],
    },
    /// `Authorization: Basic`: a client's id, or else a domain, and a secret; the id may be empty.
    Basic {
        /// Client id, domain or empty.
        id: &'a str,
        /// Client secret.
        secret: &'a str,
        /// Domain segment of the topic; empty when it has none.
        domain: &'a str,
    },
    /// `Authorization: Client …`, `Thing …` or a bare value: a secret that is unique in the topic's domain.
    Secret {
        /// Client secret.
        secret: &'a str,
        /// Domain segment of the topic; empty when it has none.
        domain: &'a str,
    },
    /// `Authorization: Bearer …`: a user's token if it validates, else a client secret.
    Bearer {
        /// Token or secret.
        token: &'a str,
        /// `X-FluxMQ-Username`: a client id or a domain; empty when it was not sent.
        user_name: &'a str,
        /// Domain segment of the topic; empty when it has none.
        domain: &'a str,
    },
    /// A certificate, proven by the handshake of TLS, alone or together with what was sent besides: both must be of the
    /// same client (reference 05 §3.3 and §12).
    Certificate {
        /// What was shown.
        certificate: &'a Certificate,
        /// What was sent besides; a password without name and word is none.
        with: Option<&'a Credentials<'a>>,
        /// Domain segment of the topic; empty when it has none.
        domain: &'a str,
    },
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Credentials::Password(…)",
            Self::Basic { .. } => "Credentials::Basic(…)",
            Self::Secret { .. } => "Credentials::Secret(…)",
            Self::Bearer { .. } => "Credentials::Bearer(…)",
            Self::Certificate { .. } => "Credentials::Certificate(…)",
        })
    }
}

/// Who a connection belongs to, for as long as it lives.
#[derive(Clone)]
pub enum Identity {
    /// A device or an application.
    Client {
        /// The client.
        client: ClientId,
        /// The domain that it lives in.
        domain: DomainId,
    },
    /// A person or a program that acts for one.
    User {
        /// The user.
        user: UserId,
        /// When the token ends; the connection ends with it. `None`: it does not.
        expires_at: Option<Timestamp>,
        /// What the user has shown, where that can be revoked by itself.
        revocable: Option<Revocable>,
        /// What the gate needs again in [`Gate::authorize`]: token, scopes, roles. The engine does not look inside.
        credential: Arc<dyn Any + Send + Sync>,
    },
}

impl Identity {
    /// The domain that a client lives in; users are in many.
    pub(crate) const fn domain(&self) -> Option<DomainId> {
        match self {
            Self::Client { domain, .. } => Some(*domain),
            Self::User { .. } => None,
        }
    }

    /// What was shown, where that can be revoked by itself.
    pub(crate) const fn revocable(&self) -> Option<Revocable> {
        match self {
            Self::Client { .. } => None,
            Self::User { revocable, .. } => *revocable,
        }
    }

    /// The part that sessions and revocations go by.
    pub fn key(&self) -> IdentityKey {
        match self {
            Self::Client { client, .. } => IdentityKey::Client(*client),
            Self::User { user, .. } => IdentityKey::User(*user),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.key(), f)
    }
}

/// A user's credential that can be revoked while the user goes on working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocable {
    /// A personal access token.
    Pat(PatId),
    /// An API key.
    Key(KeyId),
}

/// An identity by its id alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentityKey {
    /// A client.
    Client(ClientId),
    /// A user.
    User(UserId),
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => fmt::Debug::fmt(id, f),
            Self::User(id) => fmt::Debug::fmt(id, f),
        }
    }
}

/// Something changed that decisions rest on; see [`Engine::revoke`](crate::Engine::revoke).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Rights of a client changed: decisions are asked again, subscriptions that no longer hold end.
    Client(ClientId),
    /// A client was disabled or deleted: its connections close and its sessions end.
    ClientGone(ClientId),
    /// A client has a new secret: its connections close, its sessions stay.
    ClientSecret(ClientId),
    /// Rights on a channel, its status or its route changed.
    Channel(ChannelId),
    /// A channel was deleted: its subscriptions end and its retained messages are freed.
    ChannelGone(ChannelId),
    /// A domain was changed, disabled or frozen.
    Domain(DomainId),
    /// Rights of users in a domain changed, of which ones is not known: a group has moved, or a role has changed.
    UsersIn(DomainId),
    /// Rights of a user changed.
    User(UserId),
    /// A user was disabled or deleted: his connections close and his sessions end.
    UserGone(UserId),
    /// A personal access token or an API key of a user was revoked: the connections that were made with it close, and
    /// their sessions end.
    Credential(UserId, Revocable),
    /// Anything may have changed, for example after changes were missed.
    Everything,
}
