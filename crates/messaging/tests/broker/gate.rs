//! A gate whose grants are given and taken by the test.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::future::BoxFuture;
use kernel::{ChannelId, ClientId, Clock, DomainId, Error, KeyId, Kind, PatId, Result, Rng, Secret, UserId};
use messaging::wire::{Connect, Text, Version};
use messaging::{Action, Credentials, Gate, Identity, Revocable};
use tokio::sync::Semaphore;

/// A domain `plant` with the channels `boiler` and `other` and four clients.
#[derive(Clone)]
pub(crate) struct Plant {
    pub(crate) domain: DomainId,
    /// A domain that has none of the channels.
    pub(crate) foreign: DomainId,
    pub(crate) channel: ChannelId,
    pub(crate) other: ChannelId,
    pub(crate) clients: Vec<ClientId>,
}

impl Plant {
    pub(crate) fn new() -> Self {
        let rng = Rng::seeded(7);
        Self {
            domain: DomainId::generate(&rng),
            foreign: DomainId::generate(&rng),
            channel: ChannelId::generate(&rng),
            other: ChannelId::generate(&rng),
            clients: (0..4).map(|_| ClientId::generate(&rng)).collect(),
        }
    }

    /// A CONNECT of client number `number` with the right secret and a client identifier of its own.
    pub(crate) fn connect(&self, version: Version, number: usize) -> Connect {
        let mut connect = Connect::new(version, format!("device-{number}").as_str());
        connect.user_name = Some(Text::from(self.clients[number].to_string()));
        connect.password = Some(Secret::new(b"secret".to_vec()));
        connect
    }
}

/// The user behind every token.
pub(crate) fn user() -> UserId {
    UserId::generate(&Rng::seeded(1))
}

/// What the passwords `first key` and `second key` are.
pub(crate) fn keys() -> [Revocable; 2] {
    let rng = Rng::seeded(2);
    [Revocable::Key(KeyId::generate(&rng)), Revocable::Pat(PatId::generate(&rng))]
}

type Grant = (ClientId, ChannelId, Action);

/// Grants in memory: at first every client may do everything in both channels.
pub(crate) struct TestGate {
    plant: Plant,
    grants: Mutex<HashSet<Grant>>,
    disabled: Mutex<HashSet<ClientId>>,
    users_denied: AtomicBool,
    unavailable: AtomicBool,
    /// Questions about rights of clients so far.
    pub(crate) asked: AtomicUsize,
    /// Questions that have read the grants and wait for [`TestGate::let_go`].
    pub(crate) waiting: AtomicUsize,
    holds: AtomicBool,
    holds_logins: AtomicBool,
    go: Semaphore,
}

impl TestGate {
    pub(crate) fn new(plant: &Plant) -> Self {
        let mut grants = HashSet::new();
        for client in &plant.clients {
            for channel in [plant.channel, plant.other] {
                grants.insert((*client, channel, Action::Publish));
                grants.insert((*client, channel, Action::Subscribe));
            }
        }
        Self {
            plant: plant.clone(),
            grants: Mutex::new(grants),
            disabled: Mutex::default(),
            users_denied: AtomicBool::new(false),
            unavailable: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            holds: AtomicBool::new(false),
            holds_logins: AtomicBool::new(false),
            go: Semaphore::new(0),
        }
    }

    /// Takes a right away; the engine is not told.
    pub(crate) fn deny(&self, number: usize, action: Action) {
        let grant = (self.plant.clients[number], self.plant.channel, action);
        self.grants.lock().unwrap().remove(&grant);
    }

    /// Takes every right of users away; the engine is not told.
    pub(crate) fn deny_users(&self) {
        self.users_denied.store(true, SeqCst);
    }

    /// Gives users their rights back.
    pub(crate) fn allow_users(&self) {
        self.users_denied.store(false, SeqCst);
    }

    /// Disables a client; the engine is not told.
    pub(crate) fn disable(&self, number: usize) {
        self.disabled.lock().unwrap().insert(self.plant.clients[number]);
    }

    /// Cannot answer any more.
    pub(crate) fn fail(&self) {
        self.unavailable.store(true, SeqCst);
    }

    /// From now on answers are decided at once and given only after [`TestGate::let_go`].
    pub(crate) fn hold(&self) {
        self.holds.store(true, SeqCst);
    }

    /// The same for answers about credentials.
    pub(crate) fn hold_logins(&self) {
        self.holds_logins.store(true, SeqCst);
    }

