//! What clients and channels have in common: one set of operations on the things of a domain (reference 03 §5 and §6).

use std::fmt::Display;
use std::marker::PhantomData;

use kernel::DomainId;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::{Api, Request};
use crate::error::{Error, Result};
use crate::page::{Envelope, Page, Query};

/// A kind of thing that a domain has.
pub trait Kind {
    /// Its name in paths and lists.
    const PLURAL: &'static str;
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

/// Operations on the clients or the channels of a domain.
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

impl<K: Kind> Registry<'_, K> {
    /// Makes one.
    pub async fn create(&self, new: &K::New) -> Result<K::View> {
        self.request(Method::POST, "").json(new).answer().await
    }

    /// Makes up to 1,000, all or none.
    pub async fn create_bulk(&self, new: &[K::New]) -> Result<Vec<K::View>> {
        Ok(self.page(self.request(Method::POST, "/bulk").json(&new), "/bulk").await?.items)
    }

    /// Lists those that the caller may see.
    pub async fn list(&self, query: &Query) -> Result<Page<K::View>> {
        self.page(self.request(Method::GET, "").query(query), "").await
    }

    /// Views one.
    pub async fn view(&self, id: K::Id) -> Result<K::View> {
        self.request(Method::GET, &format!("/{id}")).answer().await
    }

    /// Changes one; what is absent stays.
    pub async fn update(&self, id: K::Id, change: &K::Change) -> Result<K::View> {
        self.request(Method::PATCH, &format!("/{id}")).json(change).answer().await
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

    /// Removes one.
    pub async fn delete(&self, id: K::Id) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}")).done().await
    }

    pub(crate) fn request(&self, method: Method, below: &str) -> Request {
        self.api.request(method, K::base(self.api), &self.path(below))
    }

    fn path(&self, below: &str) -> String {
        format!("/{}/{}{below}", self.domain, K::PLURAL)
    }

    async fn page(&self, request: Request, below: &str) -> Result<Page<K::View>> {
        let envelope: Envelope = request.answer().await?;
        let url = || format!("{}{}", K::base(self.api), self.path(below));
        envelope.page(K::PLURAL).map_err(|cause| Error::Unexpected { url: url(), cause })
    }
}
