//! Keys, serial numbers, and authorities themselves.

use std::time::Duration;

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use kernel::{Error, Result, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;

use crate::model::{KeyType, Serial};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a root is valid.
pub(crate) const ROOT_LIFE: Duration = DAY.saturating_mul(25 * 365);
/// How long an intermediate is valid; it is replaced while the longest certificate still fits.
pub(crate) const INTERMEDIATE_LIFE: Duration = DAY.saturating_mul(10 * 365);
/// An authority is valid from this long before it was made, for devices whose clocks are behind.
const BACKDATED: Duration = DAY;

/// A new private key.
pub(crate) fn key(kind: KeyType) -> Result<KeyPair> {
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
    let key = match kind {
        KeyType::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyType::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyType::Ed25519 => return ed25519(),
        KeyType::Rsa2048 => rsa(RsaKeySize::_2048),
        KeyType::Rsa3072 => rsa(RsaKeySize::_3072),
        KeyType::Rsa4096 => rsa(RsaKeySize::_4096),
    };
    key.map_err(Error::internal)
}

/// In the first version of PKCS#8: OpenSSL does not read the second, which rcgen would write.
fn ed25519() -> Result<KeyPair> {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
        .map_err(|_| Error::internal("an Ed25519 key could not be made"))?;
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(document.as_ref()), &PKCS_ED25519)
        .map_err(Error::internal)
}

/// A new serial number of 16 bytes: positive, never shorter, and 126 of its bits are random (RFC 5280 §4.1.2.2).
pub(crate) fn serial() -> Result<Serial> {
    let mut bytes = access::crypto::random::<16>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    Ok(Serial::from_bytes(&bytes))
}

/// The instant as certificates hold it: whole seconds.
pub(crate) fn instant(at: Timestamp) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(Error::internal)
}

/// An authority that was just made.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: KeyPair,
    pub(crate) not_after: Timestamp,
}

/// A root, signed by itself.
pub(crate) fn root(name: &str, now: Timestamp) -> Result<Made> {
    let key = key(KeyType::P256)?;
    let not_after = now.after(ROOT_LIFE);
    let params = authority(name, BasicConstraints::Unconstrained, now.before(BACKDATED), not_after)?;
    let certificate = params.self_signed(&key).map_err(Error::internal)?;
    Ok(Made { certificate: certificate.pem(), key, not_after })
}

/// An intermediate, signed by the root whose certificate and key these are. It does not outlive the root.
pub(crate) fn intermediate(
    name: &str,
    root: (&str, KeyPair),
    root_end: Timestamp,
    now: Timestamp,
) -> Result<Made> {
    let key = key(KeyType::P256)?;
    let not_after = now.after(INTERMEDIATE_LIFE).min(root_end);
    // It signs devices and nothing that signs.
    let mut params = authority(name, BasicConstraints::Constrained(0), now.before(BACKDATED), not_after)?;
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_pem(root.0, root.1).map_err(Error::internal)?;
    let certificate = params.signed_by(&key, &issuer).map_err(Error::internal)?;
    Ok(Made { certificate: certificate.pem(), key, not_after })
}

fn authority(
    name: &str,
    constraints: BasicConstraints,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = instant(not_before)?;
    params.not_after = instant(not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?.bytes()));
    Ok(params)
}
