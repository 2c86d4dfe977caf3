//! Who may do what: keys and tokens, accounts, relations, roles, and the permission table.
//!
//! Rules that hold here and that everything above relies on:
//!
//! - Deny by default: what no rule allows is refused, and an error on the way is a refusal.
//! - A right is asked for by *operation*; the permission table says which permission of the schema that takes, and the
//!   relation engine decides who has it.
//! - A decision never uses data older than the last commit of this process: every write invalidates what it touches
//!   before its caller is answered ([`cache`], [`graph`]).
//! - Secrets are sealed or digested before they reach the database ([`crypto`]).
//!
//! One walk through it: an HTTP handler takes a [`Context`]; extracting it verifies the token ([`identity::tokens`])
//! and the account behind it. The use case calls [`Context::authorize`], which passes the domain's gate
//! ([`gates`]), looks the permission up ([`permission`]) and asks the graph ([`graph`]). The [`Permit`] it returns is
//! what [`roles`] wants to see before it changes anybody's rights. What a list shows, and by which role a user comes to
//! each row, is in [`visible`] and [`standing`].

#[cfg(test)]
mod agreement;
pub mod cache;
pub mod callouts;
pub mod context;
pub mod crypto;
pub mod explain;
pub mod gates;
pub mod graph;
pub mod hierarchy;
pub mod identity;
pub mod limits;
pub mod membership;
pub mod object;
pub mod pats;
pub mod permission;
pub mod platform;
pub mod roles;
pub mod standing;
pub mod visible;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use db::{BoxFuture, Db, Tx};
use events::{Event, Outbox};
use kernel::{Clock, Error, Kind, Operation, Result, Rng, Secret, Timestamp};

pub use context::{Context, Listing, Permit, RequestInfo};
pub use object::Object;
pub use visible::{Sight, Visible};

use callouts::Callouts;
use crypto::{Digester, MasterKey, Passwords, Sealer};
use gates::Gates;
use graph::Graph;
use identity::{
    Caller, Credential, Role,
    accounts::Accounts,
    api_keys::ApiKeys,
    keys::{KeySettings, Keys},
    standalone::Standalone,
    tokens::{Purpose, RECOVERY_LIFE, Tokens, Verified},
};
use limits::FailureLimit;
use pats::Pats;
use permission::Permissions;
use roles::members::OnLeave;

/// The tables of this crate.
pub const MIGRATIONS: &[db::Migration] = &[
    db::Migration { id: "access/0001", sql: include_str!("../migrations/0001_access.sql") },
    db::Migration { id: "access/0002", sql: include_str!("../migrations/0002_pats.sql") },
    db::Migration { id: "access/0003", sql: include_str!("../migrations/0003_role_members.sql") },
    db::Migration { id: "access/0004", sql: include_str!("../migrations/0004_api_keys.sql") },
    db::Migration { id: "access/0005", sql: include_str!("../migrations/0005_signing_keys.sql") },
];

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long an access token is valid.
    pub access_token_life: Duration,
    /// How long a session can be refreshed.
    pub refresh_token_life: Duration,
    /// How long an invitation token is valid.
    pub invitation_life: Duration,
    /// What signs tokens.
    pub keys: KeySettings,
    /// How long others may keep the public keys, and how much longer while they fetch them anew.
    pub jwks_cache: (Duration, Duration),
    /// Whether users whose e-mail address is not verified may work.
    pub allow_unverified_users: bool,
    /// One fixed user instead of logins.
    pub standalone: Option<Standalone>,
    /// A permission table in place of the one that comes with the program.
    pub permissions_file: Option<PathBuf>,
    /// Who may refuse what was authorized: for each service (`domains`, `groups`, `clients`, `channels`).
    pub callouts: Vec<(&'static str, callouts::Settings)>,
}

