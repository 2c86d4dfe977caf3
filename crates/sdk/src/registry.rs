//! What groups, clients and channels have in common: one set of operations on the things of a domain (references 02 §3,
//! 03 §5 and §6).

use std::fmt::Display;
use std::marker::PhantomData;

use kernel::{DomainId, GroupId};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::{Api, Request};
use crate::error::Result;
use crate::page::{Page, Query};
use crate::roles::Roles;

/// A kind of thing that a domain has.
pub trait Kind {
    /// Its name in paths and lists.
    const PLURAL: &'static str;
    /// How a request names the group that one is put into.
    const PARENT: &'static str = "parent_group_id";
    /// The method that changes one.
    const CHANGE: Method = Method::PATCH;
    /// Its id.
    type Id: Display + Copy;
    /// The thing as it is shown.
    type View: DeserializeOwned;
    /// What it takes to make one.
    type New: Serialize;
    /// What can be changed.
    type Change: Serialize;

    /// The base URL of its service.
    fn base(api: &Api) -> &str;
}

/// A kind of which many can be made at once.
pub trait Bulk: Kind {}

/// Operations on the groups, the clients or the channels of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Registry<'a, K> {
    api: &'a Api,
    domain: DomainId,
    kind: PhantomData<K>,
}

impl<'a, K> Registry<'a, K> {
    pub(crate) const fn new(api: &'a Api, domain: DomainId) -> Self {
        Self { api, domain, kind: PhantomData }
    }
}

impl<'a, K: Kind> Registry<'a, K> {
    /// Makes one.
    pub async fn create(&self, new: &K::New) -> Result<K::View> {
        self.request(Method::POST, "").json(new).answer().await
    }

    /// Makes up to 1,000, all or none.
    pub async fn create_bulk(&self, new: &[K::New]) -> Result<Vec<K::View>>
    where
        K: Bulk,
    {
        Ok(self.request(Method::POST, "/bulk").json(&new).page(K::PLURAL).await?.items)
    }

    /// Lists those that the caller may see.
    pub async fn list(&self, query: &Query) -> Result<Page<K::View>> {
        self.request(Method::GET, "").query(query).page(K::PLURAL).await
    }

    /// Views one.
    pub async fn view(&self, id: K::Id) -> Result<K::View> {
        self.request(Method::GET, &format!("/{id}")).answer().await
    }

    /// Views one, with all roles through which the caller reaches it.
    pub async fn view_with_roles(&self, id: K::Id) -> Result<K::View> {
        self.request(Method::GET, &format!("/{id}")).query(&[("roles", true)]).answer().await
    }

    /// Changes one; what is absent stays.
    pub async fn update(&self, id: K::Id, change: &K::Change) -> Result<K::View> {
        self.request(K::CHANGE, &format!("/{id}")).json(change).answer().await
    }

    /// Replaces the tags of one.
    pub async fn update_tags(&self, id: K::Id, tags: &[String]) -> Result<K::View> {
        self.request(Method::PATCH, &format!("/{id}/tags")).json(&json!({"tags": tags})).answer().await
    }

    /// Lets one be used again.
    pub async fn enable(&self, id: K::Id) -> Result<K::View> {
        self.request(Method::POST, &format!("/{id}/enable")).answer().await
    }

    /// Switches one off.
    pub async fn disable(&self, id: K::Id) -> Result<K::View> {
        self.request(Method::POST, &format!("/{id}/disable")).answer().await
    }

    /// Puts one into a group.
    pub async fn set_parent(&self, id: K::Id, parent: GroupId) -> Result<()> {
        let body = json!({K::PARENT: parent});
        self.request(Method::POST, &format!("/{id}/parent")).json(&body).done().await
    }

    /// Takes one out of its group.
    pub async fn remove_parent(&self, id: K::Id) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}/parent")).done().await
    }

    /// Removes one.
    pub async fn delete(&self, id: K::Id) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}")).done().await
    }

    /// The roles on one, and their members.
    pub fn roles(&self, id: K::Id) -> Roles<'a> {
        Roles::new(self.api, K::base(self.api), self.path(&format!("/{id}")))
    }

    /// All actions that a role on such a thing may have.
    pub async fn available_actions(&self) -> Result<Vec<String>> {
        self.request(Method::GET, "/roles/available-actions").member("available_actions").await
    }

    pub(crate) fn request(&self, method: Method, below: &str) -> Request {
        self.api.request(method, K::base(self.api), &self.path(below))
    }

    fn path(&self, below: &str) -> String {
        format!("/{}/{}{below}", self.domain, K::PLURAL)
    }
}
