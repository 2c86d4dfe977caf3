//! What a client has shown of itself.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::*};

/// The leaf that a client has proven to own, as far as anybody asks about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of the subject; the most specific one, empty without any.
    pub common_name: String,
    /// Subject alternative names of the kinds DNS, URI and mail, in their order.
    pub names: Vec<String>,
    /// Serial number in lower-case hexadecimal digits, two for each byte, without leading zero bytes.
    pub serial: String,
    /// Common name of the issuer; empty without any.
    pub issuer: String,
    /// SHA-256 of the issuer's whole name as it stands in the certificate, in lower-case hexadecimal digits.
    pub issuer_name: String,
    /// SHA-256 of the whole certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// SHA-256 of the public key as it stands in the certificate (SubjectPublicKeyInfo), likewise.
    pub key_fingerprint: String,
}

impl Certificate {
    /// Reads a certificate whose signature somebody else has checked. `None`: it is none.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(der).ok()?;
        let names = leaf.subject_alternative_name().ok().flatten();
        let names = names.map(|extension| extension.value.general_names.iter().filter_map(text).collect());
        let serial = leaf.raw_serial();
        let leading = serial.iter().take_while(|&&byte| byte == 0).count();
        Some(Self {
            common_name: common_name(leaf.subject()),
            names: names.unwrap_or_default(),
            serial: hex(serial.get(leading..).unwrap_or_default()),
            issuer: common_name(leaf.issuer()),
            issuer_name: hex(digest(&SHA256, leaf.issuer().as_raw()).as_ref()),
            fingerprint: hex(digest(&SHA256, der).as_ref()),
            key_fingerprint: hex(digest(&SHA256, leaf.public_key().raw).as_ref()),
        })
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    let last = name.iter_common_name().last();
    last.and_then(|attribute| attribute.as_str().ok()).unwrap_or_default().to_owned()
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
            Some((*name).to_owned())
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
