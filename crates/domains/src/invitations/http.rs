//! The invitations' routes and wire shapes (reference 02 §2).

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{DomainId, Error, Page, PageRequest, RoleId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, Path, Payload, Query, Route, Routes, Rule};

use super::model;
use crate::{Domains, operations};

/// The table.
pub(crate) fn routes() -> Routes<Domains> {
    of_domain().merge(of_invitee())
}

fn of_domain() -> Routes<Domains> {
    Routes::new("domains")
        .add(
            Route::post("/domains/{domain}/invitations", send)
                .named("send_invitation")
                .rule(Rule::Operations(&[operations::SEND_INVITATION]))
                .summary("Invite a user into a role of the domain")
                .takes::<NewInvitation>()
                .answers_empty(201),
        )
        .add(
            Route::get("/domains/{domain}/invitations", list_of_domain)
                .named("list_domain_invitations")
                .rule(Rule::Operations(&[operations::LIST_DOMAIN_INVITATION]))
                .summary("List the invitations to a domain")
                .queries::<Filter>()
                .answers::<InvitationPage>(200),
        )
        .add(
            Route::delete("/domains/{domain}/invitations", delete)
                .named("delete_invitation")
                .rule(Rule::Operations(&[operations::DELETE_INVITATION]))
                .summary("Remove an invitation")
                .takes::<Invitee>()
                .answers_empty(204),
        )
        .add(
            Route::get("/domains/{domain}/invitations/{user}", view)
                .named("view_invitation")
                .rule(Rule::Operations(&[operations::LIST_DOMAIN_INVITATION]))
                .summary("View an invitation")
                .answers::<InvitationView>(200),
        )
        .add(
            Route::delete("/domains/{domain}/invitations/{user}", delete_of)
                .named("delete_invitation_of_user")
                .rule(Rule::Operations(&[operations::DELETE_INVITATION]))
                .summary("Remove the invitation of a user")
                .answers_empty(204),
        )
}

fn of_invitee() -> Routes<Domains> {
    Routes::new("domains")
        .add(
            Route::get("/invitations", list)
                .named("list_invitations")
                .rule(Rule::SignedIn("shows the caller's own invitations"))
                .summary("List your invitations")
                .queries::<Filter>()
                .answers::<InvitationPage>(200),
        )
        .add(
            Route::post("/invitations/accept", accept)
                .named("accept_invitation")
                .rule(Rule::SignedIn("the caller's own invitation"))
                .summary("Accept an invitation")
                .takes::<Target>()
                .answers_empty(204),
        )
        .add(
            Route::post("/invitations/reject", reject)
                .named("reject_invitation")
                .rule(Rule::SignedIn("the caller's own invitation"))
                .summary("Reject an invitation")
                .takes::<Target>()
                .answers_empty(204),
        )
}

/// Whom to invite.
#[derive(Debug, Deserialize, ToSchema)]
struct NewInvitation {
    #[serde(default)]
    invitee_user_id: Option<UserId>,
    /// The role of the domain that whoever accepts is given.
    #[serde(default)]
    role_id: Option<RoleId>,
    /// Send an invitation again that is there, also a rejected one.
    #[serde(default)]
    resend: bool,
}

/// Whose invitation is meant.
#[derive(Debug, Deserialize, ToSchema)]
struct Invitee {
    #[serde(default)]
    user_id: Option<UserId>,
}

/// Which domain's invitation is meant.
#[derive(Debug, Deserialize, ToSchema)]
struct Target {
    #[serde(default)]
    domain_id: Option<DomainId>,
}

/// An invitation as it is shown.
#[derive(Debug, Serialize, ToSchema)]
struct InvitationView {
    invited_by: UserId,
    invitee_user_id: UserId,
    domain_id: DomainId,
    #[serde(skip_serializing_if = "String::is_empty")]
    domain_name: String,
    role_id: RoleId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_name: Option<String>,
    created_at: Timestamp,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    confirmed_at: Option<Timestamp>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    rejected_at: Option<Timestamp>,
}

