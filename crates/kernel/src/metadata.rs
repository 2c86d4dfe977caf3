//! What users attach to things: JSON objects and tags.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// A JSON object of the user's own. `null` and absence are the empty object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// The largest object, in bytes of JSON: generous, but a page of a hundred stays a few megabytes (reference 03 §13
    /// item 18).
    pub const MAX_LEN: usize = 64 * 1024;

    /// Fails where the object is too large.
    pub fn checked(self) -> Result<Self> {
        if self.to_json().len() > Self::MAX_LEN {
            return Err(Error::invalid("the metadata is too large, at most 64 KiB of JSON"));
        }
        Ok(self)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// As JSON text, for the database.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_else(|_| "{}".to_owned())
    }

    /// From the database's JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default()))
    }
}

/// A list of tags, in the user's order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Tags(Vec<String>);

impl Tags {
    /// The most tags on one thing: generous, but a row stays a row (reference 03 §13 item 18).
    pub const MAX: usize = 128;
    /// The longest tag in bytes.
    pub const MAX_LEN: usize = 254;

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tags.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Fails where there are too many tags or one is too long.
    pub fn checked(self) -> Result<Self> {
        if self.0.len() > Self::MAX || self.0.iter().any(|tag| tag.len() > Self::MAX_LEN) {
            return Err(Error::invalid("too many tags, or one is too long (at most 128 of 254 bytes each)"));
        }
        Ok(self)
    }

    /// As JSON text, for the database.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_else(|_| "[]".to_owned())
    }

    /// From the database's JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }
}

impl<T: Into<String>> FromIterator<T> for Tags {
    fn from_iter<I: IntoIterator<Item = T>>(tags: I) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }
}

/// Which tags a list asks for (reference 01 §1.2): `a,b` is any of them, `a+b` is all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagFilter {
    /// At least one of these.
    Any(Vec<String>),
    /// Every one of these.
    All(Vec<String>),
}

impl TagFilter {
    /// Reads the query's value; a `+` anywhere makes it "all". Empty elements are dropped, an empty filter is none.
    pub fn parse(text: &str) -> Option<Self> {
        let split = |separator: char| -> Vec<String> {
            text.split(separator).map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
        };
        let filter = if text.contains('+') { Self::All(split('+')) } else { Self::Any(split(',')) };
        match &filter {
            Self::Any(tags) | Self::All(tags) if tags.is_empty() => None,
            _ => Some(filter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_the_empty_object() {
        assert!(serde_json::from_str::<Metadata>("null").unwrap().is_empty());
        assert!(serde_json::from_str::<Metadata>("[]").is_err());
    }

    #[test]
    fn a_plus_asks_for_all() {
        assert_eq!(TagFilter::parse("a, b"), Some(TagFilter::Any(vec!["a".into(), "b".into()])));
        assert_eq!(TagFilter::parse("a+b,c"), Some(TagFilter::All(vec!["a".into(), "b,c".into()])));
        assert_eq!(TagFilter::parse(" , "), None);
    }
}
