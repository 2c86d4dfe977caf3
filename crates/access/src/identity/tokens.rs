//! Tokens: JWTs with the claims of reference 01 §2.2, each good for its one purpose only.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{Context, SHA256};
use kernel::{Error, Result, Secret, Timestamp, UserId};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::{
    Caller, Credential, Role,
    accounts::Account,
    keys::{Keys, Ring},
    standalone::Standalone,
};
use crate::pats::model::Pat;

/// Who issues tokens (reference 01 §1.1).
const ISSUER: &str = "magistrala.auth";

/// How far another node's clock may be ahead (reference 01 §13 item 21).
const SKEW: Duration = Duration::from_secs(5);

/// How long a recovery token is valid (reference 01 §2.1).
pub const RECOVERY_LIFE: Duration = Duration::from_secs(5 * 60);

/// How many verified tokens are remembered; about 200 bytes each.
const REMEMBERED: usize = 20_000;

/// The number of personal access tokens among the kinds of tokens; they are no JWTs.
const PAT: u8 = 4;

/// The end of time: when what never expires does.
pub const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// What a token is for. The numbers are the contract's (reference 01 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Calls the API.
    Access,
    /// Is exchanged for a new pair.
    Refresh,
    /// Sets a new password, once: whoever does so raises the generation of the account.
    Recovery,
    /// Calls the API until it is revoked; see [`super::api_keys`]. [`Purpose::Access`] takes it, too.
    ApiKey,
    /// Invites somebody.
    Invitation,
}

impl Purpose {
    /// The number in the claim `type`.
    pub const fn claim(self) -> u8 {
        match self {
            Self::Access => 0,
            Self::Refresh => 1,
            Self::Recovery => 2,
            Self::ApiKey => 3,
            Self::Invitation => 5,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: i64,
    /// Absent, null, zero or negative is never (reference 01 §2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    r#type: u8,
    role: u8,
    verified: bool,
    /// The generation of the account when the token was made, for API keys that of its credentials: our own claim, which
    /// others ignore.
    #[serde(rename = "gen")]
    generation: i64,
}

/// A valid token.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Whose it is.
    pub caller: Caller,
    /// Its own id; refresh tokens, API keys and personal access tokens have one.
    pub id: Option<String>,
    /// When it expires; [`NEVER`] for an API key without an end.
    pub expires_at: Timestamp,
    /// The generation of the account that it was made for; of its credentials for API keys.
    pub generation: i64,
    issued_at: Timestamp,
    purpose: u8,
}

impl Verified {
    /// By a personal access token, which has proved to be `pat`.
    pub(crate) fn by_pat(caller: Caller, pat: &Pat, account: Account) -> Self {
        Self {
            caller,
            id: Some(pat.id.to_string()),
            issued_at: pat.issued_at,
            expires_at: pat.expires_at,
            generation: account.generation,
            purpose: PAT,
        }
    }

    /// By the fixed token of stand-alone mode.
    pub(crate) const fn standalone(standalone: &Standalone) -> Self {
        Self {
            caller: Caller {
                user: standalone.user,
                role: Role::Admin,
                verified: true,
                credential: Credential::Standalone,
            },
            id: None,
            issued_at: Timestamp::from_micros(0),
            expires_at: NEVER,
            generation: 0,
            purpose: Purpose::Access.claim(),
        }
    }

    /// The number of the kind of token (reference 01 §2.1).
    pub const fn token_type(&self) -> u8 {
        self.purpose
    }

    /// Whether it is an API key.
    pub const fn is_api_key(&self) -> bool {
        self.purpose == Purpose::ApiKey.claim()
    }

    /// When it expires, if it does.
    pub fn ends(&self) -> Option<Timestamp> {
        (self.expires_at < NEVER).then_some(self.expires_at)
    }
}

/// What a new token says.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// Whose it is.
    pub user: UserId,
    /// The role on the platform.
    pub role: Role,
    /// Whether the e-mail address is verified.
    pub verified: bool,
    /// The account's generation.
    pub generation: i64,
    /// The token's own id; for refresh and recovery tokens.
    pub id: Option<&'a str>,
}

/// Makes and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    keys: Keys,
    /// Whether there are any: not in stand-alone mode.
    issued: bool,
    remembered: Arc<Cache<[u8; 32], Arc<Verified>>>,
}

impl Tokens {
    pub(crate) fn new(keys: Keys, issued: bool) -> Self {
        Self { keys, issued, remembered: Arc::new(Cache::new(REMEMBERED)) }
    }

    /// The keys that sign.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The public keys, for `/keys/.well-known/jwks.json`.
    pub fn public_keys(&self) -> super::keys::KeySet {
        self.keys.public()
    }

    /// A new token that is valid from `now` for `life`.
    pub fn issue(
        &self,
        purpose: Purpose,
        grant: Grant<'_>,
        now: Timestamp,
        life: Duration,
    ) -> Result<Secret<String>> {
        let claims = self.claims(purpose, grant, now, Some(now.after(life)))?;
        self.keys.sign(&claims).map(Secret::new)
    }

    /// The id of the key that signs at present, for an API key that is about to be stored; none for a secret.
    pub fn signs_with(&self) -> Result<Option<String>> {
        self.keys.active()
    }

