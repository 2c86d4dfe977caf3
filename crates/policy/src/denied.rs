//! Whom to refuse though its token holds: a list in a file, for tokens that were lost (reference 08 §13).
//!
//! ```json
//! {"tokens": ["the jti of a token"], "subjects": ["a user's or service's id"], "clients": ["a client id at the broker"]}
//! ```

use std::{collections::HashSet, path::Path};

use serde::Deserialize;

use crate::{
    identity::Identity,
    rules::{Fault, read_file},
};

/// The list, read with the rules and in force with them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Denied {
    tokens: HashSet<String>,
    subjects: HashSet<String>,
    clients: HashSet<String>,
}

impl Denied {
    /// Reads the file; without one nobody is refused.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Fault> {
        path.map_or_else(|| Ok(Self::default()), read_file)
    }

    /// Whether it names this identity, what it has shown, or the client that it comes as.
    pub(crate) fn names(&self, identity: &Identity, clientid: &str) -> bool {
        let token = match identity {
            Identity::Subject(principal) => principal.token_id.as_deref(),
            Identity::Member(_) => None,
        };
        self.subjects.contains(identity.id())
            || self.clients.contains(clientid)
            || token.is_some_and(|token| self.tokens.contains(token))
    }
}
