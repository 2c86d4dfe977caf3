//! Certificates of clients, and the authority that signs them (reference 04 §4).

use base64::{Engine, prelude::BASE64_STANDARD};
use kernel::{ClientId, DomainId, Secret, Timestamp};
use reqwest::Method;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::api::{Api, Request};
use crate::error::Result;
use crate::page::{Page, Span};

/// Operations on the certificates of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Certs<'a> {
    pub(crate) api: &'a Api,
    pub(crate) domain: DomainId,
}

/// What anybody may ask of the authority.
#[derive(Clone, Copy, Debug)]
pub struct CertAuthority<'a>(pub(crate) &'a Api);

/// A certificate that is wanted. The platform makes the key.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewCertificate {
    /// How long it is valid: `8760h`, `90m`, `30d`, or seconds; empty as long as the operator has set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ttl: String,
    /// `ecdsa-p256` if empty; `ecdsa-p384`, `ed25519`, `rsa-2048`, `rsa-3072` or `rsa-4096`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_type: String,
    /// What it says.
    pub options: CertificateNames,
}

/// The names in a certificate, beside the client's id.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CertificateNames {
    /// Must be there.
    pub common_name: String,
    /// DNS names by which the client is reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// Addresses, likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
}

/// A certificate as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Certificate {
    /// Bytes in hexadecimal digits with colons between them.
    pub serial_number: String,
    /// PEM; not in lists.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Whether it was taken back.
    #[serde(default)]
    pub revoked: bool,
    /// When it ends.
    pub expiry_time: Timestamp,
    /// Its client.
    #[serde(default)]
    pub entity_id: Option<ClientId>,
}

/// A certificate that was just made.
#[derive(Clone, Debug, Deserialize)]
pub struct IssuedCertificate {
    /// Bytes in hexadecimal digits with colons between them.
    pub serial_number: String,
    /// PEM.
    pub certificate: String,
    /// PKCS#8 in PEM, where the platform has made it.
    #[serde(default)]
    pub key: Option<Secret<String>>,
    /// PEM of those above it, the root last; empty where the platform does not say.
    #[serde(default)]
    pub ca_chain: Vec<String>,
    /// When it ends.
    pub expiry_time: Timestamp,
}

/// The answer to a renewal: certificate and key are base64 of PEM.
#[derive(Deserialize)]
struct Renewed {
    #[serde(deserialize_with = "decoded")]
    certificate: IssuedCertificate,
}

fn decoded<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<IssuedCertificate, D::Error> {
    let text = |base64: &str| {
        let bytes = BASE64_STANDARD.decode(base64).map_err(D::Error::custom)?;
        String::from_utf8(bytes).map_err(D::Error::custom)
    };
    let coded = IssuedCertificate::deserialize(deserializer)?;
    Ok(IssuedCertificate {
        certificate: text(&coded.certificate)?,
        key: coded.key.map(|key| text(key.expose()).map(Secret::new)).transpose()?,
        ..coded
    })
}

/// Which certificates to list.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CertificateQuery {
    /// Those of one client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<ClientId>,
    /// Only revoked ones, or only others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<bool>,
}

/// The certificates of an authority.
#[derive(Clone, Debug, Deserialize)]
pub struct AuthorityChain {
    /// PEM, the one that signs first and the root last.
    pub certificate: String,
    /// When the first ends.
    pub expiry_time: Timestamp,
}

#[derive(Deserialize)]
struct Token {
    token: Secret<String>,
}

impl Certs<'_> {
    /// Has a key and a certificate made for a client. The key is in the answer.
    pub async fn issue(&self, client: ClientId, new: &NewCertificate) -> Result<IssuedCertificate> {
        self.request(Method::POST, &format!("/issue/{client}")).json(new).answer().await
    }

    /// Has the key of a request (PKCS#10 in PEM) certified; `ttl` as in [`NewCertificate::ttl`].
    pub async fn issue_from_csr(&self, client: ClientId, csr: &str, ttl: &str) -> Result<IssuedCertificate> {
        let request = self.request(Method::POST, &format!("/csrs/{client}"));
        let request = request.json(&json!({ "csr": BASE64_STANDARD.encode(csr) }));
        if ttl.is_empty() { request } else { request.query(&[("ttl", ttl)]) }.answer().await
    }

    /// The certificates of clients that the caller may see, the newest first.
    pub async fn list(&self, span: Span, query: &CertificateQuery) -> Result<Page<Certificate>> {
        self.request(Method::GET, "").query(&span).query(query).page("certificates").await
    }

    /// One certificate.
    pub async fn view(&self, serial: &str) -> Result<Certificate> {
        self.request(Method::GET, &format!("/{serial}")).answer().await
    }

    /// Another certificate with the same names and a new key; the old one stays valid.
    pub async fn renew(&self, serial: &str) -> Result<IssuedCertificate> {
        let renewed: Renewed = self.request(Method::PATCH, &format!("/{serial}/renew")).answer().await?;
        Ok(renewed.certificate)
    }

    /// Takes a certificate back.
    pub async fn revoke(&self, serial: &str) -> Result<()> {
        self.request(Method::PATCH, &format!("/{serial}/revoke")).done().await
    }

    /// Takes all certificates of a client back, but the newest if that is to stay.
    pub async fn revoke_all(&self, client: ClientId, keep_latest: bool) -> Result<()> {
        let body = json!({"client_id": client, "keep_latest": keep_latest});
        let base = &self.api.remotes().certs;
        self.api.request(Method::DELETE, base, "/certs/revoke").json(&body).done().await
    }

    /// A zip archive of the certificate, its key if the platform has made it, and the chain.
    pub async fn download(&self, serial: &str) -> Result<Vec<u8>> {
        let token: Token = self.request(Method::GET, &format!("/{serial}/download/token")).answer().await?;
        let path = format!("/certs/{serial}/download");
        let request = self.api.request(Method::GET, &self.api.remotes().certs, &path);
        request.query(&[("token", token.token.expose())]).bytes().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        let path = format!("/{}/certs{below}", self.domain);
        self.api.request(method, &self.api.remotes().certs, &path)
    }
}

impl CertAuthority<'_> {
    /// Its certificates.
    pub async fn chain(&self) -> Result<AuthorityChain> {
        self.0.request(Method::GET, &self.0.remotes().certs, "/certs/view-ca").answer().await
    }

    /// The list of what was revoked, in DER as the platform's own authority signs it.
    pub async fn revocation_list(&self) -> Result<Vec<u8>> {
        let list: RevocationList =
            self.0.request(Method::GET, &self.0.remotes().certs, "/certs/crl").answer().await?;
        Ok(list.crl)
    }
}

#[derive(Deserialize)]
struct RevocationList {
    #[serde(deserialize_with = "bytes")]
    crl: Vec<u8>,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<u8>, D::Error> {
    BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
}
