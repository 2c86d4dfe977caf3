//! An authority that is not ours: what is known of it by its certificates.

use kernel::{Error, Result, Timestamp};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ocsp::Responder;

/// The one that signs outside, and those above it.
pub(crate) struct Above {
    /// PEM of all, the one that signs first.
    pub(crate) chain: String,
    /// Until when the one that signs is valid.
    pub(crate) not_after: Timestamp,
    /// How questions name it; answers are its own.
    pub(crate) responder: Responder,
}

impl Above {
    /// Reads PEM.
    ///
    /// # Errors
    ///
    /// `Unavailable` for what holds no certificate.
    pub(crate) fn read(chain: &str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| {
            Error::unavailable(format!("the authority outside shows no certificate: {error}"))
        };
        let der = CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|error| wrong(&error))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| wrong(&error))?;
        let end = parsed.validity().not_after.timestamp();
        Ok(Self {
            chain: format!("{}\n", chain.trim()),
            not_after: Timestamp::from_micros(end.saturating_mul(1_000_000)),
            responder: Responder::new(
                parsed.subject().as_raw(),
                parsed.public_key().subject_public_key.data.as_ref(),
            ),
        })
    }
}
