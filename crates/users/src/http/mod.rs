//! The users' routes and wire shapes (reference 01 §3–5), one file per part of the table.

mod changes;
mod oauth;
mod recovery;
mod registry;
mod sessions;
mod views;

use access::{Access, Context};
use axum::extract::{FromRef, FromRequestParts};
use http::{header, request::Parts};
use kernel::{Error, Result};
use web::Routes;

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
