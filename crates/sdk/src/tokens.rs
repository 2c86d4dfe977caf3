//! Logging in (reference 01 §5.4).

use kernel::Secret;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::error::Result;

/// Operations on tokens.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a>(pub(crate) &'a Api);

/// What a login gives.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenPair {
    /// To show with each request; holds an hour.
    pub access_token: Secret<String>,
    /// To get another pair with; holds a day.
    pub refresh_token: Secret<String>,
}

impl Tokens<'_> {
    /// Logs in with a name or an e-mail address.
    pub async fn issue(&self, username: &str, password: &Secret<String>) -> Result<TokenPair> {
        let login = json!({"username": username, "password": password.expose()});
        self.0
            .request(Method::POST, &self.0.remotes().users, "/users/tokens/issue")
            .json(&login)
            .answer()
            .await
    }

    /// Gets another pair for a refresh token.
    pub async fn refresh(&self, refresh_token: &Secret<String>) -> Result<TokenPair> {
        let bearer = Secret::new(format!("Bearer {}", refresh_token.expose()));
        self.0
            .request(Method::POST, &self.0.remotes().users, "/users/tokens/refresh")
            .authorization(&bearer)
            .json(&json!({}))
            .answer()
            .await
    }
}
