//! The service: whether a client may connect, what it may do on a topic, and whether it need be asked at all.
//!
//! The token is looked at on every question, before anything that is remembered. "No" and "nobody can say at the moment"
//! are different answers: brokers remember the first.

mod credentials;
mod question;
mod recording;
mod reloading;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
};

use arc_swap::ArcSwap;
use kernel::{Clock, Kind, Result, Timestamp};
use tokio_util::sync::CancellationToken;

use question::bare;
pub use question::{Asking, Outcome, Shown};
pub(crate) use question::{seconds, who};

use crate::{
    Action, Actions, Decision,
    audit::{Audit, AuditOptions},
    bindings::{Bindings, Shared, Unbound},
    cache::{About, CacheOptions, DecisionCache},
    counts::Counts,
    denied::Denied,
    engine::{Engine, PolicySource, Stamp},
    identity::{Identity, Login, Member, Platform, Principal},
    limits::{LimitOptions, Limits},
    oidc::{Issuers, OidcOptions, looks_like_token},
    rules::{Fault, Granted},
};

/// How the service is set up.
#[derive(Debug, Clone)]
pub struct PolicyOptions {
    /// Where the policy comes from.
    pub source: PolicySource,
    /// The file that names whom to refuse; none: nobody.
    pub denied: Option<PathBuf>,
    /// Whose tokens are taken.
    pub oidc: OidcOptions,
    /// How decisions are remembered.
    pub cache: CacheOptions,
    /// How decisions are recorded.
    pub audit: AuditOptions,
    /// How much one address may ask, and how many credentials may fail there.
    pub limits: LimitOptions,
    /// The file that keeps logins over a restart; none: they are forgotten.
    pub bindings: Option<PathBuf>,
    /// Whether the name at the broker must be the subject's own.
    pub require_verified_username: bool,
    /// The name of the service in `/health`.
    pub version: String,
}

const MISSING_TOKEN: Outcome = Outcome::denied("missing token");
const INVALID_CREDENTIALS: Outcome = Outcome::denied("invalid credentials");

/// The policy service; cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Inner>);

struct Inner {
    source: PolicySource,
    denied: Option<PathBuf>,
    /// How the files were when they were read first.
    opened: Stamp,
    loaded: ArcSwap<Loaded>,
    versions: AtomicU64,
    reloading: Mutex<()>,
    /// Whether what the files say now is not in force, because it is broken.
    is_outdated: AtomicBool,
    issuers: Option<Issuers>,
    platform: Option<Arc<dyn Platform>>,
    bindings: Shared,
    cache: DecisionCache,
    audit: Audit,
    counts: Counts,
    limits: Limits,
    clock: Clock,
    require_verified_username: bool,
    version: String,
}

pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    denied: Denied,
    version: u64,
}

/// A decision with what explains it.
pub(crate) struct Explained {
    pub(crate) decision: Decision,
    pub(crate) cached: bool,
}

