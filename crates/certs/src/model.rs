//! Certificates as the platform knows them, and the rules of what may stand in one.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use kernel::{ClientId, DomainId, Error, PageRequest, Result, Secret, Timestamp, UserId, duration};

pub use crate::serial::Serial;
pub(crate) use crate::serial::hex;

/// The kind of a private key that is made for a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256: small, quick, and spoken by DTLS.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with 2048 bits; takes a thousand times as long to make.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

const KEY_TYPES: [(KeyType, &str); 6] = [
    (KeyType::P256, "ecdsa-p256"),
    (KeyType::P384, "ecdsa-p384"),
    (KeyType::Ed25519, "ed25519"),
    (KeyType::Rsa2048, "rsa-2048"),
    (KeyType::Rsa3072, "rsa-3072"),
    (KeyType::Rsa4096, "rsa-4096"),
];

impl KeyType {
    /// Whether making one takes so long that it is not done on the threads of the runtime.
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEY_TYPES.iter().find(|(known, _)| known == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for KeyType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let word = match text.to_ascii_lowercase().as_str() {
            "" | "ec" | "ecdsa" => "ecdsa-p256".to_owned(),
            "rsa" => "rsa-2048".to_owned(),
            word => word.to_owned(),
        };
        let known = KEY_TYPES.iter().find(|(_, known)| *known == word);
        known.map(|(kind, _)| *kind).ok_or_else(|| {
            Error::invalid(format!(
                "`{text}` is no key type, choose `ecdsa-p256`, `ecdsa-p384`, `ed25519`, `rsa-2048`, `rsa-3072` or \
                 `rsa-4096`"
            ))
        })
    }
}

/// How long a certificate is to be valid: Go's durations, days (`30d`) and bare seconds (reference 04 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(pub Duration);

impl FromStr for Ttl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
        let parsed = seconds.or_else(|| duration::parse_long(text));
        match parsed.filter(|ttl| *ttl >= Duration::from_secs(1)) {
            Some(ttl) => Ok(Self(ttl)),
            None => Err(Error::invalid(format!(
                "invalid certificate data: `{}` is no time to live, write one like `8760h`, `90m` or `30d`",
                shortened(text)
            ))),
        }
    }
}

/// What a caller sent, short enough for an error.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Whom a certificate is about: the attributes of its subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub(crate) common_name: String,
    pub(crate) attributes: Vec<(Attribute, String)>,
}

/// The attributes beside the common name, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Country,
    Province,
    Locality,
    StreetAddress,
    PostalCode,
    Organization,
    OrganizationalUnit,
}

impl Attribute {
    /// The name in JSON, and the most characters (RFC 5280 appendix A.1).
    const fn bounds(self) -> (&'static str, usize) {
        match self {
            Self::Country => ("country", 2),
            Self::Province => ("province", 128),
            Self::Locality => ("locality", 128),
            Self::StreetAddress => ("street_address", 128),
            Self::PostalCode => ("postal_code", 40),
            Self::Organization => ("organization", 64),
            Self::OrganizationalUnit => ("organizational_unit", 64),
        }
    }
}

impl Subject {
    /// A subject with this common name alone: 1 to 64 characters without control characters.
    pub fn new(common_name: &str) -> Result<Self> {
        if common_name.is_empty() {
            return Err(Error::invalid("malformed entity specification: the common name is missing"));
        }
        let common_name = text_of("common_name", common_name, 64)?;
        Ok(Self { common_name, attributes: Vec::new() })
    }

    /// With one more attribute; an empty list adds nothing.
    pub(crate) fn with(mut self, attribute: Attribute, values: &[String]) -> Result<Self> {
        let (name, most) = attribute.bounds();
        match values {
            [] => Ok(self),
            [value] if value.is_empty() => Ok(self),
            [value] => {
                let value = text_of(name, value, most)?;
                let is_country = value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
                if attribute == Attribute::Country && !is_country {
                    return Err(Error::invalid("`country` is a code of two letters, such as `RS`"));
                }
                self.attributes.push((attribute, value));
                Ok(self)
            }
            _ => Err(Error::invalid(format!("`{name}` takes one value"))),
        }
    }

    pub(crate) fn has(&self, attribute: Attribute) -> bool {
        self.attributes.iter().any(|(had, _)| *had == attribute)
    }
}

fn text_of(name: &str, value: &str, most: usize) -> Result<String> {
    if value.chars().count() > most || value.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "`{name}` has at most {most} characters and no control characters"
        )));
    }
    Ok(value.to_owned())
}

/// A name under which a certificate's owner is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, also one that begins with `*.`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// The most names of one certificate.
pub(crate) const MAX_HOSTS: usize = 64;

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() <= 253 && name.split('.').all(is_label) {
            return Ok(Self::Dns(text.to_ascii_lowercase()));
        }
        Err(Error::invalid(format!("`{}` is neither a DNS name nor an IP address", shortened(text))))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => fmt::Display::fmt(ip, f),
        }
    }
}

/// A certificate that is wanted for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCertificate {
    /// Whose it is to be. Its id stands in the certificate as an alternative name, by which the platform knows it.
    pub client: ClientId,
    /// What stands in its subject.
    pub subject: Subject,
    /// Alternative names.
    pub hosts: Vec<Host>,
    /// The kind of key.
    pub key: KeyType,
    /// How long it is to be valid; without one as long as the operator has set.
    pub ttl: Option<Ttl>,
}

