//! API keys, and further access tokens for the caller itself: one function per use case (reference 01 §3).
//!
//! An API key does all that its owner may until it expires, is revoked, or its owner's password changes. A further
//! access token does not outlive the one it was made with, so that a stolen one cannot be kept alive. Recovery tokens are not
//! made here: one for the asking would turn a stolen access token into a new password.

mod events;
pub mod http;
mod rotation;

use std::time::Duration;

use access::{
    Context,
    identity::{
        Role,
        api_keys::{self, ApiKey},
        tokens::{Grant, Purpose},
    },
};
use kernel::{Error, KeyId, Result, Secret, Timestamp, UserId};

use crate::{Auth, logged_in, pats::held_generation};

/// The most API keys that one user has.
pub const MOST_KEYS: u64 = 1000;

/// A token that was made, and what is known of it.
#[derive(Debug)]
pub struct Issued {
    /// The id of an API key; other tokens have none.
    pub id: Option<KeyId>,
    /// The token.
    pub token: Secret<String>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

impl Auth {
    /// Makes an API key that is valid for `life`, or until it is revoked.
    ///
    /// Unprocessable for a user who has [`MOST_KEYS`].
    pub async fn create_key(&self, cx: &Context, life: Option<Duration>) -> Result<Issued> {
        let permit = logged_in(cx)?;
        let (user, now) = (permit.actor(), permit.at());
        let (access, generation) = (self.access.clone(), cx.verified().generation);
        let id = KeyId::generate(access.rng());
        // Known before the key is stored, so that the key that signs stays while this one is good.
        let kid = access.tokens().signs_with()?;
        let stored_kid = kid.clone();
        let expires_at = life.map(|life| now.after(life));
        let generation = cx
            .write(move |tx| {
                Box::pin(async move {
                    let generation = held_generation(tx, user, generation).await?;
                    if api_keys::count(tx, user, generation, now).await? >= MOST_KEYS {
                        return Err(Error::unprocessable(format!(
                            "a user has at most {MOST_KEYS} keys, revoke those that are not needed"
                        )));
                    }
                    let key = ApiKey { id, user, generation, kid: stored_kid, issued_at: now, expires_at };
                    access.api_keys().insert(tx, &key).await?;
                    Ok(generation)
                })
            })
            .await?;
        let jti = id.to_string();
        let grant = self.grant(cx, user, generation, Some(&jti)).await?;
        let token = self.access.tokens().issue_api_key(grant, kid.as_deref(), now, expires_at)?;
        Ok(Issued { id: Some(id), token, issued_at: now, expires_at })
    }

    /// A further access token for the caller; it ends when the caller's own does.
    pub async fn issue_access(&self, cx: &Context) -> Result<Issued> {
        let permit = logged_in(cx)?;
        let life = self.access.settings().access_token_life.min(cx.verified().expires_at.since(permit.at()));
        let grant = self.grant(cx, permit.actor(), cx.verified().generation, None).await?;
        let token = self.access.tokens().issue(Purpose::Access, grant, permit.at(), life)?;
        Ok(Issued { id: None, token, issued_at: permit.at(), expires_at: Some(permit.at().after(life)) })
    }

    /// With the role that the caller has at present.
    async fn grant<'a>(
        &self,
        cx: &Context,
        user: UserId,
        generation: i64,
        id: Option<&'a str>,
    ) -> Result<Grant<'a>> {
        let role = if cx.is_platform_admin().await? { Role::Admin } else { Role::User };
        Ok(Grant { user, role, verified: cx.caller().verified, generation, id })
    }

    /// A key of the caller's.
    pub async fn view_key(&self, cx: &Context, id: KeyId) -> Result<ApiKey> {
        let user = logged_in(cx)?.actor();
        let key = cx.read(move |tx| Box::pin(async move { api_keys::get(tx, user, id).await })).await?;
        key.ok_or_else(Error::not_found)
    }

    /// Voids a key of the caller's for good. Emits `key.revoke`.
    pub async fn revoke_key(&self, cx: &Context, id: KeyId) -> Result<()> {
        let permit = logged_in(cx)?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        cx.write(move |tx| {
            Box::pin(async move {
                if !access.api_keys().delete(tx, permit.actor(), id).await? {
                    return Err(Error::not_found());
                }
                access.emit(tx, events::revoked(id, &permit, &request)).await
            })
        })
        .await
    }
}
