//! The cipher of secure bootstrap, bit for bit as devices in the field have it (reference 04 §3.3): `IV ‖ AES-CFB128`
//! under one key of the installation, without padding and without a check of integrity.
//!
//! It keeps a listener from reading along where there is no TLS, and nothing more: whoever has a device has the key.

use access::crypto;
use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
        UnboundCipherKey,
    },
    iv::FixedLength,
};
use kernel::{Error, Result, Secret};

const IV_LEN: usize = 16;

/// Encrypts what devices get and decrypts what they show.
pub struct Cipher(Secret<Vec<u8>>);

impl Cipher {
    /// With the installation's key. Invalid unless it has 16, 24 or 32 bytes.
    pub fn new(key: Secret<Vec<u8>>) -> Result<Self> {
        match key.expose().len() {
            16 | 24 | 32 => Ok(Self(key)),
            length => Err(Error::invalid(format!(
                "the key of secure bootstrap has {length} bytes, make it 16, 24 or 32"
            ))),
        }
    }

    fn key(&self) -> Result<UnboundCipherKey> {
        let key = self.0.expose();
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        UnboundCipherKey::new(algorithm, key).map_err(|_| unusable())
    }

    /// `IV ‖ ciphertext`, under a fresh IV.
    pub fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>> {
        self.encrypt_under(crypto::random::<IV_LEN>()?, plain)
    }

    fn encrypt_under(&self, iv: [u8; IV_LEN], plain: &[u8]) -> Result<Vec<u8>> {
        let key = EncryptingKey::cfb128(self.key()?).map_err(|_| unusable())?;
        let mut bytes = plain.to_vec();
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(&mut bytes, context).map_err(|_| unusable())?;
        let mut message = iv.to_vec();
        message.append(&mut bytes);
        Ok(message)
    }

    /// What [`Cipher::encrypt`] made; empty for less than an IV, as upstream has it.
    pub fn decrypt(&self, message: &[u8]) -> Result<Secret<Vec<u8>>> {
        let Some((iv, ciphertext)) = message.split_first_chunk::<IV_LEN>() else {
            return Ok(Secret::new(Vec::new()));
        };
        let key = DecryptingKey::cfb128(self.key()?).map_err(|_| unusable())?;
        let mut bytes = ciphertext.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(*iv));
        key.decrypt(&mut bytes, context).map_err(|_| unusable())?;
        Ok(Secret::new(bytes))
    }
}

fn unusable() -> Error {
    Error::internal("the key of secure bootstrap is unusable")
}

/// The bytes that hexadecimal digits in either case stand for.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 04 §3.3.
    const KEY: &[u8] = b"12345678910111213141516171819202";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    const PLAIN: &[u8] = b"external-key-1234567890";
    const CIPHERTEXT: &str = "b3ac2997b4b7a7a56cfce0821f52d5aba49754e1876688";

    fn cipher(key: &[u8]) -> Cipher {
        Cipher::new(Secret::new(key.to_vec())).unwrap()
    }

    #[test]
    fn the_references_test_vector_holds_both_ways() {
        let iv = from_hex(IV).unwrap();
        let message = from_hex(&format!("{IV}{CIPHERTEXT}")).unwrap();
        assert_eq!(cipher(KEY).encrypt_under(iv.try_into().unwrap(), PLAIN).unwrap(), message);
        assert_eq!(cipher(KEY).decrypt(&message).unwrap().expose(), PLAIN);
    }

    #[test]
    fn each_length_of_key_works_and_others_are_refused() {
        for length in [16, 24, 32] {
            let cipher = cipher(KEY.get(..length).unwrap());
            let message = cipher.encrypt(PLAIN).unwrap();
            assert_ne!(message, cipher.encrypt(PLAIN).unwrap(), "the IV is fresh");
            assert_eq!(cipher.decrypt(&message).unwrap().expose(), PLAIN);
        }
        for length in [0, 15, 31, 33] {
            assert!(Cipher::new(Secret::new(vec![1; length])).is_err());
        }
    }

    #[test]
    fn what_is_no_message_is_no_key() {
        assert!(cipher(KEY).decrypt(b"short").unwrap().expose().is_empty());
        assert!(from_hex("0g").is_none() && from_hex("abc").is_none());
        assert_eq!(from_hex("0aFf").unwrap(), [0x0a, 0xff]);
    }
}
