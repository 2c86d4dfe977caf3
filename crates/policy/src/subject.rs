//! Who is asking: what rules know of a client.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// A person.
    User,
    /// A program with an account of its own.
    Service,
    /// Somebody with neither; may connect and do nothing. Only the convention of topics knows it.
    Anonymous,
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Anonymous => "anonymous",
        })
    }
}

/// Somebody whose token was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// User or service.
    #[serde(rename = "type")]
    pub kind: SubjectKind,
    /// `sub` of a user, the client id of a service.
    pub id: String,
    /// Sorted, each once.
    pub groups: Vec<String>,
    /// Sorted, each once.
    pub scopes: Vec<String>,
    /// The name that a user also goes by (`preferred_username`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Claims beyond these, for policies that look at them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

impl Subject {
    /// A subject without a second name and further claims.
    pub fn new<'a>(
        kind: SubjectKind,
        id: impl Into<String>,
        groups: impl IntoIterator<Item = &'a str>,
        scopes: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            kind,
            id: id.into(),
            groups: sorted(groups.into_iter().map(str::to_owned)),
            scopes: sorted(scopes.into_iter().map(str::to_owned)),
            name: None,
            claims: Map::new(),
        }
    }
}

/// The texts in order, each once.
pub(crate) fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// A subject at a broker.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// Whose token it was.
    pub subject: &'a Subject,
    /// The name at the broker, if it was found to be the subject's own.
    pub username: Option<&'a str>,
    /// The client's id at the broker, which the broker alone vouches for; empty where it is not said.
    pub clientid: &'a str,
}