impl From<model::Named> for InvitationView {
    fn from(named: model::Named) -> Self {
        let model::Named { invitation, domain_name, role_name } = named;
        Self {
            invited_by: invitation.invited_by,
            invitee_user_id: invitation.invitee,
            domain_id: invitation.domain,
            domain_name,
            role_id: invitation.role,
            role_name,
            created_at: invitation.created_at,
            updated_at: invitation.updated_at,
            confirmed_at: invitation.confirmed_at,
            rejected_at: invitation.rejected_at,
        }
    }
}

/// A page of invitations.
#[derive(Debug, Serialize, ToSchema)]
struct InvitationPage {
    total: u64,
    offset: u64,
    limit: u64,
    invitations: Vec<InvitationView>,
}

impl From<Page<model::Named>> for InvitationPage {
    fn from(page: Page<model::Named>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            invitations: page.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// Which invitations to list.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
    /// Only the number of invitations.
    #[serde(default)]
    only_total: bool,
    /// Of this user; in the list of one's own it changes nothing.
    invitee_user_id: Option<UserId>,
    /// Sent by this user.
    invited_by: Option<UserId>,
    /// Into this role.
    role_id: Option<RoleId>,
    /// Into this domain; in the list of a domain it changes nothing.
    domain_id: Option<DomainId>,
    /// `pending`, `accepted`, `rejected` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    state: Option<model::StateFilter>,
}

impl Filter {
    fn parse(self) -> kernel::Result<model::Query> {
        Ok(model::Query {
            page: PageRequest::new(self.offset, self.limit, self.only_total)?,
            invitee: self.invitee_user_id,
            invited_by: self.invited_by,
            role: self.role_id,
            domain: self.domain_id,
            state: self.state.unwrap_or_default(),
        })
    }
}

fn missing_id() -> Error {
    Error::invalid("missing entity id")
}

async fn send(
    State(domains): State<Domains>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewInvitation>,
) -> web::Result<Empty> {
    let new = model::NewInvitation {
        invitee: body.invitee_user_id.ok_or_else(missing_id)?,
        role: body.role_id.ok_or_else(missing_id)?,
        resend: body.resend,
    };
    domains.invite(&cx, domain, new).await?;
    Ok(Empty(StatusCode::CREATED))
}

async fn list_of_domain(
    State(domains): State<Domains>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<InvitationPage>> {
    Ok(Json(domains.invitations_of_domain(&cx, domain, filter.parse()?).await?.into()))
}

/// The body has no content type in upstream's SDK (reference 02 §0.3).
async fn delete(
    State(domains): State<Domains>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Payload(body): Payload,
) -> web::Result<Empty> {
    let invitee: Invitee = serde_json::from_slice(&body).map_err(|_| {
        web::Error::from(Error::invalid("request body is not a valid JSON, expecting a valid JSON"))
            .detail("name the invitee: `{\"user_id\": \"…\"}`")
    })?;
    domains.delete_invitation(&cx, domain, invitee.user_id.ok_or_else(missing_id)?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn view(
    State(domains): State<Domains>,
    cx: Context,
    Path((domain, user)): Path<(DomainId, UserId)>,
) -> web::Result<Json<InvitationView>> {
    Ok(Json(domains.invitation(&cx, domain, user).await?.into()))
}

async fn delete_of(
    State(domains): State<Domains>,
    cx: Context,
    Path((domain, user)): Path<(DomainId, UserId)>,
) -> web::Result<Empty> {
    domains.delete_invitation(&cx, domain, user).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn list(
    State(domains): State<Domains>,
    cx: Context,
    Query(filter): Query<Filter>,
) -> web::Result<Json<InvitationPage>> {
    Ok(Json(domains.own_invitations(&cx, filter.parse()?).await?.into()))
}

async fn accept(
    State(domains): State<Domains>,
    cx: Context,
    Json(target): Json<Target>,
) -> web::Result<Empty> {
    domains.accept(&cx, target.domain()?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn reject(
    State(domains): State<Domains>,
    cx: Context,
    Json(target): Json<Target>,
) -> web::Result<Empty> {
    domains.reject(&cx, target.domain()?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

impl Target {
    fn domain(self) -> kernel::Result<DomainId> {
        self.domain_id.ok_or_else(|| Error::invalid("missing domainID"))
    }
}
