//! The types that settings have, and how each is read from text.
//!
//! Every layer (flag, environment, file) gives text; a list in the file is joined by commas. An empty text means that
//! nothing is set and never reaches [`Value::parse`], except for optional values.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use access::identity::standalone::Standalone;
use kernel::{Secret, UserId, duration};
use users::model::{Email, PersonName, Username};

/// How a value is written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In quotes.
    Text,
    /// A number, `true` or `false`, without quotes.
    Bare,
    /// A list of numbers.
    Numbers,
    /// A list of words.
    Words,
}

/// A type of setting.
pub(crate) trait Value: Sized {
    /// What a value looks like, to end the sentence "expected …".
    const EXPECTED: &'static str;
    /// How the file writes it.
    const FORM: Form = Form::Text;
    /// Whether it must not be shown.
    const SECRET: bool = false;

    /// Reads it; `None` if this is no value of the type.
    fn parse(text: &str) -> Option<Self>;

    /// The text without what must not be shown.
    fn shown(text: &str) -> String {
        if Self::SECRET { "(secret)".to_owned() } else { text.to_owned() }
    }
}

impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const FORM: Form = T::FORM;
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::parse(text).map(Some) }
    }

    fn shown(text: &str) -> String {
        T::shown(text)
    }
}

impl Value for String {
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// Types of the registry that know themselves what they take.
macro_rules! registry_types {
    ($($name:ty, $expected:literal;)+) => {$(
        impl Value for $name {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

registry_types! {
    Username, "1 to 32 letters, digits, `_` or `-`, beginning with a letter or digit, without `__` or `--`";
    Email, "an e-mail address";
    PersonName, "at most 254 bytes without control characters";
}

/// The one user of stand-alone mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandaloneUser(pub UserId);

impl Value for StandaloneUser {
    const EXPECTED: &'static str = "a user id or an e-mail address of at most 254 bytes";

    fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= 254 && !text.chars().any(char::is_control);
        fits.then(|| Standalone::user_named(text).ok().map(Self)).flatten()
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
}

impl Value for Secret<String> {
    const EXPECTED: &'static str = "a text";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        Some(Self::new(text.to_owned()))
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "`true` or `false`";
    const FORM: Form = Form::Bare;

    /// The words that Go's `strconv.ParseBool` takes (reference 07 §1).
    fn parse(text: &str) -> Option<Self> {
        match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        }
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a duration such as `90s`, `1h30m` or a number of seconds";

    fn parse(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().ok().map(Self::from_secs) } else { duration::parse(text) }
    }
}

impl Value for u16 {
    const EXPECTED: &'static str = "a port from 1 to 65535";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|&port| port != 0)
    }
}

impl Value for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// An address to listen on: `host:port`, or a port on all interfaces. Port 0 lets the system choose a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }
}

impl Value for Address {
    const EXPECTED: &'static str = "an address such as `0.0.0.0:8080`, `localhost:0` or a port";

    fn parse(text: &str) -> Option<Self> {
        if let Ok(port) = text.parse() {
            return Some(Self { host: "0.0.0.0".to_owned(), port });
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner.filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
            None if host.contains(':') => return None,
            None if host.is_empty() => "0.0.0.0",
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        host.chars().all(plain).then(|| Self { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A number of bytes: `1048576`, `5MiB`, `64KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl Value for ByteSize {
    const EXPECTED: &'static str = "a size such as `5MiB`, `64KiB` or a number of bytes";

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits)?;
        let unit = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" | "KB" | "k" => 1 << 10,
            "MiB" | "MB" | "m" => 1 << 20,
            "GiB" | "GB" | "g" => 1 << 30,
            _ => return None,
        };
        number.parse::<usize>().ok()?.checked_mul(unit).map(Self)
    }
}

/// Items with commas between them; `none` is the empty list.
pub(super) fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    match text.trim() {
        "none" | "" => Some(Vec::new()),
        items => items.split(',').map(|part| item(part.trim())).collect(),
    }
}

/// Ports that one service answers on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub Vec<u16>);

impl Value for Ports {
    const EXPECTED: &'static str = "ports such as `9001,8189`, or `none`";
    const FORM: Form = Form::Numbers;

    fn parse(text: &str) -> Option<Self> {
        list(text, |port| port.parse().ok().filter(|&port| port != 0)).map(Self)
    }
}

/// Words with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Value for Words {
    const EXPECTED: &'static str = "a list with commas";
    const FORM: Form = Form::Words;

    fn parse(text: &str) -> Option<Self> {
        list(text, |word| (!word.is_empty()).then(|| word.to_owned())).map(Self)
    }
}

/// Servers of one NATS cluster. `Debug` hides their passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsUrls(pub Vec<nats::NatsUrl>);

impl Value for NatsUrls {
    const EXPECTED: &'static str = "addresses such as `nats://localhost:4222`, with commas between them";

    fn parse(text: &str) -> Option<Self> {
        list(text, |word| word.parse().ok()).map(Self)
    }

    fn shown(text: &str) -> String {
        let shown = |urls: Self| urls.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Self::parse(text).map_or_else(|| "(not shown)".to_owned(), shown)
    }
}

/// Reads one of the words of an enum, in any letter case.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $expected:literal { $($(#[$variant_doc:meta])* $variant:ident = $($word:literal)|+;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl Value for $name {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($($word)|+ => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use words;

words! {
    /// What the log shows.
    LogLevel, "`debug`, `info`, `warn` or `error`" {
        /// Everything.
        Debug = "debug";
        /// What was done.
        Info = "info";
        /// What somebody should look at.
        Warn = "warn";
        /// What went wrong on our side.
        Error = "error";
    }
}

words! {
    /// How a line of the log is written.
    LogFormat, "`text` or `json`" {
        /// For people.
        Text = "text";
        /// One JSON object per line with `time`, `level`, `msg` (reference 07 §7.4).
        Json = "json";
    }
}

words! {
    /// How the connection to the mail server is protected.
    MailTls, "`auto`, `none`, `starttls` or `tls`" {
        /// What suits port and host.
        Auto = "auto";
        /// Not at all.
        None = "none";
        /// TLS after the greeting; nothing is sent without it.
        StartTls = "starttls";
        /// TLS from the first byte.
        Tls = "tls";
    }
}

words! {
    /// How safe all connections are.
    TlsMode, "`none`, `tls` or `mtls`" {
        /// Nothing is encrypted.
        None = "none";
        /// What devices and people reach is.
        Tls = "tls";
        /// That, and everybody shows a certificate.
        Mtls = "mtls";
    }
}

words! {
    /// Whether clients must show a certificate.
    ClientCertificates, "`required` or `optional`" {
        /// They may.
        Optional = "optional";
        /// They must.
        Required = "required";
    }
}

words! {
    /// What signs certificates of clients.
    CertsBackend, "`builtin` or `openbao`" {
        /// The platform's own authority.
        Builtin = "builtin";
        /// The PKI of an OpenBao or Vault.
        OpenBao = "openbao" | "vault";
    }
}

words! {
    /// What stands in the common name of a client's certificate.
    CommonName, "`id` or `secret`" {
        /// The client's id.
        Id = "id";
        /// The client's secret.
        Secret = "secret";
    }
}

words! {
    /// How user tokens are signed. Each name means what it says: `RS256`, which several of upstream's services have as a
    /// default that they refuse themselves (reference 07 §14.1), signs with RSA.
    KeysAlgorithm, "`EdDSA`, `ES256`, `RS256`, `HS256`, `HS384` or `HS512`" {
        /// Ed25519.
        EdDsa = "eddsa";
        /// ECDSA on P-256.
        Es256 = "es256";
        /// RSA.
        Rs256 = "rs256";
        /// HMAC with SHA-256.
        Hs256 = "hs256";
        /// HMAC with SHA-384.
        Hs384 = "hs384";
        /// HMAC with SHA-512.
        Hs512 = "hs512";
    }
}

words! {
    /// A part of the platform that a node can serve.
    Capability, "one of `auth`, `users`, `domains`, `groups`, `clients`, `channels`, `certs`, `bootstrap`, `provision`, `http-adapter`, `mqtt`, `coap`, `policy`" {
        /// Signing keys (JWKS).
        Auth = "auth";
        /// Users and their tokens.
        Users = "users";
        /// Domains.
        Domains = "domains";
        /// Groups.
        Groups = "groups";
        /// Clients.
        Clients = "clients";
        /// Channels and connections.
        Channels = "channels";
        /// What devices fetch when they are started for the first time.
        Bootstrap = "bootstrap";
        /// Gateways, each made by one request.
        Provision = "provision";
        /// Certificates.
        Certs = "certs";
        /// Publishing over HTTP.
        HttpAdapter = "http-adapter" | "http_adapter" | "http";
        /// MQTT over TCP.
        Mqtt = "mqtt" | "mqtt-adapter";
        /// CoAP over UDP and DTLS.
        Coap = "coap" | "coap-adapter" | "coap_adapter";
        /// The policy service for other brokers.
        Policy = "policy";
    }
}

words! {
    /// How a callout is asked.
    CalloutMethod, "`POST` or `GET`" {
        /// The question is JSON in the body.
        Post = "post";
        /// The question is the query.
        Get = "get";
    }
}

/// The capabilities that this node serves; empty = all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only(Vec<Capability>);

impl Only {
    /// Whether this node serves everything.
    pub fn serves_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this node serves `capability`.
    pub fn serves(&self, capability: Capability) -> bool {
        self.serves_all() || self.0.contains(&capability)
    }
}

impl Value for Only {
    const EXPECTED: &'static str = "a list of `auth`, `users`, `domains`, `groups`, `clients`, `channels`, \
                                    `certs`, `bootstrap`, `provision`, `http-adapter`, `mqtt`, `coap`, `policy`, or `all`";
    const FORM: Form = Form::Words;

    fn parse(text: &str) -> Option<Self> {
        let named = if text.trim() == "all" { "" } else { text };
        list(named, Capability::parse).map(Self)
    }
}

/// Where the database is; a password in the URL is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// SQLite in a file.
    pub(super) fn of_file(path: &Path) -> Self {
        Self(format!("sqlite:{}", path.display()))
    }

    /// The whole URL, with the password.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a PostgreSQL.
    pub(super) fn is_postgres(&self) -> bool {
        self.0.starts_with("postgres")
    }
}

impl Value for DatabaseUrl {
    const EXPECTED: &'static str = "`sqlite:PATH` or `postgres://user:password@host:5432/name`";

    fn parse(text: &str) -> Option<Self> {
        let known = ["sqlite:", "postgres://", "postgresql://"];
        let given = known.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        (!given.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Hides the password between `user:` and `@`, and one given as a parameter.
    fn shown(text: &str) -> String {
        let mut shown = text.to_owned();
        if let Some((scheme, rest)) = text.split_once("://")
            && let Some((login, place)) = rest.rsplit_once('@')
        {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            let mask = if login.contains(':') { ":***" } else { "" };
            shown = format!("{scheme}://{user}{mask}@{place}");
        }
        match shown.find("password=") {
            Some(at) => {
                let end =
                    shown.get(at..).and_then(|rest| rest.find('&')).map_or(shown.len(), |length| at + length);
                shown.replace_range(at..end, "password=***");
                shown
            }
            None => shown,
        }
    }
}

/// Without the password.
impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Self::shown(&self.0))
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The key that seals secrets: 32 bytes.
#[derive(Clone, Debug)]
pub struct MasterKey(Secret<[u8; 32]>);

impl MasterKey {
    /// The bytes.
    pub fn bytes(&self) -> &Secret<[u8; 32]> {
        &self.0
    }
}

impl Value for MasterKey {
    const EXPECTED: &'static str = "64 hexadecimal digits, as `openssl rand -hex 32` prints them";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        let mut key = [0_u8; 32];
        let digits = text.as_bytes().chunks_exact(2);
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(digits) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(Secret::new(key)))
    }
}

/// What passwords must match.
#[derive(Clone, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// The regular expression.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Pattern {
    const EXPECTED: &'static str = "a regular expression";

    fn parse(text: &str) -> Option<Self> {
        regex::Regex::new(text).ok().map(|_| Self(text.to_owned()))
    }
}

/// The id that this node shows; a UUID.
#[derive(Clone, Debug)]
pub struct InstanceId(pub String);

impl Value for InstanceId {
    const EXPECTED: &'static str = "a text without spaces, at most 64 characters";

    fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        (text.len() <= 64 && text.chars().all(plain)).then(|| Self(text.to_owned()))
    }
}

/// How many of something; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub usize);

impl Value for Count {
    const EXPECTED: &'static str = "a whole number of at least 1";
    const FORM: Form = Form::Bare;

    fn parse(text: &str) -> Option<Self> {
        usize::from_str(text).ok().filter(|&count| count > 0).map(Self)
    }
}
