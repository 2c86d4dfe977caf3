//! Addresses of the platform as people type them.

use anyhow::{Context, ensure};

/// The URL of a front door without a slash at the end; `localhost:8080` is `http://localhost:8080`.
pub(crate) fn normal(typed: &str) -> anyhow::Result<String> {
    let wrong = || format!("`{typed}` is not an address such as `http://localhost:8080`");
    let (scheme, rest) = typed.trim().split_once("://").unwrap_or(("http", typed.trim()));
    let scheme = scheme.to_ascii_lowercase();
    ensure!(["http", "https"].contains(&scheme.as_str()), wrong());
    let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
    let host = host(&url).with_context(wrong)?;
    ensure!(!host.contains(|c: char| c.is_whitespace() || c.is_control()), wrong());
    Ok(url)
}

/// The host in a URL, with brackets if it is an IPv6 address. There is none where a name and a password stand before it:
/// those would be kept and shown with the address.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.contains('@'))?;
    let end = if authority.starts_with('[') {
        authority.find(']').map(|at| at + 1)
    } else {
        authority.find(':').or(Some(authority.len()))
    };
    authority.get(..end?).filter(|host| !host.is_empty())
}

/// Whether what is sent to this address can be read on its way: no TLS, and not this machine.
pub(crate) fn is_open(url: &str) -> bool {
    let local = ["localhost", "127.0.0.1", "[::1]"];
    url.starts_with("http://") && host(url).is_some_and(|host| !local.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_scheme_and_end_in_a_slash() {
        for (typed, url) in [
            ("localhost:8080", "http://localhost:8080"),
            (" http://localhost:8080/ ", "http://localhost:8080"),
            ("https://iot.example.org/api/", "https://iot.example.org/api"),
            ("HTTP://[::1]:80", "http://[::1]:80"),
        ] {
            assert_eq!(normal(typed).unwrap(), url, "{typed}");
        }
        for wrong in ["", "http://", "ftp://host", "user:secret@host", "http://:80", "a b"] {
            let error = normal(wrong).unwrap_err().to_string();
            assert_eq!(error, format!("`{wrong}` is not an address such as `http://localhost:8080`"));
        }
    }

    #[test]
    fn only_tls_and_this_machine_keep_a_password_to_themselves() {
        for (url, open) in [
            ("http://localhost:8080", false),
            ("http://127.0.0.1", false),
            ("http://[::1]:80", false),
            ("https://iot.example.org", false),
            ("http://iot.example.org", true),
            ("http://10.0.0.1:8080", true),
        ] {
            assert_eq!(is_open(url), open, "{url}");
        }
    }
}
