//! Certificates for development: an authority in two files, and what it signs for servers and clients.
//!
//! Apart from the platform's own authority: these exist before a node does, and whoever has the files can sign more. What is
//! made, for whom and for how long is what `docker/ssl` of SuperMQ makes (reference 04 §6); keys are ECDSA P-256.

use std::time::Duration;

use kernel::{Error, Result, Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, string::Ia5String,
};
use x509_parser::pem::parse_x509_pem;

use crate::{
    authority::making::{self, instant, serial},
    model::{Host, KeyType},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long an authority is valid: three years.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(1095);

/// A certificate with its private key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: Secret<String>,
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A server that is reached by these names and addresses; 1000 days.
    Server(Vec<Host>),
    /// A server of gRPC, likewise; 365 days.
    GrpcServer(Vec<Host>),
    /// A caller of gRPC; 365 days.
    GrpcClient,
    /// A device, whose id or secret is the common name; 730 days.
    Device,
}

impl Purpose {
    const fn life(&self) -> Duration {
        DAY.saturating_mul(match self {
            Self::Server(_) => 1000,
            Self::GrpcServer(_) | Self::GrpcClient => 365,
            Self::Device => 730,
        })
    }

    fn hosts(&self) -> &[Host] {
        match self {
            Self::Server(hosts) | Self::GrpcServer(hosts) => hosts,
            Self::GrpcClient | Self::Device => &[],
        }
    }

    fn usages(&self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Server(_) | Self::GrpcServer(_) => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Self::GrpcClient | Self::Device => vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

/// An authority that signs itself.
///
/// # Errors
///
/// `Internal` where no key can be made.
pub fn authority(now: Timestamp) -> Result<Pair> {
    let mut params = params("Trunkline development CA", now, now.after(AUTHORITY_LIFE))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = making::key(KeyType::P256)?;
    let certificate = params.self_signed(&key).map_err(Error::internal)?;
    Ok(pair(certificate.pem(), &key))
}

/// A certificate that the authority signs. It does not outlive the authority.
///
/// # Errors
///
/// `Invalid` for an authority that is none, has ended, or whose key is another's, and for a name that cannot stand in a
/// certificate.
pub fn signed(by: &Pair, common_name: &str, purpose: &Purpose, now: Timestamp) -> Result<Pair> {
    if common_name.is_empty() || common_name.chars().count() > 64 {
        return Err(Error::invalid("a common name has 1 to 64 characters"));
    }
    let end = end_for(by, now)?;
    let key = KeyPair::from_pem(by.key.expose())
        .map_err(|error| Error::invalid("the authority's key is no private key in PEM").cause(error))?;
    if !belongs(&by.certificate, &key)? {
        return Err(Error::invalid("the authority's key is not that of its certificate"));
    }
    let issuer = Issuer::from_ca_cert_pem(&by.certificate, key)
        .map_err(|error| Error::invalid("the authority's certificate is none").cause(error))?;
    let mut params = params(common_name, now, now.after(purpose.life()).min(end))?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purpose.usages();
    for host in purpose.hosts() {
        params.subject_alt_names.push(match host {
            Host::Dns(name) => SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(Error::internal)?),
            Host::Ip(ip) => SanType::IpAddress(*ip),
        });
    }
    let key = making::key(KeyType::P256)?;
    let certificate = params.signed_by(&key, &issuer).map_err(Error::internal)?;
    Ok(pair(certificate.pem(), &key))
}

fn pair(certificate: String, key: &KeyPair) -> Pair {
    Pair { certificate, key: Secret::new(key.serialize_pem()) }
}

fn params(common_name: &str, now: Timestamp, end: Timestamp) -> Result<CertificateParams> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    // For machines whose clocks are behind.
    params.not_before = instant(now.before(DAY))?;
    params.not_after = instant(end)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?.bytes()));
    Ok(params)
}

/// When the authority ends, which must be in the future.
fn end_for(authority: &Pair, now: Timestamp) -> Result<Timestamp> {
    let end = read(&authority.certificate, |certificate| certificate.validity().not_after.timestamp())?;
    match end.checked_mul(1_000_000).map(Timestamp::from_micros).filter(|end| *end > now) {
        Some(end) => Ok(end),
        None => Err(Error::invalid("the authority has ended; remove its files to have a new one made")),
    }
}

fn belongs(certificate: &str, key: &KeyPair) -> Result<bool> {
    read(certificate, |certificate| certificate.public_key().raw == key.subject_public_key_info())
}

fn read<T>(pem: &str, what: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T) -> Result<T> {
    let wrong = || Error::invalid("the authority's certificate is no certificate in PEM");
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|error| wrong().cause(error))?;
    let certificate = pem.parse_x509().map_err(|error| wrong().cause(error))?;
    Ok(what(&certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);

    fn days(pem: &str) -> i64 {
        read(pem, |certificate| certificate.validity().not_after.timestamp())
            .unwrap()
            .saturating_sub(NOW.seconds())
            / 86_400
    }

    #[test]
    fn each_kind_lasts_as_long_as_devices_are_used_to() {
        let authority = authority(NOW).unwrap();
        assert_eq!(days(&authority.certificate), 1095);
        for (purpose, life) in [
            (Purpose::Server(vec![Host::Dns("localhost".to_owned())]), 1000),
            (Purpose::GrpcServer(Vec::new()), 365),
            (Purpose::GrpcClient, 365),
            (Purpose::Device, 730),
        ] {
            assert_eq!(
                days(&signed(&authority, "one", &purpose, NOW).unwrap().certificate),
                life,
                "{purpose:?}"
            );
        }
    }

    #[test]
    fn nothing_outlives_the_authority_and_one_that_has_ended_signs_nothing() {
        let authority = authority(NOW).unwrap();
        let later = NOW.after(DAY.saturating_mul(1000));
        let late = signed(&authority, "late", &Purpose::Device, later).unwrap();
        assert_eq!(days(&late.certificate), 1095);
        let over = signed(&authority, "over", &Purpose::Device, NOW.after(DAY.saturating_mul(1096)));
        assert!(over.unwrap_err().to_string().contains("the authority has ended"));
    }

    #[test]
    fn a_foreign_key_and_what_is_no_authority_are_refused() {
        let (one, other) = (authority(NOW).unwrap(), authority(NOW).unwrap());
        let mixed = Pair { certificate: one.certificate.clone(), key: other.key };
        let refused = |by: &Pair| signed(by, "x", &Purpose::Device, NOW).unwrap_err().to_string();
        assert!(refused(&mixed).contains("not that of its certificate"));
        let nothing = Pair { certificate: "nothing".to_owned(), key: one.key.clone() };
        assert!(refused(&nothing).contains("no certificate in PEM"));
        assert!(signed(&one, "", &Purpose::Device, NOW).is_err());
    }
}
