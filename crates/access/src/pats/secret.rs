//! The secret of a token: who it is for, which token it is, and what only its holder knows (reference 01 §4.1).

use base64::{Engine, prelude::BASE64_STANDARD};
use kernel::{PatId, Result, Secret, UserId};
use uuid::Uuid;

use crate::crypto::{self, Digest, Digester};

/// What every secret starts with; no JWT does.
pub const PREFIX: &str = "pat_";

/// The random characters at the end.
const RANDOM_LEN: usize = 100;

/// The characters of the random part: no `_`, which separates the parts.
const ALPHABET: &[u8; 74] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890!@#$%^&*|+-=";

/// Whose token and which one a secret claims to be; nothing is proved until the digest matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) user: UserId,
    pub(super) pat: PatId,
}

/// A new secret: `pat_<base64 of the two ids>_<100 random characters>`.
pub fn fresh(user: UserId, pat: PatId) -> Result<Secret<String>> {
    let mut ids = [0; 32];
    let (first, second) = ids.split_at_mut(16);
    first.copy_from_slice(user.uuid().as_bytes());
    second.copy_from_slice(pat.uuid().as_bytes());
    let mut secret = String::with_capacity(PREFIX.len() + 44 + 1 + RANDOM_LEN);
    secret.push_str(PREFIX);
    BASE64_STANDARD.encode_string(ids, &mut secret);
    secret.push('_');
    let random = crypto::characters(ALPHABET, RANDOM_LEN)?;
    secret.push_str(random.expose());
    Ok(Secret::new(secret))
}

/// Reads a secret: exactly three parts, the first `pat`, the second the two ids.
pub(super) fn parse(secret: &str) -> Option<Claim> {
    let mut parts = secret.strip_prefix(PREFIX)?.split('_');
    let (ids, random, end) = (parts.next()?, parts.next()?, parts.next());
    if end.is_some() || random.len() != RANDOM_LEN {
        return None;
    }
    let ids = BASE64_STANDARD.decode(ids).ok()?;
    let (user, pat) = ids.split_at_checked(16)?;
    Some(Claim {
        user: UserId::from_uuid(Uuid::from_slice(user).ok()?),
        pat: PatId::from_uuid(Uuid::from_slice(pat).ok()?),
    })
}

/// What is kept of a secret.
pub fn digest(digester: &Digester, pat: PatId, secret: &Secret<String>) -> Digest {
    digester.digest(&format!("pat:{pat}"), secret.expose())
}

#[cfg(test)]
mod tests {
    use kernel::Rng;
    use proptest::prelude::*;

    use super::*;

    fn ids(seed: u64) -> Claim {
        let rng = Rng::seeded(seed);
        Claim { user: UserId::generate(&rng), pat: PatId::generate(&rng) }
    }

    #[test]
    fn a_secret_has_the_form_of_the_contract() {
        let claim = ids(1);
        let secret = fresh(claim.user, claim.pat).unwrap();
        let text = secret.expose();
        assert_eq!(text.len(), 149);
        assert_eq!(text.matches('_').count(), 2);
        assert!(text.bytes().all(|byte| ALPHABET.contains(&byte) || byte == b'_' || byte == b'/'), "{text}");
        assert!(fresh(claim.user, claim.pat).unwrap() != secret);
    }

    #[test]
    fn what_has_not_exactly_three_parts_is_no_secret() {
        let secret = fresh(ids(1).user, ids(1).pat).unwrap();
        let text = secret.expose();
        for bad in [
            "",
            "pat",
            "pat_",
            "pat__",
            "pat___",
            "pat_dXNlcjEyMw==_randomstringhere",
            &format!("{text}_"),
            &format!("{text}x"),
            &text.replacen("pat_", "Pat_", 1),
            &text[..text.len() - 1],
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_secret_is_read_back(seed in any::<u64>()) {
            let claim = ids(seed);
            prop_assert_eq!(parse(fresh(claim.user, claim.pat).unwrap().expose()), Some(claim));
        }

        #[test]
        fn whatever_a_stranger_sends_is_read_or_refused(text in "(pat)?_?[a-zA-Z0-9+/=_é]{0,60}(_.{0,120})?") {
            if let Some(claim) = parse(&text) {
                let ids = [*claim.user.uuid().as_bytes(), *claim.pat.uuid().as_bytes()].concat();
                prop_assert!(text.contains(&BASE64_STANDARD.encode(ids)));
            }
        }
    }
}
