//! A token as its owner sees it.

use std::{fmt, str::FromStr};

use kernel::{Error, PatId, Result, Timestamp, UserId};
use serde::Serialize;

use super::Scope;

/// A personal access token without its secret, which nobody sees again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pat {
    /// The id.
    pub id: PatId,
    /// The user for whom it acts.
    pub user: UserId,
    /// What the user calls it.
    pub name: PatName,
    /// What it is for; may be empty.
    pub description: Description,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When its present secret ends.
    pub expires_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
    /// When it was revoked, if it is.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, within a minute.
    pub last_used_at: Option<Timestamp>,
    /// The generation of the account's credentials for which its secret was made; see [`Pat::is_revoked`].
    pub generation: i64,
}

/// Whether a token is good for anything (reference 01 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatStatus {
    /// It is.
    Active,
    /// It was revoked, or its owner has changed the password since; a new secret makes it active again.
    Revoked,
    /// Its time has passed.
    Expired,
}

impl Pat {
    /// Whether it is void until its secret is reset: it was revoked, or its owner's password was changed since, so that
    /// the account has credentials of a later `generation`.
    pub const fn is_revoked(&self, generation: i64) -> bool {
        self.revoked_at.is_some() || self.generation != generation
    }

    /// Its status at `now`, for an account with credentials of this `generation`.
    pub fn status(&self, generation: i64, now: Timestamp) -> PatStatus {
        if self.is_revoked(generation) {
            PatStatus::Revoked
        } else if self.expires_at <= now {
            PatStatus::Expired
        } else {
            PatStatus::Active
        }
    }
}

/// A scope under its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredScope {
    /// The id by which it is removed.
    pub id: String,
    /// What it says.
    pub scope: Scope,
}

/// Which tokens to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Only those with this status.
    Only(PatStatus),
    /// All.
    All,
}

impl FromStr for StatusFilter {
    type Err = Error;

    /// Reads the word; empty means active.
    fn from_str(word: &str) -> Result<Self> {
        match word {
            "" | "active" => Ok(Self::Only(PatStatus::Active)),
            "revoked" => Ok(Self::Only(PatStatus::Revoked)),
            "expired" => Ok(Self::Only(PatStatus::Expired)),
            "all" => Ok(Self::All),
            _ => Err(Error::invalid("invalid status")),
        }
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $most:literal, blank: $blank:literal, long: $long:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text as it was stored, or as a caller sent it where it may be left out.
            pub fn bounded(text: String) -> Result<Self> {
                if text.len() > $most || text.chars().any(char::is_control) {
                    return Err(Error::invalid($long));
                }
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                if text.trim().is_empty() {
                    return Err(Error::invalid($blank));
                }
                Self::bounded(text.to_owned())
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
    /// What a user calls a token: not blank, at most 254 bytes without control characters. Names may repeat.
    PatName: 254, blank: "missing identity name", long: "invalid name size";

    /// What a token is for: at most 1024 bytes without control characters.
    Description: 1024, blank: "missing description", long: "invalid description, at most 1024 bytes without control characters";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoked_comes_before_expired() {
        let at = Timestamp::from_micros;
        let mut pat = Pat {
            id: "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11".parse().unwrap(),
            user: "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a12".parse().unwrap(),
            name: "ci".parse().unwrap(),
            description: Description::bounded(String::new()).unwrap(),
            issued_at: at(0),
            expires_at: at(10),
            updated_at: None,
            revoked_at: None,
            last_used_at: None,
            generation: 1,
        };
        assert_eq!(pat.status(1, at(9)), PatStatus::Active);
        assert_eq!(pat.status(1, at(10)), PatStatus::Expired);
        assert_eq!(pat.status(2, at(10)), PatStatus::Revoked);
        pat.revoked_at = Some(at(5));
        assert_eq!(pat.status(1, at(9)), PatStatus::Revoked);
    }

    #[test]
    fn a_name_is_neither_blank_nor_long() {
        assert_eq!(" ".parse::<PatName>().unwrap_err().to_string(), "missing identity name");
        assert_eq!("x".repeat(255).parse::<PatName>().unwrap_err().to_string(), "invalid name size");
        assert_eq!("".parse::<Description>().unwrap_err().to_string(), "missing description");
    }
}
