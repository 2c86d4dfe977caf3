//! The token in the `Authorization` header.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use kernel::Secret;

/// What follows `Bearer `, exactly so spelled; anything else counts as no token (reference 01 §1.2).
///
/// Whether a token is needed, and the 401 where it is missing, is `access`'s to say.
#[derive(Debug, Clone)]
pub struct Bearer(pub Option<Secret<String>>);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
        Ok(Self(token.map(|token| Secret::new(token.to_owned()))))
    }
}
