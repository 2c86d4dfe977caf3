//! What the settings of TLS come to.

use super::settings::{GrpcSettings, TlsSettings};
use super::value::{ClientCertificates, TlsMode};

impl TlsSettings {
    /// Whether HTTP, MQTT and CoAP are spoken without TLS, too.
    pub fn is_plain(&self) -> bool {
        match self.mode {
            None => self.plain,
            Some(TlsMode::None) => true,
            Some(TlsMode::Tls | TlsMode::Mtls) => false,
        }
    }

    /// Whether a client of MQTT must show a certificate.
    pub fn of_mqtt_clients(&self) -> ::tls::Clients {
        self.of_clients(self.client_certs)
    }

    /// Whether a client of HTTPS must show a certificate.
    pub fn of_https_clients(&self) -> ::tls::Clients {
        self.of_clients(self.https_client_certs)
    }

    /// Without authorities of the operator's own nobody can be expected to have one, unless everybody must.
    fn of_clients(&self, asked: ClientCertificates) -> ::tls::Clients {
        let must = asked == ClientCertificates::Required && self.client_ca_certs.is_some();
        match must || self.mode == Some(TlsMode::Mtls) {
            true => ::tls::Clients::Required,
            false => ::tls::Clients::Optional,
        }
    }

    /// The setting that contradicts others, and why.
    pub(super) fn contradiction(&self, grpc: &GrpcSettings) -> Option<(&'static str, &'static str)> {
        let Self { server_cert, server_key, client_ca_certs, mode, .. } = self;
        if server_cert.is_some() != server_key.is_some() {
            return Some(("tls.server_key", "belongs together with `tls.server_cert`; give both"));
        }
        if client_ca_certs.is_some() && server_cert.is_none() {
            return Some(("tls.client_ca_certs", "needs `tls.server_cert` and `tls.server_key` too"));
        }
        if !self.plain && server_cert.is_none() {
            return Some(("tls.plain", "can be switched off only with `tls.server_cert`"));
        }
        match mode {
            Some(TlsMode::None) if server_cert.is_some() => {
                Some(("tls.mode", "`none` uses no certificate; take `tls.server_cert` away, or set `tls`"))
            }
            Some(TlsMode::Tls | TlsMode::Mtls) if server_cert.is_none() => Some((
                "tls.mode",
                "needs `tls.server_cert` and `tls.server_key`; `trunkline certs dev` makes them",
            )),
            Some(TlsMode::Mtls) if grpc.enabled && grpc.client_ca_certs.is_none() => Some((
                "tls.mode",
                "`mtls` needs `grpc.server_cert`, `grpc.server_key` and `grpc.client_ca_certs` where gRPC is on",
            )),
            _ => None,
        }
    }
}
