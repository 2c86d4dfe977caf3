//! TLS to PostgreSQL, with the meaning that libpq gives to `sslmode`.

use std::sync::Arc;

use kernel::{Error, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::config::SslMode;

/// Whether to encrypt, and whom to trust.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Never encrypt.
    Disable,
    /// Encrypt if the server can; trust any.
    Prefer,
    /// Encrypt; trust any server. Keeps out listeners, not impostors.
    Require,
    /// Encrypt; the server must prove its name by a certificate from one of these authorities: those in the file, or
    /// the machine's own.
    VerifyFull { authorities: Option<String> },
}

impl Trust {
    /// Takes `sslmode` and `sslrootcert` out of the URL: the driver knows fewer modes than libpq.
    pub(super) fn split_from(url: &str) -> Result<(String, Self)> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => authorities = Some(percent_decoded(value)),
                _ => others.push(pair),
            }
        }
        let trust = match mode {
            Some("disable") => Self::Disable,
            None | Some("prefer") => Self::Prefer,
            // As in libpq, a file of authorities makes `require` check the chain; we then check the name as well.
            Some("require") if authorities.is_none() => Self::Require,
            Some("require" | "verify-full") => Self::VerifyFull { authorities },
            Some(other) => {
                return Err(Error::invalid(format!(
                    "`sslmode={other}` is not supported: use disable, prefer, require or verify-full"
                )));
            }
        };
        let url = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        Ok((url, trust))
    }

    pub(super) const fn mode(&self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyFull { .. } => SslMode::Require,
        }
    }

    /// The client's side of TLS, or none where it is never used.
    pub(super) fn client_config(&self) -> Result<Option<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?;
        Ok(match self {
            Self::Disable => None,
            Self::Prefer | Self::Require => {
                let verifier = Arc::new(AnyServer { provider });
                Some(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
            }
            Self::VerifyFull { authorities } => {
                let roots = match authorities {
                    Some(file) => from_file(file)?,
                    None => of_the_machine(),
                };
                Some(builder.with_root_certificates(roots).with_no_client_auth())
            }
        })
    }
}

fn from_file(file: &str) -> Result<RootCertStore> {
    let unreadable = |error: rustls::pki_types::pem::Error| {
        Error::invalid(format!("`sslrootcert={file}` cannot be read as PEM certificates"))
            .cause(error.to_string())
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?).map_err(Error::internal)?;
    }
    Ok(roots)
}

fn of_the_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the machine's certificate authorities could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Believes every certificate, as `sslmode=require` does in libpq. Signatures of the handshake are still checked.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_of_libpq_are_read() {
        let (url, trust) =
            Trust::split_from("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fca.pem&a=b").unwrap();
        assert_eq!(url, "postgres://u@h/d?a=b");
        assert_eq!(trust, Trust::VerifyFull { authorities: Some("/ca.pem".to_owned()) });
        assert_eq!(Trust::split_from("postgres://u@h/d").unwrap().1, Trust::Prefer);
        assert_eq!(Trust::split_from("postgres://h/d?sslmode=require").unwrap().1, Trust::Require);
        let error = Trust::split_from("postgres://h/d?sslmode=requre").unwrap_err();
        assert!(error.to_string().contains("`sslmode=requre`"), "{error}");
    }
}
