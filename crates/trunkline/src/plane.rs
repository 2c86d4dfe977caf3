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
use messaging::{Action, Credentials, Gate, Identity, Revocable};

use crate::compose::Registry;

/// The registry, as the message engine asks it.
pub struct RegistryGate(pub Registry);

/// What is remembered of a user for as long as a connection lives: what the user has shown.
struct User(Arc<Verified>);

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
    /// A client by its id, or by the domain that its secret is unique in (reference 05 §3.1). Attempts are limited: at
    /// the secret of one client, and from one address.
    async fn client(&self, id: &str, secret: &str, peer: IpAddr) -> Result<Option<Identity>> {
        let access = &self.0.access;
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
            && let Some(known) = self.0.clients.authenticate(client, &secret).await?
        {
            return enabled(known).map(Some);
        }
        match self.domain(id).await? {
            Some(domain) => match self.0.clients.authenticate_in(domain, &secret).await? {
                Some(known) => enabled(known).map(Some),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// A user by its access token or a personal access token.
    async fn user(&self, token: &str) -> Result<Identity> {
        let token = Secret::new(token.to_owned());
        let access = &self.0.access;
        let verified = access.verify_caller(&token, access.clock().now()).await?;
        Ok(Identity::User {
            user: verified.caller.user,
            expires_at: verified.ends(),
            revocable: revocable(&verified),
            credential: Arc::new(User(verified)),
        })
    }

    /// The domain that an id or a route stands for.
    async fn domain(&self, segment: &str) -> Result<Option<DomainId>> {
        if let Ok(id) = DomainId::from_str(segment) {
            return Ok(Some(id));
        }
        match Route::from_str(segment) {
            Ok(route) => self.0.domains.by_route(route).await,
            Err(_) => Ok(None),
        }
    }

    async fn authenticated(&self, credentials: Credentials<'_>, peer: IpAddr) -> Result<Identity> {
        match credentials {
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
            return Ok(self.0.channels.domain_of(channel).await?.map(|domain| (domain, channel)));
        }
        let Some(domain) = self.domain(domain).await? else { return Ok(None) };
        if let Ok(channel) = ChannelId::from_str(channel) {
            // Anybody can write a domain in front of a channel of another.
            let own = self.0.channels.domain_of(channel).await?;
            return Ok((own == Some(domain)).then_some((domain, channel)));
        }
        let Ok(route) = Route::from_str(channel) else { return Ok(None) };
        Ok(self.0.channels.by_route(domain, route).await?.map(|channel| (domain, channel)))
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
                self.0.channels.may_client(*client, domain, channel, kind).await
            }
            Identity::User { user, credential, .. } => {
                let Some(known) = credential.downcast_ref::<User>() else { return Ok(false) };
                let access = &self.0.access;
                if !access.stands(&known.0, access.clock().now()).await? {
                    return Ok(false);
                }
                if !known.is_in_scope(access, domain, channel, action).await? {
                    return Ok(false);
                }
                if known.0.caller.credential == Credential::Standalone {
                    return self.0.channels.passes_messages(domain, channel).await;
                }
                let subject =
                    if known.0.caller.role == Role::Admin && access.graph().is_platform_admin(*user).await? {
                        Subject::PlatformAdmin(*user)
                    } else {
                        Subject::Member(domain, *user)
                    };
                self.0.channels.may_user(subject, domain, channel, kind).await
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

/// A client that may not connect is known, so it is told that it is denied rather than that its secret is wrong.
fn enabled(client: model::Credentials) -> Result<Identity> {
    match client.status {
        Status::Enabled => Ok(Identity::Client { client: client.id, domain: client.domain }),
        Status::Disabled | Status::Deleted => Err(Error::denied()),
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
}
