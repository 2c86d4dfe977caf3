//! Ids: one type per kind of thing, so that a channel's id cannot be passed for a client's.
//!
//! All but [`RoleId`] are UUIDs in canonical lower-case hyphenated text (reference 02 §0.4); any version is accepted,
//! version 4 is made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Result, Rng};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The kind of thing as relations, events and logs name it.
            pub const KIND: &'static str = $kind;

            /// A new id.
            pub fn generate(rng: &Rng) -> Self {
                Self(rng.uuid())
            }

            /// The id with this number; for codecs.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The number; for codecs.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                canonical_uuid(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}:{}", $kind, self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                uuid_schema()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A person or a program that manages things.
    UserId = "user";
    /// A tenant.
    DomainId = "domain";
    /// A folder of clients, channels and groups.
    GroupId = "group";
    /// A device or an application.
    ClientId = "client";
    /// A stream of messages.
    ChannelId = "channel";
    /// A personal access token.
    PatId = "pat";
    /// An API key.
    KeyId = "key";
    /// What a device fetches when it is started for the first time.
    ConfigId = "bootstrap";
    /// A template of such configurations.
    ProfileId = "profile";
    /// A thing of any kind that has roles, where its kind is told by other means.
    EntityId = "entity";
}

/// A UUID in its one canonical spelling; anything else is `invalid id format provided` (reference 02 §0.4).
fn canonical_uuid(text: &str) -> Result<Uuid> {
    let uuid = (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten();
    match uuid {
        Some(uuid) if !text.bytes().any(|b| b.is_ascii_uppercase()) => Ok(uuid),
        _ => Err(Error::invalid("invalid id format provided")),
    }
}

fn uuid_schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .into()
}

/// A role's id: `<kind of thing>_<opaque text>`, for example `client_3tQ…` (reference 02 §4.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleId(Box<str>);

impl RoleId {
    /// The longest role id that is accepted: upstream keeps 36 in invitations, the relation engine takes 38.
    pub const MAX_LEN: usize = 38;

    /// A new id for a role on a thing of `kind` (`domain`, `group`, `client`, `channel`, `rule`, `report`).
    pub fn generate(kind: &str, rng: &Rng) -> Self {
        Self(format!("{kind}_{}", base62(rng.uuid().as_u128())).into())
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text.into())) } else { Err(Error::invalid("invalid id format provided")) }
    }
}

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role:{}", self.0)
    }
}

impl<'de> Deserialize<'de> for RoleId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for RoleId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .into()
    }
}

impl utoipa::ToSchema for RoleId {}

/// 22 characters for any 128-bit number.
fn base62(mut number: u128) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::with_capacity(22);
    loop {
        let digit = usize::try_from(number % 62).unwrap_or_default();
        digits.push(DIGITS.get(digit).copied().unwrap_or(b'0') as char);
        number /= 62;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_an_id() {
        let good = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
        assert_eq!(good.parse::<ClientId>().unwrap().to_string(), good);
        for bad in [
            "",
            "x",
            "5F0B4E1C-7C3A-4A8E-9D53-0D8B9F3C2A11",
            "5f0b4e1c7c3a4a8e9d530d8b9f3c2a11",
            "{5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11}",
            "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a1\u{1}",
        ] {
            assert_eq!(
                bad.parse::<ClientId>().unwrap_err().to_string(),
                "invalid id format provided",
                "{bad}"
            );
        }
    }

    #[test]
    fn role_ids_carry_their_kind() {
        let id = RoleId::generate("client", &Rng::seeded(1));
        assert!(id.as_str().starts_with("client_"), "{id}");
        assert!(id.as_str().len() <= 31);
        assert_eq!(id.as_str().parse::<RoleId>().unwrap(), id);
    }
}
