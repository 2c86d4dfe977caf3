//! Which pages of other origins may call the API from a browser.

use http::{HeaderMap, HeaderValue, header};

/// The origins that are let in. The API knows no cookies, so that any origin is safe: a page cannot send what its user
/// has not given it. That is the default, as in reference 07 §5.1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// Every origin.
    #[default]
    Any,
    /// Only these, spelled as browsers send them: `https://console.example.org`.
    Origins(Vec<HeaderValue>),
}

const ANY: HeaderValue = HeaderValue::from_static("*");

impl Cors {
    /// Adds the headers to the answer to a request of `origin`.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, preflight: bool, headers: &mut HeaderMap) {
        let allowed = match self {
            Self::Any => ANY,
            Self::Origins(origins) => {
                headers.append(header::VARY, HeaderValue::from_static("origin"));
                let Some(origin) = origin.filter(|origin| origins.contains(origin)) else { return };
                origin.clone()
            }
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let exposed = HeaderValue::from_static("Location, X-Request-Id, Retry-After");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ANY);
            // The star does not cover this one (Fetch standard, "CORS non-wildcard request-header name").
            let allowed = HeaderValue::from_static("*, Authorization");
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        }
    }

    /// Whether the answer depends on who asks.
    pub(crate) const fn needs_origin(&self) -> bool {
        matches!(self, Self::Origins(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_are_let_in() {
        let home = HeaderValue::from_static("https://console.example.org");
        let cors = Cors::Origins(vec![home.clone()]);
        let allowed = |origin: &HeaderValue| {
            let mut headers = HeaderMap::new();
            cors.allow(Some(origin), true, &mut headers);
            headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
        };
        assert_eq!(allowed(&home), Some(home.clone()));
        assert_eq!(allowed(&HeaderValue::from_static("https://evil.example")), None);
    }
}
