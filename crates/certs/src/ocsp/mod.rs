//! Answers whether certificates still hold (RFC 6960).
//!
//! A delegated responder signs: a key and a certificate of a month that each authority makes for itself, in memory, so
//! that the key that signs certificates signs nothing that strangers ask for. Issuers are recognised by digests with
//! SHA-1, which is what clients send (it identifies and protects nothing), and SHA-256.

mod messages;
mod responder;

use der::{Decode, Encode, asn1::OctetString, oid::ObjectIdentifier};
use kernel::{Error, Result, Timestamp};
use std::time::Duration;
use x509_cert::{ext::Extension, spki::AlgorithmIdentifierOwned};

use crate::{
    authority::{Ca, Tree},
    model::{Reason, Revocation, Serial},
};
use messages::{
    CertId, CertStatus, OcspRequest, OcspResponse, OneRequest, OneResponse, ResponseStatus, RevokedInfo,
    RevokedReason, TbsRequest,
};
pub(crate) use responder::Responder;
use responder::{generalized, status_only};

/// How long an answer may be kept by those who asked.
const LIFE: Duration = Duration::from_secs(3600);
/// The most certificates of one question.
const MAX_CERTIFICATES: usize = 64;
/// The longest nonce that is returned (RFC 9654 §2.1).
const MAX_NONCE: usize = 128;
/// The most bytes of a question.
const MAX_LEN: usize = 64 * 1024;

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// A question, read.
#[derive(Debug)]
pub(crate) struct Question {
    certificates: Vec<CertId>,
    nonce: Option<Extension>,
}

/// What is known of a certificate of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It holds.
    Good,
    /// It was revoked.
    Revoked(Revocation),
}

impl Question {
    /// Reads DER.
    ///
    /// # Errors
    ///
    /// `Invalid` for what is no question, or too much of one.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::invalid(format!("malformed entity specification: {why}"));
        if der.len() > MAX_LEN {
            return Err(wrong("an OCSP request has at most 64 KiB"));
        }
        let request = OcspRequest::from_der(der)
            .map_err(|error| wrong("the body is no OCSP request in DER").cause(error))?;
        let listed = request.tbs_request.request_list;
        if listed.is_empty() || listed.len() > MAX_CERTIFICATES {
            return Err(wrong("an OCSP request asks for 1 to 64 certificates"));
        }
        let extensions = request.tbs_request.extensions.unwrap_or_default();
        let nonce = extensions.into_iter().find(|extension| {
            extension.extn_id == NONCE && extension.extn_value.as_bytes().len() <= MAX_NONCE
        });
        Ok(Self { certificates: listed.into_iter().map(|one| one.certificate).collect(), nonce })
    }

    /// About one certificate of this authority.
    pub(crate) fn about(serial: &Serial, of: &Responder) -> Result<Self> {
        let hashes = of.hashes(SHA1).ok_or_else(|| Error::internal("SHA-1 is not known"))?;
        let mut bytes = serial.bytes();
        if bytes.first().is_some_and(|first| *first >= 0x80) {
            bytes.insert(0, 0);
        }
        let certificate = CertId {
            hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: None },
            issuer_name_hash: octets(&hashes.name)?,
            issuer_key_hash: octets(&hashes.key)?,
            serial_number: der::asn1::Int::new(&bytes).map_err(Error::internal)?,
        };
        Ok(Self { certificates: vec![certificate], nonce: None })
    }

    /// The question in DER.
    pub(crate) fn to_der(&self) -> Result<Vec<u8>> {
        let one = |certificate: &CertId| OneRequest { certificate: certificate.clone(), extensions: None };
        let tbs_request = TbsRequest {
            version: None,
            requestor_name: None,
            request_list: self.certificates.iter().map(one).collect(),
            extensions: self.nonce.clone().map(|nonce| vec![nonce]),
        };
        OcspRequest { tbs_request, signature: None }.to_der().map_err(Error::internal)
    }

    /// Whether it is about certificates that one of these authorities has signed.
    pub(crate) fn is_for(&self, tree: &Tree) -> bool {
        self.certificates.iter().any(|id| tree.issuers.iter().any(|ca| is_of(ca, id)))
    }

    /// The numbers that are asked for.
    pub(crate) fn serials(&self) -> Vec<Serial> {
        self.certificates.iter().map(|id| Serial::from_bytes(id.serial_number.as_bytes())).collect()
    }

    /// The signed answer in DER. `standing` says what is known of a number; nothing of one that was never given.
    pub(crate) fn answer(
        &self,
        tree: &Tree,
        standing: impl Fn(&Serial) -> Option<Standing>,
        now: Timestamp,
    ) -> Result<Vec<u8>> {
        let issuer = |id: &CertId| tree.issuers.iter().find(|ca| is_of(ca, id));
        let Some(ca) = self.certificates.iter().find_map(issuer) else {
            return status_only(ResponseStatus::Unauthorized);
        };
        let one = |id: &CertId| {
            let known =
                if is_of(ca, id) { standing(&Serial::from_bytes(id.serial_number.as_bytes())) } else { None };
            Ok(OneResponse {
                certificate: id.clone(),
                status: status(known)?,
                this_update: generalized(now)?,
                next_update: Some(generalized(now.after(LIFE))?),
                extensions: None,
            })
        };
        let responses = self.certificates.iter().map(one).collect::<Result<Vec<_>>>()?;
        ca.responder.sign(ca, responses, self.nonce.clone(), now)
    }
}

fn status(known: Option<Standing>) -> Result<CertStatus> {
    Ok(match known {
        None => CertStatus::Unknown(der::asn1::Null),
        Some(Standing::Good) => CertStatus::Good(der::asn1::Null),
        Some(Standing::Revoked(revocation)) => CertStatus::Revoked(RevokedInfo {
            at: generalized(revocation.at)?,
            reason: match revocation.reason {
                Reason::Unspecified => None,
                Reason::Superseded => Some(RevokedReason::Superseded),
                Reason::CessationOfOperation => Some(RevokedReason::CessationOfOperation),
            },
        }),
    })
}

fn is_of(ca: &Ca, id: &CertId) -> bool {
    ca.responder.hashes(id.hash_algorithm.oid).is_some_and(|hashes| {
        hashes.name == id.issuer_name_hash.as_bytes() && hashes.key == id.issuer_key_hash.as_bytes()
    })
}

fn octets(bytes: &[u8]) -> Result<OctetString> {
    OctetString::new(bytes.to_vec()).map_err(Error::internal)
}

fn encoded(response: &OcspResponse) -> Result<Vec<u8>> {
    response.to_der().map_err(Error::internal)
}
