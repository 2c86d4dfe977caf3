//! Personal access tokens: what programs show instead of a password, with scopes that say what for (reference 01 §4).

use kernel::{PatId, Secret, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{Api, Request};
use crate::error::Result;
use crate::page::{Page, Span};

/// Operations on the caller's personal access tokens. A token cannot be used for them.
#[derive(Clone, Copy, Debug)]
pub struct Pats<'a>(pub(crate) &'a Api);

/// What it takes to make a token.
#[derive(Clone, Debug, Serialize)]
pub struct NewPat {
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How long it is good: `720h`, `30d`, `1y`.
    pub duration: String,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatStatus {
    /// It is.
    #[default]
    Active,
    /// Not until its secret is reset.
    Revoked,
    /// Not any more.
    Expired,
    /// For a reason that this version does not know.
    #[serde(other)]
    Other,
}

/// A token as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Pat {
    /// Its id.
    pub id: PatId,
    /// What its owner calls it.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The token itself; only when it is made or reset.
    #[serde(default)]
    pub secret: Option<Secret<String>>,
    /// When it was made.
    #[serde(default, with = "kernel::time::or_never")]
    pub issued_at: Option<Timestamp>,
    /// When it expires.
    #[serde(default, with = "kernel::time::or_never")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    #[serde(default, with = "kernel::time::or_never")]
    pub last_used_at: Option<Timestamp>,
    /// Whether it is good.
    #[serde(default)]
    pub status: PatStatus,
}

/// Which tokens are wanted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PatQuery {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page.
    pub limit: Option<u64>,
    /// Part of the name.
    pub name: Option<String>,
    /// `active`, `revoked`, `expired` or `all`; `active` unless given.
    pub status: Option<String>,
}

/// Something that a token is allowed to be used for.
#[derive(Clone, Debug, Serialize)]
pub struct NewScope {
    /// In which domain.
    pub domain_id: String,
    /// `groups`, `channels`, `clients`, `domains`, `messages`, …
    pub entity_type: String,
    /// On which thing; `*` for any.
    pub entity_id: String,
    /// What: `view`, `update`, `create_clients`, `message_publish`, …
    pub operation: String,
}

/// A scope as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Scope {
    /// Its id, by which it can be removed.
    pub id: String,
    /// In which domain.
    #[serde(default)]
    pub domain_id: String,
    /// On which kind of thing.
    #[serde(default)]
    pub entity_type: String,
    /// On which thing; `*` for any.
    #[serde(default)]
    pub entity_id: String,
    /// What.
    #[serde(default)]
    pub operation: String,
}

impl Pats<'_> {
    /// Makes one. It can do nothing until it has scopes.
    pub async fn create(&self, new: &NewPat) -> Result<Pat> {
        self.request(Method::POST, "").json(new).answer().await
    }

    /// Lists them.
    pub async fn list(&self, query: &PatQuery) -> Result<Page<Pat>> {
        self.request(Method::GET, "").query(query).page("pats").await
    }

    /// Views one.
    pub async fn view(&self, id: PatId) -> Result<Pat> {
        self.request(Method::GET, &format!("/{id}")).answer().await
    }

    /// Gives one another name.
    pub async fn rename(&self, id: PatId, name: &str) -> Result<Pat> {
        self.request(Method::PATCH, &format!("/{id}/name")).json(&json!({"name": name})).answer().await
    }

    /// Says anew what one is for.
    pub async fn describe(&self, id: PatId, description: &str) -> Result<Pat> {
        let body = json!({"description": description});
        self.request(Method::PATCH, &format!("/{id}/description")).json(&body).answer().await
    }

    /// Gives one another secret and another end.
    pub async fn reset(&self, id: PatId, duration: &str) -> Result<Pat> {
        let body = json!({"duration": duration});
        self.request(Method::PATCH, &format!("/{id}/secret/reset")).json(&body).answer().await
    }

    /// Makes one good for nothing until it is reset.
    pub async fn revoke(&self, id: PatId) -> Result<()> {
        self.request(Method::PATCH, &format!("/{id}/secret/revoke")).done().await
    }

    /// Removes one.
    pub async fn delete(&self, id: PatId) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}")).done().await
    }

    /// Removes all of the caller's.
    pub async fn delete_all(&self) -> Result<()> {
        self.request(Method::DELETE, "").done().await
    }

    /// Lists what one may be used for.
    pub async fn scopes(&self, id: PatId, span: Span) -> Result<Page<Scope>> {
        self.request(Method::GET, &format!("/{id}/scope")).query(&span).page("scopes").await
    }

    /// Lets one be used for more.
    pub async fn add_scopes(&self, id: PatId, scopes: &[NewScope]) -> Result<()> {
        let body = json!({"scopes": scopes});
        self.request(Method::PATCH, &format!("/{id}/scope/add")).json(&body).done().await
    }

    /// Lets one be used for less.
    pub async fn remove_scopes(&self, id: PatId, scopes: &[String]) -> Result<()> {
        let body = json!({"scopes_id": scopes});
        self.request(Method::PATCH, &format!("/{id}/scope/remove")).json(&body).done().await
    }

    /// Lets one be used for nothing.
    pub async fn remove_all_scopes(&self, id: PatId) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}/scope")).done().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        self.0.request(method, &self.0.remotes().auth, &format!("/pats{below}"))
    }
}
