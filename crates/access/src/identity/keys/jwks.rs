//! The public keys as other services read them.

use serde::Serialize;

/// A key as other services read it (RFC 7517, 7518, 8037; reference 01 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Jwk {
    /// The key's id, as the header of its tokens names it.
    pub kid: String,
    /// `OKP`, `EC` or `RSA`.
    pub kty: &'static str,
    /// `EdDSA`, `ES256` or `RS256`.
    pub alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// `Ed25519` or `P-256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<&'static str>,
    /// The public key of `OKP`, the first coordinate of `EC`: base64url without padding, as are all below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The second coordinate of `EC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus of `RSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent of `RSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

impl Jwk {
    pub(super) const fn new(kid: String, kty: &'static str, alg: &'static str) -> Self {
        Self { kid, kty, alg, usage: "sig", crv: None, x: None, y: None, n: None, e: None }
    }
}

/// The public keys of this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct KeySet {
    /// The active key first; empty where tokens are signed with a secret.
    pub keys: Vec<Jwk>,
}
