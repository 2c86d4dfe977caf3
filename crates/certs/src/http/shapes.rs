//! What travels.

use kernel::{ClientId, Error, Page, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{self, Attribute, Certificate, Host, Issued, KeyType, Serial, Subject, Ttl};

/// A certificate that is wanted for a client.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct NewCertificate {
    /// How long it is valid: `8760h`, `90m`, `30d`, or seconds.
    #[serde(default)]
    ttl: String,
    #[serde(default)]
    ip_addresses: Vec<String>,
    /// `ecdsa-p256` (the default), `ecdsa-p384`, `ed25519`, `rsa-2048`, `rsa-3072` or `rsa-4096`.
    #[serde(default)]
    key_type: String,
    #[serde(default)]
    options: Options,
}

/// The names in a certificate.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Options {
    #[serde(default, alias = "CommonName")]
    common_name: String,
    #[serde(default)]
    organization: Vec<String>,
    #[serde(default)]
    organizational_unit: Vec<String>,
    #[serde(default)]
    country: Vec<String>,
    #[serde(default)]
    province: Vec<String>,
    #[serde(default)]
    locality: Vec<String>,
    #[serde(default)]
    street_address: Vec<String>,
    #[serde(default)]
    postal_code: Vec<String>,
    #[serde(default)]
    dns_names: Vec<String>,
    #[serde(default)]
    ip_addresses: Vec<String>,
}

impl NewCertificate {
    /// For this client; the common name of the query counts where the body has none.
    pub(super) fn parse(
        self,
        client: ClientId,
        common_name: Option<String>,
    ) -> Result<model::NewCertificate> {
        let options = self.options;
        let common_name = Some(options.common_name).filter(|name| !name.is_empty()).or(common_name);
        let mut subject = Subject::new(&common_name.unwrap_or_default())?;
        for (attribute, values) in [
            (Attribute::Country, &options.country),
            (Attribute::Province, &options.province),
            (Attribute::Locality, &options.locality),
            (Attribute::StreetAddress, &options.street_address),
            (Attribute::PostalCode, &options.postal_code),
            (Attribute::Organization, &options.organization),
            (Attribute::OrganizationalUnit, &options.organizational_unit),
        ] {
            subject = subject.with(attribute, values)?;
        }
        let mut hosts = Vec::new();
        for ip in self.ip_addresses.iter().chain(&options.ip_addresses) {
            let ip = ip
                .parse()
                .map_err(|_| Error::invalid("invalid request: `ip_addresses` takes IP addresses"))?;
            add(&mut hosts, Host::Ip(ip));
        }
        for name in &options.dns_names {
            add(&mut hosts, name.parse()?);
        }
        Ok(model::NewCertificate {
            client,
            subject,
            hosts,
            key: self.key_type.parse()?,
            ttl: ttl(&self.ttl)?,
        })
    }
}

fn add(hosts: &mut Vec<Host>, host: Host) {
    if !hosts.contains(&host) {
        hosts.push(host);
    }
}

/// A time to live, if there is one.
pub(super) fn ttl(text: &str) -> Result<Option<Ttl>> {
    (!text.is_empty()).then(|| text.parse()).transpose()
}

/// A certificate whose common name is the client's id.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewOfClient {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    ttl: String,
    /// See `key_type` of the other forms.
    #[serde(default)]
    key_type: String,
}

impl NewOfClient {
    pub(super) fn parse(self) -> Result<model::NewCertificate> {
        if self.client_id.is_empty() {
            return Err(Error::invalid("missing entity id"));
        }
        if self.ttl.is_empty() {
            return Err(Error::invalid("missing certificate data"));
        }
        let mut new = model::NewCertificate::of_client(self.client_id.parse()?, ttl(&self.ttl)?);
        new.key = self.key_type.parse::<KeyType>()?;
        Ok(new)
    }
}

/// A request to have a key certified.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct FromRequest {
    /// The PKCS#10 request in PEM, or base64 of that.
    #[serde(default)]
    pub(super) csr: String,
}

/// All certificates of a client are to be revoked.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RevokeOfClient {
    #[serde(default)]
    pub(super) client_id: String,
    /// This one stays.
    #[schema(value_type = Option<String>)]
    pub(super) except_serial: Option<Serial>,
    /// The newest one stays.
    #[serde(default)]
    pub(super) keep_latest: bool,
}

