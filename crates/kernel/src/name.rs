//! Names and routes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// A display name: at most 1024 bytes, may be empty, need not be unique (reference 03 §2). Control characters are
/// refused, since a name ends up in logs and terminals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The longest name in bytes.
    pub const MAX_LEN: usize = 1024;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_LEN || text.chars().any(char::is_control) {
            return Err(Error::invalid("invalid name size"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A route: the readable stand-in for a domain's or channel's id in topics.
///
/// `^[a-zA-Z][a-zA-Z0-9_-]{0,35}$` without `__` or `--`, not itself a UUID, and not a word that paths reserve
/// (reference 03 §2, 07 §4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Route(String);

/// First path segments that can never be a domain (reference 07 §4).
const RESERVED: &[&str] = &[
    "users",
    "domains",
    "invitations",
    "keys",
    "pats",
    "password",
    "verify-email",
    "authorize",
    "oauth",
    "certs",
    "journal",
    "clients",
    "channels",
    "groups",
    "health",
    "metrics",
    "subscriptions",
    "m",
    "hc",
    "http",
    "mqtt",
    "ws",
    "publish",
    "docs",
    "ready",
];

impl Route {
    /// The longest route.
    pub const MAX_LEN: usize = 36;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Route {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let starts_with_letter = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let only_word_bytes = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let fits = starts_with_letter
            && only_word_bytes
            && text.len() <= Self::MAX_LEN
            && !text.contains("__")
            && !text.contains("--")
            && uuid::Uuid::try_parse(text).is_err()
            && !RESERVED.contains(&text);
        if fits { Ok(Self(text.to_owned())) } else { Err(Error::invalid("invalid route format")) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! deserialize_by_parsing {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

deserialize_by_parsing!(Name, Route);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_short_words() {
        for good in ["a", "sensor-data", "Plant_7", &"a".repeat(36)] {
            assert!(good.parse::<Route>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "7up",
            "-a",
            "a b",
            "a__b",
            "a--b",
            "ä",
            "a/b",
            &"a".repeat(37),
            "users",
            "m",
            "abcdef00-0000-4000-8000-000000000000",
        ] {
            assert_eq!(bad.parse::<Route>().unwrap_err().to_string(), "invalid route format", "{bad}");
        }
    }

    #[test]
    fn names_are_bounded_in_bytes() {
        assert!("ü".repeat(512).parse::<Name>().is_ok());
        assert!("ü".repeat(513).parse::<Name>().is_err());
        assert!("bell\u{7}".parse::<Name>().is_err());
    }
}
