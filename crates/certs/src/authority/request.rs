//! Certificate signing requests (PKCS#10): whose key it is, proven, and what it would like to be called.

use kernel::{Error, Result};
use rcgen::SubjectPublicKeyInfo;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{
    certification_request::X509CertificationRequest, extensions::ParsedExtension, prelude::FromDer,
    public_key::PublicKey,
};

use super::existing::{hosts_of, subject_of};
use crate::model::{Host, MAX_HOSTS, Subject};

/// The most bytes of a request that are read: a dozen times what a large one has.
const MAX_LEN: usize = 64 * 1024;
/// The fewest bits of an RSA key.
const MIN_RSA_BITS: usize = 2048;

/// A request whose signature shows that the sender has the key.
#[derive(Debug, Clone)]
pub struct Request {
    pem: String,
    key: SubjectPublicKeyInfo,
    subject: Option<Subject>,
    hosts: Vec<Host>,
}

impl Request {
    /// Reads PEM.
    ///
    /// # Errors
    ///
    /// `Invalid`, saying what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self> {
        if pem.trim().is_empty() {
            return Err(Error::invalid("malformed entity specification: the request (`csr`) is missing"));
        }
        if pem.len() > MAX_LEN {
            return Err(refused("it is larger than 64 KiB"));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| refused("it is not PEM of a certificate request").cause(error))?;
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| refused("it is no PKCS#10 request").cause(error.to_string()))?;
        if !rest.is_empty() {
            return Err(refused("something follows the request"));
        }
        request.verify_signature().map_err(|error| refused("its signature does not hold").cause(error))?;
        let info = &request.certification_request_info;
        Ok(Self {
            pem: pem.to_owned(),
            key: key(&info.subject_pki)?,
            subject: subject_of(&info.subject)?,
            hosts: hosts(&request)?,
        })
    }

    /// The request as it was sent.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The key to be certified.
    pub(crate) fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }

    /// What it would like to stand in the subject; none without a common name.
    pub fn subject(&self) -> Option<Subject> {
        self.subject.clone()
    }

    /// The DNS names and addresses that it would like.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

fn refused(why: &str) -> Error {
    Error::invalid(format!("malformed entity specification: the certificate request cannot be used, {why}"))
}

fn key(info: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<SubjectPublicKeyInfo> {
    if let Ok(PublicKey::RSA(rsa)) = info.parsed()
        && rsa.key_size() < MIN_RSA_BITS
    {
        return Err(refused("its RSA key has fewer than 2048 bits"));
    }
    SubjectPublicKeyInfo::from_der(info.raw).map_err(|error| {
        refused("its key is of a kind that is not signed, take ECDSA on P-256 or P-384, Ed25519 or RSA")
            .cause(error)
    })
}

/// Who the owner is, is not for the request to say: only names and addresses are read.
fn hosts(request: &X509CertificationRequest<'_>) -> Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            hosts.extend(hosts_of(&names.general_names)?);
        }
    }
    match hosts.len() {
        0..=MAX_HOSTS => Ok(hosts),
        _ => Err(refused("it asks for too many alternative names")),
    }
}
