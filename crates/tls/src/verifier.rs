//! Clients' certificates: signed by an authority, in their time, and not revoked.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{Certificate, Clients};

/// Knows which certificates were revoked, or are not for a port. Asked within the handshake, so it must answer at once, from memory.
pub trait Revocations: Send + Sync + 'static {
    /// Whether a certificate that is otherwise good may not be used any more.
    fn is_revoked(&self, certificate: &Certificate) -> bool;

    /// Whether a certificate of an authority that is trusted may be used at this port. Every one, if nothing else is said.
    fn is_welcome(&self, _certificate: &Certificate) -> bool {
        true
    }
}

/// The usual checks, and then the question about revocation.
pub(crate) struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    revocations: Option<Arc<dyn Revocations>>,
}

impl Verifier {
    pub(crate) fn new(
        authorities: RootCertStore,
        clients: Clients,
        revocations: Option<Arc<dyn Revocations>>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let builder = WebPkiClientVerifier::builder(Arc::new(authorities));
        let inner = match clients {
            Clients::Optional => builder.allow_unauthenticated().build()?,
            Clients::Required => builder.build()?,
        };
        Ok(Self { inner, revocations })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let certificate =
            Certificate::read(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.revocations.as_ref().is_some_and(|revocations| revocations.is_revoked(&certificate)) {
            tracing::info!(serial = certificate.serial, "a client has shown a revoked certificate");
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        if self.revocations.as_ref().is_some_and(|revocations| !revocations.is_welcome(&certificate)) {
            tracing::info!(
                serial = certificate.serial,
                "a client has shown a certificate that is not for this port"
            );
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
