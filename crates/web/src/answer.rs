//! The successes that are not plain JSON: something was created, or there is nothing to say.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::{Error, Json};

/// 201 with the `Location` of what was created (a path without the domain, reference 07 §8.3) and its JSON.
#[derive(Debug)]
pub struct Created<T>(pub String, pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let Self(location, body) = self;
        let location = match HeaderValue::try_from(location) {
            Ok(location) => location,
            Err(error) => return Error::from(kernel::Error::internal(error)).into_response(),
        };
        (StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response()
    }
}

/// An empty body with this status, still of type JSON (reference 01 §1.3).
#[derive(Debug, Clone, Copy)]
pub struct Empty(pub StatusCode);

impl IntoResponse for Empty {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        (self.0, [(header::CONTENT_TYPE, json)]).into_response()
    }
}
