//! The platform's own users and clients at other brokers: who they are and what they may do is asked of the same gate as
//! on our own message plane, on the same topics.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use access::{
    Access,
    identity::{Role, tokens::NEVER},
};
use db::BoxFuture;
use events::{Received, Subscription};
use kernel::{ClientId, DomainId, Result};
use messaging::{
    Credentials, Gate, Identity,
    topic::{Address, Filter},
};
use policy::{Action, Login, Member, Platform, Policy, SubjectKind};
use serde_json::{Value, json};

use crate::plane::{RegistryGate, User};

/// The registry, as the policy service asks it.
pub(crate) struct Members {
    /// Where a user's role is known.
    pub(crate) access: Access,
    /// The gate of the message plane, which decides.
    pub(crate) gate: Arc<RegistryGate>,
}

/// What a personal access token begins with (reference 01 §6.1).
const PAT: &str = "pat_";

impl Members {
    async fn authenticated(&self, login: Login<'_>, peer: IpAddr) -> Result<Member> {
        let credentials = match login {
            Login::Bearer(token) => Credentials::Password { user_name: "", password: token.as_bytes() },
            // A broker's client must have a name; with a user's token it may be any.
            Login::Password { password, .. } if password.starts_with(PAT) => {
                Credentials::Password { user_name: "", password: password.as_bytes() }
            }
            Login::Password { username, password } => {
                Credentials::Password { user_name: username, password: password.as_bytes() }
            }
        };
        let identity = self.gate.authenticate(credentials, peer).await?;
        let is_admin = match &identity {
            Identity::User { user, credential, .. } => {
                let is_admin =
                    credential.downcast_ref::<User>().is_some_and(|known| known.0.caller.role == Role::Admin);
                is_admin && self.access.graph().is_platform_admin(*user).await?
            }
            Identity::Client { .. } => false,
        };
        Ok(member(identity, is_admin))
    }

    async fn authorized(&self, member: &Member, topic: &str, action: Action) -> Result<bool> {
        let Some(identity) = member.known.downcast_ref::<Identity>() else { return Ok(false) };
        let (address, action) = match action {
            Action::Publish => (Address::of_topic(topic).ok(), messaging::Action::Publish),
            Action::Read => (Address::of_topic(topic).ok(), messaging::Action::Subscribe),
            Action::Subscribe => {
                let filter = Filter::parse(topic).ok();
                (filter.map(|filter| filter.address), messaging::Action::Subscribe)
            }
            Action::Superuser => return Ok(false),
        };
        let Some(Address::Channel(channel)) = address else { return Ok(false) };
        let Some((domain, channel)) = self.gate.resolve(&channel.domain, &channel.channel).await? else {
            return Ok(false);
        };
        self.gate.authorize(identity, domain, channel, action).await
    }
}

/// What ends at no time ends for a broker with its login.
fn member(identity: Identity, is_admin: bool) -> Member {
    let (kind, id, ends, saved) = match &identity {
        Identity::Client { client, domain } => {
            let saved = json!({"client": client.to_string(), "domain": domain.to_string()});
            (SubjectKind::Service, client.to_string(), None, Some(saved))
        }
        // What a user has shown would be needed again.
        Identity::User { user, expires_at, .. } => (SubjectKind::User, user.to_string(), *expires_at, None),
    };
    Member { kind, id, expires_at: ends.unwrap_or(NEVER), is_admin, saved, known: Arc::new(identity) }
}

/// Forgets the logins of those whose credentials hold no more, until the bus closes.
pub(crate) async fn forget(mut events: Subscription, policy: Policy) {
    loop {
        match events.recv().await {
            Received::Event(event) => {
                let ends = [
                    "client.disable",
                    "client.remove",
                    "client.update_secret",
                    "user.disable",
                    "user.delete",
                    "user.update_secret",
                ];
                let id = event.payload().get("id").and_then(Value::as_str);
                if ends.contains(&event.operation()) && id.is_some() {
                    policy.forget_members(id);
                }
            }
            Received::Missed(_) => policy.forget_members(None),
            Received::Closed => return,
        }
    }
}

impl Platform for Members {
    fn authenticate<'a>(&'a self, login: Login<'a>, peer: IpAddr) -> BoxFuture<'a, Result<Member>> {
        Box::pin(self.authenticated(login, peer))
    }

    fn restore(&self, saved: &Value) -> Option<Member> {
        let text = |name: &str| saved.get(name).and_then(Value::as_str);
        let client = ClientId::from_str(text("client")?).ok()?;
        let domain = DomainId::from_str(text("domain")?).ok()?;
        Some(member(Identity::Client { client, domain }, false))
    }

    fn authorize<'a>(
        &'a self,
        member: &'a Member,
        topic: &'a str,
        action: Action,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.authorized(member, topic, action))
    }
}
