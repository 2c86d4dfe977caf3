//! API keys: tokens that programs show for their owner (reference 01 §3).

use kernel::{Secret, Timestamp};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::api::{Api, Request};
use crate::error::Result;

/// The `type` of an API key; other tokens have other numbers.
const API_KEY: u8 = 3;

/// Operations on API keys.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a>(pub(crate) &'a Api);

/// A key as it is issued; its value is shown this once.
#[derive(Clone, Debug, Deserialize)]
pub struct NewKey {
    /// Its id, where the platform tells it.
    #[serde(default)]
    pub id: Option<String>,
    /// The token.
    pub value: Secret<String>,
    /// When it expires.
    #[serde(default, with = "kernel::time::or_never")]
    pub expires_at: Option<Timestamp>,
}

/// A key as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Whose it is.
    #[serde(default)]
    pub subject: String,
    /// When it was issued.
    #[serde(default, with = "kernel::time::or_never")]
    pub issued_at: Option<Timestamp>,
    /// When it expires.
    #[serde(default, with = "kernel::time::or_never")]
    pub expires_at: Option<Timestamp>,
}

/// The public keys that verify tokens, the one that signs first.
#[derive(Clone, Debug, Deserialize)]
pub struct SigningKeys {
    /// They.
    pub keys: Vec<SigningKey>,
}

/// A key that verifies tokens.
#[derive(Clone, Debug, Deserialize)]
pub struct SigningKey {
    /// Its id.
    pub kid: String,
    /// How it signs: `EdDSA`, `ES256` or `RS256`.
    pub alg: String,
}

impl Keys<'_> {
    /// Issues a key that is good for so many seconds; 0 until it is revoked.
    pub async fn issue(&self, seconds: u64) -> Result<NewKey> {
        self.request(Method::POST, "").json(&json!({"type": API_KEY, "duration": seconds})).answer().await
    }

    /// Views one of the caller's.
    pub async fn view(&self, id: &str) -> Result<Key> {
        self.request(Method::GET, &format!("/{id}")).answer().await
    }

    /// Ends one of the caller's.
    pub async fn revoke(&self, id: &str) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}")).done().await
    }

    /// Lets another key sign tokens; for administrators of the platform. Gives the public keys, the new one first.
    pub async fn rotate(&self) -> Result<SigningKeys> {
        self.request(Method::POST, "/rotate").answer().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        self.0.request(method, &self.0.remotes().auth, &format!("/keys{below}"))
    }
}