impl Policy {
    /// Reads the policy and the logins that were kept.
    ///
    /// An error says what in the files is wrong. Nothing is asked of the issuers before [`Policy::start`].
    pub fn open(options: PolicyOptions, platform: Option<Arc<dyn Platform>>, clock: Clock) -> Result<Self> {
        let wrong = |fault: Fault| kernel::Error::invalid(fault.to_string());
        // Before they are read, so that no change is missed.
        let opened = options.source.stamp(options.denied.as_deref());
        let engine = options.source.load().map_err(wrong)?;
        let denied = Denied::load(options.denied.as_deref()).map_err(wrong)?;
        for warning in engine.warnings() {
            tracing::warn!("policy: {warning}");
        }
        if options.oidc.issuers.is_empty() && platform.is_none() {
            tracing::warn!("policy: no issuer is set, so no token can be verified and nobody is let in");
        }
        if !options.oidc.issuers.is_empty() && options.oidc.audiences.is_empty() {
            tracing::info!(
                "policy: no audience is set; a token that an issuer made for any application is taken"
            );
        }
        if !options.require_verified_username {
            tracing::info!(
                "policy: clients may use any user name; where the broker remembers logins, require verified ones"
            );
        }
        let bindings = match &options.bindings {
            Some(path) => Bindings::open(path, platform.as_deref(), clock.now())?,
            None => Bindings::in_memory(),
        };
        let issuers = if options.oidc.issuers.is_empty() {
            None
        } else {
            Some(Issuers::new(options.oidc, clock.clone())?)
        };
        Ok(Self(Arc::new(Inner {
            loaded: ArcSwap::from_pointee(Loaded { engine, denied, version: 0 }),
            versions: AtomicU64::new(1),
            reloading: Mutex::default(),
            is_outdated: AtomicBool::new(false),
            issuers,
            platform,
            bindings: Arc::new(bindings),
            cache: DecisionCache::new(options.cache),
            audit: Audit::open(&options.audit)?,
            counts: Counts::new(options.source.name()),
            limits: Limits::new(options.limits),
            clock,
            require_verified_username: options.require_verified_username,
            version: options.version,
            source: options.source,
            denied: options.denied,
            opened,
        })))
    }

    /// Fetches the keys of the issuers, and looks whether files change, until `shutdown`.
    pub fn start(&self, shutdown: &CancellationToken) {
        if let Some(issuers) = &self.0.issuers {
            issuers.start(shutdown);
        }
        let (policy, stop) = (self.clone(), shutdown.clone());
        tokio::spawn(async move { stop.run_until_cancelled(policy.watch()).await });
    }

    /// Whether another question from this address is taken; otherwise what it is told.
    pub fn takes_question(&self, from: IpAddr) -> Result<(), Outcome> {
        self.0.limits.question(from, self.0.clock.now())
    }

    /// Whether this client may connect: its token holds. What it may do is not asked (reference 08 §3.3).
    pub async fn user(&self, asking: &Asking<'_>, shown: &Shown<'_>) -> Outcome {
        let started = self.0.clock.now();
        let (outcome, identity) = match self.log_in(asking, shown).await {
            Ok(identity) => (Outcome::Granted("authenticated"), Some(identity)),
            Err(outcome) => (outcome, None),
        };
        self.record(asking, started, identity.as_ref(), &outcome, ("mqtt", shown.clientid, "connect"), false)
            .await;
        outcome
    }

    /// The identity that logs in, bound to its names at the broker.
    pub(crate) async fn log_in(&self, asking: &Asking<'_>, shown: &Shown<'_>) -> Result<Identity, Outcome> {
        let identity = match self.shown(asking, shown).await? {
            Some(identity) => identity,
            None if shown.password.is_empty() => return Err(MISSING_TOKEN),
            None => {
                let login = Login::Password { username: shown.username, password: shown.password };
                let member = self.member(login, asking.peer).await?;
                self.admitted(Identity::Member(member), shown.clientid)?
            }
        };
        // A token in place of a name comes again with every question; it is never kept.
        let is_named = !shown.username.is_empty() || !shown.clientid.is_empty();
        if is_named && !looks_like_token(bare(shown.username)) {
            let Inner { bindings, clock, require_verified_username, .. } = &*self.0;
            if *require_verified_username && identity.claim_to(shown.username).is_none() {
                return Err(Outcome::denied("the user name is not the subject's own"));
            }
            bindings.bind(asking.broker, shown.username, shown.clientid, &identity, clock.now()).map_err(
                |unbound| match unbound {
                    Unbound::NameInUse => Outcome::denied("username in use"),
                    Unbound::Full => Outcome::Unavailable,
                    Unbound::TooLong => Outcome::denied("the user name and client id are too long"),
                },
            )?;
        }
        Ok(identity)
    }