    /// Waits until an answer waits.
    pub(crate) async fn holding(&self) {
        crate::soon("the question", async {
            while self.waiting.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Gives the answers that wait, and holds no more.
    pub(crate) fn let_go(&self) {
        self.holds.store(false, SeqCst);
        self.holds_logins.store(false, SeqCst);
        self.go.add_permits(self.waiting.swap(0, SeqCst));
    }

    fn check(&self) -> Result<()> {
        if self.unavailable.load(SeqCst) { Err(Error::unavailable("the test wants it so")) } else { Ok(()) }
    }

    async fn decide(&self, client: ClientId, channel: ChannelId, action: Action) -> Result<bool> {
        self.asked.fetch_add(1, SeqCst);
        self.check()?;
        let granted = self.grants.lock().unwrap().contains(&(client, channel, action))
            && !self.disabled.lock().unwrap().contains(&client);
        if self.holds.load(SeqCst) {
            self.waiting.fetch_add(1, SeqCst);
            self.go.acquire().await.unwrap().forget();
        }
        Ok(granted)
    }

    fn client(&self, user_name: &str, secret: &[u8]) -> Result<Identity> {
        self.check()?;
        let revocable = match secret {
            b"first key" => Some(keys()[0]),
            b"second key" => Some(keys()[1]),
            _ => None,
        };
        if user_name.is_empty() && (secret.ends_with(b"token") || revocable.is_some()) {
            let soon = Clock::system().now().after(std::time::Duration::from_millis(200));
            return Ok(Identity::User {
                user: user(),
                expires_at: (secret == b"short-lived token").then_some(soon),
                revocable,
                credential: std::sync::Arc::new(()),
            });
        }
        let client: ClientId = user_name.parse().map_err(|_| Error::unauthenticated())?;
        if !self.plant.clients.contains(&client) || secret != b"secret" {
            return Err(Error::unauthenticated());
        }
        if self.disabled.lock().unwrap().contains(&client) {
            return Err(Error::new(Kind::Denied, "client is disabled"));
        }
        Ok(Identity::Client { client, domain: self.plant.domain })
    }
}

impl Gate for TestGate {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
        _peer: IpAddr,
    ) -> BoxFuture<'a, Result<Identity>> {
        Box::pin(async move {
            match credentials {
                Credentials::Password { user_name, password } => {
                    let answer = self.client(user_name, password);
                    if self.holds_logins.load(SeqCst) {
                        self.waiting.fetch_add(1, SeqCst);
                        self.go.acquire().await.unwrap().forget();
                    }
                    answer
                }
                Credentials::Basic { id, secret, .. } => self.client(id, secret.as_bytes()),
                Credentials::Bearer { token, user_name, .. } => self.client(user_name, token.as_bytes()),
                Credentials::Secret { secret, domain } if domain == self.plant.domain.to_string() => {
                    self.client(&self.plant.clients[0].to_string(), secret.as_bytes())
                }
                Credentials::Certificate { certificate, .. } => {
                    self.client(&certificate.common_name, b"secret")
                }
                Credentials::Secret { .. } => Err(Error::unauthenticated()),
            }
        })
    }

    fn resolve<'a>(
        &'a self,
        domain: &'a str,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<(DomainId, ChannelId)>>> {
        let id = match channel {
            "boiler" => Some(self.plant.channel),
            "other" => Some(self.plant.other),
            id => id.parse().ok(),
        };
        let domain = match domain {
            "" | "plant" => Some(self.plant.domain),
            named => named.parse().ok().filter(|id| [self.plant.domain, self.plant.foreign].contains(id)),
        };
        // Whether the channel is in that domain is left to the question about the right.
        let found = domain.zip(id);
        Box::pin(async move { self.check().map(|()| found) })
    }

    fn resolve_domain<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Option<DomainId>>> {
        let found = if domain == "plant" { Some(self.plant.domain) } else { domain.parse().ok() };
        Box::pin(async move { Ok(found) })
    }

    fn may_watch<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<bool>> {
        let may = matches!(identity, Identity::User { .. }) && !self.users_denied.load(SeqCst);
        Box::pin(async move { self.check().map(|()| may) })
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        domain: DomainId,
        channel: ChannelId,
        action: Action,
    ) -> BoxFuture<'a, Result<bool>> {
        match identity {
            Identity::User { .. } => Box::pin(async { Ok(!self.users_denied.load(SeqCst)) }),
            Identity::Client { .. } if domain != self.plant.domain => Box::pin(async { Ok(false) }),
            Identity::Client { client, .. } => Box::pin(self.decide(*client, channel, action)),
        }
    }
}
