//! Tokens that were seen lately, in memory: verifying one costs a keyed hash and no query.
//!
//! What is remembered is dropped at each commit that changes a token or its scopes, before that change is answered.

use std::{
    collections::HashSet,
    mem::size_of,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use db::{BoxFuture, Db, Tx};
use kernel::{Error, PatId, Result, Secret, Timestamp, UserId};
use quick_cache::Weighter;

use super::{Ask, Scope, model::Pat, scope, secret, store};
use crate::{
    Access,
    cache::Fresh,
    identity::{Caller, Credential, Role, accounts::Account, api_keys, tokens::Verified},
};

/// How much memory the tokens may take; one has about 300 bytes, and 60 for each scope.
const CAPACITY: u64 = 16 << 20;

/// How often the use of a token is noted at the most.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Tokens by id, read through a cache; cheap to clone.
#[derive(Clone)]
pub struct Pats(Arc<Fresh<PatId, Option<Arc<Known>>, Weight>>);

/// A token as verification needs it.
struct Known {
    pat: Pat,
    digest: Vec<u8>,
    scopes: HashSet<Scope>,
    /// When its use was noted last, in microseconds.
    noted_at: AtomicI64,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<PatId, Option<Arc<Known>>> for Weight {
    fn weight(&self, _: &PatId, known: &Option<Arc<Known>>) -> u64 {
        let scopes = known.as_ref().map_or(0, |known| known.scopes.capacity());
        (300 + scopes * size_of::<Scope>()) as u64
    }
}

impl Pats {
    pub(crate) fn new(db: &Db) -> Self {
        Self(Fresh::weighted(10_000, CAPACITY, Weight).hearing(db, "pat"))
    }

    /// Drops what is remembered of a token, after the commit.
    pub fn changed(&self, tx: &mut Tx, pat: PatId) {
        self.0.changed(tx, pat);
    }

    async fn get(&self, db: &Db, pat: PatId) -> Result<Option<Arc<Known>>> {
        self.0.get_or_load(pat, || load(db, pat)).await
    }
}

/// Boxed, so that it is compiled once and takes no room in the futures of those who find a token in memory.
fn load(db: &Db, pat: PatId) -> BoxFuture<'_, Result<Option<Arc<Known>>>> {
    Box::pin(db.read(move |tx| Box::pin(select(tx, pat))))
}

async fn select(tx: &mut Tx, id: PatId) -> Result<Option<Arc<Known>>> {
    let Some((pat, digest)) = store::get_with_digest(tx, id).await? else { return Ok(None) };
    let scopes = store::scopes(tx, id).await?.into_iter().map(|stored| stored.scope).collect();
    let noted_at = AtomicI64::new(pat.last_used_at.map_or(i64::MIN, Timestamp::micros));
    Ok(Some(Arc::new(Known { pat, digest, scopes, noted_at })))
}

impl Known {
    /// Whether the token is good at `now` for its owner's account.
    fn stands(&self, account: Option<Account>, now: Timestamp) -> bool {
        account.is_some_and(|account| {
            account.enabled
                && !self.pat.is_revoked(account.credential_generation)
                && self.pat.expires_at > now
        })
    }

    /// Whether it is time to note the token's use again; true for one caller only.
    fn claim_note(&self, now: Timestamp) -> bool {
        let last = self.noted_at.load(Relaxed);
        let due = last == i64::MIN || now.since(Timestamp::from_micros(last)) >= NOTED_EVERY;
        due && self.noted_at.compare_exchange(last, now.micros(), Relaxed, Relaxed).is_ok()
    }
}

/// Who calls with this secret at `now`; Unauthenticated for one that is unknown, revoked, expired, or whose owner may
/// not work.
pub(crate) async fn verify(
    access: &Access,
    secret: &Secret<String>,
    now: Timestamp,
) -> Result<Arc<Verified>> {
    let claim = secret::parse(secret.expose()).ok_or_else(Error::unauthenticated)?;
    let known = access.pats().get(access.db(), claim.pat).await?.ok_or_else(Error::unauthenticated)?;
    let digest = secret::digest(access.digester(), claim.pat, secret);
    let is_it = digest.matches(&known.digest) && known.pat.user == claim.user;
    let account = access.accounts().get(access.db(), known.pat.user).await?;
    let Some(account) = account.filter(|account| is_it && known.stands(Some(*account), now)) else {
        return Err(Error::unauthenticated());
    };
    note_use(access, &known, now);
    let admin = access.graph().is_platform_admin(claim.user).await?;
    let caller = Caller {
        user: claim.user,
        role: if admin { Role::Admin } else { Role::User },
        verified: account.verified,
        credential: Credential::Pat(claim.pat),
    };
    Ok(Arc::new(Verified::by_pat(caller, &known.pat, account)))
}

/// Whether this token is good at `now`, whatever for.
pub(crate) async fn stands(access: &Access, pat: PatId, now: Timestamp) -> Result<bool> {
    let Some(known) = access.pats().get(access.db(), pat).await? else { return Ok(false) };
    let account = access.accounts().get(access.db(), known.pat.user).await?;
    Ok(known.stands(account, now))
}

/// Notes the use without keeping the request waiting; a note that gets lost is made up for a minute later.
fn note_use(access: &Access, known: &Known, now: Timestamp) {
    if !known.claim_note(now) {
        return;
    }
    let (db, pat) = (access.db().clone(), known.pat.id);
    tokio::spawn(async move {
        let noted = db.write(move |tx| Box::pin(async move { store::note_use(tx, pat, now).await })).await;
        if let Err(error) = noted {
            tracing::debug!(pat.id = %pat, error = error.chain(), "the use of a token was not noted");
        }
    });
}

/// Whether this token is good at present, and a scope of it meets one of `asks`.
pub async fn permits(access: &Access, pat: PatId, asks: &[Ask]) -> Result<bool> {
    let Some(known) = access.pats().get(access.db(), pat).await? else { return Ok(false) };
    let account = access.accounts().get(access.db(), known.pat.user).await?;
    let stands = known.stands(account, access.clock().now());
    Ok(stands && asks.iter().any(|ask| scope::meets(&known.scopes, ask)))
}

/// As [`permits`], for a token that `owner` is said to own.
pub async fn permits_of(access: &Access, pat: PatId, owner: UserId, asks: &[Ask]) -> Result<bool> {
    let known = access.pats().get(access.db(), pat).await?;
    Ok(known.is_some_and(|known| known.pat.user == owner) && permits(access, pat, asks).await?)
}

/// Whose token this is, if it is there.
pub async fn owner(access: &Access, pat: PatId) -> Result<Option<UserId>> {
    Ok(access.pats().get(access.db(), pat).await?.map(|known| known.pat.user))
}

/// Removes every personal access token and API key of a user who is removed.
///
/// What is remembered of them is void without the user's account, which goes in the same transaction.
pub async fn forget_user(tx: &mut Tx, user: UserId) -> Result<()> {
    api_keys::delete_all(tx, user).await?;
    store::delete_all(tx, user).await.map(drop)
}
