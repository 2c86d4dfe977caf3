//! Sealed secrets (to be shown again) and digests (to be found again).

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use kernel::{Error, Result, Secret};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{MasterKey, random};

/// Seals secrets with AES-256-GCM under a key derived from the master key.
///
/// Envelope: one byte key number (1 today, so that the master key can be rotated), 12 bytes nonce, ciphertext and
/// tag. The context (for example `client:<id>`) is authenticated, so a sealed value moved to another row does not open.
pub struct Sealer(LessSafeKey);

/// The number of the key in the envelope.
const KEY_NUMBER: u8 = 1;

impl Sealer {
    /// The sealer of this installation.
    pub fn new(master: &MasterKey) -> Result<Self> {
        let key = master.derive("seal/1")?;
        let key = UnboundKey::new(&AES_256_GCM, key.expose())
            .map_err(|_| Error::internal("the sealing key is unusable"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `secret` for `context`.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>> {
        // 96 random bits: safe for 2^32 secrets under one key, far above what one installation holds.
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = secret.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        let mut envelope = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        envelope.push(KEY_NUMBER);
        envelope.extend_from_slice(&nonce);
        envelope.append(&mut sealed);
        Ok(envelope)
    }

    /// Opens what [`Sealer::seal`] made for the same context.
    pub fn open(&self, context: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = || {
            Error::internal(format!(
                "a sealed secret does not open, is this the master key that sealed it? ({context})"
            ))
        };
        let (&number, rest) = envelope.split_first().ok_or_else(damaged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        if number != KEY_NUMBER {
            return Err(damaged());
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut plain = Zeroizing::new(ciphertext.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut plain)
            .map_err(|_| damaged())?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// Opens a sealed text.
    pub fn open_text(&self, context: &str, envelope: &[u8]) -> Result<Secret<String>> {
        let plain = self.open(context, envelope)?;
        let text = std::str::from_utf8(&plain).map_err(Error::internal)?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// Makes the digests by which secrets are found and compared: HMAC-SHA256 under a key derived from the master key.
///
/// A keyed hash is enough for secrets of devices: they are looked up on every connect, so a slow hash would cost
/// more than it protects, and without the master key a copied digest cannot be tried against a dictionary.
pub struct Digester(hmac::Key);

impl Digester {
    /// The digester of this installation.
    pub fn new(master: &MasterKey) -> Result<Self> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, master.derive("digest/1")?.expose())))
    }

    /// The digest of a secret within `scope`; the same secret has different digests in different scopes.
    pub fn digest(&self, scope: &str, secret: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(scope.as_bytes());
        context.update(&[0]);
        context.update(secret.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        Digest(digest)
    }
}

/// A secret's digest. Comparison takes the same time whatever differs.
#[derive(Debug, Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The bytes, for the database.
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// The bytes, as a key of what is found by the secret.
    pub const fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// Whether the database's bytes are this digest.
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.as_slice().ct_eq(stored).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_in_its_context() {
        let sealer = Sealer::new(&MasterKey::ephemeral().unwrap()).unwrap();
        let envelope = sealer.seal("client:1", b"s3cret").unwrap();
        assert_eq!(sealer.open("client:1", &envelope).unwrap().as_slice(), b"s3cret");
        assert!(sealer.open("client:2", &envelope).is_err());
        for cut in 0..envelope.len() {
            assert!(sealer.open("client:1", &envelope[..cut]).is_err());
        }
        assert!(!envelope.windows(6).any(|w| w == b"s3cret"));
    }

    #[test]
    fn digests_depend_on_scope_and_key() {
        let digester = Digester::new(&MasterKey::ephemeral().unwrap()).unwrap();
        let other = Digester::new(&MasterKey::ephemeral().unwrap()).unwrap();
        let digest = digester.digest("a", "secret");
        assert!(digester.digest("a", "secret").matches(&digest.to_vec()));
        assert!(!digester.digest("b", "secret").matches(&digest.to_vec()));
        assert!(!other.digest("a", "secret").matches(&digest.to_vec()));
    }
}
