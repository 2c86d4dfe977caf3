//! A gate whose grants are taken by the test.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use kernel::{ChannelId, ClientId, DomainId, Error, Result, Rng, Secret, UserId};
use messaging::{Action, Attempt, Credentials, Gate, Identity, SharedKey};
use tokio::sync::Semaphore;

type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One client with the secret `secret` in the domain `plant`, which may do everything on the channel `boiler`, and a
/// user with the token `pat_token`.
pub(crate) struct TestGate {
    pub(crate) domain: DomainId,
    pub(crate) channel: ChannelId,
    denied_channel: ChannelId,
    pub(crate) client: ClientId,
    user: UserId,
    denies: AtomicBool,
    fails: AtomicBool,
    holds: AtomicBool,
    waiting: AtomicUsize,
    succeeded: Arc<AtomicUsize>,
    go: Semaphore,
}

impl TestGate {
    pub(crate) fn new() -> Self {
        let rng = Rng::seeded(7);
        Self {
            domain: DomainId::generate(&rng),
            channel: ChannelId::generate(&rng),
            denied_channel: ChannelId::generate(&rng),
            client: ClientId::generate(&rng),
            user: UserId::generate(&rng),
            denies: AtomicBool::new(false),
            fails: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            succeeded: Arc::default(),
            go: Semaphore::new(0),
        }
    }

    /// The client.
    pub(crate) fn identity(&self) -> Identity {
        Identity::Client { client: self.client, domain: self.domain }
    }

    /// Takes the rights away; the engine is not told.
    pub(crate) fn deny(&self) {
        self.denies.store(true, SeqCst);
    }

    /// Cannot answer any more.
    pub(crate) fn fail(&self) {
        self.fails.store(true, SeqCst);
    }

    /// From now on nobody gets an answer about credentials before [`TestGate::let_go`].
    pub(crate) fn hold(&self) {
        self.holds.store(true, SeqCst);
    }

    /// Callers that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Handshakes that have shown the right key.
    pub(crate) fn succeeded(&self) -> usize {
        self.succeeded.load(SeqCst)
    }

    /// Holds no more; those who are waited for go on.
    pub(crate) fn let_go(&self) {
        self.holds.store(false, SeqCst);
        self.go.add_permits(self.waiting.swap(0, SeqCst));
    }

    async fn decide(&self, credentials: Credentials<'_>) -> Result<Identity> {
        if self.holds.load(SeqCst) {
            self.waiting.fetch_add(1, SeqCst);
            self.go.acquire().await.unwrap().forget();
        }
        if self.fails.load(SeqCst) {
            return Err(Error::unavailable("the test wants it so"));
        }
        let domain_is_right = |named: &str| named == "plant" || named == self.domain.to_string();
        let holds = match credentials {
            Credentials::Secret { secret, domain } => secret == "secret" && domain_is_right(domain),
            Credentials::Basic { id, secret, .. } => secret == "secret" && id == self.client.to_string(),
            Credentials::Bearer { token: "pat_token", .. } => {
                return Ok(Identity::User {
                    user: self.user,
                    expires_at: None,
                    revocable: None,
                    credential: Arc::new(()),
                });
            }
            _ => false,
        };
        if holds { Ok(self.identity()) } else { Err(Error::unauthenticated()) }
    }
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Attempt for Counted {
    fn succeeded(self: Box<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Gate for TestGate {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
        _peer: IpAddr,
    ) -> BoxFuture<'a, Result<Identity>> {
        Box::pin(self.decide(credentials))
    }

    fn shared_key<'a>(&'a self, client: &'a str, _peer: IpAddr) -> BoxFuture<'a, Result<Option<SharedKey>>> {
        let found = (client == self.client.to_string()).then(|| SharedKey {
            identity: self.identity(),
            key: Secret::new("secret".to_owned()),
            attempt: Box::new(Counted(Arc::clone(&self.succeeded))),
        });
        Box::pin(async move { Ok(found) })
    }

    fn resolve<'a>(
        &'a self,
        domain: &'a str,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<(DomainId, ChannelId)>>> {
        let channel = match channel {
            "boiler" => Some(self.channel),
            "denied" => Some(self.denied_channel),
            id => id.parse().ok().filter(|id| *id == self.channel),
        };
        let is_right = domain.is_empty() || domain == "plant" || domain == self.domain.to_string();
        let found = channel.filter(|_| is_right).map(|channel| (self.domain, channel));
        Box::pin(async move { Ok(found) })
    }

    fn resolve_domain<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Option<DomainId>>> {
        let found = if domain == "plant" { Some(self.domain) } else { domain.parse().ok() };
        Box::pin(async move { Ok(found) })
    }

    fn authorize<'a>(
        &'a self,
        _identity: &'a Identity,
        _domain: DomainId,
        channel: ChannelId,
        _action: Action,
    ) -> BoxFuture<'a, Result<bool>> {
        let answer = !self.denies.load(SeqCst) && channel == self.channel;
        Box::pin(async move { Ok(answer) })
    }
}
