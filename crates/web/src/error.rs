//! From [`kernel::Error`] to an HTTP answer: one table of statuses, one shape of body.
//!
//! A handler returns [`Error`] by `?`. The body is written by [`crate::App`] at the very end, because only there the
//! request id is known; until then the error travels in the response's extensions, with its causes for the log.

use std::{borrow::Cow, sync::Arc};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use kernel::Kind;
use serde::Serialize;

/// The result of every handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A [`kernel::Error`] on its way to an HTTP answer, with what only HTTP can say.
#[derive(Debug)]
pub struct Error {
    error: kernel::Error,
    detail: Option<Cow<'static, str>>,
    retry_after: u32,
}

impl Error {
    /// Longer explanations are cut: they may quote the request, and an answer must not grow with it.
    const MAX_DETAIL: usize = 512;

    /// Adds what the `error` field of the body says instead of the kind's words, for example where in the body the
    /// mistake is. It reaches the caller: no internals.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut detail = detail.into();
        if detail.len() > Self::MAX_DETAIL {
            let end = detail.floor_char_boundary(Self::MAX_DETAIL);
            detail.to_mut().truncate(end);
        }
        self.detail = Some(detail);
        self
    }

    /// Sets the seconds after which it makes sense to try again; only sent with 429 and 503, 1 unless set.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = seconds;
        self
    }

    /// What callers act on.
    pub const fn kind(&self) -> Kind {
        self.error.kind()
    }

    /// What callers are shown.
    pub fn public(&self) -> &str {
        self.error.public()
    }

    /// The whole chain of causes in one line, for the log; empty where there is none.
    pub(crate) fn chain(&self) -> String {
        self.error.chain()
    }

    /// Writes the answer: body, and the headers that belong to the kind.
    pub(crate) fn render(&self, request_id: &str, response: &mut Response) {
        let words = words(self.kind());
        let message = Some(self.public()).filter(|text| !text.is_empty()).unwrap_or(words);
        let detail = self.detail.as_deref().filter(|text| !text.is_empty()).unwrap_or(words);
        write_body(message, detail, request_id, response);
        let headers = response.headers_mut();
        match self.kind() {
            Kind::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::Limited | Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, self.retry_after.into());
            }
            _ => {}
        }
    }
}

impl From<kernel::Error> for Error {
    fn from(error: kernel::Error) -> Self {
        // What is out of reach is mostly back in a moment, and so is a place where too many work at once.
        let retry_after = error.retry_after().map_or(1, |wait| wait.as_millis().div_ceil(1000));
        let retry_after = u32::try_from(retry_after).unwrap_or(u32::MAX);
        Self { error, detail: None, retry_after }
    }
}

/// The error inside a response's extensions, until it is rendered.
#[derive(Clone)]
pub(crate) struct Report(pub(crate) Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = status(self.kind()).into_response();
        response.extensions_mut().insert(Report(Arc::new(self)));
        response
    }
}

/// The one table from what went wrong to HTTP (design §6.3).
pub const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Limited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the `error` field says where there is nothing more exact.
pub(crate) const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "the request is not valid",
        Kind::Unauthenticated => "not authenticated",
        Kind::Denied => "not allowed",
        Kind::NotFound => "not found",
        Kind::Conflict => "in conflict with what is already there",
        Kind::TooLarge => "too large",
        Kind::MediaType => "wrong content type",
        Kind::Unprocessable => "understood, but not possible as things stand",
        Kind::Limited => "too many attempts",
        Kind::Unavailable => "not available right now",
        Kind::Internal => "internal error",
    }
}

// SDKs of both generations read `message` and `error` (reference 07 §8.1).
/// The body of every error.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody<'a> {
    /// What went wrong; the text is part of the contract.
    message: &'a str,
    /// More about it: what kind of problem it is, or where in the request it lies.
    error: &'a str,
    /// The id under which the log knows this request.
    request_id: &'a str,
}

/// Replaces the body of `response` by an error body.
pub(crate) fn write_body(message: &str, error: &str, request_id: &str, response: &mut Response) {
    let mut text = serde_json::to_vec(&ErrorBody { message, error, request_id }).unwrap_or_default();
    text.push(b'\n');
    *response.body_mut() = Bytes::from(text).into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}
