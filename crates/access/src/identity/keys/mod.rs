//! The keys that sign tokens: one active, others that only verify until what they have signed is good no more.
//!
//! The active key is a secret of the settings (HMAC), a file of the operator's, or one that is kept sealed in the database
//! and changed now and then. A key of the database that signs no more, for whatever reason, verifies for the longest life
//! of any token that it may have signed; after that only API keys, which have a row each, and when there is none left it
//! is removed. Nothing takes effect before it is committed, and everything at once.

mod files;
mod jwks;
mod key;
mod store;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use db::{Db, Tx};
use kernel::{Error, Result, Rng, Secret, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use jwks::{Jwk, KeySet};
pub use key::SigningAlgorithm;

use crate::crypto::Sealer;
use files::Files;
use key::{Kept, SigningKey};

/// The fewest bytes of a secret: what brings the weakest of the algorithms its full strength (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// The most keys that retire at a time. All of them are published.
const MOST_RETIRING: u64 = 100;

/// That keys of the database have changed, to other nodes.
const TOPIC: &str = "signing_key";
/// Pause before keys that could not be read are read again.
const RETRY: Duration = Duration::from_secs(1);

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// How new tokens are signed.
    pub algorithm: SigningAlgorithm,
    /// The secret, for the algorithms that need one.
    pub secret: Option<Secret<String>>,
    /// The file with the key that signs; without it keys are kept in the database.
    pub active_file: Option<PathBuf>,
    /// The file with a key that only verifies.
    pub retiring_file: Option<PathBuf>,
    /// After how long a key of the database is followed by another; zero is never.
    pub rotation: Duration,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            algorithm: SigningAlgorithm::EdDsa,
            secret: None,
            active_file: None,
            retiring_file: None,
            rotation: Duration::ZERO,
        }
    }
}

impl KeySettings {
    /// What is wrong with the secret, as the end of a sentence that begins with its name.
    pub fn check_secret(&self) -> Result<(), &'static str> {
        if !self.algorithm.is_symmetric() {
            return Ok(());
        }
        match self.secret.as_ref().map(Secret::expose) {
            None => Err("is needed to sign with HS256, HS384 or HS512; `openssl rand -base64 48` makes one"),
            Some(secret) if secret == "secret" => {
                Err("is the one that everybody knows; `openssl rand -base64 48` makes another")
            }
            Some(secret) if secret.len() < SHORTEST_SECRET => {
                Err("is shorter than 32 bytes; `openssl rand -base64 48` makes a longer one")
            }
            Some(_) => Ok(()),
        }
    }
}

/// The keys of this installation; cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    db: Db,
    sealer: Arc<Sealer>,
    rng: Rng,
    settings: KeySettings,
    /// The longest life of a token other than an API key, in microseconds.
    longest_life: i64,
    ring: ArcSwap<Ring>,
    /// Whoever changes keys holds this, from looking at what there is to the commit.
    sources: Arc<Mutex<Sources>>,
}

/// Where keys come from.
#[derive(Debug, Default)]
struct Sources {
    files: Files,
    stored: Vec<Arc<SigningKey>>,
    /// What went wrong with the files last, so that it is said once.
    reported: Option<String>,
}

/// The keys of one moment.
#[derive(Debug)]
pub(super) struct Ring {
    /// Different for each.
    pub(super) serial: u64,
    /// The active key first.
    keys: Vec<Arc<SigningKey>>,
}

impl Ring {
    /// The claims of a token that one of the keys has signed, and until when that key vouches for more than API keys.
    pub(super) fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
        issuer: &str,
    ) -> Result<(T, Option<Timestamp>)> {
        let header = jsonwebtoken::decode_header(token).map_err(|e| Error::unauthenticated().cause(e))?;
        let named = self.keys.iter().find(|key| key.kid == header.kid).ok_or_else(Error::unauthenticated)?;
        let refused = match named.verify(token, issuer) {
            Ok(claims) => return Ok((claims, named.ends_at)),
            Err(refused) => refused,
        };
        // A key that has moved from the active file to the retiring one has changed its name on the way.
        let renamed = |key: &&Arc<SigningKey>| {
            key.kept == Kept::File && named.kept == Kept::File && key.kid != header.kid
        };
        let verified = self.keys.iter().filter(renamed).find_map(|key| key.verify(token, issuer).ok());
        verified.map(|claims| (claims, None)).ok_or(refused)
    }
}

