//! Revocation lists (RFC 5280 §5).

use std::time::Duration;

use kernel::{Error, Result, Timestamp};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::{Ca, making::instant};
use crate::model::{Reason, Revocation, Serial};

/// How long a list may be kept by those who fetch it.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 3600);

/// The list of one authority in DER. Its number is the instant in microseconds, so that each is larger than the one before.
pub(crate) fn sign(ca: &Ca, revoked: &[(Serial, Revocation)], now: Timestamp) -> Result<Vec<u8>> {
    let entry = |(serial, revocation): &(Serial, Revocation)| {
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial.bytes()),
            revocation_time: instant(revocation.at)?,
            reason_code: reason(revocation.reason),
            invalidity_date: None,
        })
    };
    let list = CertificateRevocationListParams {
        this_update: instant(now)?,
        next_update: instant(now.after(LIFE))?,
        crl_number: SerialNumber::from_slice(&now.micros().to_be_bytes()),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect::<Result<_>>()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let signed = list.signed_by(&ca.issuer).map_err(Error::internal)?;
    Ok(signed.der().to_vec())
}

/// `unspecified` is left out, as RFC 5280 §5.3.1 wants it.
const fn reason(reason: Reason) -> Option<RevocationReason> {
    match reason {
        Reason::Unspecified => None,
        Reason::Superseded => Some(RevocationReason::Superseded),
        Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
    }
}
