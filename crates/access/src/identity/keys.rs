//! The keys that sign tokens: Ed25519, one active, others that only verify until their tokens have expired.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use db::{Db, Tx, params};
use jsonwebtoken::{DecodingKey, EncodingKey};
use kernel::{Clock, Error, Result, Rng, Timestamp};
use serde::Serialize;

use crate::crypto::Sealer;

/// One key pair.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    public: Vec<u8>,
}

/// The keys of this installation, the active one first.
#[derive(Clone)]
pub struct Keys(Arc<ArcSwap<Vec<SigningKey>>>);

/// A key as other services read it (RFC 7517, RFC 8037; reference 01 §2.3).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Jwk {
    /// The key's id, as the header of its tokens names it.
    pub kid: String,
    /// `OKP`.
    pub kty: &'static str,
    /// `EdDSA`.
    pub alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// The public key, base64url without padding.
    pub x: String,
}

/// The public keys of this installation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeySet {
    /// The active key first.
    pub keys: Vec<Jwk>,
}

impl Keys {
    /// Reads the keys; makes the first one where there is none.
    pub(crate) async fn load(db: &Db, sealer: &Arc<Sealer>, clock: &Clock, rng: &Rng) -> Result<Self> {
        let (sealer, now, kid) = (Arc::clone(sealer), clock.now(), rng.uuid().to_string());
        let unsealer = Arc::clone(&sealer);
        let made = db
            .write(move |tx| {
                Box::pin(async move {
                    let keys = select(tx, &sealer).await?;
                    if keys.is_empty() {
                        make(tx, &sealer, &kid, now).await?;
                        return select(tx, &sealer).await;
                    }
                    Ok(keys)
                })
            })
            .await;
        let keys = match made {
            // Another node was first.
            Err(error) if db::violated(&error).is_some() => {
                db.read(move |tx| Box::pin(async move { select(tx, &unsealer).await })).await?
            }
            keys => keys?,
        };
        Ok(Self(Arc::new(ArcSwap::from_pointee(keys))))
    }

    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Result<String> {
        let keys = self.0.load();
        let active = keys.first().ok_or_else(|| Error::internal("there is no active signing key"))?;
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = Some(active.kid.clone());
        jsonwebtoken::encode(&header, claims, &active.encoding).map_err(Error::internal)
    }

    pub(super) fn with_key<T>(&self, kid: &str, verify: impl FnOnce(&DecodingKey) -> Result<T>) -> Result<T> {
        let keys = self.0.load();
        let key = keys.iter().find(|key| key.kid == kid).ok_or_else(Error::unauthenticated)?;
        verify(&key.decoding)
    }

    /// The public halves, for whoever verifies tokens elsewhere.
    pub fn public(&self) -> KeySet {
        let jwk = |key: &SigningKey| Jwk {
            kid: key.kid.clone(),
            kty: "OKP",
            alg: "EdDSA",
            usage: "sig",
            crv: "Ed25519",
            x: BASE64_URL_SAFE_NO_PAD.encode(&key.public),
        };
        KeySet { keys: self.0.load().iter().map(jwk).collect() }
    }
}

fn context(kid: &str) -> String {
    format!("signing_key:{kid}")
}

async fn make(tx: &mut Tx, sealer: &Sealer, kid: &str, now: Timestamp) -> Result<()> {
    let pair = Ed25519KeyPair::generate().map_err(|_| Error::internal("no key could be generated"))?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| Error::internal("a key could not be encoded"))?;
    let sealed = sealer.seal(&context(kid), pkcs8.as_ref())?;
    tx.execute(
        "INSERT INTO signing_keys (kid, algorithm, sealed, active, created_at) VALUES ($1, 'EdDSA', $2, 1, $3)",
        params![kid, sealed, now],
    )
    .await?;
    Ok(())
}

async fn select(tx: &mut Tx, sealer: &Sealer) -> Result<Vec<SigningKey>> {
    let rows = tx
        .all("SELECT kid, sealed FROM signing_keys ORDER BY active DESC, created_at DESC, kid", params![])
        .await?;
    rows.iter()
        .map(|row| {
            let kid: String = row.get("kid")?;
            let pkcs8 = sealer.open(&context(&kid), &row.get::<Vec<u8>>("sealed")?).map_err(|error| {
                Error::unprocessable(
                    "this database was made with another master key; give that one with `master_key`, or copy \
                     `master.key` from the data directory of the node that made it",
                )
                .cause(error)
            })?;
            let pair = Ed25519KeyPair::from_pkcs8(&pkcs8)
                .map_err(|_| Error::internal(format!("the signing key `{kid}` is damaged")))?;
            let public = pair.public_key().as_ref().to_vec();
            Ok(SigningKey {
                encoding: EncodingKey::from_ed_der(&pkcs8),
                decoding: DecodingKey::from_ed_der(&public),
                public,
                kid,
            })
        })
        .collect()
}
