//! Tokens of OpenID Connect issuers: whose they are, as long as they hold (reference 08 §4.3).
//!
//! A token names its issuer, and only the keys of that issuer can verify it, each only for the algorithms that it is for.
//! A token that was verified is remembered by its hash until its issuer's keys change, and so is one that can never hold.

mod jwks;
mod keys;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation};
use kernel::{Clock, Error, Result, Timestamp};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{Subject, claims::ClaimOptions, identity::Principal};
use jwks::{Jwks, Source};
use keys::KeySet;

/// What is accepted from which issuers.
#[derive(Debug, Clone)]
pub struct OidcOptions {
    /// The issuers, as their tokens spell them. Two names of one issuer share `jwks_uri`.
    pub issuers: Vec<String>,
    /// Where the keys of all of them are; otherwise each says so itself.
    pub jwks_uri: Option<String>,
    /// Audiences, one of which a token must have; none: any.
    pub audiences: Vec<String>,
    /// How a token may be signed.
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// How long keys are used before they are asked for again.
    pub jwks_ttl: Duration,
    /// How many verified tokens are remembered, and as many refused ones.
    pub remembered: usize,
    /// What claims mean.
    pub claims: ClaimOptions,
}

impl Default for OidcOptions {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            jwks_uri: None,
            audiences: Vec::new(),
            algorithms: vec![Algorithm::RS256],
            leeway: Duration::from_secs(30),
            jwks_ttl: Duration::from_secs(3600),
            remembered: 10_000,
            claims: ClaimOptions::default(),
        }
    }
}

/// Why a token is not taken. The client learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It does not hold.
    Invalid(&'static str),
    /// Nobody can say at the moment: the keys of its issuer are out of reach.
    Unavailable,
}

/// The issuers and what is known of their tokens.
#[derive(Debug)]
pub struct Issuers {
    options: OidcOptions,
    sources: Vec<(String, Arc<Jwks>)>,
    remembered: Cache<[u8; 32], Arc<Remembered>>,
    refused: Cache<[u8; 32], Refusal>,
    clock: Clock,
}

/// A token that was verified.
#[derive(Debug)]
struct Remembered {
    principal: Arc<Principal>,
    basis: Basis,
    not_before: Timestamp,
}

/// What a verdict rests on.
#[derive(Debug, Clone)]
struct Basis {
    issuer: usize,
    /// The keys of the issuer when it was passed.
    keys: Arc<KeySet>,
}

/// A token that will not hold, whatever the time.
#[derive(Debug, Clone)]
struct Refusal {
    why: &'static str,
    /// None: whatever the keys, too.
    basis: Option<Basis>,
}

/// Why a token is not verified.
enum Unverified {
    /// It never will be, with these keys or with any.
    Ever(&'static str, Option<Basis>),
    /// It is not at the moment.
    Now(Refused),
}

/// A token that somebody shows.
pub(crate) struct Presented<'a> {
    token: &'a str,
    hash: [u8; 32],
}

impl<'a> Presented<'a> {
    pub(crate) fn new(token: &'a str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self { token, hash }
    }
}

impl Issuers {
    /// Prepares the issuers; nothing is asked of them yet.
    pub fn new(options: OidcOptions, clock: Clock) -> Result<Self> {
        if let Some(wrong) = options.algorithms.iter().find(|algorithm| is_symmetric(**algorithm)) {
            return Err(Error::invalid(format!(
                "the algorithm {wrong:?} signs with a secret and cannot be used with public keys"
            )));
        }
        // Redirects would let an issuer send us anywhere; the keys must come from the address that was configured.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::internal)?;
        let jwks = |source| Jwks::new(source, client.clone(), clock.clone(), options.jwks_ttl);
        let shared = options.jwks_uri.clone().map(|uri| jwks(Source::At(uri)));
        let source = |issuer: &String| {
            let own = || jwks(Source::Discovered(issuer.clone()));
            (issuer.clone(), shared.clone().unwrap_or_else(own))
        };
        let sources = options.issuers.iter().map(source).collect();
        let (remembered, refused) = (Cache::new(options.remembered), Cache::new(options.remembered));
        Ok(Self { options, sources, remembered, refused, clock })
    }

    /// Fetches the keys, and goes on until there are some.
    pub fn start(&self, shutdown: &CancellationToken) {
        for (_, jwks) in &self.sources {
            let (jwks, stop) = (Arc::clone(jwks), shutdown.clone());
            tokio::spawn(async move { stop.run_until_cancelled(jwks.prefetch()).await });
        }
    }

    /// Whether the tokens of at least one issuer can be verified.
    pub fn is_ready(&self) -> bool {
        self.sources.iter().any(|(_, jwks)| !jwks.known().keys.is_empty())
    }

    /// Whether a token claims to be from one of the issuers; nothing is verified.
    pub fn may_have_issued(&self, token: &str) -> bool {
        self.issuer_of(token).is_some()
    }

    fn issuer_of(&self, token: &str) -> Option<usize> {
        let claims: Map<String, Value> = part(token, 1)?;
        let named = claims.get("iss")?.as_str()?;
        self.sources.iter().position(|(issuer, _)| issuer == named)
    }

