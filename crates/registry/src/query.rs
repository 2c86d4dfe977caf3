//! What lists of the registry are asked for, and what they answer.

use std::str::FromStr;

use access::standing::{RoleFilter, Standing};
use kernel::{Error, GroupId, Listing, Timestamp, UserId, status::StatusFilter};

/// Which things are asked for, and in which order; each kind adds its own conditions.
#[derive(Debug, Clone)]
pub struct Query<I> {
    /// What all lists can be asked for.
    pub listing: Listing,
    /// The status.
    pub status: StatusFilter,
    /// Exactly this one.
    pub id: Option<I>,
    /// Where in the hierarchy of groups.
    pub group: Option<InGroup>,
    /// Made at this time or later.
    pub created_from: Option<Timestamp>,
    /// Made at this time or earlier.
    pub created_to: Option<Timestamp>,
    /// As this user sees the list; for administrators of the platform.
    pub user: Option<UserId>,
    /// How the user comes to it.
    pub access: RoleFilter,
}

/// Where in the hierarchy of groups a thing must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InGroup {
    /// In this group or one below it.
    Within(GroupId),
    /// In none.
    Nowhere,
}

impl FromStr for InGroup {
    type Err = Error;

    /// Reads a group's id; empty means no group (reference 03 §5.3).
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() { Ok(Self::Nowhere) } else { text.parse().map(Self::Within) }
    }
}

/// A row of a list.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The thing.
    pub item: T,
    /// The ids of the groups from the root down to the one that contains it, joined by dots; empty where it is in none.
    pub parent_path: String,
    /// How the user who looks comes to it.
    pub standing: Standing,
}
