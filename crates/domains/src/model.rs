//! What a domain is.

use std::str::FromStr;

use access::{
    gates::Gate,
    standing::{MemberRole, RoleFilter, Standing},
};
use kernel::{Change, DomainId, Error, Listing, Metadata, Name, Result, Route, Tags, Timestamp, UserId};
use serde::{Serialize, Serializer};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// What people call it.
    pub name: Name,
    /// What topics call it; never changes.
    pub route: Route,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// Whether it is open.
    pub status: Status,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Option<UserId>,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

/// Whether a domain is open: the gate of authorization under its public name (reference 02 §0.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub Gate);

impl Status {
    /// The word that JSON uses; `freezed` is the contract's spelling.
    pub const fn word(self) -> &'static str {
        match self.0 {
            Gate::Enabled => "enabled",
            Gate::Disabled => "disabled",
            Gate::Frozen => "freezed",
            Gate::Deleted => "deleted",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// The status that a list is limited to; none is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusFilter(pub Option<Gate>);

impl Default for StatusFilter {
    fn default() -> Self {
        Self(Some(Gate::Enabled))
    }
}

impl FromStr for StatusFilter {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "" | "enabled" => Ok(Self(Some(Gate::Enabled))),
            "disabled" => Ok(Self(Some(Gate::Disabled))),
            "freezed" => Ok(Self(Some(Gate::Frozen))),
            "deleted" => Ok(Self(Some(Gate::Deleted))),
            "all" => Ok(Self(None)),
            _ => Err(Error::invalid("invalid status")),
        }
    }
}

/// What a caller gives to make a domain.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// An id of the caller's choice.
    pub id: Option<DomainId>,
    /// What people call it; not empty.
    pub name: Name,
    /// What topics call it.
    pub route: Route,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
}

/// The longest name of a domain in characters (reference 02 §1.3).
const NAME_MAX: usize = 254;

fn checked_name(name: Name) -> Result<Name> {
    if name.as_str().chars().count() > NAME_MAX {
        return Err(Error::invalid("invalid name size"));
    }
    Ok(name)
}

impl NewDomain {
    /// Fails where there is no name, or something is too large.
    pub fn checked(self) -> Result<Self> {
        if self.name.is_empty() {
            return Err(Error::invalid("missing identity name"));
        }
        Ok(Self {
            name: checked_name(self.name)?,
            tags: self.tags.checked()?,
            metadata: self.metadata.checked()?,
            ..self
        })
    }
}

impl Domain {
    /// Applies a change.
    pub fn change(&mut self, change: Change, by: UserId, at: Timestamp) {
        change.apply(&mut self.name, &mut self.tags, &mut self.metadata);
        self.updated_by = Some(by);
        self.updated_at = Some(at);
    }
}

/// The change, unless name, tags or metadata are too large.
pub(crate) fn checked(change: Change) -> Result<Change> {
    let name = change.name.map(checked_name).transpose()?;
    Change { name, ..change }.checked()
}

/// Which domains are asked for, and in which order.
#[derive(Debug, Clone)]
pub struct Query {
    /// What all lists can be asked for.
    pub listing: Listing,
    /// The status.
    pub status: StatusFilter,
    /// Exactly this one.
    pub id: Option<DomainId>,
    /// Made at this time or later.
    pub created_from: Option<Timestamp>,
    /// Made at this time or earlier.
    pub created_to: Option<Timestamp>,
    /// Which role the caller holds on it; passed over for administrators of the platform, who need none.
    pub role: RoleFilter,
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The domain.
    pub domain: Domain,
    /// The role by which the caller comes to it; empty for an administrator of the platform.
    pub standing: Standing,
}

/// A domain as one caller views it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewed {
    /// The domain.
    pub domain: Domain,
    /// Who views it, and by which roles, if that was asked for; an administrator of the platform needs none.
    pub member: Option<(UserId, Vec<MemberRole>)>,
}