    /// Whether this client may do all of `actions` on `topic`; the first denial decides.
    pub async fn acl(
        &self,
        asking: &Asking<'_>,
        shown: &Shown<'_>,
        topic: &str,
        actions: Actions,
    ) -> Outcome {
        let started = self.0.clock.now();
        let identity = match self.behind(asking, shown, Some(shown.clientid)).await {
            Ok(identity) => identity,
            Err(outcome) => {
                self.record(asking, started, None, &outcome, ("topic", topic, "acl"), false).await;
                return outcome;
            }
        };
        let mut outcome = Outcome::denied("invalid acc mask");
        for action in actions.iter() {
            let started = self.0.clock.now();
            let (answer, cached) = self.may(&identity, shown, action, topic).await;
            outcome = answer;
            let about = ("topic", topic, action.as_str());
            self.record(asking, started, Some(&identity), &outcome, about, cached).await;
            if !outcome.is_granted() {
                break;
            }
        }
        outcome
    }

    /// The same for a broker that does not ask before it delivers: who subscribes must be allowed to read all of it.
    pub(crate) async fn acl_without_delivery(
        &self,
        asking: &Asking<'_>,
        shown: &Shown<'_>,
        topic: &str,
        actions: Actions,
    ) -> Outcome {
        let outcome = self.acl(asking, shown, topic, actions).await;
        if !outcome.is_granted() || !actions.contains(Action::Subscribe) {
            return outcome;
        }
        let started = self.0.clock.now();
        match self.behind(asking, shown, Some(shown.clientid)).await {
            Ok(Identity::Subject(principal)) => {
                let who = who(&principal, shown);
                let decision = self.0.loaded.load().engine.decide_delivery(&who, topic);
                if decision.allowed {
                    return outcome;
                }
                let denied = Outcome::of(decision);
                let identity = Identity::Subject(Arc::clone(&principal));
                self.record(asking, started, Some(&identity), &denied, ("topic", topic, "read"), false).await;
                denied
            }
            Ok(Identity::Member(_)) => outcome,
            Err(outcome) => outcome,
        }
    }

    /// Binds an identity to a handle that nobody can guess.
    pub(crate) fn hand_out(&self, broker: &str, handle: &str, identity: &Identity) -> bool {
        self.0.bindings.bind(broker, handle, "", identity, self.0.clock.now()).is_ok()
    }

    /// Whether this client need not be asked about topics at all. Rules have no say in it (reference 08 §6.7).
    pub async fn superuser(&self, asking: &Asking<'_>, shown: &Shown<'_>) -> Outcome {
        let started = self.0.clock.now();
        let identity = self.behind(asking, shown, None).await;
        let outcome = match &identity {
            Ok(identity) if self.is_superuser(identity) => Outcome::Granted("superuser"),
            Ok(_) => Outcome::denied("not superuser"),
            Err(outcome) => outcome.clone(),
        };
        let about = ("mqtt", shown.username, "superuser");
        let about = if looks_like_token(bare(shown.username)) { ("mqtt", "", "superuser") } else { about };
        self.record(asking, started, identity.as_ref().ok(), &outcome, about, false).await;
        outcome
    }

    pub(crate) fn is_superuser(&self, identity: &Identity) -> bool {
        match identity {
            Identity::Subject(principal) => {
                self.0.loaded.load().engine.is_superuser(&who(principal, &Shown::default()))
            }
            // What platform identities may do is on channels alone.
            Identity::Member(_) => false,
        }
    }

    /// What an identity may do without a question, as long as the rules stay what they are.
    pub(crate) fn compiled(&self, identity: &Identity, shown: &Shown<'_>) -> Vec<Granted> {
        match identity {
            Identity::Subject(principal) => self.0.loaded.load().engine.compiled(&who(principal, shown)),
            Identity::Member(_) => Vec::new(),
        }
    }

