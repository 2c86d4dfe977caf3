//! The key that signs answers, and its certificate.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256 as SHA256_DIGEST, digest};
use der::{
    Any, Decode, Encode,
    asn1::{BitString, GeneralizedTime, OctetString},
    oid::ObjectIdentifier,
};
use kernel::{Error, Result, Timestamp};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber, SigningKey,
};
use x509_cert::{ext::Extension, spki::AlgorithmIdentifierOwned};

use super::{
    SHA1, SHA256, encoded,
    messages::{
        BasicResponse, OcspResponse, OneResponse, ResponderId, ResponseBytes, ResponseData, ResponseStatus,
    },
    octets,
};
use crate::{
    authority::{Ca, making},
    model::{KeyType, hex},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a responder's certificate is valid; it is replaced when a day is left.
const VALID: Duration = DAY.saturating_mul(30);

const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// `id-pkix-ocsp-nocheck`: whether the responder itself holds is not asked (RFC 6960 §4.2.2.2.1).
const NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];

/// Signs the answers of one authority.
pub(crate) struct Responder {
    sha1: Hashes,
    sha256: Hashes,
    current: ArcSwapOption<Current>,
}

/// How questions name the authority.
#[derive(Debug, Clone)]
pub(crate) struct Hashes {
    pub(crate) name: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

struct Current {
    key: KeyPair,
    certificate: Vec<u8>,
    until: Timestamp,
}

impl Responder {
    /// The responder of an authority with this subject, as it stands in its certificate, and this public key.
    pub(crate) fn new(subject: &[u8], key: &[u8]) -> Self {
        let hashes = |algorithm| Hashes {
            name: digest(algorithm, subject).as_ref().to_vec(),
            key: digest(algorithm, key).as_ref().to_vec(),
        };
        Self {
            sha1: hashes(&SHA1_FOR_LEGACY_USE_ONLY),
            sha256: hashes(&SHA256_DIGEST),
            current: ArcSwapOption::empty(),
        }
    }

    /// How questions name the authority with this digest, if it is one that is known.
    pub(super) fn hashes(&self, algorithm: ObjectIdentifier) -> Option<&Hashes> {
        match algorithm {
            SHA1 => Some(&self.sha1),
            SHA256 => Some(&self.sha256),
            _ => None,
        }
    }

    /// Whether this is the SHA-256 of the authority's subject, in hexadecimal digits.
    pub(crate) fn is_named(&self, subject: &str) -> bool {
        hex(&self.sha256.name) == subject
    }

    /// A signed answer in DER.
    pub(super) fn sign(
        &self,
        ca: &Ca,
        responses: Vec<OneResponse>,
        nonce: Option<Extension>,
        now: Timestamp,
    ) -> Result<Vec<u8>> {
        let current = self.current(ca, now)?;
        let key_hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, current.key.der_bytes());
        let data = ResponseData {
            version: None,
            responder: ResponderId::ByKey(octets(key_hash.as_ref())?),
            produced_at: generalized(now)?,
            responses,
            extensions: nonce.map(|nonce| vec![nonce]),
        };
        let signature =
            current.key.sign(&data.to_der().map_err(Error::internal)?).map_err(Error::internal)?;
        let basic = BasicResponse {
            data,
            signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None },
            signature: BitString::from_bytes(&signature).map_err(Error::internal)?,
            certificates: Some(vec![Any::from_der(&current.certificate).map_err(Error::internal)?]),
        };
        let response = OctetString::new(basic.to_der().map_err(Error::internal)?).map_err(Error::internal)?;
        encoded(&OcspResponse {
            status: ResponseStatus::Successful,
            bytes: Some(ResponseBytes { response_type: BASIC, response }),
        })
    }

    /// The key of the moment; two at once make one each, and either is good.
    fn current(&self, ca: &Ca, now: Timestamp) -> Result<Arc<Current>> {
        let fresh =
            |current: &Arc<Current>| now.after(DAY) < current.until && now.after(VALID) >= current.until;
        if let Some(current) = self.current.load_full().filter(fresh) {
            return Ok(current);
        }
        let made = Arc::new(make(ca, now)?);
        self.current.store(Some(Arc::clone(&made)));
        Ok(made)
    }
}

fn make(ca: &Ca, now: Timestamp) -> Result<Current> {
    let key = making::key(KeyType::P256)?;
    let until = now.after(VALID);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "OCSP responder");
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(&making::serial()?.bytes()));
    params.not_before = making::instant(now.before(DAY))?;
    params.not_after = making::instant(until)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    // The value is NULL.
    params.custom_extensions = vec![CustomExtension::from_oid_content(NO_CHECK, vec![5, 0])];
    let certificate = params.signed_by(&key, &ca.issuer).map_err(Error::internal)?;
    Ok(Current { key, certificate: certificate.der().to_vec(), until })
}

/// An answer that says only why there is none.
pub(super) fn status_only(status: ResponseStatus) -> Result<Vec<u8>> {
    encoded(&OcspResponse { status, bytes: None })
}

/// The instant as answers hold it: whole seconds.
pub(super) fn generalized(at: Timestamp) -> Result<GeneralizedTime> {
    let seconds = u64::try_from(at.seconds()).map_err(Error::internal)?;
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).map_err(Error::internal)
}