    /// What is known of a token without looking at it: whose it is if it still holds, or that it was refused.
    pub(crate) fn known(
        &self,
        presented: &Presented<'_>,
    ) -> Option<std::result::Result<Arc<Principal>, Refused>> {
        let is_current = |basis: &Basis| {
            let source = self.sources.get(basis.issuer);
            source.is_some_and(|(_, jwks)| Arc::ptr_eq(&jwks.known().keys, &basis.keys))
        };
        if let Some(known) = self.remembered.get(&presented.hash).filter(|known| is_current(&known.basis)) {
            return Some(self.timely(&known, self.clock.now()));
        }
        let refusal = self.refused.get(&presented.hash)?;
        refusal.basis.as_ref().is_none_or(is_current).then_some(Err(Refused::Invalid(refusal.why)))
    }

    /// Whose token this is, if it holds now.
    pub(crate) async fn look_at(
        &self,
        presented: &Presented<'_>,
    ) -> std::result::Result<Arc<Principal>, Refused> {
        match self.verify(presented.token).await {
            Ok(verified) => {
                let verified = Arc::new(verified);
                self.remembered.insert(presented.hash, Arc::clone(&verified));
                self.timely(&verified, self.clock.now())
            }
            Err(Unverified::Ever(why, basis)) => {
                self.refused.insert(presented.hash, Refusal { why, basis });
                Err(Refused::Invalid(why))
            }
            Err(Unverified::Now(refused)) => Err(refused),
        }
    }

    fn timely(&self, token: &Remembered, now: Timestamp) -> std::result::Result<Arc<Principal>, Refused> {
        if now >= token.principal.expires_at {
            return Err(Refused::Invalid("it has expired"));
        }
        if now.after(self.options.leeway) < token.not_before {
            return Err(Refused::Invalid("it is not valid yet"));
        }
        Ok(Arc::clone(&token.principal))
    }

    async fn verify(&self, token: &str) -> std::result::Result<Remembered, Unverified> {
        let ever = |why| Unverified::Ever(why, None);
        let header = jsonwebtoken::decode_header(token).map_err(|_| ever("its header cannot be read"))?;
        if header.crit.is_some() {
            return Err(ever("its header asks for an extension"));
        }
        if is_symmetric(header.alg) || !self.options.algorithms.contains(&header.alg) {
            return Err(ever("its algorithm is not accepted"));
        }
        let issuer = self.issuer_of(token).ok_or(ever("its issuer is unknown"))?;
        let (name, jwks) = self.sources.get(issuer).ok_or(ever("its issuer is unknown"))?;
        let kid = header.kid.as_deref();
        let mut loaded = jwks.known();
        if loaded.keys.find(kid, header.alg).is_none() {
            loaded = jwks.asked_anew().await;
        }
        let Some(key) = loaded.keys.find(kid, header.alg) else {
            let known = loaded.is_current && !loaded.keys.is_empty();
            // The key may come.
            let refused = if known { Refused::Invalid("its key is unknown") } else { Refused::Unavailable };
            return Err(Unverified::Now(refused));
        };
        let basis = Basis { issuer, keys: Arc::clone(&loaded.keys) };
        let mut validation = Validation::new(header.alg);
        // Times and audience are looked at below, by our clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = match jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation) {
            Ok(decoded) => decoded.claims,
            Err(_) => return Err(Unverified::Ever("its signature does not hold", Some(basis))),
        };
        let (subject, expires_at, not_before) = match self.read(name, &claims) {
            Ok(read) => read,
            Err(why) => return Err(Unverified::Ever(why, Some(basis))),
        };
        let expires_at = expires_at.after(self.options.leeway);
        let token_id = claims.get("jti").and_then(Value::as_str).map(str::to_owned);
        let principal = Principal::new(subject, expires_at).with_token_id(token_id);
        Ok(Remembered { principal: Arc::new(principal), basis, not_before })
    }

    /// What the claims say, if they say all that they must.
    fn read(
        &self,
        issuer: &str,
        claims: &Map<String, Value>,
    ) -> std::result::Result<(Subject, Timestamp, Timestamp), &'static str> {
        if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err("its issuer is unknown");
        }
        let audiences = &self.options.audiences;
        let names =
            |value: &Value| value.as_str().is_some_and(|one| audiences.iter().any(|known| known == one));
        let fits = match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(names),
            Some(one) => names(one),
            None => false,
        };
        if !audiences.is_empty() && !fits {
            return Err("it is for another audience");
        }
        let expires_at = time(claims, "exp")?.ok_or("it does not say when it expires")?;
        let start = Timestamp::from_micros(i64::MIN);
        // Issued in the future is not valid yet, either.
        let not_before = time(claims, "nbf")?.unwrap_or(start).max(time(claims, "iat")?.unwrap_or(start));
        let subject = self.options.claims.subject(claims).ok_or("it does not say whose it is")?;
        Ok((subject, expires_at, not_before))
    }
}

const fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// A time in seconds, possibly with a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> std::result::Result<Option<Timestamp>, &'static str> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a second is cut, and a float beyond is held at the end"
    )]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
    let seconds = seconds.ok_or("one of its times is no number")?;
    Ok(Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000))))
}

/// One of the three parts of a token as JSON, without verification.
fn part(token: &str, place: usize) -> Option<Map<String, Value>> {
    let encoded = token.split('.').nth(place)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// The longest header of what is taken for a token, encoded.
const HEADER_MAX: usize = 4096;

/// Whether a text has the form of a token: three parts in the alphabet of URLs, of which the first says how it is signed.
/// Names may have dots, too (`plant.line.sensor`).
pub(crate) fn looks_like_token(text: &str) -> bool {
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = 0;
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(in_alphabet) || (parts == 0 && part.len() > HEADER_MAX) {
            return false;
        }
        parts += 1;
    }
    parts == 3 && part(text, 0).is_some_and(|header| header.contains_key("alg"))
}
