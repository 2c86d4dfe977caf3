//! Why somebody may do something, or why not.

use kernel::{DomainId, PatId};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::error::Result;

/// Questions about rights.
#[derive(Clone, Copy, Debug)]
pub struct Authz<'a>(pub(crate) &'a Api);

/// Who would do what to which thing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inquiry {
    /// `user:<id, e-mail address or name>`.
    pub subject: String,
    /// A personal access token of that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pat: Option<PatId>,
    /// An operation, such as `clients.view`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Or a permission, such as `read_permission`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// `client:<id>`, `channel:<id>`, `group:<id>`, `domain:<id>` or `platform:magistrala`.
    pub object: String,
    /// The other thing of an operation on two, such as the client of `channels.connect_client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// The domain that it is said to be in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainId>,
}

/// The decision, and what led to it.
#[derive(Clone, Debug, Deserialize)]
pub struct Explained {
    /// `user:<id>`.
    pub subject: String,
    /// The operation or permission.
    pub wanted: String,
    /// `<kind>:<id>`.
    pub object: String,
    /// Whether it would be allowed.
    pub allowed: bool,
    /// The decision in one sentence.
    pub summary: String,
    /// What is asked for, in order.
    pub steps: Vec<Step>,
}

/// One thing that must hold.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// What is asked.
    pub step: String,
    /// Whether it holds.
    pub allowed: bool,
    /// The same for a person.
    pub says: String,
    /// What decided it.
    #[serde(default)]
    pub because: Vec<Reason>,
}

/// A condition, whether it holds, and because of what.
#[derive(Clone, Debug, Deserialize)]
pub struct Reason {
    /// Whether it holds.
    pub allowed: bool,
    /// The condition.
    pub condition: String,
    /// What decided it.
    #[serde(default)]
    pub because: Vec<Reason>,
}

impl Authz<'_> {
    /// How the platform would decide, and why.
    pub async fn explain(&self, inquiry: &Inquiry) -> Result<Explained> {
        self.0.request(Method::GET, &self.0.remotes().auth, "/authz/explain").query(inquiry).answer().await
    }
}
