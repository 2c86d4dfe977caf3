//! Passwords of users: Argon2id, never on the runtime's threads, never more than two at once.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier},
};
use kernel::{Error, Result, Secret};
use tokio::sync::Semaphore;

use super::random;

/// The longest password that is hashed; longer input would be work that a stranger orders.
const MAX_LEN: usize = 1024;

/// How many hashes run at once: each takes 19 MiB and tens of milliseconds, so more would only add memory and latency.
const AT_ONCE: usize = 2;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// Verified where the account is unknown, so that an answer takes as long as for a known one.
    decoy: PasswordHash,
}

/// A password's hash in the PHC string format: `$argon2id$v=19$…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl Passwords {
    /// Prepares hashing.
    pub fn new() -> Result<Self> {
        let decoy = hash(&Secret::new("decoy".to_owned()))?;
        Ok(Self { slots: Arc::new(Semaphore::new(AT_ONCE)), decoy })
    }

    /// The hash to keep of a new password.
    pub async fn hash(&self, password: Secret<String>) -> Result<PasswordHash> {
        if password.expose().len() > MAX_LEN {
            return Err(Error::invalid("password does not meet the requirements"));
        }
        self.blocking(move || hash(&password)).await
    }

    /// Whether `password` is the one that was hashed. With no hash the answer is no, after the same work.
    pub async fn verify(&self, password: Secret<String>, hash: Option<PasswordHash>) -> Result<bool> {
        if password.expose().len() > MAX_LEN {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let matches = self.blocking(move || verify(&password, &hash)).await?;
        Ok(matches && known)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await
        .map_err(Error::internal)?
    }
}

fn hash(password: &Secret<String>) -> Result<PasswordHash> {
    let salt = random::<16>()?;
    let hash: argon2::PasswordHash = Argon2::default()
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|e| Error::internal(e.to_string()))?;
    Ok(PasswordHash(hash.to_string()))
}

fn verify(password: &Secret<String>, hash: &PasswordHash) -> Result<bool> {
    let parsed = argon2::PasswordHash::new(&hash.0).map_err(|e| Error::internal(e.to_string()))?;
    Ok(Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_same_password_verifies() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$"), "{}", hash.0);
        assert!(passwords.verify(secret("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(secret("correct house"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(secret("decoy"), None).await.unwrap());
    }

    #[tokio::test]
    async fn an_endless_password_is_not_hashed() {
        let passwords = Passwords::new().unwrap();
        assert!(passwords.hash(secret(&"x".repeat(MAX_LEN + 1))).await.is_err());
    }
}