impl Keys {
    /// Reads the keys; makes one where there is none that signs as the settings say.
    pub(crate) async fn open(
        db: &Db,
        sealer: &Arc<Sealer>,
        rng: &Rng,
        settings: KeySettings,
        longest_life: Duration,
        now: Timestamp,
    ) -> Result<Self> {
        settings.check_secret().map_err(|wrong| Error::invalid(format!("`auth.secret_key` {wrong}")))?;
        let files = Files::read(&settings).await?;
        if let Some(warning) = &files.warning {
            tracing::warn!("{warning}; tokens that it has signed are refused");
        }
        let keys = Self(Arc::new(Inner {
            db: db.clone(),
            sealer: Arc::clone(sealer),
            rng: rng.clone(),
            longest_life: i64::try_from(longest_life.as_micros()).unwrap_or(i64::MAX / 4),
            ring: ArcSwap::from_pointee(Ring { serial: 0, keys: Vec::new() }),
            sources: Arc::new(Mutex::new(Sources { files, ..Sources::default() })),
            settings,
        }));
        if let Err(error) = keys.settle(now, true).await {
            // Another node that starts at the same time may have made the key.
            if db::violated(&error).is_none() {
                return Err(error);
            }
            keys.settle(now, true).await?;
        }
        let weak = Arc::downgrade(&keys.0);
        db.hear(TOPIC, move |_| {
            if let Some(keys) = weak.upgrade().map(Self) {
                tokio::spawn(async move { keys.reload().await });
            }
        });
        Ok(keys)
    }

    /// Does what time asks for: takes over files that have changed, lets another key follow one that has signed for as
    /// long as it should, removes those that are needed no more. To be called about once a minute.
    pub async fn tend(&self, now: Timestamp) -> Result<()> {
        self.reread().await;
        self.settle(now, false).await
    }

