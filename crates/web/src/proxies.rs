//! Where a request came from, when a proxy stands in front.
//!
//! Anybody can write `X-Forwarded-For`; it is believed only from proxies that the operator has named, and only as far
//! back as the addresses in it are such proxies too.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, header};
use kernel::{Error, Result};

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// What stands for one caller where callers are counted: the address, in IPv6 the start of its /64, of which one caller
    /// has all.
    pub fn of_caller(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => v4,
        }
    }

    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("`{text}` is not an address or a range such as `10.0.0.0/8`"));
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(widest), |prefix| prefix.trim().parse().map_err(|_| bad()))?;
        if prefix > widest {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }
}

/// The proxies that are believed; none unless the operator names some.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// These and no others.
    pub const fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether an address is one of theirs.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who really asks: the peer, or what a trusted peer says of whom it asks for.
    ///
    /// The nearest address that is no trusted proxy. Where `X-Forwarded-For` and `Forwarded` differ one of them was
    /// written by somebody else than the proxy, and neither is believed.
    pub(crate) fn origin(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trusts(peer.ip()) {
            return peer;
        }
        let plain = self.nearest(addresses(headers, "x-forwarded-for", address));
        let standard = self.nearest(addresses(headers, header::FORWARDED.as_str(), |element| {
            forwarded_for(element).and_then(address)
        }));
        match (plain, standard) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(origin), _) | (None, Some(origin)) => SocketAddr::new(origin, 0),
            (None, None) => peer,
        }
    }

    /// The last address that is no trusted proxy; where all are, the first.
    fn nearest(&self, addresses: Vec<Option<IpAddr>>) -> Option<IpAddr> {
        let mut origin = None;
        for address in addresses.into_iter().rev() {
            // What cannot be read hides what lies behind it.
            let Some(address) = address else { return origin };
            origin = Some(address);
            if !self.trusts(address) {
                return origin;
            }
        }
        origin
    }
}

/// The addresses of a header, in the order in which proxies have added them; `None` for what is no address.
fn addresses(headers: &HeaderMap, name: &str, read: impl Fn(&str) -> Option<IpAddr>) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let elements = lines.flat_map(|line| line.split(','));
    elements.map(|element| read(element.trim())).collect()
}

/// The `for` of an element of `Forwarded` (RFC 7239 §4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_whole_network_is_one_caller() {
        let of = |text: &str| Network::of_caller(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    fn origin(trusted: &[&str], peer: &str, lines: &[(&'static str, &'static str)]) -> String {
        let proxies = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        proxies.origin(SocketAddr::new(peer.parse().unwrap(), 7), &headers).ip().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let forwarded = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(origin(&[], "10.0.0.1", &forwarded), "10.0.0.1");
        assert_eq!(origin(&["10.0.0.2"], "10.0.0.1", &forwarded), "10.0.0.1");
        assert_eq!(origin(&["10.0.0.0/8"], "10.0.0.1", &forwarded), "192.0.2.1");
        assert_eq!(origin(&["10.0.0.0/8"], "::ffff:10.0.0.1", &forwarded), "192.0.2.1");
        assert_eq!(origin(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_has_written_before_the_proxy_is_not_believed() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        for (line, expected) in [
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1, 10.9.9.9", "192.0.2.1"),
            ("1.1.1.1, nonsense, 10.9.9.9", "10.9.9.9"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
            ("[2001:db9::1]:80", "2001:db9::1"),
            ("", "10.0.0.1"),
        ] {
            let line = [("x-forwarded-for", line)];
            assert_eq!(origin(&trusted, "10.0.0.1", &line), expected, "{line:?}");
        }
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(origin(&trusted, "10.0.0.1", &lines), "192.0.2.1");
    }

    #[test]
    fn two_headers_that_differ_are_both_not_believed() {
        let standard = ("forwarded", "for=1.1.1.1, for=\"[2001:db9::1]:80\";proto=https");
        let trusted = ["10.0.0.1/32"];
        assert_eq!(origin(&trusted, "10.0.0.1", &[standard]), "2001:db9::1");
        assert_eq!(
            origin(&trusted, "10.0.0.1", &[standard, ("x-forwarded-for", "2001:db9::1")]),
            "2001:db9::1"
        );
        assert_eq!(origin(&trusted, "10.0.0.1", &[standard, ("x-forwarded-for", "192.0.2.1")]), "10.0.0.1");
    }

    #[test]
    fn a_range_is_checked() {
        for bad in ["", "10.0.0.0/33", "10.0.0.0/x", "2001:db8::/129", "example.org"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
    }
}
