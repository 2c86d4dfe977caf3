//! What OpenBao has signed: whether it is what was asked for.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use kernel::{Error, Result, Timestamp};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::ISSUER;
use crate::{
    authority::fingerprint,
    model::{Host, Issued, NewCertificate, Serial},
};

/// How much earlier than asked a certificate may end: clocks differ.
const TOLERANCE: Duration = Duration::from_secs(60);

fn refused(why: &str) -> Error {
    Error::unprocessable(format!("failed to create certificate: {why}"))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::unavailable(format!("OpenBao has answered with no certificate: {error}"))
}

/// DNS names and addresses with commas between them.
pub(super) fn names(hosts: &[Host]) -> (String, String) {
    let text = |wanted: fn(&Host) -> bool| {
        hosts.iter().filter(|host| wanted(host)).map(Host::to_string).collect::<Vec<_>>().join(",")
    };
    (text(|host| matches!(host, Host::Dns(_))), text(|host| matches!(host, Host::Ip(_))))
}

/// Certificates one after another, each with its end of line.
pub(super) fn joined(pems: &[String]) -> String {
    pems.iter().map(|pem| format!("{}\n", pem.trim())).collect()
}

/// PEM of a certificate.
pub(super) fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
}

/// A certificate as it is kept.
pub(super) fn issued(
    certificate: &str,
    (issuer, chain): (&str, &str),
    new: &NewCertificate,
) -> Result<Issued> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(unreadable)?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(unreadable)?;
    let seconds = |at: i64| Timestamp::from_micros(at.saturating_mul(1_000_000));
    Ok(Issued {
        serial: Serial::from_bytes(parsed.raw_serial()),
        client: new.client,
        common_name: new.subject.common_name.clone(),
        fingerprint: fingerprint(&der),
        certificate: format!("{}\n", certificate.trim()),
        chain: format!("{}\n", chain.trim()),
        issuing_ca: format!("{}\n", issuer.trim()),
        private_key: None,
        not_before: seconds(parsed.validity().not_before.timestamp()),
        not_after: seconds(parsed.validity().not_after.timestamp()),
        issuer: ISSUER.to_owned(),
    })
}

/// Whether it is for this key, this client and this long, and for nothing else: `sign-verbatim` lets a request choose.
pub(super) fn check(certificate: &str, new: &NewCertificate, key: &[u8], until: Timestamp) -> Result<()> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(unreadable)?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(unreadable)?;
    if parsed.public_key().raw != key {
        return Err(refused("OpenBao has certified another key"));
    }
    let usage = parsed.key_usage().ok().flatten();
    if parsed.is_ca() || usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign()) {
        return Err(refused("a request may not ask for an authority"));
    }
    let own = format!("urn:uuid:{}", new.client);
    let names = parsed.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::URI(uri) if uri.eq_ignore_ascii_case(&own) => {}
            GeneralName::DNSName(name)
                if new.hosts.iter().any(|host| host.to_string().eq_ignore_ascii_case(name)) => {}
            GeneralName::IPAddress(_) => {}
            _ => return Err(refused("a request may ask for DNS names and IP addresses alone")),
        }
    }
    let common_name = parsed.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
    if common_name.is_some_and(|name| name != new.subject.common_name) {
        return Err(refused("OpenBao has written another common name"));
    }
    let end = Timestamp::from_micros(parsed.validity().not_after.timestamp().saturating_mul(1_000_000));
    if end.after(TOLERANCE) < until {
        return Err(refused(&format!(
            "OpenBao would let it end on {end}, before it was asked to; ask for less, or raise `max_ttl` of its role and mount"
        )));
    }
    Ok(())
}
