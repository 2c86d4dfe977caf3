//! OpenBao, or Vault, in place of the built-in authority: its PKI signs, over its HTTP API (reference 04 §4.5).
//!
//! Keys are made here and do not travel: what is signed is a request that names the client. What comes back is looked at
//! before it counts ([`signed`]): it is for the key and the client that were meant, may sign nothing, and lasts as long as
//! was asked; else it is taken back at once. A revocation counts here from its commit on, and is told to OpenBao until it
//! has heard ([`crate::service`]), so that nothing waits for it and nothing is lost while it is away.

mod client;
mod signed;

use std::{path::PathBuf, sync::Arc, time::Duration};

use kernel::{Error, Kind, Result, Secret, Timestamp};
use rcgen::KeyPair;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use self::client::Client;
use crate::{
    authority::{Above, Limits, profile},
    model::{Issued, NewCertificate, Serial},
};

/// What the database says of who has signed.
pub(crate) const ISSUER: &str = "openbao";

/// Where it is, and who we are to it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its address, such as `http://localhost:8200`.
    pub host: String,
    /// `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// The mount of the root; the one that signs is `<mount>_int`.
    pub mount: String,
    /// The role of the PKI.
    pub role: String,
    /// Role id of AppRole.
    pub role_id: Secret<String>,
    /// Secret id of AppRole.
    pub secret_id: SecretId,
    /// PEM of authorities that have signed its certificate, beside the usual ones.
    pub authorities: Option<PathBuf>,
}

/// A secret id, or where it is read at each login.
#[derive(Debug, Clone)]
pub enum SecretId {
    /// The secret itself.
    Given(Secret<String>),
    /// A file that holds it.
    File(PathBuf),
}

/// The PKI of an OpenBao; cheap to clone.
#[derive(Debug, Clone)]
pub struct OpenBao(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    mount: String,
    role: String,
}

#[derive(Deserialize)]
struct Signed {
    certificate: String,
    #[serde(default)]
    issuing_ca: String,
    #[serde(default)]
    ca_chain: Vec<String>,
}

impl OpenBao {
    /// The PKI; nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// `Invalid` for an address or a file that is none.
    pub fn new(options: Options) -> Result<Self> {
        let Options { mount, role, .. } = &options;
        for (setting, word) in [("certs.openbao_pki_path", mount), ("certs.openbao_role", role)] {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if word.is_empty() || word.contains("..") || !word.chars().all(fits) {
                return Err(Error::invalid(format!("`{setting}`: `{word}` cannot be a part of an address")));
            }
        }
        let (mount, role) = (format!("{}_int", mount.trim_matches('/')), role.clone());
        Ok(Self(Arc::new(Inner { client: Client::new(options)?, mount, role })))
    }

    /// Has a certificate made for a key of ours.
    ///
    /// # Errors
    ///
    /// `Unavailable` where OpenBao cannot be asked, `Unprocessable` with its words where it refuses, and where what it has
    /// signed is not what was asked for.
    pub(crate) async fn issue(
        &self,
        new: NewCertificate,
        key: KeyPair,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Issued> {
        let new = new.checked()?;
        let request = profile::wish(&new, &key)?.serialize_request(&key).map_err(Error::internal)?;
        let pem = request.pem().map_err(Error::internal)?;
        let mut issued =
            self.sign(&pem, rcgen::PublicKeyData::subject_public_key_info(&key), new, limits, now).await?;
        issued.private_key = Some(Secret::new(key.serialize_pem()));
        Ok(issued)
    }

    /// Has the key of a request certified; `key` is its SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::issue`].
    pub(crate) async fn sign(
        &self,
        request: &str,
        key: Vec<u8>,
        new: NewCertificate,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Issued> {
        let new = new.checked()?;
        let ttl = new.ttl.map_or(limits.default_ttl, |ttl| ttl.0);
        if ttl > limits.max_ttl {
            return Err(limits.too_long());
        }
        let (dns, ips) = signed::names(&new.hosts);
        let body = json!({
            "csr": request,
            "common_name": new.subject.common_name,
            "ttl": format!("{}s", ttl.as_secs()),
            "use_csr_values": true,
            "exclude_cn_from_sans": true,
            "alt_names": dns,
            "ip_sans": ips,
            "ext_key_usage": ["ClientAuth", "ServerAuth"],
        });
        let path = format!("{}/sign-verbatim/{}", self.0.mount, self.0.role);
        let answer: Signed = self.0.client.data(Method::PUT, &path, Some(&body)).await?;
        let chain = if answer.ca_chain.is_empty() {
            answer.issuing_ca.clone()
        } else {
            signed::joined(&answer.ca_chain)
        };
        let issued = signed::issued(&answer.certificate, (&answer.issuing_ca, &chain), &new)?;
        if let Err(refused) = signed::check(&answer.certificate, &new, &key, now.after(ttl)) {
            self.take_back(&issued.serial).await;
            return Err(refused);
        }
        Ok(issued)
    }

    /// Revokes what is not to count after all. That it fails is for the log: nobody here takes it for good.
    pub(crate) async fn take_back(&self, serial: &Serial) {
        if let Err(error) = self.revoke(serial).await {
            tracing::warn!(%serial, causes = error.chain(), "OpenBao keeps a certificate that is not used: {error}");
        }
    }

    /// Revokes a certificate.
    ///
    /// # Errors
    ///
    /// `Unavailable` where OpenBao cannot be asked, `Unprocessable` where it refuses, for example because it does not know
    /// the certificate.
    pub(crate) async fn revoke(&self, serial: &Serial) -> Result<()> {
        let path = format!("{}/revoke", self.0.mount);
        let body = json!({ "serial_number": serial });
        self.0.client.data::<Value>(Method::PUT, &path, Some(&body)).await.map(drop)
    }

    /// The authority that signs, and those above it.
    ///
    /// # Errors
    ///
    /// `Unavailable` where OpenBao cannot be asked, or has no authority yet.
    pub(crate) async fn above(&self) -> Result<Above> {
        let chain = self.0.client.bytes(Method::GET, &format!("{}/ca_chain", self.0.mount), None).await?;
        let chain = String::from_utf8(chain).unwrap_or_default();
        if chain.contains("-----BEGIN") {
            return Above::read(&chain);
        }
        let der = self.0.client.bytes(Method::GET, &format!("{}/ca", self.0.mount), None).await?;
        if der.is_empty() {
            return Err(Error::new(
                Kind::Unavailable,
                "OpenBao has no certificate authority at its PKI path yet",
            ));
        }
        Above::read(&signed::pem(&der))
    }

    /// The revocation list in DER.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::above`].
    pub(crate) async fn revocation_list(&self) -> Result<Vec<u8>> {
        self.0.client.bytes(Method::GET, &format!("{}/crl", self.0.mount), None).await
    }

    /// Its answer in DER to a question in DER (RFC 6960).
    ///
    /// # Errors
    ///
    /// As [`OpenBao::above`].
    pub(crate) async fn answer(&self, question: Vec<u8>) -> Result<Vec<u8>> {
        let body = ("application/ocsp-request", question);
        self.0.client.bytes(Method::POST, &format!("{}/ocsp", self.0.mount), Some(body)).await
    }
}

/// How often OpenBao is asked again what could not be asked.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);
