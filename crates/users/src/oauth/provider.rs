//! The other provider, as far as we talk to it.

use std::{fmt, sync::Arc, time::Duration};

use kernel::{Error, Kind, Result, Secret};
use reqwest::{Client, RequestBuilder, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;

use super::challenge::Challenge;

/// The name of the one provider that there is.
pub(super) const GOOGLE: &str = "google";

/// What we ask the provider for.
const SCOPES: &str =
    "https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile";

/// How long the provider may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const ANSWER_MAX_LEN: usize = 64 * 1024;

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Our id at the provider.
    pub client_id: String,
    /// Our secret at the provider.
    pub client_secret: Secret<String>,
    /// Our `/oauth/callback/google`, as the provider knows it.
    pub redirect_url: String,
    /// A state that is the same for all logins, for user interfaces that make the provider's URL themselves.
    pub state: Option<Secret<String>>,
    /// Where the browser logs in.
    pub authorize_url: String,
    /// Where a code is exchanged for a token.
    pub token_url: String,
    /// Where the token gives a profile.
    pub userinfo_url: String,
}

/// A provider; cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    settings: ProviderSettings,
    http: Client,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: Secret<String>,
}

impl Provider {
    /// The provider with these settings. No connection is made before the first login.
    pub fn new(settings: ProviderSettings) -> Result<Self> {
        for url in [&settings.authorize_url, &settings.token_url, &settings.userinfo_url] {
            Url::parse(url).map_err(|error| {
                Error::invalid(format!("`{url}` is not a URL of an OAuth provider")).cause(error)
            })?;
        }
        let http =
            Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build().map_err(Error::internal)?;
        Ok(Self(Arc::new(Inner { settings, http })))
    }

    pub(super) fn name(&self) -> &'static str {
        GOOGLE
    }

    pub(super) fn fixed_state(&self) -> Option<&Secret<String>> {
        self.0.settings.state.as_ref().filter(|state| !state.expose().is_empty())
    }

    /// Where the browser logs in.
    pub(super) fn authorize_url(&self, challenge: &Challenge) -> Result<String> {
        let settings = &self.0.settings;
        let query = [
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", settings.redirect_url.as_str()),
            ("response_type", "code"),
            ("scope", SCOPES),
            ("state", challenge.nonce.expose().as_str()),
            ("code_challenge", &challenge.code_challenge()),
            ("code_challenge_method", "S256"),
        ];
        let url = Url::parse_with_params(&settings.authorize_url, query).map_err(Error::internal)?;
        Ok(url.into())
    }

    /// Exchanges a code, and gives the profile of who has logged in.
    pub(super) async fn profile(
        &self,
        code: &Secret<String>,
        verifier: Option<&Secret<String>>,
    ) -> Result<Value> {
        let (settings, http) = (&self.0.settings, &self.0.http);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("redirect_uri", settings.redirect_url.as_str()),
            ("client_id", settings.client_id.as_str()),
            ("client_secret", settings.client_secret.expose().as_str()),
        ];
        if let Some(verifier) = verifier {
            form.push(("code_verifier", verifier.expose().as_str()));
        }
        let token: Token = answer(http.post(&settings.token_url).form(&form)).await?;
        answer(http.get(&settings.userinfo_url).bearer_auth(token.access_token.expose())).await
    }
}

/// The words by which providers say no (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
const REFUSALS: [&str; 12] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
    "admin_policy_enforced",
];

/// The error for a word by which the provider has sent the browser back. A word that is not known is not repeated:
/// anybody can write an address.
pub(super) fn refusal(word: &str) -> Error {
    match REFUSALS.into_iter().find(|known| *known == word) {
        Some(known) => Error::new(Kind::Denied, known),
        None => Error::new(Kind::Denied, "the oauth provider refused the login"),
    }
}

/// The JSON of an answer of bounded length. Errors say what went wrong, not what was said: that may hold a token.
async fn answer<T: serde::de::DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let refused = |cause: String| {
        Error::unprocessable("the oauth provider did not accept the login, try again").cause(cause)
    };
    let away = |error: reqwest::Error| Error::unavailable(error.without_url());
    let mut response = request.send().await.map_err(away)?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(format!("the provider answered with status {status}")));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX_LEN {
            return Err(refused("the provider's answer is too long".to_owned()));
        }
    }
    serde_json::from_slice(&body)
        .map_err(|_| refused("the provider's answer is not the JSON that was expected".to_owned()))
}
