//! Certificates: from files or settings to what the listener needs, and again when the files change.

use std::{fmt, path::PathBuf, time::Duration};

use kernel::{Error, Result};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// A text in PEM, or the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Text(String),
    /// Where it is.
    File(PathBuf),
}

impl Pem {
    async fn read(&self) -> Result<String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => tokio::fs::read_to_string(path).await.map_err(|error| {
                Error::invalid(format!("the file `{}` of gRPC cannot be read: {error}", path.display()))
            }),
        }
    }
}

/// A key is never shown.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Pem::Text(***)"),
            Self::File(path) => f.debug_tuple("Pem::File").field(path).finish(),
        }
    }
}

/// What the listener shows, and what it wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, and those between it and its authority.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// The authorities of clients' certificates; with them a client without certificate is refused.
    pub client_authorities: Option<Pem>,
}

/// The texts of one moment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    certificate: String,
    key: String,
    client_authorities: Option<String>,
}

impl Tls {
    pub(crate) async fn load(&self) -> Result<Loaded> {
        let client_authorities = match &self.client_authorities {
            Some(pem) => Some(pem.read().await?),
            None => None,
        };
        Ok(Loaded {
            certificate: self.certificate.read().await?,
            key: self.key.read().await?,
            client_authorities,
        })
    }
}

impl Loaded {
    /// For tonic; `handshake` is how long a client may take for it.
    pub(crate) fn config(&self, handshake: Duration) -> ServerTlsConfig {
        let identity = Identity::from_pem(&self.certificate, &self.key);
        let config = ServerTlsConfig::new().identity(identity).timeout(handshake);
        match &self.client_authorities {
            Some(authorities) => config.client_ca_root(Certificate::from_pem(authorities)),
            None => config,
        }
    }
}
