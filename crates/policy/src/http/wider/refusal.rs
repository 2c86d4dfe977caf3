//! Questions that are not answered, and why, in the shape of the original service.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::service::{Outcome, seconds};

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
    retry_after: Option<u64>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, web::Json(json!({"detail": self.detail}))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

pub(super) fn invalid(field: &str, message: &str) -> Refusal {
    let detail = json!([{"type": "value_error", "loc": ["body", field], "msg": message}]);
    Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, detail, retry_after: None }
}

pub(super) fn unauthorized(detail: &str) -> Refusal {
    Refusal { status: StatusCode::UNAUTHORIZED, detail: json!(detail), retry_after: None }
}

/// Nobody has decided: nobody can at the moment, or too much was asked.
pub(super) fn undecided(outcome: &Outcome) -> Refusal {
    let (status, retry_after, why) = match outcome {
        Outcome::Limited { words, wait } => {
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds(*wait)), words.clone().into_owned())
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            None,
            "Policy evaluation failed: nobody can say at the moment".to_owned(),
        ),
    };
    Refusal { status, detail: json!(why), retry_after }
}
