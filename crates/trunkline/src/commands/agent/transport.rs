//! The way to MQTT: TCP, or TLS with the certificate that the device was given.

use std::io;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::configuration::Configuration;
use crate::commands::address;
use crate::device::{Endpoint, Wire};

/// The ports of MQTT over TCP and over TLS.
const PORTS: [u16; 2] = [1883, 8883];

/// An open way, and what it is.
pub(super) struct Way {
    pub(super) wire: Box<dyn Wire>,
    pub(super) endpoint: Endpoint,
    pub(super) tls: bool,
}

/// Opens it: to the given address, else to the one of the configuration, else to the host of the front door.
pub(super) async fn open(
    known: &Configuration,
    url: &str,
    given: Option<&str>,
    authorities: &[u8],
) -> anyhow::Result<Way> {
    let host = address::host(url).unwrap_or("localhost");
    let typed = given.or(known.mqtt.as_deref()).unwrap_or(host);
    let with_certificate = known.certificate.is_some() && (given.is_some() || !known.without_tls);
    let (endpoint, tls) = target(typed, with_certificate)
        .with_context(|| format!("`{typed}` is no address of MQTT such as `mqtts://iot.example.org:8883`"))?;
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.with_context(|| {
        format!("no answer from MQTT at `{endpoint}`; another address is given with --mqtt")
    })?;
    let wire: Box<dyn Wire> = if tls {
        let config = Arc::new(tls_config(known, authorities)?);
        let name = ServerName::try_from(endpoint.host.clone())?;
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        Box::new(stream.with_context(|| format!("no TLS with MQTT at `{endpoint}`"))?)
    } else {
        Box::new(tcp)
    };
    Ok(Way { wire, endpoint, tls })
}

/// Where to, and whether over TLS: as the scheme says, else as `secure`.
fn target(typed: &str, secure: bool) -> Option<(Endpoint, bool)> {
    let (tls, rest) = match typed.split_once("://") {
        Some(("mqtts" | "ssl" | "tls", rest)) => (true, rest),
        Some(("mqtt" | "tcp", rest)) => (false, rest),
        Some(_) => return None,
        None => (secure, typed),
    };
    let [plain, over_tls] = PORTS;
    Endpoint::parse(rest.trim_end_matches('/'), if tls { over_tls } else { plain })
        .map(|endpoint| (endpoint, tls))
}

fn tls_config(known: &Configuration, authorities: &[u8]) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pem in [authorities, known.authorities.as_bytes()] {
        let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| anyhow!("the authorities are no certificates in PEM"))?;
        roots.add_parsable_certificates(found);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some((certificate, key)) = &known.certificate else { return Ok(builder.with_no_client_auth()) };
    let unusable = |_| anyhow!("the certificate or the key of the configuration is no PEM");
    let chain =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().map_err(unusable)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(unusable)?;
    builder
        .with_client_auth_cert(chain, key)
        .context("the certificate and the key of the configuration do not fit")
}

/// Why the platform does not accept the certificate, if that is what an error says.
pub(super) fn refusal(error: &anyhow::Error) -> Option<String> {
    let alert = error.chain().find_map(|cause| {
        let inner = cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
        match inner {
            rustls::Error::AlertReceived(alert) => Some(*alert),
            _ => None,
        }
    })?;
    match alert {
        AlertDescription::CertificateRevoked => Some("its certificate was revoked".to_owned()),
        AlertDescription::CertificateExpired => Some("its certificate has expired".to_owned()),
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => Some(format!("its certificate is not accepted ({alert:?})")),
        AlertDescription::CertificateRequired => Some("it shows no certificate, and has to".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_whether_it_is_tls_and_a_certificate_where_there_is_none() {
        let to = |typed: &str, secure| target(typed, secure).map(|(at, tls)| (at.to_string(), tls));
        for (typed, secure, wanted) in [
            ("h", true, Some(("h:8883", true))),
            ("h", false, Some(("h:1883", false))),
            ("h:7", true, Some(("h:7", true))),
            ("tcp://h:7", true, Some(("h:7", false))),
            ("ssl://h", false, Some(("h:8883", true))),
            ("mqtts://[::1]:7/", false, Some(("::1:7", true))),
            ("http://h", false, None),
            ("h:x", false, None),
        ] {
            assert_eq!(to(typed, secure), wanted.map(|(at, tls)| (at.to_owned(), tls)), "{typed}");
        }
    }

    #[test]
    fn an_alert_about_the_certificate_is_a_refusal_and_nothing_else_is() {
        let error = |alert| {
            let inner = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
            anyhow::Error::new(inner).context("MQTT does not answer")
        };
        let said = refusal(&error(AlertDescription::CertificateRevoked)).unwrap();
        assert_eq!(said, "its certificate was revoked");
        assert!(refusal(&error(AlertDescription::UnknownCA)).unwrap().contains("not accepted"));
        assert_eq!(refusal(&error(AlertDescription::InternalError)), None);
        assert_eq!(refusal(&anyhow!("no answer")), None);
    }
}
