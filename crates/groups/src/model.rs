//! What a group is.

use std::str::FromStr;

use access::{
    hierarchy::MAX_DEPTH,
    standing::{RoleFilter, Standing},
};
use kernel::{
    DomainId, Error, GroupId, Listing, Metadata, Name, Result, Status, Tags, Timestamp, UserId,
    status::StatusFilter,
};
use serde::{Deserialize, Deserializer, Serialize};

/// A folder of clients, channels and groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The domain it belongs to.
    pub domain: DomainId,
    /// What people call it; never empty.
    pub name: Name,
    /// What it is for.
    pub description: Option<Description>,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// Whether things may be put into it.
    pub status: Status,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Option<UserId>,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

/// A group and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The group.
    pub group: Group,
    /// The groups above it, the topmost first; empty for a root.
    pub above: Vec<GroupId>,
}

impl Placed {
    /// The group that contains it.
    pub fn parent(&self) -> Option<GroupId> {
        self.above.last().copied()
    }

    /// A root is at level 1.
    pub const fn level(&self) -> usize {
        self.above.len() + 1
    }

    /// The ids from the root down to the group itself, joined by dots (reference 02 §3.1).
    pub fn path(&self) -> String {
        let ids: Vec<String> = self.above.iter().chain([&self.group.id]).map(ToString::to_string).collect();
        ids.join(".")
    }
}

/// What a group is for: at most 1024 bytes, may be empty (reference 02 §8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Description(String);

impl Description {
    /// The longest description in bytes.
    pub const MAX_LEN: usize = 1024;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Description {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_LEN {
            return Err(Error::invalid("invalid description size, at most 1024 bytes"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a caller gives to make a group.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Option<Description>,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// Enabled or disabled.
    pub status: Status,
    /// The group that contains it.
    pub parent: Option<GroupId>,
}

impl NewGroup {
    /// Fails where there is no name, or something is too large or not a status to begin with.
    pub fn checked(self) -> Result<Self> {
        if self.name.is_empty() {
            return Err(Error::invalid("invalid name size"));
        }
        if self.status == Status::Deleted {
            return Err(Error::invalid("invalid status"));
        }
        Ok(Self { tags: self.tags.checked()?, metadata: self.metadata.checked()?, ..self })
    }

    /// The group.
    pub fn build(self, id: GroupId, domain: DomainId, at: Timestamp) -> Group {
        Group {
            id,
            domain,
            name: self.name,
            description: self.description,
            tags: self.tags,
            metadata: self.metadata,
            status: self.status,
            created_at: at,
            updated_by: None,
            updated_at: None,
        }
    }
}

/// What a caller changes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What groups share with other things.
    pub shared: kernel::Change,
    /// A new description.
    pub description: Option<Description>,
}

impl Change {
    /// Fails where tags or metadata are too large.
    pub fn checked(self) -> Result<Self> {
        Ok(Self { shared: self.shared.checked()?, ..self })
    }

    /// Applies the change.
    pub fn apply(self, group: &mut Group) {
        self.shared.apply(&mut group.name, &mut group.tags, &mut group.metadata);
        if let Some(description) = self.description {
            group.description = Some(description);
        }
    }
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The group and where it is.
    pub placed: Placed,
    /// How the user who looks comes to it.
    pub standing: Standing,
}

/// Which groups are asked for, and in which order.
#[derive(Debug, Clone)]
pub struct Query {
    /// What all lists can be asked for.
    pub listing: Listing,
    /// The status.
    pub status: StatusFilter,
    /// Exactly this one.
    pub id: Option<GroupId>,
    /// Only groups above which there is none that the caller may see.
    pub topmost: bool,
    /// Made at this time or later.
    pub created_from: Option<Timestamp>,
    /// Made at this time or earlier.
    pub created_to: Option<Timestamp>,
    /// How the user comes to it.
    pub access: RoleFilter,
}

/// How far below a group the groups are that a list shows: 0 is the group itself, 1 what it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The nearest level.
    pub from: usize,
    /// The farthest level.
    pub to: usize,
}

impl Levels {
    /// What `start_level` and `end_level` mean together (reference 02 §3.6): no end is one level, an end before zero is
    /// the bottom.
    pub fn new(start: i64, end: i64) -> Result<Self> {
        let bounded = |level: i64| usize::try_from(level).unwrap_or_default().min(MAX_DEPTH);
        match (start, end) {
            (0, ..0) | (1.., ..0) => Ok(Self { from: bounded(start), to: MAX_DEPTH }),
            (1.., 0) => Ok(Self { from: bounded(start), to: bounded(start) }),
            (1.., _) if start <= end => Ok(Self { from: bounded(start), to: bounded(end) }),
            _ => Err(Error::unprocessable(
                "view entity failed, start_level must be at least 1 and end_level at least start_level, 0 for that \
                 level alone, or -1 for the bottom",
            )),
        }
    }
}

/// Which way a hierarchy is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the groups above.
    Up,
    /// To the groups below.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_mean_what_the_table_says() {
        let levels = |start, end| Levels::new(start, end).map(|levels| (levels.from, levels.to));
        assert_eq!(levels(0, -1).unwrap(), (0, MAX_DEPTH));
        assert_eq!(levels(1, 0).unwrap(), (1, 1));
        assert_eq!(levels(3, 3).unwrap(), (3, 3));
        assert_eq!(levels(2, -5).unwrap(), (2, MAX_DEPTH));
        assert_eq!(levels(1, 4).unwrap(), (1, 4));
        assert_eq!(levels(i64::MAX, 0).unwrap(), (MAX_DEPTH, MAX_DEPTH));
        for (start, end) in [(0, 0), (0, 3), (3, 2), (-1, 0), (-2, -1), (i64::MIN, i64::MAX)] {
            assert!(levels(start, end).is_err(), "{start} {end}");
        }
    }

    #[test]
    fn a_path_leads_from_the_root_to_the_group() {
        let rng = kernel::Rng::seeded(1);
        let [root, middle, own] = [(); 3].map(|()| GroupId::generate(&rng));
        let new = NewGroup { name: "own".parse().unwrap(), ..NewGroup::default() };
        let group = new.build(own, DomainId::generate(&rng), Timestamp::from_micros(0));
        let placed = Placed { group, above: vec![root, middle] };
        assert_eq!(placed.path(), format!("{root}.{middle}.{own}"));
        assert_eq!((placed.level(), placed.parent()), (3, Some(middle)));
    }

    #[test]
    fn a_description_is_bounded_in_bytes() {
        assert!("ü".repeat(512).parse::<Description>().is_ok());
        assert!("ü".repeat(513).parse::<Description>().is_err());
    }
}
