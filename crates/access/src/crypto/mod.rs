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
use kernel::{Error, Result, Secret};

/// Fills an array with the operating system's randomness.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::internal("the operating system gave no randomness"))?;
    Ok(bytes)
}

/// Letters and digits: nothing that a shell, a URL or a command line would take for something else.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A secret of 32 letters and digits: 190 random bits.
pub fn fresh_secret() -> Result<Secret<String>> {
    characters(ALPHABET, 32)
}

/// A secret of `length` characters, each of which is equally likely to be any of `alphabet`.
pub(crate) fn characters<const N: usize>(alphabet: &[u8; N], length: usize) -> Result<Secret<String>> {
    let mut secret = String::with_capacity(length);
    while secret.len() < length {
        // Bytes above the largest multiple of the alphabet's size are passed over.
        let usable = random::<64>()?.into_iter().filter(|byte| usize::from(*byte) < 256 / N * N);
        let characters = usable.filter_map(|byte| alphabet.get(usize::from(byte) % N));
        secret.extend(characters.take(length - secret.len()).map(|byte| char::from(*byte)));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_secret_needs_no_quotes() {
        let secrets = [fresh_secret().unwrap(), fresh_secret().unwrap()];
        assert!(secrets[0] != secrets[1]);
        for secret in secrets {
            assert_eq!(secret.expose().len(), 32);
            assert!(secret.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
