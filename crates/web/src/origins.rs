//! Which pages may open a WebSocket from a browser.
//!
//! Browsers ask nobody before they open a WebSocket to another host ([`crate::Cors`] has no say), and they show it the
//! certificate of their user. They do say which page it is for. Devices and programs say nothing and are let in.

use http::{HeaderMap, HeaderValue, Uri, header};

/// The pages that are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketOrigins {
    /// Every page.
    Any,
    /// Pages of the host that is asked, and those of these origins, spelled as browsers send them.
    SameHostAnd(Vec<HeaderValue>),
}

impl Default for SocketOrigins {
    /// Only pages of the host that is asked.
    fn default() -> Self {
        Self::SameHostAnd(Vec::new())
    }
}

impl SocketOrigins {
    /// Whether a request may go on: it is not about a WebSocket, or comes from no page, or from one that is let in.
    pub(crate) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Self::SameHostAnd(named) = self else { return true };
        let asks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
        if !headers.get_all(header::UPGRADE).iter().any(asks) {
            return true;
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        origins.next().is_none() && (named.contains(origin) || is_of_host(origin, uri, headers))
    }
}

fn is_of_host(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = asked.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let page = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    match (page, asked) {
        (Some((_, page)), Some(asked)) => name(page).eq_ignore_ascii_case(name(asked)),
        _ => false,
    }
}

/// The host without its port; an address of version 6 keeps its brackets.
fn name(host: &str) -> &str {
    let port = host
        .rfind(':')
        .filter(|at| host.get(at + 1..).is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())));
    port.and_then(|at| host.get(..at)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(origins: &SocketOrigins, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        origins.admit(&Uri::from_static("/mqtt"), &headers)
    }

    #[test]
    fn pages_of_the_same_host_and_of_named_origins_are_let_in_and_whoever_is_no_page() {
        let usual = SocketOrigins::default();
        for (host, origin) in [
            ("plant.example", None),
            ("plant.example", Some("https://plant.example")),
            ("plant.example:8080", Some("http://PLANT.example:3000")),
            ("[::1]:8080", Some("http://[::1]")),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080")),
        ] {
            assert!(admits(&usual, host, origin), "{host} {origin:?}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "https://plant.example.evil.example",
            "plant.example",
            "file://",
            "http://[::1]",
        ] {
            assert!(!admits(&usual, "plant.example", Some(origin)), "{origin}");
        }
        let named = SocketOrigins::SameHostAnd(vec![HeaderValue::from_static("https://console.example")]);
        assert!(admits(&named, "plant.example", Some("https://console.example")));
        assert!(!admits(&named, "plant.example", Some("http://console.example")));
        assert!(admits(&SocketOrigins::Any, "plant.example", Some("null")));
    }

    #[test]
    fn other_requests_are_not_asked_and_two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(SocketOrigins::default().admit(&Uri::from_static("/"), &headers));
        headers.insert(header::HOST, HeaderValue::from_static("plant.example"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://plant.example"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(!SocketOrigins::default().admit(&Uri::from_static("/"), &headers));
    }
}
