//! The messages of the Online Certificate Status Protocol (RFC 6960 appendix B.1), as far as they are spoken here.

use der::{
    Any, Choice, Enumerated, Sequence,
    asn1::{BitString, GeneralizedTime, Int, Null, OctetString},
    oid::ObjectIdentifier,
};
use x509_cert::{ext::Extensions, spki::AlgorithmIdentifierOwned};

/// A question.
#[derive(Debug, Clone, Sequence)]
pub(super) struct OcspRequest {
    pub(super) tbs_request: TbsRequest,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) signature: Option<Any>,
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct TbsRequest {
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) version: Option<u8>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) requestor_name: Option<Any>,
    pub(super) request_list: Vec<OneRequest>,
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) extensions: Option<Extensions>,
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct OneRequest {
    pub(super) certificate: CertId,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) extensions: Option<Extensions>,
}

/// Which certificate: its issuer, by digests of name and key, and its number.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct CertId {
    pub(super) hash_algorithm: AlgorithmIdentifierOwned,
    pub(super) issuer_name_hash: OctetString,
    pub(super) issuer_key_hash: OctetString,
    pub(super) serial_number: Int,
}

/// An answer.
#[derive(Debug, Clone, Sequence)]
pub(super) struct OcspResponse {
    pub(super) status: ResponseStatus,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) bytes: Option<ResponseBytes>,
}

/// Whether there is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumerated)]
#[asn1(type = "ENUMERATED")]
#[repr(u8)]
pub(super) enum ResponseStatus {
    Successful = 0,
    MalformedRequest = 1,
    InternalError = 2,
    TryLater = 3,
    SigRequired = 5,
    Unauthorized = 6,
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct ResponseBytes {
    pub(super) response_type: ObjectIdentifier,
    pub(super) response: OctetString,
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct BasicResponse {
    pub(super) data: ResponseData,
    pub(super) signature_algorithm: AlgorithmIdentifierOwned,
    pub(super) signature: BitString,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) certificates: Option<Vec<Any>>,
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct ResponseData {
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) version: Option<u8>,
    pub(super) responder: ResponderId,
    pub(super) produced_at: GeneralizedTime,
    pub(super) responses: Vec<OneResponse>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) extensions: Option<Extensions>,
}

/// Who answers; by the digest of the key.
#[derive(Debug, Clone, Choice)]
#[asn1(tag_mode = "EXPLICIT")]
pub(super) enum ResponderId {
    #[asn1(context_specific = "1", constructed = "true")]
    ByName(Any),
    #[asn1(context_specific = "2", constructed = "true")]
    ByKey(OctetString),
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct OneResponse {
    pub(super) certificate: CertId,
    pub(super) status: CertStatus,
    pub(super) this_update: GeneralizedTime,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) extensions: Option<Extensions>,
}

#[derive(Debug, Clone, Choice)]
#[asn1(tag_mode = "IMPLICIT")]
pub(super) enum CertStatus {
    #[asn1(context_specific = "0")]
    Good(Null),
    #[asn1(context_specific = "1", constructed = "true")]
    Revoked(RevokedInfo),
    #[asn1(context_specific = "2")]
    Unknown(Null),
}

#[derive(Debug, Clone, Sequence)]
pub(super) struct RevokedInfo {
    pub(super) at: GeneralizedTime,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub(super) reason: Option<RevokedReason>,
}

/// The reasons of [`crate::model::Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumerated)]
#[asn1(type = "ENUMERATED")]
#[repr(u8)]
pub(super) enum RevokedReason {
    Unspecified = 0,
    Superseded = 4,
    CessationOfOperation = 5,
}
