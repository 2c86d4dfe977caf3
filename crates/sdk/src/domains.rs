//! Domains (reference 02 §1).

use kernel::{DomainId, Metadata, Tags, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::access::Standing;
use crate::api::{Api, Request};
use crate::error::Result;
use crate::page::{Page, Query};
use crate::roles::Roles;

/// Operations on domains.
#[derive(Clone, Copy, Debug)]
pub struct Domains<'a>(pub(crate) &'a Api);

/// Whether a domain is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainStatus {
    /// In use.
    #[default]
    Enabled,
    /// Closed to all but its administrators.
    Disabled,
    /// Closed to all but the platform's administrators; the API spells it so.
    Freezed,
    /// Marked for removal.
    Deleted,
}

/// What it takes to make a domain.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewDomain {
    /// An id of your choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DomainId>,
    /// What people call it.
    pub name: String,
    /// What topics call it; cannot be changed later.
    pub route: String,
    /// Tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Metadata.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

impl NewDomain {
    /// A domain with what it must have.
    pub fn named(name: &str, route: &str) -> Self {
        Self { name: name.to_owned(), route: route.to_owned(), ..Self::default() }
    }
}

/// What can be changed; what is absent stays.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DomainChange {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces all tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// A domain as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What topics call it.
    #[serde(default)]
    pub route: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// Metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether it is in use.
    #[serde(default)]
    pub status: DomainStatus,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(default, with = "kernel::time::or_never")]
    pub updated_at: Option<Timestamp>,
    /// Who changed it last.
    #[serde(default)]
    pub updated_by: Option<UserId>,
    /// Which role the caller has in it.
    #[serde(flatten)]
    pub standing: Standing,
}

impl<'a> Domains<'a> {
    /// Makes one; the caller becomes its administrator.
    pub async fn create(&self, new: &NewDomain) -> Result<Domain> {
        self.request(Method::POST, "").json(new).answer().await
    }

    /// Lists the caller's domains.
    pub async fn list(&self, query: &Query) -> Result<Page<Domain>> {
        self.request(Method::GET, "").query(query).page("domains").await
    }

    /// Views one.
    pub async fn view(&self, id: DomainId) -> Result<Domain> {
        self.request(Method::GET, &format!("/{id}")).answer().await
    }

    /// Views one, with the roles that the caller has in it.
    pub async fn view_with_roles(&self, id: DomainId) -> Result<Domain> {
        self.request(Method::GET, &format!("/{id}")).query(&[("roles", true)]).answer().await
    }

    /// Changes one; what is absent stays.
    pub async fn update(&self, id: DomainId, change: &DomainChange) -> Result<Domain> {
        self.request(Method::PATCH, &format!("/{id}")).json(change).answer().await
    }

    /// Opens one.
    pub async fn enable(&self, id: DomainId) -> Result<()> {
        self.request(Method::POST, &format!("/{id}/enable")).done().await
    }

    /// Closes one to all but its administrators.
    pub async fn disable(&self, id: DomainId) -> Result<()> {
        self.request(Method::POST, &format!("/{id}/disable")).done().await
    }

    /// Closes one to all but the platform's administrators.
    pub async fn freeze(&self, id: DomainId) -> Result<()> {
        self.request(Method::POST, &format!("/{id}/freeze")).done().await
    }

    /// The roles in a domain, and their members.
    pub fn roles(&self, id: DomainId) -> Roles<'a> {
        Roles::new(self.0, &self.0.remotes().domains, format!("/domains/{id}"))
    }

    /// All actions that a role in a domain may have.
    pub async fn available_actions(&self) -> Result<Vec<String>> {
        self.request(Method::GET, "/roles/available-actions").member("available_actions").await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        self.0.request(method, &self.0.remotes().domains, &format!("/domains{below}"))
    }
}
