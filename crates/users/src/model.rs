//! What a user is.

use std::{fmt, str::FromStr};

use access::crypto::PasswordHash;
use kernel::{
    Error, Metadata, Result, Secret, Status, Tags, Timestamp, UserId,
    page::{Direction, PageRequest},
    status::StatusFilter,
};
use serde::{Deserialize, Serialize};

/// A person or a program that manages things.
#[derive(Debug, Clone)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// What the user logs in with.
    pub username: Username,
    /// What the user may log in with as well.
    pub email: Email,
    /// The first name.
    pub first_name: PersonName,
    /// The last name.
    pub last_name: PersonName,
    /// The user's tags.
    pub tags: Tags,
    /// Data that other users see.
    pub metadata: Metadata,
    /// Data that only the user and administrators see.
    pub private_metadata: Metadata,
    /// The role on the platform.
    pub role: Role,
    /// Whether the user may log in.
    pub status: Status,
    /// When the e-mail address was verified.
    pub verified_at: Option<Timestamp>,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Who changed the user last.
    pub updated_by: Option<UserId>,
    /// When the user was changed last.
    pub updated_at: Option<Timestamp>,
}

/// A user together with the hash of the password.
#[derive(Debug, Clone)]
pub struct WithPassword {
    /// The user.
    pub user: User,
    /// The hash; none for accounts of other providers.
    pub hash: Option<PasswordHash>,
}

/// The role on the platform under its public names (reference 01 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An ordinary user.
    #[default]
    User,
    /// An administrator of the platform.
    Admin,
}

impl Role {
    /// The number in the database.
    pub const fn code(self) -> i64 {
        match self {
            Self::User => 0,
            Self::Admin => 1,
        }
    }

    /// The role with this number in the database.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::User),
            1 => Some(Self::Admin),
            _ => None,
        }
    }

    /// The role as tokens carry it.
    pub const fn claimed(self) -> access::identity::Role {
        match self {
            Self::User => access::identity::Role::User,
            Self::Admin => access::identity::Role::Admin,
        }
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $valid:expr => $message:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(Error::invalid($message)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts! {
    /// `^[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}$` without `__` or `--` (reference 01 §1.6).
    Username: |text| {
        text.len() <= 32
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && !text.contains("__")
            && !text.contains("--")
    } => "invalid username";

    /// A bare address, `local@domain`; compared without case (reference 01 §13 item 13).
    Email: |text| {
        text.len() <= 254
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            })
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c))
    } => "invalid email";

    /// A first or last name: at most 254 bytes without control characters.
    PersonName: |text| text.len() <= 254 && !text.chars().any(char::is_control) => "invalid name size";
}

impl Email {
    /// The form in which addresses are compared.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// What it takes to make a user.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What the user logs in with.
    pub username: Username,
    /// The e-mail address.
    pub email: Email,
    /// The first name.
    pub first_name: PersonName,
    /// The last name.
    pub last_name: PersonName,
    /// The password, still in the open.
    pub password: Secret<String>,
    /// The user's tags.
    pub tags: Tags,
    /// Data that other users see.
    pub metadata: Metadata,
    /// Data that only the user and administrators see.
    pub private_metadata: Metadata,
    /// The role; only an administrator's wish counts.
    pub role: Role,
    /// Enabled or disabled; only an administrator's wish counts.
    pub status: Status,
}

/// Which users are asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The page.
    pub page: PageRequest,
    /// The direction; by the time of the last change.
    pub direction: Direction,
    /// The status.
    pub status: StatusFilter,
    /// Part of the user name, whatever the case.
    pub username: Option<String>,
    /// Part of the e-mail address, whatever the case.
    pub email: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_short_words() {
        for good in ["a", "admin", "7up", "x_y-z", &"a".repeat(32)] {
            assert!(good.parse::<Username>().is_ok(), "{good}");
        }
        for bad in ["", "_a", "a__b", "a@b", "ä", &"a".repeat(33)] {
            assert_eq!(bad.parse::<Username>().unwrap_err().to_string(), "invalid username", "{bad}");
        }
    }

    #[test]
    fn only_a_bare_address_is_an_email() {
        assert_eq!("Ann@Example.com".parse::<Email>().unwrap().key(), "ann@example.com");
        for bad in ["", "a", "@b", "a@", "a@b@c", "Ann <a@b>", "a b@c", "a@b\n"] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
