//! Who has logged in at the provider.

use std::fmt::Write as _;

use kernel::{Error, Kind, Result};
use serde_json::Value;

use crate::model::{Email, PersonName, Picture, Username};

/// The longest part of a user name that comes from the address.
const NAME_MAX_LEN: usize = 15;

/// A profile whose address is verified.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    /// The id at the provider.
    pub(super) id: String,
    pub(super) first_name: PersonName,
    pub(super) last_name: PersonName,
    pub(super) email: Email,
    pub(super) picture: Picture,
}

impl Profile {
    /// From the provider's JSON, under any of the names that providers use (reference 01 §5.7).
    pub(super) fn parse(json: &Value) -> Result<Self> {
        let text = |names: &[&str]| {
            let texts = names.iter().filter_map(|name| json.get(name).and_then(Value::as_str));
            texts.map(str::trim).find(|text| !text.is_empty())
        };
        let id = text(&["id", "sub"]);
        let first = text(&["given_name", "first_name", "givenName", "firstname"]);
        let last = text(&["family_name", "last_name", "familyName", "lastname"]);
        let email = text(&["email", "email_address", "emailAddress"]);
        let picture = text(&["picture", "profile_picture", "profilePicture", "avatar"]);
        let (Some(id), Some(first), Some(last), Some(address)) = (id, first, last, email) else {
            let fields = [("id", id), ("first_name", first), ("last_name", last), ("email", email)];
            let missing: Vec<&str> =
                fields.into_iter().filter(|(_, text)| text.is_none()).map(|(name, _)| name).collect();
            return Err(Error::unprocessable(format!("missing required fields: {}", missing.join(", "))));
        };
        let is_verified = ["verified_email", "email_verified"].iter().any(|name| match json.get(name) {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(word)) => word == "true",
            _ => false,
        });
        if !is_verified {
            return Err(Error::new(Kind::Denied, "the e-mail address is not verified at the oauth provider"));
        }
        Ok(Self {
            id: id.chars().take(254).collect(),
            first_name: first.parse()?,
            last_name: last.parse()?,
            email: address.parse()?,
            // A picture that we do not take is no reason to keep somebody out.
            picture: picture.and_then(|url| url.parse().ok()).unwrap_or(Picture::none()),
        })
    }

    /// The address's local part as a word, an underscore and ten hexadecimal digits.
    pub(super) fn username(&self, random: [u8; 5]) -> Result<Username> {
        let local = self.email.as_str().split('@').next().unwrap_or_default().to_ascii_lowercase();
        let mut name = String::new();
        for c in local.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }) {
            let repeats = matches!(c, '_' | '-') && name.ends_with(['_', '-']);
            if !repeats && name.len() < NAME_MAX_LEN {
                name.push(c);
            }
        }
        let name = name.trim_matches(['_', '-']);
        let mut username = if name.is_empty() { "user".to_owned() } else { name.to_owned() };
        username.push('_');
        for byte in random {
            // Writing to a String cannot fail.
            let _ = write!(username, "{byte:02x}");
        }
        username.parse()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(email: &str) -> Value {
        json!({"id": "1", "given_name": "Ann", "familyName": "Example", "email": email, "verified_email": true})
    }

    #[test]
    fn the_address_makes_a_user_name() {
        for (email, name) in [
            ("Ann.Example@example.com", "ann_example_0001020304"),
            ("a..b--c@x", "a_b-c_0001020304"),
            ("ä@x", "user_0001020304"),
            ("a-very-long-local-part@x", "a-very-long-loc_0001020304"),
        ] {
            let profile = Profile::parse(&with(email)).unwrap();
            assert_eq!(profile.username([0, 1, 2, 3, 4]).unwrap().as_str(), name, "{email}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_only_a_verified_address_counts() {
        let refused = |json: &Value| Profile::parse(json).unwrap_err().to_string();
        assert_eq!(
            refused(&json!({"id": "1", "email": ""})),
            "missing required fields: first_name, last_name, email"
        );
        for verified in [json!(false), json!(null), json!("yes"), json!(1)] {
            let mut json = with("a@x");
            json["verified_email"] = verified;
            assert!(refused(&json).contains("not verified"), "{json}");
        }
    }
}
