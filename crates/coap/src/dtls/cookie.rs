//! Cookies (RFC 6347 §4.2.1): an address that sends one back can be reached. They are computed, not kept.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;

use crate::random;

/// What a cookie looks like.
pub(crate) type Cookie = [u8; 32];

/// Makes cookies and knows them again.
#[derive(Debug)]
pub(crate) struct Cookies(hmac::Key);

impl Cookies {
    pub(crate) fn new() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>()))
    }

    /// The cookie for a client's random number, which is another one in each handshake.
    pub(crate) fn of(&self, from: SocketAddr, client_random: &[u8]) -> Cookie {
        let tag = hmac::sign(&self.0, &told(from, client_random));
        tag.as_ref().try_into().unwrap_or_default()
    }

    /// Whether it is the cookie that was given to this address.
    pub(crate) fn hold(&self, from: SocketAddr, client_random: &[u8], cookie: &[u8]) -> bool {
        hmac::verify(&self.0, &told(from, client_random), cookie).is_ok()
    }
}

fn told(from: SocketAddr, client_random: &[u8]) -> Vec<u8> {
    let mut told = match from.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    told.extend_from_slice(&from.port().to_be_bytes());
    told.extend_from_slice(client_random);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_one_address_and_one_handshake() {
        let cookies = Cookies::new();
        let (here, there) = (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2)));
        let cookie = cookies.of(here, b"random");
        assert!(cookies.hold(here, b"random", &cookie));
        assert!(!cookies.hold(there, b"random", &cookie));
        assert!(!cookies.hold(here, b"another", &cookie));
        assert!(!cookies.hold(here, b"random", &[]));
        assert!(!Cookies::new().hold(here, b"random", &cookie));
    }
}
