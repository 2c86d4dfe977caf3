//! Whose credential it is that a question shows, or that was shown at the login before.

use std::{net::IpAddr, sync::Arc};

use kernel::Kind;

use super::{Asking, INVALID_CREDENTIALS, MISSING_TOKEN, Outcome, Policy, Shown, is_refusal, question::bare};
use crate::{
    identity::{Identity, Login, Member, Principal},
    oidc::{Issuers, Presented, Refused, looks_like_token},
};

impl Policy {
    /// The identity that a question is about: what was shown, else who logged in by that name.
    pub(crate) async fn behind(
        &self,
        asking: &Asking<'_>,
        shown: &Shown<'_>,
        clientid: Option<&str>,
    ) -> Result<Identity, Outcome> {
        if let Some(identity) = self.shown(asking, shown).await? {
            return Ok(identity);
        }
        let found = self.0.bindings.find(asking.broker, shown.username, clientid, self.0.clock.now());
        found.ok_or(MISSING_TOKEN).and_then(|identity| self.admitted(identity, shown.clientid))
    }

    /// Refuses those whom the list of the denied names, whatever they have shown and whatever is remembered.
    pub(super) fn admitted(&self, identity: Identity, clientid: &str) -> Result<Identity, Outcome> {
        if self.0.loaded.load().denied.names(&identity, clientid) {
            tracing::debug!(
                subject = identity.id(),
                "a credential is refused: the list of the denied names it"
            );
            return Err(INVALID_CREDENTIALS);
        }
        Ok(identity)
    }

    /// The identity of the token that is shown, wherever it is; a header decides alone (reference 08 §4.1).
    pub(crate) async fn shown(
        &self,
        asking: &Asking<'_>,
        shown: &Shown<'_>,
    ) -> Result<Option<Identity>, Outcome> {
        let token = shown.bearer.or_else(|| {
            [shown.password, shown.username].into_iter().map(bare).find(|text| looks_like_token(text))
        });
        match token {
            Some(token) => {
                let identity = self.of_token(token, asking.peer).await?;
                self.admitted(identity, shown.clientid).map(Some)
            }
            None => Ok(None),
        }
    }

    async fn of_token(&self, token: &str, peer: IpAddr) -> Result<Identity, Outcome> {
        if let Some(issuers) = &self.0.issuers
            && (self.0.platform.is_none() || issuers.may_have_issued(token))
        {
            return match self.verified(issuers, token, peer).await? {
                Ok(principal) => Ok(Identity::Subject(principal)),
                Err(Refused::Invalid(why)) => {
                    tracing::debug!(why, "a token is refused");
                    Err(INVALID_CREDENTIALS)
                }
                Err(Refused::Unavailable) => Err(Outcome::Unavailable),
            };
        }
        self.member(Login::Bearer(token), peer).await.map(Identity::Member)
    }

    /// What is known of a token, else what comes of looking at it; `Err` while too many have failed.
    async fn verified(
        &self,
        issuers: &Issuers,
        token: &str,
        peer: IpAddr,
    ) -> Result<Result<Arc<Principal>, Refused>, Outcome> {
        let token = Presented::new(token);
        if let Some(known) = issuers.known(&token) {
            return Ok(known);
        }
        self.0.limits.attempt(peer, self.0.clock.now())?;
        let outcome = issuers.look_at(&token).await;
        if matches!(outcome, Err(Refused::Invalid(_))) {
            self.0.limits.failed(peer, self.0.clock.now());
        }
        Ok(outcome)
    }

    pub(super) async fn member(&self, login: Login<'_>, peer: IpAddr) -> Result<Arc<Member>, Outcome> {
        let Some(platform) = &self.0.platform else { return Err(INVALID_CREDENTIALS) };
        self.0.limits.attempt(peer, self.0.clock.now())?;
        match platform.authenticate(login, peer).await {
            Ok(member) => Ok(Arc::new(member)),
            Err(error) if is_refusal(error.kind()) => {
                self.0.limits.failed(peer, self.0.clock.now());
                Err(INVALID_CREDENTIALS)
            }
            Err(error) if error.kind() == Kind::Limited => Err(Outcome::Limited {
                words: error.public().to_owned().into(),
                wait: error.retry_after().unwrap_or_default(),
            }),
            Err(error) => {
                tracing::warn!(%error, cause = error.chain(), "nobody can say whether a credential holds");
                Err(Outcome::Unavailable)
            }
        }
    }
}
