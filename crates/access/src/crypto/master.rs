//! The master key: made at the first start, or given.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use aws_lc_rs::hkdf;
use kernel::{Error, Result, Secret};
use zeroize::Zeroizing;

use super::random;

/// The one key from which all others are derived; 256 bits.
///
/// Losing it means losing every sealed secret and every client's credentials, so it belongs in the backup of the
/// data directory, apart from the database's.
pub struct MasterKey(Secret<[u8; 32]>);

impl MasterKey {
    /// The key in `file`; made and written with mode 0600 where there is none.
    ///
    /// Fails where the file is readable by others, or does not hold 64 hexadecimal digits.
    pub fn load_or_create(file: &Path) -> Result<Self> {
        match fs::read_to_string(file) {
            Ok(text) => {
                let mode = fs::metadata(file).map_err(|e| unusable(file, e))?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(Error::invalid(format!(
                        "the master key `{}` can be read by others, run `chmod 600` on it",
                        file.display()
                    )));
                }
                Self::parse(&Zeroizing::new(text)).map_err(|e| {
                    Error::invalid(format!(
                        "the master key `{}` is damaged: {e}, restore it from a backup",
                        file.display()
                    ))
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(file),
            Err(error) => Err(unusable(file, error)),
        }
    }

    /// A key in 64 hexadecimal digits, the form of the file.
    fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            Error::invalid("the master key is not 64 hexadecimal digits, `openssl rand -hex 32` makes one")
        };
        let digits = text.trim().as_bytes();
        let mut key = Zeroizing::new([0; 32]);
        if digits.len() != 2 * key.len() {
            return Err(malformed());
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| malformed())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| malformed())?;
        }
        Ok(Self(Secret::new(*key)))
    }

    /// A key that the operator gave.
    pub const fn from_bytes(key: Secret<[u8; 32]>) -> Self {
        Self(key)
    }

    /// A key that lasts as long as the process, for tests.
    pub fn ephemeral() -> Result<Self> {
        Ok(Self(Secret::new(random()?)))
    }

    fn create(file: &Path) -> Result<Self> {
        let key = Self::ephemeral()?;
        let text: Zeroizing<String> =
            key.0.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        // Written aside and renamed, so that a crash leaves either no key or a whole one.
        let aside = file.with_extension("new");
        let _ = fs::remove_file(&aside);
        let mut handle = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .map_err(|e| unusable(&aside, e))?;
        writeln!(handle, "{}", text.as_str())
            .and_then(|()| handle.sync_all())
            .and_then(|()| fs::rename(&aside, file))
            .and_then(|()| sync_directory(file))
            .map_err(|e| unusable(file, e))?;
        Ok(key)
    }

    /// The key by which nodes that share this one know each other.
    ///
    /// # Errors
    ///
    /// `Internal` when it cannot be derived.
    pub fn of_nodes(&self) -> Result<Secret<[u8; 32]>> {
        self.derive("nodes/1")
    }

    /// The key for one purpose; different labels give unrelated keys.
    pub(super) fn derive(&self, label: &'static str) -> Result<Secret<[u8; 32]>> {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"trunkline")
            .extract(self.0.expose())
            .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| Error::internal("a key could not be derived"))?;
        Ok(Secret::new(key))
    }
}

fn sync_directory(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => fs::File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn unusable(file: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("the master key `{}` cannot be used: {error}", file.display())).cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("master.key");
        let first = MasterKey::load_or_create(&file).unwrap().derive("x").unwrap();
        let second = MasterKey::load_or_create(&file).unwrap().derive("x").unwrap();
        assert!(first == second);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("master.key");
        MasterKey::load_or_create(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = MasterKey::load_or_create(&file).err().unwrap();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn labels_give_unrelated_keys() {
        let key = MasterKey::ephemeral().unwrap();
        assert!(key.derive("a").unwrap() != key.derive("b").unwrap());
    }
}
