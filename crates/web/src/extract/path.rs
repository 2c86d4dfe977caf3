//! The parameters in the path.

use axum::extract::{FromRequestParts, path::ErrorKind, rejection::PathRejection};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::Error;

/// The path's parameters: one value, a tuple in the order of the path, or a struct by name.
///
/// A value that its type refuses is a 400 with the type's own message, `invalid id format provided` for ids.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => Err(refuse(error.into_kind())),
            Err(other) => Err(kernel::Error::internal(other).into()),
        }
    }
}

fn refuse(kind: ErrorKind) -> Error {
    let bad_id = || Error::from(kernel::Error::invalid("invalid id format provided"));
    match kind {
        ErrorKind::Message(message) => kernel::Error::invalid(message).into(),
        ErrorKind::DeserializeError { key, message, .. } => Error::from(kernel::Error::invalid(message))
            .detail(format!("`{key}` in the path is not accepted")),
        ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::InvalidUtf8InPathParam { key } => {
            bad_id().detail(format!("`{key}` in the path is not accepted"))
        }
        ErrorKind::ParseError { .. } | ErrorKind::ParseErrorAtIndex { .. } => bad_id(),
        other => kernel::Error::internal(other.to_string()).into(),
    }
}
