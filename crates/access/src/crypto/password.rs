//! Passwords of users: Argon2id, never on the runtime's threads, never more than two at once.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier},
};
use kernel::{Error, Kind, Result, Secret};
use tokio::sync::Semaphore;

use super::random;

/// The longest password that is hashed; longer input would be work that a stranger orders.
const MAX_LEN: usize = 1024;

/// How many hashes run at once: each takes 19 MiB and tens of milliseconds, so more would only add memory and latency.
const AT_ONCE: usize = 2;

/// How many may wait for their turn: about two seconds. More are told to come back rather than kept waiting.
const WAITING: usize = 64;

/// Verified where the account is unknown, so that an answer takes as long as for a known one. Random bytes in the form of
/// a hash with the parameters of [`hash`]: nobody knows a password for it.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$In8P8hCn6XHoZrE5O4DgqA$qlGDK2Ld94N8S/+vEUKV/ZfsbTILIvdPIIMvR/+kML0";

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// One for each hash that runs or waits.
    places: Arc<Semaphore>,
}

/// A password's hash in the PHC string format: `$argon2id$v=19$…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl Passwords {
    /// With nobody waiting.
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), places: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
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
        let hash = hash.unwrap_or_else(|| PasswordHash(DECOY.to_owned()));
        let matches = self.blocking(move || verify(&password, &hash)).await?;
        Ok(matches && known)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Error::new(Kind::Limited, "too many logins at once, try again in a few seconds"))?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _held = (slot, place);
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
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$"), "{}", hash.0);
        assert!(passwords.verify(secret("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(secret("correct house"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(secret("decoy"), None).await.unwrap());
    }

    #[tokio::test]
    async fn the_decoy_costs_what_a_real_hash_costs() {
        let real = Passwords::new().hash(secret("correct horse")).await.unwrap().0;
        let parameters = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(parameters(&real), parameters(DECOY));
        assert_eq!(real.len(), DECOY.len());
    }

    #[tokio::test]
    async fn a_queue_that_is_too_long_is_refused() {
        let passwords = Passwords::new();
        let crowd = (0..AT_ONCE + WAITING + 1).map(|_| passwords.verify(secret("x"), None));
        let answers = futures_util::future::join_all(crowd).await;
        let refused = answers.iter().filter(|a| a.as_ref().is_err_and(|e| e.kind() == Kind::Limited)).count();
        assert_eq!(refused, 1);
    }

    #[tokio::test]
    async fn an_endless_password_is_not_hashed() {
        let passwords = Passwords::new();
        assert!(passwords.hash(secret(&"x".repeat(MAX_LEN + 1))).await.is_err());
    }
}
