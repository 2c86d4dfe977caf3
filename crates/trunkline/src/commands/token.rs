//! The stored login's token, renewed before it is too old.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Clock, Secret, Timestamp};
use sdk::{Api, TokenPair};
use serde::Deserialize;

use super::store::{Login, Store};

/// A token is renewed this long before its end, so that it does not expire on the way.
const MARGIN: Duration = Duration::from_secs(60);

/// What the platform says in a token; only it can tell whether that is true.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    iat: u64,
    exp: u64,
    jti: String,
}

/// The access token of the login at `url`, if there is one. An old one is exchanged first.
pub(crate) async fn stored(api: &Api, url: &str) -> anyhow::Result<Option<Secret<String>>> {
    // Without a home there is no login.
    let Ok(store) = Store::of_user() else { return Ok(None) };
    let Some(login) = store.read()?.platforms.remove(url) else { return Ok(None) };
    if login.renew_at > Clock::system().now() {
        return Ok(Some(login.access_token));
    }
    renewed(&store, api, url).await.map(Some)
}

/// Exchanges the refresh token. Under the lock, with a second look: another command may have done it meanwhile.
async fn renewed(store: &Store, api: &Api, url: &str) -> anyhow::Result<Secret<String>> {
    let _lock = store.lock()?;
    let mut logins = store.read()?;
    let Some(login) = logins.platforms.get_mut(url) else { anyhow::bail!("you have just logged out") };
    if login.renew_at <= Clock::system().now() {
        let pair = api.tokens().refresh(&login.refresh_token).await?;
        login.take(pair);
    }
    let token = login.access_token.clone();
    store.write(&logins)?;
    Ok(token)
}

impl Login {
    /// A fresh login.
    pub(crate) fn new(username: &str, pair: TokenPair) -> Self {
        Self {
            username: username.to_owned(),
            renew_at: renew_at(&pair.access_token),
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            domain: None,
        }
    }

    fn take(&mut self, pair: TokenPair) {
        self.renew_at = renew_at(&pair.access_token);
        self.access_token = pair.access_token;
        self.refresh_token = pair.refresh_token;
    }

    /// The id of the session, by which it can be ended.
    pub(crate) fn session(&self) -> Option<String> {
        Some(claims(&self.refresh_token)?.jti).filter(|id| !id.is_empty())
    }
}

/// When to renew a token that has just come, by our clock: the platform's may go differently. What says nothing about its
/// life is renewed each time.
fn renew_at(token: &Secret<String>) -> Timestamp {
    let life = claims(token).map_or(0, |claims| claims.exp.saturating_sub(claims.iat));
    Clock::system().now().after(Duration::from_secs(life).saturating_sub(MARGIN))
}

fn claims(token: &Secret<String>) -> Option<Claims> {
    let payload = token.expose().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> Secret<String> {
        Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn a_token_is_renewed_a_minute_before_its_end_by_the_clock_of_this_machine() {
        let before = Clock::system().now();
        let at = renew_at(&token(r#"{"iat":1000,"exp":4600}"#));
        assert!(at >= before.after(Duration::from_secs(3540)), "{at}");
        assert!(at <= Clock::system().now().after(Duration::from_secs(3540)), "{at}");
    }

    #[test]
    fn what_says_nothing_about_its_life_is_renewed_each_time() {
        for odd in [token("{}"), token("x"), Secret::new("pat".to_owned())] {
            assert!(renew_at(&odd) <= Clock::system().now());
        }
    }

    #[test]
    fn the_session_is_named_by_the_refresh_token() {
        let pair = TokenPair { access_token: token("{}"), refresh_token: token(r#"{"jti":"s-1"}"#) };
        assert_eq!(Login::new("olga", pair).session().as_deref(), Some("s-1"));
    }
}
