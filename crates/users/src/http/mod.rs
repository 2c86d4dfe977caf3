//! The users' routes and wire shapes (reference 01 §3–5), one file per part of the table.

mod changes;
mod oauth;
mod recovery;
mod registry;
mod sessions;
mod views;

use access::{Access, Context, identity::keys::KeySet};
use axum::{
    extract::{FromRef, FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header, request::Parts};
use kernel::{Error, Result};
use web::{Json, Route, Routes, Rule};

use crate::Users;

/// Users and their sessions.
pub fn routes(users: Users) -> Routes {
    registry::routes()
        .merge(changes::routes())
        .merge(sessions::routes())
        .merge(recovery::routes())
        .merge(oauth::routes())
        .with(users)
}

/// The keys that verify tokens.
pub fn key_routes(users: Users) -> Routes {
    keys().with(users)
}

fn keys() -> Routes<Users> {
    Routes::new("auth").add(
        Route::get("/keys/.well-known/jwks.json", public_keys)
            .named("retrieve_jwks")
            .rule(Rule::Public("public keys"))
            .summary("The public keys that verify tokens")
            .answers::<KeySet>(200),
    )
}

fn required(text: &str, message: &'static str) -> Result<()> {
    if text.is_empty() { Err(Error::invalid(message)) } else { Ok(()) }
}

/// The caller where the request names one: a bad token is still refused.
struct MaybeCaller(Option<Context>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeCaller
where
    Access: FromRef<S>,
{
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> web::Result<Self> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        Context::from_request_parts(parts, state).await.map(Some).map(Self)
    }
}

async fn public_keys(State(users): State<Users>) -> Response {
    // Others may keep the keys for a while (reference 01 §2.3): a retiring key verifies longer than that.
    let cached = HeaderValue::from_static("public, max-age=900, stale-while-revalidate=60");
    ([(header::CACHE_CONTROL, cached)], Json(users.access.tokens().public_keys())).into_response()
}
