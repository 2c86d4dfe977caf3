//! Whether a thing is in use.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// The status of a user, client, channel or group (reference 03 §2). Domains have one more, see `domains::model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    #[default]
    Enabled,
    /// Switched off; can be enabled again.
    Disabled,
    /// Marked for removal.
    Deleted,
}

impl Status {
    /// The number that the database and gRPC use.
    pub const fn code(self) -> i64 {
        match self {
            Self::Enabled => 0,
            Self::Disabled => 1,
            Self::Deleted => 2,
        }
    }

    /// The status with this number.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Enabled),
            1 => Some(Self::Disabled),
            2 => Some(Self::Deleted),
            _ => None,
        }
    }

    /// The word that JSON and queries use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for Status {
    type Err = Error;

    /// Reads the word; empty means enabled.
    fn from_str(word: &str) -> Result<Self> {
        match word {
            "" | "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            "deleted" => Ok(Self::Deleted),
            _ => Err(Error::invalid("invalid status")),
        }
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

/// The status that a list is limited to: one of them, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Only things with this status.
    Only(Status),
    /// Whatever the status.
    All,
}

impl StatusFilter {
    /// The status to compare with, or none.
    pub const fn code(self) -> Option<i64> {
        match self {
            Self::Only(status) => Some(status.code()),
            Self::All => None,
        }
    }
}

impl Default for StatusFilter {
    fn default() -> Self {
        Self::Only(Status::Enabled)
    }
}

impl FromStr for StatusFilter {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        if word == "all" { Ok(Self::All) } else { word.parse().map(Self::Only) }
    }
}
