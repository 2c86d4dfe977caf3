//! Everything secret: the master key and what is derived from it, sealing, lookup digests, fresh secrets, passwords.
//!
//! There is one master key per installation (design §7). No other key is kept in the open: signing keys and the
//! secrets that the interface must show again are *sealed* with a key derived from it, and secrets that are only
//! compared are kept as a *digest* under another derived key, so that a copied database opens nothing.

mod master;
mod password;
mod seal;

pub use master::MasterKey;
pub use password::{PasswordHash, Passwords};
pub use seal::{Digest, Digester, Sealer};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use kernel::{Error, Result, Secret};

/// Fills an array with the operating system's randomness.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::internal("the operating system gave no randomness"))?;
    Ok(bytes)
}

/// A secret of 192 random bits that people can type and that no shell or URL needs quoted: 32 characters.
pub fn fresh_secret() -> Result<Secret<String>> {
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(random::<24>()?)))
}