    /// Takes over what another node has changed, as soon as the database can be read.
    async fn reload(&self) {
        let mut sources = Arc::clone(&self.0.sources).lock_owned().await;
        let sealer = Arc::clone(&self.0.sealer);
        loop {
            let sealer = Arc::clone(&sealer);
            match self.0.db.read(move |tx| Box::pin(async move { store::all(tx, &sealer).await })).await {
                Ok(stored) => {
                    sources.stored = stored;
                    return self.publish(&sources);
                }
                Err(error) => {
                    tracing::warn!(%error, cause = error.chain(), "signing keys cannot be read again yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn reread(&self) {
        let mut sources = Arc::clone(&self.0.sources).lock_owned().await;
        match Files::read(&self.0.settings).await {
            Ok(files) if files.same_as(&sources.files) => sources.reported = None,
            Ok(files) => {
                if let Some(warning) = &files.warning {
                    tracing::warn!("{warning}; tokens that it has signed are refused");
                }
                sources.files = files;
                sources.reported = None;
                self.publish(&sources);
                tracing::info!("the files of signing keys have changed and are in use");
            }
            Err(error) => {
                let text = error.public().to_owned();
                if sources.reported.as_ref() != Some(&text) {
                    tracing::warn!("{text}; the key from before stays in use");
                    sources.reported = Some(text);
                }
            }
        }
    }

    /// Brings the keys of the database in line with settings and time.
    async fn settle(&self, now: Timestamp, opening: bool) -> Result<()> {
        let held = Arc::clone(&self.0.sources).lock_owned().await;
        let active = self.0.db.read(|tx| Box::pin(store::active(tx))).await?;
        let stored = self.signs_with_stored(&held);
        let (rotation, algorithm) = (self.0.settings.rotation, self.0.settings.algorithm);
        let fits = active.as_ref().is_some_and(|active| active.algorithm == algorithm.name());
        let old = active
            .as_ref()
            .is_some_and(|active| !rotation.is_zero() && active.created_at.after(rotation) <= now);
        let another = stored && (!fits || old);
        let retire = another || (!stored && active.is_some());
        let ended = held.stored.iter().any(|key| key.ends_at.is_some_and(|ends_at| ends_at <= now));
        if !(opening || retire || ended) {
            return Ok(());
        }
        let fresh = if another { Some(self.fresh().await?) } else { None };
        let change = Change { keys: self.clone(), fresh, retire, held };
        self.0.db.write(move |tx| Box::pin(async move { change.apply(tx, now).await })).await
    }

    /// Whether the active key is one of the database's.
    fn signs_with_stored(&self, sources: &Sources) -> bool {
        !self.0.settings.algorithm.is_symmetric() && sources.files.active.is_none()
    }

    /// A key that is to sign from now on, once the caller has applied it in a transaction.
    ///
    /// Unprocessable where the operator keeps the key, and where very many retire.
    pub async fn rotation(&self, now: Timestamp) -> Result<Change> {
        if self.0.settings.algorithm.is_symmetric() {
            return Err(Error::unprocessable(
                "tokens are signed with the secret of the configuration, change `auth.secret_key` and start again; this \
                 ends all sessions and API keys",
            ));
        }
        let held = Arc::clone(&self.0.sources).lock_owned().await;
        if !self.signs_with_stored(&held) {
            return Err(Error::unprocessable(
                "tokens are signed with a key in a file, copy it to the file of `auth.retiring_key_path` and then put \
                 another into that of `auth.active_key_path`",
            ));
        }
        let retiring = self.0.db.read(move |tx| Box::pin(store::retiring(tx, now))).await?;
        if retiring >= MOST_RETIRING {
            return Err(Error::unprocessable(format!(
                "{retiring} keys still verify what they have signed, wait until some have ended"
            )));
        }
        let fresh = Some(self.fresh().await?);
        Ok(Change { keys: self.clone(), fresh, retire: true, held })
    }

    async fn fresh(&self) -> Result<store::Fresh> {
        let algorithm = self.0.settings.algorithm;
        // RSA would hold up others.
        let pkcs8 = tokio::task::spawn_blocking(move || key::generate(algorithm))
            .await
            .map_err(Error::internal)??;
        let kid = self.0.rng.uuid().to_string();
        let sealed = self.0.sealer.seal(&store::context(&kid), &pkcs8)?;
        Ok(store::Fresh { kid, algorithm: algorithm.name(), sealed })
    }

    /// Uses these keys from now on.
    fn publish(&self, sources: &Sources) {
        let settings = &self.0.settings;
        let secret = settings.secret.as_ref().filter(|_| settings.algorithm.is_symmetric());
        let secret =
            secret.map(|secret| Arc::new(SigningKey::secret(settings.algorithm, secret.expose().as_bytes())));
        let from_files = sources.files.active.iter();
        // A retiring file never comes before the key that signs.
        let (active, ended): (Vec<_>, Vec<_>) = sources.stored.iter().partition(|key| key.ends_at.is_none());
        let all = secret.iter().chain(from_files).chain(active).chain(&sources.files.retiring).chain(ended);
        let ring = Ring { serial: self.0.ring.load().serial + 1, keys: all.cloned().collect() };
        self.0.ring.store(Arc::new(ring));
    }

    /// The keys of this moment.
    pub(super) fn ring(&self) -> Arc<Ring> {
        self.0.ring.load_full()
    }

    /// The id of the key that signs at present; none for a secret.
    pub(super) fn active(&self) -> Result<Option<String>> {
        let ring = self.0.ring.load();
        ring.keys.first().map(|key| key.kid.clone()).ok_or_else(missing)
    }

    /// Signs with the active key.
    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Result<String> {
        self.0.ring.load().keys.first().ok_or_else(missing)?.sign(claims)
    }

    /// Signs with the key of this id.
    pub(super) fn sign_with<T: Serialize>(&self, kid: Option<&str>, claims: &T) -> Result<String> {
        let ring = self.0.ring.load();
        let key = ring.keys.iter().find(|key| key.kid.as_deref() == kid).ok_or_else(missing)?;
        key.sign(claims)
    }

    /// The public halves, for whoever verifies tokens elsewhere; none where tokens are signed with a secret, since those
    /// cannot be verified elsewhere (reference 01 §13 item 21).
    pub fn public(&self) -> KeySet {
        let ring = self.0.ring.load();
        if self.0.settings.algorithm.is_symmetric() {
            return KeySet { keys: Vec::new() };
        }
        KeySet { keys: ring.keys.iter().filter_map(|key| key.jwk()).collect() }
    }
}

fn missing() -> Error {
    Error::internal("there is no such signing key")
}

/// A change of the keys of the database, which others wait for until it is applied or dropped.
pub struct Change {
    keys: Keys,
    fresh: Option<store::Fresh>,
    retire: bool,
    held: OwnedMutexGuard<Sources>,
}

impl Change {
    /// The id of the key that is to sign, if another one is.
    pub fn kid(&self) -> Option<&str> {
        self.fresh.as_ref().map(|fresh| fresh.kid.as_str())
    }

    /// Makes the change; it takes effect with the commit.
    pub async fn apply(self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        let Self { keys, fresh, retire, mut held } = self;
        if retire {
            store::retire(tx, now).await?;
        }
        match &fresh {
            Some(fresh) => store::insert(tx, fresh, keys.0.longest_life, now).await?,
            None => store::lengthen(tx, keys.0.longest_life).await?,
        }
        let removed = store::delete_ended(tx, now).await?;
        let stored = store::all(tx, &keys.0.sealer).await?;
        tx.tell(TOPIC, "");
        tx.on_commit(move || {
            held.stored = stored;
            keys.publish(&held);
            if let Some(fresh) = fresh {
                tracing::info!(key.id = fresh.kid, key.algorithm = fresh.algorithm, "a new key signs tokens");
            }
            if removed > 0 {
                tracing::info!(removed, "signing keys are removed that nothing needs any more");
            }
        });
        Ok(())
    }
}
