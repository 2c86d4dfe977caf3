//! The message plane's gate: who a device or user is, and what it may do on a channel, by the registry's own rules.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use access::{
    Access,
    graph::Subject,
    identity::{Credential, Role, tokens::Verified},
    limits::Account,
    pats::{self, Ask},
};
use clients::{connections::ConnectionType, model};
use db::BoxFuture;
use kernel::{ChannelId, ClientId, DomainId, Error, Kind, Result, Route, Secret, Status};
use messaging::{Action, Attempt, Credentials, Gate, Identity, Revocable, SharedKey};

use crate::compose::Registry;
use crate::config::CommonName;

/// The registry, as the message engine asks it.
pub struct RegistryGate {
    registry: Registry,
    common_name: CommonName,
}

/// What is remembered of a user for as long as a connection lives: what the user has shown.
pub(crate) struct User(pub(crate) Arc<Verified>);

impl User {
    /// Whether what the user has shown is good for messages on this channel: a personal access token must have a scope
    /// that says so.
    async fn is_in_scope(
        &self,
        access: &Access,
        domain: DomainId,
        channel: ChannelId,
        action: Action,
    ) -> Result<bool> {
        let Credential::Pat(pat) = self.0.caller.credential else { return Ok(true) };
        let operation = match action {
            Action::Publish => "message_publish",
            Action::Subscribe => "message_subscribe",
        };
        let ask = Ask {
            entity_type: "messages".into(),
            domain: domain.to_string(),
            operation: operation.into(),
            entity: channel.to_string(),
        };
        pats::permits(access, pat, &[ask]).await
    }
}

impl RegistryGate {
    /// A gate that reads the common names of certificates as the operator's authority signs them.
    pub const fn new(registry: Registry, common_name: CommonName) -> Self {
        Self { registry, common_name }
    }

    /// A client by its id, or by the domain that its secret is unique in (reference 05 §3.1). Attempts are limited: at
    /// the secret of one client, and from one address.
    async fn client(&self, id: &str, secret: &str, peer: IpAddr) -> Result<Option<Identity>> {
        let access = &self.registry.access;
        // A domain is no account: a device with a wrong secret must not hold up the others of its domain.
        let account = ClientId::from_str(id).ok().map(Account::Client);
        let attempt = access.failures().attempt(account, peer, access.clock().now()).await?;
        let found = self.known(id, secret).await;
        match &found {
            Ok(None) => drop(attempt),
            Ok(Some(_)) => attempt.succeeded(),
            // A client that may not connect has shown the right secret.
            Err(error) if error.kind() == Kind::Denied => attempt.succeeded(),
            Err(_) => attempt.undecided(),
        }
        found
    }

