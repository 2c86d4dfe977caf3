//! Stand-alone mode: one fixed user with a fixed token, for an installation without logins (reference 03 §12).
//!
//! Whoever comes with the token may do everything in every domain, whether there is a record of that domain or not. Any
//! other token is refused: whoever switches this on has no other users.

use aws_lc_rs::digest::{SHA256, digest};
use kernel::{Error, Result, Secret, UserId};

/// The fixed user and its token.
#[derive(Debug, Clone)]
pub struct Standalone {
    /// The user, whom events and rows name.
    pub user: UserId,
    /// What it comes with.
    pub token: Secret<String>,
}

impl Standalone {
    /// The user that a name stands for: its id, or always the same made-up id for any other text, such as an address.
    pub fn user_named(name: &str) -> Result<UserId> {
        if let Ok(user) = name.parse() {
            return Ok(user);
        }
        let mut bytes = [0; 16];
        let hash = digest(&SHA256, name.as_bytes());
        let head = hash.as_ref().first_chunk::<16>().ok_or_else(|| Error::internal("a hash is too short"))?;
        bytes.copy_from_slice(head);
        Ok(UserId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_id_or_always_stands_for_the_same_one() {
        let id = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
        assert_eq!(Standalone::user_named(id).unwrap().to_string(), id);
        let mail = Standalone::user_named("edge@example.com").unwrap();
        assert_eq!(mail, Standalone::user_named("edge@example.com").unwrap());
        assert_ne!(mail, Standalone::user_named("other@example.com").unwrap());
        assert_eq!(mail.uuid().get_version_num(), 8);
    }
}
