//! What can go wrong with a request.

use reqwest::StatusCode;
use serde::Deserialize;

/// The result of every request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request has no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The platform answered with an error.
    #[error("{message} (status {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The platform's message.
        message: String,
        /// More about it, if the platform says more.
        detail: Option<String>,
        /// The id under which the platform's log has the request.
        request_id: Option<String>,
    },
    /// No answer came.
    #[error("no answer from `{url}`, see that the platform runs and that the address is right")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What happened instead.
        #[source]
        cause: reqwest::Error,
    },
    /// The answer is not what this operation answers with.
    #[error("the answer of `{url}` is not from this platform")]
    Unexpected {
        /// What was asked.
        url: String,
        /// What does not fit.
        #[source]
        cause: serde_json::Error,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
}

/// The body of an error in all generations (reference 07 §8.1).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    message: String,
    error: String,
    request_id: Option<String>,
}

impl Error {
    /// The HTTP status, if the platform answered.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Unexpected { .. } | Self::Setup(_) => None,
        }
    }

    /// From an answer that is no success. The body need not be JSON: a proxy in between answers as it likes.
    pub(crate) fn refused(status: StatusCode, header_id: Option<String>, body: &[u8]) -> Self {
        let body = serde_json::from_slice(body).unwrap_or_else(|_| Body {
            message: String::from_utf8_lossy(body.get(..200).unwrap_or(body)).trim().to_owned(),
            ..Body::default()
        });
        let message = match (body.message.is_empty(), status.canonical_reason()) {
            (false, _) => body.message,
            (true, Some(reason)) => reason.to_lowercase(),
            (true, None) => "no reason given".to_owned(),
        };
        Self::Refused {
            status: status.as_u16(),
            message,
            detail: Some(body.error).filter(|detail| !detail.is_empty()),
            request_id: header_id.or(body.request_id),
        }
    }
}
