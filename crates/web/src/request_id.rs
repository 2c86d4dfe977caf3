//! The name of one request, in its answer, in its error body and in the log.

use std::{convert::Infallible, fmt};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use kernel::Rng;

use crate::Guard;

/// The header that carries it, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request: the caller's own where it is a sane token, else a fresh UUID (reference 07 §14 item 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The longest id that is taken over from the caller, in bytes.
    pub const MAX_LEN: usize = 128;

    /// A new id.
    pub fn fresh() -> Self {
        let mut text = [0; 36];
        let text = Rng::system().uuid().as_hyphenated().encode_lower(&mut text).as_bytes();
        // The digits, letters and hyphens of a UUID are always a valid header value.
        Self(HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The caller's id, or a new one where there is none or it could do harm in a log.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(HEADER)
            .filter(|value| is_token(value.as_bytes()))
            .map_or_else(Self::fresh, |v| Self(v.clone()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The header's value.
    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Guard>()
            .map_or_else(|| Self::of(&parts.headers), |g| g.request_id().clone()))
    }
}

fn is_token(text: &[u8]) -> bool {
    let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=RequestId::MAX_LEN).contains(&text.len()) && text.iter().all(sane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_token_is_taken_over() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
            RequestId::of(&headers)
        };
        assert_eq!(of("trace-1").as_str(), "trace-1");
        for bad in ["", "a b", "{\"x\":1}", &"a".repeat(129)] {
            assert_eq!(of(bad).as_str().len(), 36, "{bad}");
        }
        assert_ne!(RequestId::fresh(), RequestId::fresh());
    }
}
