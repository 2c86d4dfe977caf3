//! The routes of personal access tokens and their wire shapes (reference 01 §4.2–4.4, older forms in §11).

mod scopes;
mod tokens;

use access::{Access, Context, pats::secret};
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use kernel::Error;
use web::{Bearer, Routes, Rule};

use crate::Auth;

const OWN: Rule = Rule::SignedIn("the caller's own tokens; a personal access token manages none");

/// The table.
pub(crate) fn routes() -> Routes<Auth> {
    tokens::routes().merge(scopes::routes())
}

/// A caller who does not come with a personal access token, whether that is valid or not.
struct Owner(Context);

impl<S: Send + Sync> FromRequestParts<S> for Owner
where
    Access: FromRef<S>,
{
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> web::Result<Self> {
        let Ok(Bearer(token)) = Bearer::from_request_parts(parts, state).await;
        if token.is_some_and(|token| token.expose().starts_with(secret::PREFIX)) {
            return Err(Error::invalid("unsupported content token type").into());
        }
        Context::from_request_parts(parts, state).await.map(Self)
    }
}