    async fn known(&self, id: &str, secret: &str) -> Result<Option<Identity>> {
        let secret = Secret::new(secret.to_owned());
        if let Ok(client) = ClientId::from_str(id)
            && let Some(known) = self.registry.clients.authenticate(client, &secret).await?
        {
            return enabled(known).map(Some);
        }
        match self.domain(id).await? {
            Some(domain) => match self.registry.clients.authenticate_in(domain, &secret).await? {
                Some(known) => enabled(known).map(Some),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// A user by its access token or a personal access token.
    async fn user(&self, token: &str) -> Result<Identity> {
        let token = Secret::new(token.to_owned());
        let access = &self.registry.access;
        let verified = access.verify_caller(&token, access.clock().now()).await?;
        Ok(Identity::User {
            user: verified.caller.user,
            expires_at: verified.ends(),
            revocable: revocable(&verified),
            credential: Arc::new(User(verified)),
        })
    }

    /// The secret of a client, for a handshake that proves it. Whoever names a client that is not there or may not come
    /// in has made an attempt like any other.
    async fn key(&self, name: &str, peer: IpAddr) -> Result<Option<SharedKey>> {
        let access = &self.registry.access;
        let id = ClientId::from_str(name).ok();
        let account = id.map(Account::Client);
        let attempt = access.failures().attempt(account, peer, access.clock().now()).await?;
        let found = match id {
            Some(id) => self.registry.clients.shared_secret(id).await,
            None => Ok(None),
        };
        match found {
            Ok(Some((client, key))) => Ok(enabled(client).ok().map(|identity| SharedKey {
                identity,
                key,
                attempt: Box::new(Handshake(attempt)),
            })),
            Ok(None) => Ok(None),
            Err(error) => {
                attempt.undecided();
                Err(error)
            }
        }
    }

    /// The domain that an id or a route stands for.
    async fn domain(&self, segment: &str) -> Result<Option<DomainId>> {
        if let Ok(id) = DomainId::from_str(segment) {
            return Ok(Some(id));
        }
        match Route::from_str(segment) {
            Ok(route) => self.registry.domains.by_route(route).await,
            Err(_) => Ok(None),
        }
    }

    /// A client by its certificate. The client is named by its id in an alternative name; what the common name is, an
    /// id too or the client's secret as upstream's devices have it, the operator says: a tenant chooses the secrets of
    /// its clients, and one that looks like the id of another client must not lead there. Whatever is sent besides must
    /// be of the same client, or be that secret (reference 05 §3.3 and §12).
    async fn certified(
        &self,
        certificate: &tls::Certificate,
        with: Option<&Credentials<'_>>,
        domain: &str,
        peer: IpAddr,
    ) -> Result<Identity> {
        // The connection may be older than the revocation.
        if self.registry.certs.revoked().contains(&certificate.serial) {
            return Err(Error::unauthenticated());
        }
        let with = with.filter(|with| !matches!(with, Credentials::Password { user_name: "", password: [] }));
        if let Some(own) = self.named(certificate).await? {
            return match with {
                None => Ok(own),
                Some(Credentials::Password { user_name, password: [] }) if is_of(user_name, &own) => Ok(own),
                Some(with) => {
                    let shown = Box::pin(self.authenticated(*with, peer)).await?;
                    if shown.key() == own.key() { Ok(shown) } else { Err(Error::denied()) }
                }
            };
        }
        if self.common_name == CommonName::Id {
            return Err(Error::unauthenticated());
        }
        let secret = Secret::new(certificate.common_name.clone());
        let id = match with {
            None => domain,
            Some(Credentials::Password { user_name, password: [] }) => user_name,
            Some(with) if Secret::new(secret_of(with)) == secret => {
                return Box::pin(self.authenticated(*with, peer)).await;
            }
            Some(_) => return Err(Error::denied()),
        };
        if id.is_empty() || secret.expose().is_empty() {
            return Err(Error::unauthenticated());
        }
        self.client(id, secret.expose(), peer).await?.ok_or_else(Error::unauthenticated)
    }

    /// The client that a certificate names.
    async fn named(&self, certificate: &tls::Certificate) -> Result<Option<Identity>> {
        let common_name = Some(&certificate.common_name).filter(|_| self.common_name == CommonName::Id);
        let names = certificate.names.iter().chain(common_name);
        let id = |name: &String| ClientId::from_str(name.strip_prefix("urn:uuid:").unwrap_or(name)).ok();
        for id in names.filter_map(id) {
            if let Some(known) = self.registry.clients.credentials(id).await? {
                return enabled(known).map(Some);
            }
        }
        // An authority outside may have signed what names nobody.
        let Some(id) = self.registry.certs.owner_of(certificate).await? else { return Ok(None) };
        match self.registry.clients.credentials(id).await? {
            Some(known) => enabled(known).map(Some),
            None => Ok(None),
        }
    }

    async fn authenticated(&self, credentials: Credentials<'_>, peer: IpAddr) -> Result<Identity> {
        match credentials {
            Credentials::Certificate { certificate, with, domain } => {
                self.certified(certificate, with, domain, peer).await
            }
            Credentials::Password { password: [], .. } => Err(Error::unauthenticated()),
            Credentials::Password { user_name, password } => {
                let password = std::str::from_utf8(password).map_err(|_| Error::unauthenticated())?;
                if user_name.is_empty() {
                    return self.user(password).await;
                }
                self.client(user_name, password, peer).await?.ok_or_else(Error::unauthenticated)
            }
            Credentials::Basic { id, secret, domain } => {
                let id = if id.is_empty() { domain } else { id };
                self.client(id, secret, peer).await?.ok_or_else(Error::unauthenticated)
            }
            Credentials::Secret { secret, domain } => {
                self.client(domain, secret, peer).await?.ok_or_else(Error::unauthenticated)
            }
            Credentials::Bearer { token, user_name, domain } => match self.user(token).await {
                Err(error) if error.kind() == Kind::Unauthenticated => {
                    let id = if user_name.is_empty() { domain } else { user_name };
                    self.client(id, token, peer).await?.ok_or(error)
                }
                outcome => outcome,
            },
        }
    }

    async fn resolved(&self, domain: &str, channel: &str) -> Result<Option<(DomainId, ChannelId)>> {
        if domain.is_empty() {
            let Ok(channel) = ChannelId::from_str(channel) else { return Ok(None) };
            return Ok(self.registry.channels.domain_of(channel).await?.map(|domain| (domain, channel)));
        }
        let Some(domain) = self.domain(domain).await? else { return Ok(None) };
        if let Ok(channel) = ChannelId::from_str(channel) {
            // Anybody can write a domain in front of a channel of another.
            let own = self.registry.channels.domain_of(channel).await?;
            return Ok((own == Some(domain)).then_some((domain, channel)));
        }
        let Ok(route) = Route::from_str(channel) else { return Ok(None) };
        Ok(self.registry.channels.by_route(domain, route).await?.map(|channel| (domain, channel)))
    }

    /// Administrators of the platform watch its nodes; a personal access token has no scope that says so.
    async fn watches(&self, identity: &Identity) -> Result<bool> {
        let Identity::User { user, credential, .. } = identity else { return Ok(false) };
        let Some(known) = credential.downcast_ref::<User>() else { return Ok(false) };
        let access = &self.registry.access;
        if matches!(known.0.caller.credential, Credential::Pat(_)) || known.0.caller.role != Role::Admin {
            return Ok(false);
        }
        Ok(access.stands(&known.0, access.clock().now()).await?
            && access.graph().is_platform_admin(*user).await?)
    }

    async fn authorized(
        &self,
        identity: &Identity,
        domain: DomainId,
        channel: ChannelId,
        action: Action,
    ) -> Result<bool> {
        let kind = match action {
            Action::Publish => ConnectionType::Publish,
            Action::Subscribe => ConnectionType::Subscribe,
        };
        match identity {
            Identity::Client { client, .. } => {
                self.registry.channels.may_client(*client, domain, channel, kind).await
            }
            Identity::User { user, credential, .. } => {
                let Some(known) = credential.downcast_ref::<User>() else { return Ok(false) };
                let access = &self.registry.access;
                if !access.stands(&known.0, access.clock().now()).await? {
                    return Ok(false);
                }
                if !known.is_in_scope(access, domain, channel, action).await? {
                    return Ok(false);
                }
                if known.0.caller.credential == Credential::Standalone {
                    return self.registry.channels.passes_messages(domain, channel).await;
                }
                let subject =
                    if known.0.caller.role == Role::Admin && access.graph().is_platform_admin(*user).await? {
                        Subject::PlatformAdmin(*user)
                    } else {
                        Subject::Member(domain, *user)
                    };
                self.registry.channels.may_user(subject, domain, channel, kind).await
            }
        }
    }
}

/// What can be revoked by itself: not an access token, which ends with the account's generation.
fn revocable(verified: &Verified) -> Option<Revocable> {
    match verified.caller.credential {
        Credential::Pat(pat) => Some(Revocable::Pat(pat)),
        Credential::Session if verified.is_api_key() => {
            verified.id.as_deref().and_then(|id| id.parse().ok()).map(Revocable::Key)
        }
        Credential::Session | Credential::Standalone | Credential::Service => None,
    }
}

/// Whether a user name is empty or the client's id.
fn is_of(user_name: &str, identity: &Identity) -> bool {
    user_name.is_empty()
        || matches!(identity, Identity::Client { client, .. } if ClientId::from_str(user_name).is_ok_and(|id| id == *client))
}

/// The secret that was sent.
fn secret_of(credentials: &Credentials<'_>) -> String {
    match credentials {
        Credentials::Password { password, .. } => String::from_utf8_lossy(password).into_owned(),
        Credentials::Basic { secret, .. } | Credentials::Secret { secret, .. } => (*secret).to_owned(),
        Credentials::Bearer { token, .. } => (*token).to_owned(),
        Credentials::Certificate { .. } => String::new(),
    }
}

/// A client that may not connect is known, so it is told that it is denied rather than that its secret is wrong.
fn enabled(client: model::Credentials) -> Result<Identity> {
    match client.status {
        Status::Enabled => Ok(Identity::Client { client: client.id, domain: client.domain }),
        Status::Disabled | Status::Deleted => Err(Error::denied()),
    }
}

/// An attempt at a client's secret that a handshake decides.
struct Handshake(access::limits::Attempt);

impl Attempt for Handshake {
    fn succeeded(self: Box<Self>) {
        self.0.succeeded();
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshake")
    }
}

impl Gate for RegistryGate {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
        peer: IpAddr,
    ) -> BoxFuture<'a, Result<Identity>> {
        Box::pin(self.authenticated(credentials, peer))
    }

    fn shared_key<'a>(&'a self, client: &'a str, peer: IpAddr) -> BoxFuture<'a, Result<Option<SharedKey>>> {
        Box::pin(self.key(client, peer))
    }

    fn resolve<'a>(
        &'a self,
        domain: &'a str,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<(DomainId, ChannelId)>>> {
        Box::pin(self.resolved(domain, channel))
    }

    fn resolve_domain<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Option<DomainId>>> {
        Box::pin(self.domain(domain))
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        domain: DomainId,
        channel: ChannelId,
        action: Action,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.authorized(identity, domain, channel, action))
    }

    fn may_watch<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.watches(identity))
    }
}