impl NewCertificate {
    /// One whose common name is the client's id.
    pub fn of_client(client: ClientId, ttl: Option<Ttl>) -> Self {
        let subject = Subject { common_name: client.to_string(), attributes: Vec::new() };
        Self { client, subject, hosts: Vec::new(), key: KeyType::default(), ttl }
    }

    /// Nobody may be given a name that is another client's.
    ///
    /// # Errors
    ///
    /// `Unprocessable` for a common or DNS name that is the id of another client; `Invalid` for too many names.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.hosts.len() > MAX_HOSTS {
            return Err(Error::invalid(format!("a certificate has at most {MAX_HOSTS} alternative names")));
        }
        let dns = self.hosts.iter().filter_map(|host| match host {
            Host::Dns(name) => Some(name.as_str()),
            Host::Ip(_) => None,
        });
        let own = self.client.to_string();
        for name in dns.chain([self.subject.common_name.as_str()]) {
            if names_a_client(name) && !name.eq_ignore_ascii_case(&own) {
                return Err(Error::unprocessable(format!(
                    "failed to create certificate: `{}` is the id of another client",
                    shortened(name)
                )));
            }
        }
        Ok(self)
    }
}

/// Whether a name reads as an id, in which case it may only be one's own.
fn names_a_client(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = ["urn:uuid:", "*."].iter().find_map(|prefix| name.strip_prefix(prefix));
    bare.unwrap_or(&name).parse::<ClientId>().is_ok()
}

/// Why a certificate is not to be trusted any more (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody said why.
    Unspecified,
    /// Another one has taken its place.
    Superseded,
    /// Its client is no more.
    CessationOfOperation,
}

impl Reason {
    /// The number in CRL, OCSP and database.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Unspecified => 0,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }

    pub(crate) const fn from_code(code: i64) -> Self {
        match code {
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            _ => Self::Unspecified,
        }
    }
}

/// When a certificate was revoked, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// A certificate that the platform keeps.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Its number.
    pub serial: Serial,
    /// The domain of its client.
    pub domain: DomainId,
    /// Its client.
    pub client: ClientId,
    /// Common name of its subject.
    pub common_name: String,
    /// SHA-256 of the whole, in hexadecimal digits.
    pub fingerprint: String,
    /// The certificate itself.
    pub pem: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Who had it made.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Whether it was revoked.
    pub revoked: Option<Revocation>,
}

/// A certificate that was just signed.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its number.
    pub serial: Serial,
    /// Whose it is.
    pub client: ClientId,
    /// Common name of its subject.
    pub common_name: String,
    /// SHA-256 of the whole, in hexadecimal digits.
    pub fingerprint: String,
    /// PEM of the certificate.
    pub certificate: String,
    /// PEM of those between it and the root, and of the root.
    pub chain: String,
    /// PEM of the one that has signed it.
    pub issuing_ca: String,
    /// PKCS#8 in PEM. None where the owner has kept it and sent a request.
    pub private_key: Option<Secret<String>>,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Which authority has signed it.
    pub(crate) issuer: String,
}

/// Which certificates of a domain to list.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which part.
    pub page: PageRequest,
    /// Only those of one client.
    pub client: Option<ClientId>,
    /// Only revoked ones, or only those that are not.
    pub revoked: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_a_go_duration_days_or_seconds() {
        for (text, seconds) in [("8760h", 31_536_000), ("90m", 5400), ("30d", 2_592_000), ("3600", 3600)] {
            assert_eq!(text.parse::<Ttl>().unwrap().0, Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["", "0", "-1h", "soon", "10ms", "1x"] {
            let error = wrong.parse::<Ttl>().unwrap_err().to_string();
            assert!(error.starts_with("invalid certificate data") && error.contains("8760h"), "{error}");
        }
    }

    #[test]
    fn nobody_gets_the_name_of_another_client() {
        let own: ClientId = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11".parse().unwrap();
        let other = "5F0B4E1C-7C3A-4A8E-9D53-0D8B9F3C2A12";
        let asked = |name: &str, host: &str| {
            let mut new = NewCertificate::of_client(own, None);
            new.subject = Subject::new(name).unwrap();
            new.hosts = vec![host.parse().unwrap()];
            new.checked()
        };
        assert!(asked(&own.to_string(), "device.local").is_ok());
        assert!(asked("boiler", "10.0.0.7").is_ok());
        assert!(asked(other, "device.local").is_err());
        assert!(asked(&format!("urn:uuid:{other}"), "device.local").is_err());
        assert!(asked("boiler", other).is_err());
    }

    #[test]
    fn names_are_bounded() {
        assert!(Subject::new("").is_err());
        assert!(Subject::new(&"x".repeat(65)).is_err());
        assert!(Subject::new("a\nb").is_err());
        let one = Subject::new("x").unwrap();
        assert!(one.clone().with(Attribute::Country, &["Serbia".to_owned()]).is_err());
        assert!(one.clone().with(Attribute::Organization, &["a".to_owned(), "b".to_owned()]).is_err());
        assert!(one.with(Attribute::Country, &["RS".to_owned()]).is_ok());
        for wrong in ["", "a..b", "a b", "-\n", &"x.".repeat(200)] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong}");
        }
        assert_eq!("*.Example.COM".parse::<Host>().unwrap().to_string(), "*.example.com");
    }
}
