//! Roles on a domain, group, client or channel: who may do what there (reference 02 §4).

use kernel::{RoleId, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::MemberRole;
use crate::api::{Api, Request};
use crate::error::Result;
use crate::page::{Page, Span};

/// Operations on the roles on one thing.
#[derive(Clone, Debug)]
pub struct Roles<'a> {
    api: &'a Api,
    base: &'a str,
    path: String,
}

/// What it takes to make a role.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewRole {
    /// Its name; on each thing a name is taken once.
    pub role_name: String,
    /// What its members may do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optional_actions: Vec<String>,
    /// Who has it from the start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optional_members: Vec<UserId>,
}

/// A role as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it is a role on.
    #[serde(default)]
    pub entity_id: String,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<String>,
    /// When it was made.
    #[serde(default, with = "kernel::time::or_never")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(default, with = "kernel::time::or_never")]
    pub updated_at: Option<Timestamp>,
}

/// Somebody who reaches a thing, and all roles that let them.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    /// Who.
    pub member_id: UserId,
    /// Through what.
    #[serde(default)]
    pub roles: Vec<MemberRole>,
}

/// Which members are wanted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemberQuery {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
    /// Those with this role.
    pub role_id: Option<RoleId>,
    /// Those with a role of this name.
    pub role_name: Option<String>,
    /// Those with a role that has all of these actions, with commas between them.
    pub actions: Option<String>,
    /// `direct`, `direct_group`, `indirect_group` or `domain`.
    pub access_type: Option<String>,
}

impl<'a> Roles<'a> {
    /// The roles on what stands under `thing`.
    pub(crate) fn new(api: &'a Api, base: &'a str, thing: String) -> Self {
        Self { api, base, path: thing }
    }

    /// Makes one.
    pub async fn create(&self, new: &NewRole) -> Result<Role> {
        self.request(Method::POST, "").json(new).answer().await
    }

    /// Lists them.
    pub async fn list(&self, span: Span) -> Result<Page<Role>> {
        self.request(Method::GET, "").query(&span).page("roles").await
    }

    /// Views one.
    pub async fn view(&self, role: &RoleId) -> Result<Role> {
        self.request(Method::GET, &format!("/{role}")).answer().await
    }

    /// Gives one another name.
    pub async fn rename(&self, role: &RoleId, name: &str) -> Result<Role> {
        self.request(Method::PUT, &format!("/{role}")).json(&json!({"name": name})).answer().await
    }

    /// Removes one; its members lose what it let them do.
    pub async fn delete(&self, role: &RoleId) -> Result<()> {
        self.request(Method::DELETE, &format!("/{role}")).done().await
    }

    /// What the members of one may do.
    pub async fn actions(&self, role: &RoleId) -> Result<Vec<String>> {
        self.request(Method::GET, &format!("/{role}/actions")).member("actions").await
    }

    /// Lets the members of one do more.
    pub async fn add_actions(&self, role: &RoleId, actions: &[String]) -> Result<Vec<String>> {
        let body = json!({"actions": actions});
        self.request(Method::POST, &format!("/{role}/actions")).json(&body).member("actions").await
    }

    /// Lets the members of one do less.
    pub async fn remove_actions(&self, role: &RoleId, actions: &[String]) -> Result<()> {
        let body = json!({"actions": actions});
        self.request(Method::POST, &format!("/{role}/actions/delete")).json(&body).done().await
    }

    /// Lets the members of one do nothing.
    pub async fn remove_all_actions(&self, role: &RoleId) -> Result<()> {
        self.request(Method::POST, &format!("/{role}/actions/delete-all")).done().await
    }

    /// Lists who has one.
    pub async fn role_members(&self, role: &RoleId, span: Span) -> Result<Page<UserId>> {
        self.request(Method::GET, &format!("/{role}/members")).query(&span).page("members").await
    }

    /// Gives one to users.
    pub async fn add_members(&self, role: &RoleId, members: &[UserId]) -> Result<Vec<UserId>> {
        let body = json!({"members": members});
        self.request(Method::POST, &format!("/{role}/members")).json(&body).member("members").await
    }

    /// Takes one from users.
    pub async fn remove_members(&self, role: &RoleId, members: &[UserId]) -> Result<()> {
        let body = json!({"members": members});
        self.request(Method::POST, &format!("/{role}/members/delete")).json(&body).done().await
    }

    /// Takes one from all users.
    pub async fn remove_all_members(&self, role: &RoleId) -> Result<()> {
        self.request(Method::POST, &format!("/{role}/members/delete-all")).done().await
    }

    /// Lists everybody who reaches the thing, also through groups and the domain.
    pub async fn members(&self, query: &MemberQuery) -> Result<Page<Member>> {
        self.request(Method::GET, "/members").query(query).page("members").await
    }

    /// Takes all roles on the thing from users.
    pub async fn expel(&self, members: &[UserId]) -> Result<()> {
        self.request(Method::DELETE, "").json(&json!({"member_ids": members})).done().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        self.api.request(method, self.base, &format!("{}/roles{below}", self.path))
    }
}
