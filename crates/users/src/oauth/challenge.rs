//! What binds a login to the browser that started it: a state, and the secret of its code (PKCE, RFC 7636).

use std::time::Duration;

use access::{Access, crypto};
use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use kernel::{Error, Result, Secret, Timestamp};
use serde::Deserialize;

/// How long somebody may take to log in at the provider.
pub(crate) const LIFE: Duration = Duration::from_secs(600);

/// What the cookie is sealed for.
const CONTEXT: &str = "oauth_challenge";

/// The longest cookie that is looked at.
const COOKIE_MAX_LEN: usize = 1024;

/// One login on its way.
pub(crate) struct Challenge {
    /// The state in the provider's URL.
    pub(crate) nonce: Secret<String>,
    /// The secret that the code is exchanged with.
    pub(crate) verifier: Secret<String>,
    pub(crate) expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Stored {
    nonce: Secret<String>,
    verifier: Secret<String>,
    expires_at: i64,
}

impl Challenge {
    pub(crate) fn new(now: Timestamp) -> Result<Self> {
        let fresh = || Ok::<_, Error>(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(crypto::random::<32>()?)));
        Ok(Self { nonce: fresh()?, verifier: fresh()?, expires_at: now.after(LIFE) })
    }

    /// The digest of the verifier, which the provider compares (`S256`).
    pub(crate) fn code_challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.expose().as_bytes()))
    }

    /// The value of the cookie.
    pub(crate) fn seal(&self, access: &Access) -> Result<String> {
        let json = serde_json::json!({
            "nonce": self.nonce.expose(),
            "verifier": self.verifier.expose(),
            "expires_at": self.expires_at.micros(),
        });
        Ok(BASE64_URL_SAFE_NO_PAD.encode(access.sealer().seal(CONTEXT, json.to_string().as_bytes())?))
    }

    /// From the value of the cookie; fails where it is not ours or has expired.
    pub(crate) fn open(access: &Access, cookie: &str, now: Timestamp) -> Result<Self> {
        if cookie.len() > COOKIE_MAX_LEN {
            return Err(Error::invalid("the cookie is too long"));
        }
        let sealed =
            BASE64_URL_SAFE_NO_PAD.decode(cookie).map_err(|e| Error::invalid("not base64").cause(e))?;
        let json = access.sealer().open(CONTEXT, &sealed)?;
        let stored: Stored = serde_json::from_slice(&json).map_err(Error::internal)?;
        let expires_at = Timestamp::from_micros(stored.expires_at);
        if expires_at <= now {
            return Err(Error::invalid("the login took too long"));
        }
        Ok(Self { nonce: stored.nonce, verifier: stored.verifier, expires_at })
    }
}