impl Settings {
    /// The longest life of a token that is no API key.
    fn longest_life(&self) -> Duration {
        [self.access_token_life, self.refresh_token_life, self.invitation_life]
            .into_iter()
            .fold(RECOVERY_LIFE, Duration::max)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_life: Duration::from_secs(3600),
            refresh_token_life: Duration::from_secs(24 * 3600),
            invitation_life: Duration::from_secs(168 * 3600),
            keys: KeySettings::default(),
            jwks_cache: (Duration::from_secs(900), Duration::from_secs(60)),
            allow_unverified_users: true,
            standalone: None,
            permissions_file: None,
            callouts: Vec::new(),
        }
    }
}

/// Everything that decides who may do what; cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    db: Db,
    outbox: Outbox,
    clock: Clock,
    rng: Rng,
    settings: Settings,
    sealer: Arc<Sealer>,
    digester: Digester,
    passwords: Passwords,
    tokens: Tokens,
    accounts: Accounts,
    gates: Gates,
    graph: Graph,
    permissions: Permissions,
    failures: FailureLimit,
    callouts: Callouts,
    on_leave: OnceLock<OnLeave>,
    pats: Pats,
    api_keys: ApiKeys,
}

/// What [`Access::open`] stands on.
pub struct Ground {
    /// The database, migrated.
    pub db: Db,
    /// Where events go.
    pub outbox: Outbox,
    /// The key from which all others are derived.
    pub master: MasterKey,
    /// The time.
    pub clock: Clock,
    /// Ids.
    pub rng: Rng,
}

