//! What a role is.

use std::{collections::HashSet, str::FromStr};

use kernel::{Error, Result, RoleId, Timestamp, UserId};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::Entity;

/// The name of the role that comes with every thing and holds all of its actions.
pub const ADMIN: &str = "admin";
/// The most actions, or members, that one request names.
pub const MAX_NAMED: usize = 1000;
/// The most roles on one thing.
pub const MAX_ROLES: u64 = 1000;

/// A named set of actions on one thing (reference 02 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Role {
    /// The role's id.
    pub id: RoleId,
    /// Its name, unique on its thing.
    pub name: String,
    /// The thing it is on.
    pub entity_id: String,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last; empty where nobody has.
    #[serde(serialize_with = "or_empty")]
    #[schema(value_type = String)]
    pub updated_by: Option<UserId>,
    /// When it was changed last.
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    pub updated_at: Option<Timestamp>,
    /// The actions it holds.
    #[serde(skip)]
    pub actions: Vec<String>,
    /// Whether it is the role that came with the thing.
    #[serde(skip)]
    pub built_in: bool,
}

/// The reference never omits who changed a role last.
fn or_empty<S: Serializer>(user: &Option<UserId>, serializer: S) -> Result<S::Ok, S::Error> {
    match user {
        Some(user) => user.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

/// A role as it was made, with what it was given: the answer to its creator, and the shape that events carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Provision {
    /// The role.
    #[serde(flatten)]
    pub role: Role,
    /// The actions it was given; null where none were named.
    pub optional_actions: Option<Vec<String>>,
    /// The users who were made its members; null where none were named.
    pub optional_members: Option<Vec<UserId>>,
}

/// What a caller gives to make a role.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// Its name.
    pub name: RoleName,
    /// The actions it is to hold.
    pub actions: Option<Actions>,
    /// The users who are to hold it.
    pub members: Option<Members>,
}

/// A role's name: 1 to 200 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName(String);

impl RoleName {
    /// The longest name in bytes.
    pub const MAX_LEN: usize = 200;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid("empty role name"));
        }
        if text.len() > Self::MAX_LEN {
            return Err(Error::invalid("invalid name size"));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::invalid(
                "invalid role name, leave out control characters such as line breaks",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Actions that a role on things of one kind can hold, each once, in the order in which they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actions(Vec<String>);

impl Actions {
    /// At most [`MAX_NAMED`] actions, each known for things of this kind.
    pub fn parse(entity: &Entity, named: Vec<String>) -> Result<Self> {
        bounded("actions", named.len())?;
        let known = || entity.actions().iter().chain(entity.without_effect).copied();
        if let Some(unknown) = named.iter().find(|action| !known().any(|known| known == action.as_str())) {
            // An action is at most 42 bytes long; nobody needs to read more of what is none.
            let shown: String = unknown.chars().take(64).filter(|c| !c.is_control()).collect();
            let advice = match kernel::nearest(unknown, known()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "list the available actions".to_owned(),
            };
            let kind = entity.kind;
            return Err(Error::invalid(format!("`{shown}` is no action on a {kind}; {advice}")));
        }
        Ok(Self(once_each(named)))
    }

    /// As [`Actions::parse`], and at least one.
    pub fn some(entity: &Entity, named: Vec<String>) -> Result<Self> {
        if named.is_empty() {
            return Err(Error::invalid("missing policy entity type"));
        }
        Self::parse(entity, named)
    }

    /// The actions.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The actions.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// Users, each once, in the order in which they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members(Vec<UserId>);

impl Members {
    /// At most [`MAX_NAMED`] users.
    pub fn parse(named: Vec<UserId>) -> Result<Self> {
        bounded("members", named.len())?;
        Ok(Self(once_each(named)))
    }

    /// As [`Members::parse`], and at least one.
    pub fn some(named: Vec<UserId>) -> Result<Self> {
        if named.is_empty() {
            return Err(Error::invalid("empty role members"));
        }
        Self::parse(named)
    }

    /// The users.
    pub fn as_slice(&self) -> &[UserId] {
        &self.0
    }
}

fn bounded(what: &str, count: usize) -> Result<()> {
    if count > MAX_NAMED {
        return Err(Error::invalid(format!("too many {what} in one request, at most {MAX_NAMED}")));
    }
    Ok(())
}

fn once_each<T: Clone + Eq + std::hash::Hash>(named: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::with_capacity(named.len());
    named.into_iter().filter(|one| seen.insert(one.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::{CLIENTS, ENTITIES};

    #[test]
    fn a_name_is_neither_empty_nor_long_nor_made_of_control_characters() {
        assert_eq!("".parse::<RoleName>().unwrap_err().to_string(), "empty role name");
        assert_eq!("x".repeat(201).parse::<RoleName>().unwrap_err().to_string(), "invalid name size");
        assert!("a\nb".parse::<RoleName>().unwrap_err().to_string().contains("control characters"));
        "é".repeat(100).parse::<RoleName>().unwrap();
    }

    #[test]
    fn an_unknown_action_is_refused_with_the_one_that_was_meant() {
        let of = |action: &str| Actions::parse(CLIENTS, vec![action.to_owned()]);
        assert_eq!(
            of("reed").unwrap_err().to_string(),
            "`reed` is no action on a client; did you mean `read`?"
        );
        assert_eq!(
            of("\u{7}xyzzy").unwrap_err().to_string(),
            "`xyzzy` is no action on a client; list the available actions"
        );
        assert_eq!(of("publish").unwrap().as_slice(), ["publish"]);
        let twice = Actions::some(CLIENTS, vec!["read".into(), "update".into(), "read".into()]).unwrap();
        assert_eq!(twice.as_slice(), ["read", "update"]);
        assert!(Actions::some(CLIENTS, Vec::new()).is_err());
        assert!(Actions::parse(CLIENTS, vec!["read".into(); 1001]).is_err());
    }

    #[test]
    fn every_kind_of_thing_has_actions() {
        for entity in ENTITIES {
            assert!(entity.actions().contains(&"manage_role"), "{}", entity.kind);
        }
    }
}
