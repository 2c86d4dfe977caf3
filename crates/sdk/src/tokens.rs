//! Logging in (reference 01 §5.4).

use kernel::Secret;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::api::{Api, Request};
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

/// A login that can still be refreshed.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// Its id, by which it can be ended.
    pub id: String,
    /// What was said about it at the login.
    #[serde(default)]
    pub description: String,
}

impl Tokens<'_> {
    /// Logs in with a name or an e-mail address.
    pub async fn issue(&self, username: &str, password: &Secret<String>) -> Result<TokenPair> {
        let login = json!({"username": username, "password": password.expose()});
        self.request(Method::POST, "/issue").json(&login).answer().await
    }

    /// Logs in, and says what for; the list of sessions shows it.
    pub async fn issue_for(
        &self,
        username: &str,
        password: &Secret<String>,
        description: &str,
    ) -> Result<TokenPair> {
        let login = json!({"username": username, "password": password.expose(), "description": description});
        self.request(Method::POST, "/issue").json(&login).answer().await
    }

    /// Gets another pair for a refresh token.
    pub async fn refresh(&self, refresh_token: &Secret<String>) -> Result<TokenPair> {
        let bearer = Secret::new(format!("Bearer {}", refresh_token.expose()));
        self.request(Method::POST, "/refresh").authorization(&bearer).json(&json!({})).answer().await
    }

    /// The caller's logins.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        self.request(Method::GET, "/refresh-tokens").member("refresh_tokens").await
    }

    /// Ends one of the caller's logins; its access token holds until it expires.
    pub async fn revoke(&self, session: &str) -> Result<()> {
        self.request(Method::POST, "/revoke").json(&json!({"token_id": session})).done().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        self.0.request(method, &self.0.remotes().users, &format!("/users/tokens{below}"))
    }
}