impl Access {
    /// Opens it. Makes the signing key at the first start; checks that `operations` are in the permission table.
    pub async fn open(ground: Ground, settings: Settings, operations: &[Operation]) -> Result<Self> {
        let Ground { db, outbox, master, clock, rng } = ground;
        let graph = Graph::open(db.clone())?;
        let permissions =
            Permissions::load(settings.permissions_file.as_deref(), graph.schema(), operations)?;
        let sealer = Arc::new(Sealer::new(&master)?);
        let keys =
            Keys::open(&db, &sealer, &rng, settings.keys.clone(), settings.longest_life(), clock.now())
                .await?;
        Ok(Self(Arc::new(Inner {
            digester: Digester::new(&master)?,
            passwords: Passwords::new(),
            tokens: Tokens::new(keys, settings.standalone.is_none()),
            accounts: Accounts::new(&db),
            gates: Gates::new(&db, settings.standalone.is_some()),
            failures: FailureLimit::new(),
            callouts: Callouts::open(&settings.callouts)?,
            on_leave: OnceLock::new(),
            pats: Pats::new(&db),
            api_keys: ApiKeys::new(&db),
            permissions,
            graph,
            sealer,
            settings,
            outbox,
            clock,
            rng,
            db,
        })))
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where ids come from.
    pub fn rng(&self) -> &Rng {
        &self.0.rng
    }

    /// What the operator has set.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Seals secrets that must be shown again.
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// Digests secrets that are looked up.
    pub fn digester(&self) -> &Digester {
        &self.0.digester
    }

    /// Hashes passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Makes and reads tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// The accounts behind tokens.
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// The gates of domains.
    pub fn gates(&self) -> &Gates {
        &self.0.gates
    }

    /// The relation engine over the database.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Operation → permission.
    pub fn permissions(&self) -> &Permissions {
        &self.0.permissions
    }

    /// Limits failed logins.
    pub fn failures(&self) -> &FailureLimit {
        &self.0.failures
    }

    /// API keys.
    pub fn api_keys(&self) -> &ApiKeys {
        &self.0.api_keys
    }

    /// Personal access tokens.
    pub fn pats(&self) -> &Pats {
        &self.0.pats
    }

    /// Who may refuse what was authorized.
    pub fn callouts(&self) -> &Callouts {
        &self.0.callouts
    }

    /// Does this, too, in the transaction in which users leave a domain. Set once, when the capabilities are wired; a
    /// second one is an error.
    pub fn on_leave(&self, hook: OnLeave) -> Result<()> {
        self.0.on_leave.set(hook).map_err(|_| Error::internal("`on_leave` is set already"))
    }

    fn left(&self) -> Option<OnLeave> {
        self.0.on_leave.get().copied()
    }

    /// Whose token this is, if it is valid for `purpose` at `now`. A personal access token and an API key call the API
    /// and are good for nothing else.
    ///
    /// Boxed, so that it is not compiled into every handler.
    pub fn verify<'a>(
        &'a self,
        token: &'a Secret<String>,
        purpose: Purpose,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Verified>>> {
        Box::pin(async move {
            if let Some(standalone) = &self.0.settings.standalone {
                // The comparison takes the same time wherever they differ.
                return match purpose {
                    Purpose::Access if *token == standalone.token => {
                        Ok(Arc::new(Verified::standalone(standalone)))
                    }
                    _ => Err(Error::unauthenticated()),
                };
            }
            if purpose == Purpose::Access && token.expose().starts_with(pats::secret::PREFIX) {
                return pats::known::verify(self, token, now).await;
            }
            let verified = self.0.tokens.read(token, purpose, now)?;
            match self.stands(&verified, now).await? {
                true if verified.is_api_key() => self.as_of_now(&verified).await,
                true => Ok(verified),
                false => Err(Error::unauthenticated()),
            }
        })
    }

    /// An API key with what its owner is at present: a key lives too long for what was true when it was made.
    async fn as_of_now(&self, key: &Verified) -> Result<Arc<Verified>> {
        let mut key = key.clone();
        let account = self.0.accounts.get(&self.0.db, key.caller.user).await?;
        let admin = self.0.graph.is_platform_admin(key.caller.user).await?;
        key.caller.verified = account.is_some_and(|account| account.verified);
        key.caller.role = if admin { Role::Admin } else { Role::User };
        Ok(Arc::new(key))
    }

    /// Whether what was verified earlier still holds at `now`: for what outlives a request, such as a connection.
    pub async fn stands(&self, verified: &Verified, now: Timestamp) -> Result<bool> {
        if verified.expires_at <= now {
            return Ok(false);
        }
        match verified.caller.credential {
            Credential::Pat(pat) => return pats::known::stands(self, pat, now).await,
            Credential::Standalone => return Ok(true),
            _ => {}
        }
        let user = verified.caller.user;
        let account = self.0.accounts.get(&self.0.db, user).await?.filter(|account| account.enabled);
        let Some(account) = account else { return Ok(false) };
        if !verified.is_api_key() {
            return Ok(account.generation == verified.generation);
        }
        let Some(key) = verified.id.as_deref().and_then(|id| id.parse().ok()) else { return Ok(false) };
        let owner = self.0.api_keys.owner(&self.0.db, key).await?;
        Ok(owner == Some(user) && account.credential_generation == verified.generation)
    }

    /// Who calls with this access token at `now`, if the caller may work at all.
    pub async fn verify_caller(&self, token: &Secret<String>, now: Timestamp) -> Result<Arc<Verified>> {
        let verified = self.verify(token, Purpose::Access, now).await?;
        self.let_in(&verified.caller).await?;
        Ok(verified)
    }

    /// Fails where the caller has to verify its e-mail address first. Administrators need not, while they are
    /// some, nor need a personal access token, which somebody verified has made (reference 01 §4.6).
    pub(crate) async fn let_in(&self, caller: &Caller) -> Result<()> {
        let is_pat = matches!(caller.credential, Credential::Pat(_));
        if is_pat
            || caller.verified
            || self.0.settings.allow_unverified_users
            || (caller.role == Role::Admin && self.0.graph.is_platform_admin(caller.user).await?)
        {
            return Ok(());
        }
        Err(Error::new(Kind::Unauthenticated, "email not verified"))
    }

    /// Announces what this transaction does, if it commits.
    pub async fn emit(&self, tx: &mut Tx, event: Event) -> Result<()> {
        self.0.outbox.push(tx, event).await
    }
}

/// An event with what all events of users' changes have in common (reference 03 §8).
pub fn event(operation: &'static str, entity: String, permit: &Permit, request: &str) -> Event {
    let event = Event::new(operation, entity, permit.at())
        .with("token_type", permit.credential().word())
        .with("request_id", request);
    match permit.credential() {
        Credential::Session | Credential::Pat(_) | Credential::Standalone => {
            event.with("user_id", permit.actor())
        }
        // It acts in nobody's name.
        Credential::Service => event,
    }
}
