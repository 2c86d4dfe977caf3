//! Questions that are not answered, and why, in the shape of the original service.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A word that is one of those that there are.
pub(super) fn known<T: DeserializeOwned>(word: &str, field: &str) -> Result<T, Refusal> {
    serde_json::from_value(json!(word)).map_err(|error| invalid(field, &error.to_string()))
}

/// The body as JSON, whatever it is called.
pub(super) fn decoded<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
}

/// Why there is no decision, in the shape of the original service.
pub(super) struct Refusal {
    status: StatusCode,
    detail: Value,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, web::Json(json!({"detail": self.detail}))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(super) fn invalid(field: &str, message: &str) -> Refusal {
    let detail = json!([{"type": "value_error", "loc": ["body", field], "msg": message}]);
    Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, detail }
}

pub(super) fn unauthorized(detail: &str) -> Refusal {
    Refusal { status: StatusCode::UNAUTHORIZED, detail: json!(detail) }
}

pub(super) fn unavailable() -> Refusal {
    let detail = json!("Policy evaluation failed: nobody can say at the moment");
    Refusal { status: StatusCode::SERVICE_UNAVAILABLE, detail }
}
