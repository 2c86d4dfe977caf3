//! Where an issuer's keys come from, and how often they are asked for (reference 08 §4.3).
//!
//! A fetch happens at most once at a time. Keys that are known go on working while the issuer is away; a key that is not
//! known is asked for at most every thirty seconds, whoever may cause it. Nobody waits longer than a moment: a broker
//! stands still while it waits for us.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use kernel::{Clock, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::keys::KeySet;

/// How often a stranger can make us ask.
const GUARD: Duration = Duration::from_secs(30);
/// How often we ask by ourselves while there are no keys.
const RETRY: Duration = Duration::from_secs(2);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// As much of an answer is read.
const MAX_ANSWER: usize = 1 << 20;

/// Where the keys are.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// At this address.
    At(String),
    /// Where the issuer's discovery document says, else where Keycloak has them.
    Discovered(String),
}

/// The keys of one source.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Source,
    client: Client,
    clock: Clock,
    ttl: Duration,
    loaded: ArcSwap<Loaded>,
    fetching: Mutex<()>,
}

/// What the last fetches have brought.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    /// The keys of the last fetch that succeeded.
    pub(super) keys: Arc<KeySet>,
    text: Arc<[u8]>,
    asked: Option<Timestamp>,
    /// Whether the last fetch succeeded.
    pub(super) is_current: bool,
}

impl Jwks {
    pub(super) fn new(source: Source, client: Client, clock: Clock, ttl: Duration) -> Arc<Self> {
        let nothing = Loaded { keys: Arc::default(), text: Arc::default(), asked: None, is_current: false };
        Arc::new(Self {
            source,
            client,
            clock,
            ttl,
            loaded: ArcSwap::from_pointee(nothing),
            fetching: Mutex::new(()),
        })
    }

    /// What is known; asks anew behind the caller's back when it is old.
    pub(super) fn known(self: &Arc<Self>) -> Arc<Loaded> {
        let loaded = self.loaded.load_full();
        let wait = if loaded.is_current { self.ttl } else { GUARD };
        let is_old = loaded.asked.is_none_or(|asked| self.clock.now().since(asked) >= wait);
        if is_old && self.fetching.try_lock().is_ok() {
            let jwks = Arc::clone(self);
            tokio::spawn(async move { jwks.refresh(wait).await });
        }
        loaded
    }

    /// What is known after asking for a key that is not; at most once in a while, and not for longer than a moment.
    pub(super) async fn asked_anew(self: &Arc<Self>) -> Arc<Loaded> {
        let jwks = Arc::clone(self);
        // Goes on when the caller gives up.
        let fetch = tokio::spawn(async move { jwks.refresh(GUARD).await });
        let _ = tokio::time::timeout(PATIENCE, fetch).await;
        self.loaded.load_full()
    }

    /// Asks until there are keys.
    pub(super) async fn prefetch(self: Arc<Self>) {
        loop {
            self.refresh(RETRY).await;
            if !self.loaded.load().keys.is_empty() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Asks, unless somebody has within `guard`.
    async fn refresh(&self, guard: Duration) {
        let _turn = self.fetching.lock().await;
        let before = self.loaded.load_full();
        if before.asked.is_some_and(|asked| self.clock.now().since(asked) < guard) {
            return;
        }
        let fetched = self.fetch().await;
        let asked = Some(self.clock.now());
        let after = match fetched {
            // Nothing has changed: tokens that were verified stay so.
            Ok(text) if *text == *before.text => Loaded { asked, is_current: true, ..(*before).clone() },
            Ok(text) => match KeySet::read(&text) {
                Ok(keys) => Loaded { keys: Arc::new(keys), text: text.into(), asked, is_current: true },
                Err(error) => self.failed(&before, asked, &error.to_string()),
            },
            Err(error) => self.failed(&before, asked, &error),
        };
        self.loaded.store(Arc::new(after));
    }

    fn failed(&self, before: &Loaded, asked: Option<Timestamp>, error: &str) -> Loaded {
        tracing::warn!(source = ?self.source, error, "the keys of an issuer cannot be fetched; those that are known stay");
        Loaded { asked, is_current: false, ..before.clone() }
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        match &self.source {
            Source::At(url) => self.get(url).await,
            Source::Discovered(issuer) => {
                let base = issuer.trim_end_matches('/');
                match self.get(&format!("{base}/.well-known/openid-configuration")).await {
                    Ok(document) => self.get(&discovered(&document, issuer)?).await,
                    // Keycloak's own place, where discovery is switched off or hidden by a proxy.
                    Err(_) => self.get(&format!("{base}/protocol/openid-connect/certs")).await,
                }
            }
        }
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let said = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = self.client.get(url).timeout(TIMEOUT).send().await.map_err(said)?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(said)? {
            text.extend_from_slice(&part);
            if text.len() > MAX_ANSWER {
                return Err("its answer is longer than 1 MiB".to_owned());
            }
        }
        Ok(text)
    }
}

/// Where a discovery document says that the keys are; it must be the document of this issuer.
fn discovered(document: &[u8], issuer: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        jwks_uri: String,
    }
    let document: Document = serde_json::from_slice(document)
        .map_err(|error| format!("its discovery document cannot be read: {error}"))?;
    if document.issuer != issuer {
        return Err(format!(
            "its discovery document is that of another issuer, `{}`",
            document.issuer.escape_debug()
        ));
    }
    Ok(document.jwks_uri)
}
