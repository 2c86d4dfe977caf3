//! Keys that the operator keeps in files (reference 01 §2.3).

use std::{path::Path, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use kernel::{Error, Result};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::{
    KeySettings,
    key::{Kept, SigningKey, from_raw},
};

/// The largest file of a key: an RSA key of 8192 bits is a tenth of it.
const LARGEST: u64 = 64 * 1024;

/// What the files hold at one moment.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) active: Option<Arc<SigningKey>>,
    pub(super) retiring: Option<Arc<SigningKey>>,
    /// Why the retiring key is not used.
    pub(super) warning: Option<String>,
    /// Of all bytes, to see that something has changed.
    fingerprint: Vec<u8>,
}

impl Files {
    /// Reads the files. A retiring key that cannot be used is a warning only.
    pub(super) async fn read(settings: &KeySettings) -> Result<Self> {
        let mut files = Self::default();
        if settings.algorithm.is_symmetric() {
            return Ok(files);
        }
        let mut seen = Vec::new();
        if let Some(path) = &settings.active_file {
            let key = read(path, &mut seen).await.map_err(|why| {
                Error::invalid(format!(
                    "the key `{}` of `auth.active_key_path` {why}; without this setting keys are kept in the database",
                    path.display()
                ))
            })?;
            if key.algorithm != settings.algorithm {
                let (is, wanted) = (key.algorithm.name(), settings.algorithm.name());
                return Err(Error::invalid(format!(
                    "the key `{}` of `auth.active_key_path` is for {is} and `auth.keys_algorithm` is {wanted}, change \
                     one of them",
                    path.display()
                )));
            }
            files.active = Some(Arc::new(key));
        }
        if let Some(path) = &settings.retiring_file {
            if settings.active_file.as_deref().is_some_and(|active| name(active) == name(path)) {
                return Err(Error::invalid(format!(
                    "the keys of `auth.active_key_path` and `auth.retiring_key_path` have the same id `{}`, their file \
                     names without extension have to differ",
                    name(path)
                )));
            }
            match read(path, &mut seen).await {
                Ok(key) => files.retiring = Some(Arc::new(key)),
                Err(why) => {
                    files.warning =
                        Some(format!("the key `{}` of `auth.retiring_key_path` {why}", path.display()));
                }
            }
        }
        files.fingerprint = digest(&SHA256, &Zeroizing::new(seen)).as_ref().to_vec();
        Ok(files)
    }

    /// Whether the files hold the same.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.warning == other.warning
    }
}

/// The id of the key in a file: its name without the last extension.
fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The key in a file, or what is wrong with it.
async fn read(path: &Path, seen: &mut Vec<u8>) -> Result<SigningKey, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Zeroizing::new(Vec::new());
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    file.take(LARGEST).read_to_end(&mut bytes).await.map_err(unreadable)?;
    seen.extend_from_slice(&bytes);
    let pkcs8 = if bytes.len() == 64 { from_raw(&bytes) } else { from_pem(&bytes) };
    let key = pkcs8.and_then(|pkcs8| SigningKey::pkcs8(&name(path), &pkcs8, Kept::File));
    key.ok_or_else(|| {
        "is no private key of Ed25519, P-256 or RSA (2048 bits and more) in PKCS#8 PEM, nor 64 raw bytes of Ed25519; \
         `openssl genpkey -algorithm ed25519` makes one"
            .to_owned()
    })
}

fn from_pem(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(bytes).ok()?;
    Some(Zeroizing::new(der.secret_pkcs8_der().to_vec()))
}
