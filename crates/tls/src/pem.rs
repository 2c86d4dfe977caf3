//! Certificates: from files or settings, and again when the files change.

use std::{fmt, path::PathBuf};

use kernel::{Error, Result};

/// A text in PEM, or the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Text(String),
    /// Where it is.
    File(PathBuf),
}

impl Pem {
    /// The text of now.
    ///
    /// # Errors
    ///
    /// `Invalid` with its name for a file that cannot be read.
    pub async fn read(&self) -> Result<String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => tokio::fs::read_to_string(path).await.map_err(|error| {
                Error::invalid(format!("the PEM file `{}` cannot be read: {error}", path.display()))
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

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clients {
    /// A client without one is served too; one that is shown must be good.
    Optional,
    /// A client without one is refused.
    #[default]
    Required,
}

/// What a listener shows, and what it wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, and those between it and its authority.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// The authorities of clients' certificates. Without them, and without [`crate::Server::trust`], clients are not
    /// asked for any.
    pub client_authorities: Option<Pem>,
    /// Whether one must be shown.
    pub clients: Clients,
}

/// The texts of one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Loaded {
    /// See [`Tls::certificate`].
    pub certificate: String,
    /// See [`Tls::key`].
    pub key: String,
    /// See [`Tls::client_authorities`].
    pub client_authorities: Option<String>,
}

/// A key is never shown.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loaded(***)")
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// `Invalid` for a file that cannot be read; it names the file.
    pub async fn load(&self) -> Result<Loaded> {
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
