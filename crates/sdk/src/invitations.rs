//! Invitations to domains (reference 02 §2).

use kernel::{DomainId, RoleId, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{Api, Request};
use crate::error::Result;
use crate::page::Page;

/// Operations on invitations.
#[derive(Clone, Copy, Debug)]
pub struct Invitations<'a>(pub(crate) &'a Api);

/// What it takes to invite somebody.
#[derive(Clone, Debug, Serialize)]
pub struct NewInvitation {
    /// Who is invited.
    pub invitee_user_id: UserId,
    /// The role in the domain that they get when they accept.
    pub role_id: RoleId,
    /// Whether an invitation that is pending or was rejected is sent again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resend: bool,
}

/// An invitation as it is shown: pending until it is confirmed or rejected.
#[derive(Clone, Debug, Deserialize)]
pub struct Invitation {
    /// Who invited.
    #[serde(default)]
    pub invited_by: Option<UserId>,
    /// Who is invited.
    pub invitee_user_id: UserId,
    /// The domain.
    pub domain_id: DomainId,
    /// Its name.
    #[serde(default)]
    pub domain_name: Option<String>,
    /// The role that the invited one gets.
    #[serde(default)]
    pub role_id: Option<RoleId>,
    /// Its name.
    #[serde(default)]
    pub role_name: Option<String>,
    /// When it was sent.
    #[serde(default, with = "kernel::time::or_never")]
    pub created_at: Option<Timestamp>,
    /// When it was accepted.
    #[serde(default, with = "kernel::time::or_never")]
    pub confirmed_at: Option<Timestamp>,
    /// When it was rejected.
    #[serde(default, with = "kernel::time::or_never")]
    pub rejected_at: Option<Timestamp>,
}

/// Which invitations are wanted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InvitationQuery {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
    /// `pending`, `accepted`, `rejected` or `all`.
    pub state: Option<String>,
    /// Those to this user.
    pub invitee_user_id: Option<UserId>,
    /// Those of this user.
    pub invited_by: Option<UserId>,
    /// Those to this domain.
    pub domain_id: Option<DomainId>,
}

impl Invitations<'_> {
    /// Invites somebody to a domain.
    pub async fn send(&self, domain: DomainId, new: &NewInvitation) -> Result<()> {
        self.of(domain, Method::POST).json(new).done().await
    }

    /// Lists the invitations to a domain.
    pub async fn list_of(&self, domain: DomainId, query: &InvitationQuery) -> Result<Page<Invitation>> {
        self.of(domain, Method::GET).query(query).page("invitations").await
    }

    /// Takes an invitation back.
    pub async fn delete(&self, domain: DomainId, invitee: UserId) -> Result<()> {
        self.of(domain, Method::DELETE).json(&json!({"user_id": invitee})).done().await
    }

    /// Lists the caller's own.
    pub async fn list(&self, query: &InvitationQuery) -> Result<Page<Invitation>> {
        self.own(Method::GET, "").query(query).page("invitations").await
    }

    /// Joins a domain that the caller is invited to.
    pub async fn accept(&self, domain: DomainId) -> Result<()> {
        self.own(Method::POST, "/accept").json(&json!({"domain_id": domain})).done().await
    }

    /// Declines to join it.
    pub async fn reject(&self, domain: DomainId) -> Result<()> {
        self.own(Method::POST, "/reject").json(&json!({"domain_id": domain})).done().await
    }

    fn of(&self, domain: DomainId, method: Method) -> Request {
        self.0.request(method, &self.0.remotes().domains, &format!("/domains/{domain}/invitations"))
    }

    fn own(&self, method: Method, below: &str) -> Request {
        self.0.request(method, &self.0.remotes().domains, &format!("/invitations{below}"))
    }
}
