//! One key: what it signs with, what verifies that, and how others read it.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kernel::{Error, Result, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::jwks::Jwk;

/// How tokens are signed (reference 01 §2.3; ES256 and RS256 are our own).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA PKCS#1 with SHA-256.
    Rs256,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl SigningAlgorithm {
    /// The name in the header of tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// Whether whoever verifies can also sign.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    const fn jwt(self) -> Algorithm {
        match self {
            Self::EdDsa => Algorithm::EdDSA,
            Self::Es256 => Algorithm::ES256,
            Self::Rs256 => Algorithm::RS256,
            Self::Hs256 => Algorithm::HS256,
            Self::Hs384 => Algorithm::HS384,
            Self::Hs512 => Algorithm::HS512,
        }
    }
}

/// Where a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// In the settings: a secret.
    Setting,
    /// In a file of the operator's.
    File,
    /// In the database, sealed.
    Database,
}

/// One key.
///
/// INVARIANT: it verifies its own algorithm and no other, so that no public key is taken for a secret.
pub(super) struct SigningKey {
    /// None for a secret: its tokens name no key.
    pub(super) kid: Option<String>,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) kept: Kept,
    /// From when on it verifies API keys only; none while nobody has set an end.
    pub(super) ends_at: Option<Timestamp>,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Public,
}

/// The public half.
enum Public {
    Ed {
        x: Vec<u8>,
    },
    Ec {
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// There is none: never shown.
    Secret,
}

impl SigningKey {
    /// A secret.
    pub(super) fn secret(algorithm: SigningAlgorithm, secret: &[u8]) -> Self {
        Self {
            kid: None,
            algorithm,
            kept: Kept::Setting,
            ends_at: None,
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            public: Public::Secret,
        }
    }

    /// A private key in PKCS#8, which says itself of what kind it is. None where it is none of ours or damaged.
    pub(super) fn pkcs8(kid: &str, pkcs8: &[u8], kept: Kept) -> Option<Self> {
        let (algorithm, encoding, decoding, public) =
            ed25519(pkcs8).or_else(|| p256(pkcs8)).or_else(|| rsa(pkcs8))?;
        Some(Self { kid: Some(kid.to_owned()), algorithm, kept, ends_at: None, encoding, decoding, public })
    }

    /// Signs claims.
    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Result<String> {
        let header = Header { kid: self.kid.clone(), ..Header::new(self.algorithm.jwt()) };
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(Error::internal)
    }

    /// The claims of a token by `issuer` that this key has signed. Whoever calls this checks times, against our clock.
    pub(super) fn verify<T: DeserializeOwned>(&self, token: &str, issuer: &str) -> Result<T> {
        let mut rules = Validation::new(self.algorithm.jwt());
        rules.set_issuer(&[issuer]);
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["iss", "sub"]);
        rules.validate_aud = false;
        let verified = jsonwebtoken::decode(token, &self.decoding, &rules);
        verified.map(|token| token.claims).map_err(|error| Error::unauthenticated().cause(error))
    }

    /// As others read it; none for a secret.
    pub(super) fn jwk(&self) -> Option<Jwk> {
        let encoded = |bytes: &Vec<u8>| Some(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let jwk = |kty| Jwk::new(self.kid.clone().unwrap_or_default(), kty, self.algorithm.name());
        match &self.public {
            Public::Ed { x } => Some(Jwk { crv: Some("Ed25519"), x: encoded(x), ..jwk("OKP") }),
            Public::Ec { x, y } => {
                Some(Jwk { crv: Some("P-256"), x: encoded(x), y: encoded(y), ..jwk("EC") })
            }
            Public::Rsa { n, e } => Some(Jwk { n: encoded(n), e: encoded(e), ..jwk("RSA") }),
            Public::Secret => None,
        }
    }
}

/// Nothing of the key itself.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {})", self.kid, self.algorithm.name())
    }
}

/// A new private key in PKCS#8. RSA takes a good part of a second.
pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |_| Error::internal("no key could be generated");
    let pkcs8 = match algorithm {
        SigningAlgorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        SigningAlgorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).map_err(failed)?;
            pair.as_der().map_err(failed)?.as_ref().to_vec()
        }
        SigningAlgorithm::Hs256 | SigningAlgorithm::Hs384 | SigningAlgorithm::Hs512 => {
            return Err(Error::internal("secrets are given, not generated"));
        }
    };
    Ok(Zeroizing::new(pkcs8))
}

/// An Ed25519 key in 64 bytes, seed and public half, as PKCS#8 (reference 01 §2.3).
pub(super) fn from_raw(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (seed, public) = bytes.split_at_checked(32)?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
    Some(Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()))
}

type Parts = (SigningAlgorithm, EncodingKey, DecodingKey, Public);

fn ed25519(pkcs8: &[u8]) -> Option<Parts> {
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
    let x = pair.public_key().as_ref().to_vec();
    let decoding = DecodingKey::from_ed_der(&x);
    Some((SigningAlgorithm::EdDsa, EncodingKey::from_ed_der(pkcs8), decoding, Public::Ed { x }))
}

fn p256(pkcs8: &[u8]) -> Option<Parts> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
    // Uncompressed: a byte 4, then both coordinates (SEC 1 §2.3.3).
    let point = pair.public_key().as_ref();
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    let (decoding, public) = (DecodingKey::from_ec_der(point), Public::Ec { x: x.to_vec(), y: y.to_vec() });
    Some((SigningAlgorithm::Es256, EncodingKey::from_ec_der(pkcs8), decoding, public))
}

fn rsa(pkcs8: &[u8]) -> Option<Parts> {
    let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
    let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
    let e = pair.public_key().exponent().big_endian_without_leading_zero().to_vec();
    // The library takes PKCS#8 of RSA as PEM only.
    let body = Zeroizing::new(BASE64_STANDARD.encode(pkcs8));
    let pem = Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body));
    let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).ok()?;
    let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
    Some((SigningAlgorithm::Rs256, encoding, decoding, Public::Rsa { n, e }))
}