    /// The token of an API key, signed with the key that is stored with it.
    pub fn issue_api_key(
        &self,
        grant: Grant<'_>,
        kid: Option<&str>,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Secret<String>> {
        let claims = self.claims(Purpose::ApiKey, grant, now, expires_at)?;
        self.keys.sign_with(kid, &claims).map(Secret::new)
    }

    fn claims(
        &self,
        purpose: Purpose,
        grant: Grant<'_>,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Claims> {
        if !self.issued {
            return Err(Error::unprocessable("there are no logins in stand-alone mode, use its token"));
        }
        Ok(Claims {
            iss: ISSUER.to_owned(),
            sub: grant.user.to_string(),
            iat: now.seconds(),
            exp: expires_at.map(Timestamp::seconds),
            jti: grant.id.map(str::to_owned),
            r#type: purpose.claim(),
            role: grant.role.claim(),
            verified: grant.verified,
            generation: grant.generation,
        })
    }

    /// Who sent `token`, if it is one of ours for this purpose and has not expired. What the account behind it says to
    /// that is for [`crate::Access::stands`].
    pub(crate) fn read(
        &self,
        token: &Secret<String>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Arc<Verified>> {
        let verified = self.signed(token)?;
        let fits =
            verified.purpose == purpose.claim() || (purpose == Purpose::Access && verified.is_api_key());
        let from_the_future = verified.issued_at > now.after(SKEW);
        if !fits || verified.expires_at <= now || from_the_future {
            return Err(Error::unauthenticated());
        }
        Ok(verified)
    }

    /// Reads a token; remembers the ones whose signature held, since that check costs more than a whole request.
    fn signed(&self, token: &Secret<String>) -> Result<Arc<Verified>> {
        let ring = self.keys.ring();
        // What other keys have verified is not remembered for these.
        let mut hashed = Context::new(&SHA256);
        hashed.update(&ring.serial.to_be_bytes());
        hashed.update(token.expose().as_bytes());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hashed.finish().as_ref());
        if let Some(known) = self.remembered.get(&fingerprint) {
            return Ok(known);
        }
        let verified = Arc::new(read_signed(&ring, token.expose())?);
        self.remembered.insert(fingerprint, Arc::clone(&verified));
        Ok(verified)
    }
}

fn read_signed(ring: &Ring, token: &str) -> Result<Verified> {
    let (claims, ends_at) = ring.verify::<Claims>(token, ISSUER)?;
    let role = Role::from_claim(claims.role).ok_or_else(Error::unauthenticated)?;
    let user = claims.sub.parse().map_err(|e: Error| Error::unauthenticated().cause(e))?;
    let verified = Verified {
        caller: Caller { user, role, verified: claims.verified, credential: Credential::Session },
        id: claims.jti,
        issued_at: seconds(claims.iat),
        expires_at: claims.exp.filter(|exp| *exp > 0).map_or(NEVER, seconds),
        purpose: claims.r#type,
        generation: claims.generation,
    };
    // Whoever has got hold of an old key makes nothing with it that outlives the key.
    if ends_at.is_some_and(|ends_at| verified.expires_at > ends_at) && !verified.is_api_key() {
        return Err(Error::unauthenticated());
    }
    Ok(verified)
}

const fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use db::testing::TestDb;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use kernel::Rng;

    use super::*;
    use crate::{
        crypto::{MasterKey, Sealer},
        identity::keys::KeySettings,
    };

    /// What is signed is ours only with our own algorithm: neither without a signature, nor with the public key as the
    /// secret of an HMAC.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_token_with_another_algorithm_is_refused() {
        let db = TestDb::sqlite().await;
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let now = Timestamp::from_micros(1_767_323_045_000_000);
        let rng = Rng::seeded(1);
        let sealer = Arc::new(Sealer::new(&MasterKey::ephemeral().unwrap()).unwrap());
        let keys = Keys::open(&db, &sealer, &rng, KeySettings::default(), Duration::from_secs(60), now);
        let tokens = Tokens::new(keys.await.unwrap(), true);
        let user = UserId::generate(&rng);
        let grant = Grant { user, role: Role::Admin, verified: true, generation: 0, id: None };
        let good = tokens.issue(Purpose::Access, grant, now, Duration::from_secs(60)).unwrap();
        assert_eq!(tokens.read(&good, Purpose::Access, now).unwrap().caller.user, user);

        let parts: Vec<&str> = good.expose().split('.').collect();
        let claims: serde_json::Value =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let public = tokens.public_keys().keys.remove(0);
        let mut forged = Vec::new();
        let x = public.x.unwrap();
        for secret in [x.as_bytes().to_vec(), BASE64_URL_SAFE_NO_PAD.decode(&x).unwrap()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS512] {
                let header = Header { kid: Some(public.kid.clone()), ..Header::new(algorithm) };
                forged.push(
                    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap(),
                );
            }
        }
        let none = serde_json::json!({"alg": "none", "typ": "JWT", "kid": public.kid}).to_string();
        forged.push(format!("{}.{}.", BASE64_URL_SAFE_NO_PAD.encode(none), parts[1]));
        forged.push(format!("{}.{}.", parts[0], parts[1]));
        for token in forged {
            assert!(tokens.read(&Secret::new(token.clone()), Purpose::Access, now).is_err(), "{token}");
        }

        // A key that has been stolen makes nothing that outlives it, once another one signs.
        let old = tokens.signs_with().unwrap();
        let change = tokens.keys().rotation(now).await.unwrap();
        db.write(move |tx| Box::pin(async move { change.apply(tx, now).await })).await.unwrap();
        tokens.read(&good, Purpose::Access, now).unwrap();
        let late =
            tokens.claims(Purpose::Access, grant, now, Some(now.after(Duration::from_secs(61)))).unwrap();
        let stolen = Secret::new(tokens.keys().sign_with(old.as_deref(), &late).unwrap());
        assert!(tokens.read(&stolen, Purpose::Access, now).is_err());
    }
}