/// A certificate that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IssuedView {
    #[schema(value_type = String)]
    serial_number: Serial,
    certificate: String,
    /// PKCS#8 in PEM. It is shown here alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// PEM of those between it and the root, and of the root.
    ca_chain: Vec<String>,
    issuing_ca: String,
    revoked: bool,
    expiry_time: Timestamp,
    entity_id: ClientId,
    client_id: ClientId,
}

impl From<Issued> for IssuedView {
    fn from(issued: Issued) -> Self {
        Self {
            serial_number: issued.serial,
            certificate: issued.certificate,
            key: issued.private_key.map(|key| key.expose().clone()),
            ca_chain: each(&issued.chain),
            issuing_ca: issued.issuing_ca,
            revoked: false,
            expiry_time: issued.not_after,
            entity_id: issued.client,
            client_id: issued.client,
        }
    }
}

/// The certificates of a PEM text, each for itself.
fn each(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .map(str::trim)
        .filter(|one| one.ends_with(END))
        .map(|one| format!("{one}\n"))
        .collect()
}

/// A certificate as it is shown; never with its key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CertificateView {
    #[schema(value_type = String)]
    serial_number: Serial,
    /// PEM; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    revoked: bool,
    expiry_time: Timestamp,
    entity_id: ClientId,
    client_id: ClientId,
}

impl From<Certificate> for CertificateView {
    fn from(certificate: Certificate) -> Self {
        Self {
            serial_number: certificate.serial,
            certificate: Some(certificate.pem),
            revoked: certificate.revoked.is_some(),
            expiry_time: certificate.not_after,
            entity_id: certificate.client,
            client_id: certificate.client,
        }
    }
}

impl From<Issued> for CertificateView {
    fn from(issued: Issued) -> Self {
        Self {
            serial_number: issued.serial,
            certificate: Some(issued.certificate),
            revoked: false,
            expiry_time: issued.not_after,
            entity_id: issued.client,
            client_id: issued.client,
        }
    }
}

fn listed(certificate: Certificate) -> CertificateView {
    CertificateView { certificate: None, ..certificate.into() }
}

/// A page of certificates.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CertificatePage {
    total: u64,
    offset: u64,
    limit: u64,
    certificates: Vec<CertificateView>,
}

impl From<Page<Certificate>> for CertificatePage {
    fn from(page: Page<Certificate>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            certificates: page.items.into_iter().map(listed).collect(),
        }
    }
}

/// A page of the certificates of one client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SerialPage {
    total: u64,
    offset: u64,
    limit: u64,
    certs: Vec<CertificateView>,
}

impl From<Page<Certificate>> for SerialPage {
    fn from(page: Page<Certificate>) -> Self {
        let CertificatePage { total, offset, limit, certificates: certs } = page.into();
        Self { total, offset, limit, certs }
    }
}

/// What a renewal has made; certificate and key are base64 of PEM, as the Go SDK reads them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Renewed {
    certificate: RenewedCertificate,
}

#[derive(Debug, Serialize, ToSchema)]
struct RenewedCertificate {
    #[schema(value_type = String)]
    serial_number: Serial,
    certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    revoked: bool,
    expiry_time: Timestamp,
    entity_id: ClientId,
    /// 0: a client's.
    #[serde(rename = "type")]
    kind: u8,
}

impl From<Issued> for Renewed {
    fn from(issued: Issued) -> Self {
        use base64::{Engine, prelude::BASE64_STANDARD};
        Self {
            certificate: RenewedCertificate {
                serial_number: issued.serial,
                certificate: BASE64_STANDARD.encode(issued.certificate),
                key: issued.private_key.map(|key| BASE64_STANDARD.encode(key.expose())),
                revoked: false,
                expiry_time: issued.not_after,
                entity_id: issued.client,
                kind: 0,
            },
        }
    }
}

/// When certificates were revoked; Go's zero time where there were none.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevocationTime {
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    pub(super) revocation_time: Option<Timestamp>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Token {
    pub(super) token: String,
}

/// The authority's own certificates.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuthorityView {
    /// PEM, the one that signs first and the root last.
    pub(super) certificate: String,
    pub(super) revoked: bool,
    pub(super) expiry_time: Timestamp,
}