    /// Whether this caller may administer the service: a superuser, or an administrator of the platform.
    pub(crate) async fn administrator(&self, asking: &Asking<'_>, bearer: Option<&str>) -> Result<()> {
        let shown = Shown { bearer, ..Shown::default() };
        match self.shown(asking, &shown).await {
            Ok(Some(identity)) => {
                let is_admin = matches!(&identity, Identity::Member(member) if member.is_admin);
                if is_admin || self.is_superuser(&identity) { Ok(()) } else { Err(kernel::Error::denied()) }
            }
            Ok(None) | Err(Outcome::Denied(_) | Outcome::Malformed(_) | Outcome::Granted(_)) => {
                Err(kernel::Error::unauthenticated())
            }
            Err(Outcome::Limited { words, wait }) => Err(kernel::Error::limited(words, wait)),
            Err(Outcome::Unavailable) => {
                Err(kernel::Error::unavailable("the caller's token cannot be verified"))
            }
        }
    }

    /// Whether `identity` may do one thing, and whether that was remembered.
    pub(crate) async fn may(
        &self,
        identity: &Identity,
        shown: &Shown<'_>,
        action: Action,
        topic: &str,
    ) -> (Outcome, bool) {
        match identity {
            Identity::Subject(principal) => {
                let Explained { decision, cached } = self.decide(principal, shown, action, topic);
                (Outcome::of(decision), cached)
            }
            Identity::Member(member) => (self.member_may(member, action, topic).await, false),
        }
    }

    pub(crate) fn decide(
        &self,
        principal: &Principal,
        shown: &Shown<'_>,
        action: Action,
        topic: &str,
    ) -> Explained {
        let Inner { loaded, cache, counts, clock, .. } = &*self.0;
        let loaded = loaded.load();
        if loaded.engine.is_personal() {
            let decision = loaded.engine.decide(&who(principal, shown), action, topic);
            counts.decision(decision.allowed);
            return Explained { decision, cached: false };
        }
        let about = About { version: loaded.version, principal, action, topic };
        let now = clock.now();
        if let Some(decision) = cache.get(&about, now) {
            counts.hit(decision.allowed);
            return Explained { decision, cached: true };
        }
        let decision = loaded.engine.decide(&who(principal, shown), action, topic);
        counts.miss(decision.allowed, clock.now().since(now));
        cache.put(&about, decision.clone(), now);
        Explained { decision, cached: false }
    }

    async fn member_may(&self, member: &Member, action: Action, topic: &str) -> Outcome {
        let Some(platform) = &self.0.platform else { return Outcome::denied("no matching rule") };
        if action == Action::Superuser {
            return Outcome::denied("not superuser");
        }
        let Some(asked) = crate::Asked::read(action, topic) else { return Outcome::denied("invalid topic") };
        match platform.authorize(member, asked.text(), action).await {
            Ok(true) => Outcome::Granted("authorized"),
            Ok(false) => Outcome::denied("not connected to this channel"),
            Err(error) if is_refusal(error.kind()) => Outcome::denied("not connected to this channel"),
            Err(error) => {
                tracing::warn!(%error, cause = error.chain(), "nobody can say what a member of the platform may do");
                Outcome::Unavailable
            }
        }
    }

    /// Forgets a client that has left its broker.
    pub fn forget(&self, broker: &str, clientid: &str) {
        self.0.bindings.forget(broker, clientid);
    }

    /// Forgets the logins of the platform's member with this id, or of all: what it has shown holds no more.
    pub fn forget_members(&self, id: Option<&str>) {
        self.0.bindings.forget_members(id);
    }

    /// Whether questions can be answered: the rules are there, and the keys of an issuer are.
    pub fn is_ready(&self) -> bool {
        self.0.issuers.as_ref().is_none_or(Issuers::is_ready)
    }

    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        self.0.loaded.load_full()
    }

    pub(crate) fn version(&self) -> &str {
        &self.0.version
    }

    pub(crate) fn cache(&self) -> &DecisionCache {
        &self.0.cache
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// Whether an error is an answer, rather than the lack of one.
const fn is_refusal(kind: Kind) -> bool {
    matches!(kind, Kind::Unauthenticated | Kind::Denied | Kind::NotFound | Kind::Invalid)
}
