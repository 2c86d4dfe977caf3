//! The routes of keys and their wire shapes (reference 01 §2.3, §3).

use std::time::Duration;

use access::{
    Context,
    identity::{api_keys::ApiKey, keys::KeySet, tokens::Purpose},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use kernel::{Error, KeyId, Result, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Empty, Json, Path, Route, Routes, Rule};

use super::Issued;
use crate::Auth;

const OWN: Rule = Rule::SignedIn("the caller's own keys, with an access token");

/// The table.
pub(crate) fn routes() -> Routes<Auth> {
    Routes::new("auth")
        .add(
            Route::post("/keys", create)
                .named("issue_key")
                .rule(OWN)
                .summary("Make an API key, or a further token of your own")
                .description(
                    "Type 3 is an API key: it does all that you may until it is revoked, expires or you change your \
                     password. Type 0 is an access token that ends with the present one. Recovery tokens (type 2) come \
                     by mail only, so that whoever has stolen an access token cannot set a password with it.",
                )
                .takes::<NewKey>()
                .answers::<IssuedKey>(201),
        )
        .add(
            Route::get("/keys/{key}", view)
                .named("retrieve_key")
                .rule(OWN)
                .summary("View an API key")
                .answers::<KeyView>(200),
        )
        .add(
            Route::delete("/keys/{key}", revoke)
                .named("revoke_key")
                .rule(OWN)
                .summary("Revoke an API key")
                .answers_empty(204),
        )
        .add(
            Route::post("/keys/rotate", rotate)
                .named("rotate_keys")
                .rule(Rule::SignedIn("administrators of the platform only"))
                .summary("Sign tokens with another key")
                .description(
                    "The key before it verifies until what it has signed has expired. Answers the public keys, the new \
                     one first. Only for keys that the platform keeps itself: not for files and secrets.",
                )
                .answers::<KeySet>(200),
        )
        .add(
            Route::get("/keys/.well-known/jwks.json", public_keys)
                .named("retrieve_jwks")
                .rule(Rule::Public("public keys"))
                .summary("The public keys that verify tokens")
                .answers::<KeySet>(200),
        )
}

/// What it takes to make a key.
#[derive(Debug, Deserialize, ToSchema)]
struct NewKey {
    /// 3 for an API key, 0 for an access token (the default).
    #[serde(default)]
    r#type: u32,
    /// How long an API key is valid, in seconds; 0 is until it is revoked. Other tokens have their own lives.
    #[serde(default)]
    duration: u64,
}

/// The longest life of a key, in seconds: a hundred years.
const LONGEST: u64 = 100 * 365 * 86_400;

impl NewKey {
    fn life(&self) -> Result<Option<Duration>> {
        match self.duration {
            0 => Ok(None),
            seconds if seconds <= LONGEST => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(Error::invalid("invalid duration, give at most 100 years in seconds, or 0 for no end")),
        }
    }
}

/// A key that was made. It is shown once.
#[derive(Debug, Serialize, ToSchema)]
struct IssuedKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<KeyId>,
    /// Goes into `Authorization: Bearer …`.
    value: String,
    issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

impl From<Issued> for IssuedKey {
    fn from(issued: Issued) -> Self {
        Self {
            id: issued.id,
            value: issued.token.expose().clone(),
            issued_at: issued.issued_at,
            expires_at: issued.expires_at,
        }
    }
}

/// An API key as it is shown.
#[derive(Debug, Serialize, ToSchema)]
struct KeyView {
    id: KeyId,
    /// Who made it.
    issuer_id: UserId,
    /// For whom it acts.
    subject: UserId,
    /// 3.
    r#type: u8,
    issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

async fn create(
    State(auth): State<Auth>,
    cx: Context,
    Json(body): Json<NewKey>,
) -> web::Result<Json<IssuedKey>> {
    let issued = match body.r#type {
        0 => auth.issue_access(&cx).await?,
        2 => {
            return Err(Error::invalid(
                "invalid api key type, recovery tokens come by mail: ask for one with `POST /password/reset-request`",
            )
            .into());
        }
        3 => auth.create_key(&cx, body.life()?).await?,
        _ => {
            return Err(
                Error::invalid("invalid api key type, give 3 (API key) or 0 (further access token)").into()
            );
        }
    };
    Ok(Json(issued.into()))
}

async fn view(State(auth): State<Auth>, cx: Context, Path(key): Path<KeyId>) -> web::Result<Json<KeyView>> {
    let ApiKey { id, user, issued_at, expires_at, .. } = auth.view_key(&cx, key).await?;
    let r#type = Purpose::ApiKey.claim();
    Ok(Json(KeyView { id, issuer_id: user, subject: user, r#type, issued_at, expires_at }))
}

async fn revoke(State(auth): State<Auth>, cx: Context, Path(key): Path<KeyId>) -> web::Result<Empty> {
    auth.revoke_key(&cx, key).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn rotate(State(auth): State<Auth>, cx: Context) -> web::Result<Json<KeySet>> {
    Ok(Json(auth.rotate_keys(&cx).await?))
}

async fn public_keys(State(auth): State<Auth>) -> Response {
    // Others may keep the keys for a while: a retiring key verifies longer than that.
    let (fresh, stale) = auth.access.settings().jwks_cache;
    let cached = format!("public, max-age={}, stale-while-revalidate={}", fresh.as_secs(), stale.as_secs());
    ([(header::CACHE_CONTROL, cached)], Json(auth.access.tokens().public_keys())).into_response()
}
