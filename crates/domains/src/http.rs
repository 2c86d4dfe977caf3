//! The domains' routes and wire shapes (reference 02 §1).

use access::{
    Context,
    standing::{MemberRole, RoleFilter, Standing, Viewing},
};
use axum::extract::State;
use http::StatusCode;
use kernel::{Change, DomainId, Listing, Metadata, Name, Page, RoleId, Tags, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, List, Path, Query, Route, Routes, Rule};

use crate::{Domains, invitations, model, operations};

/// The most domains on a page: consoles ask for all of a user's at once (reference 02 §13 item 17).
const LIMIT_MAX: u64 = 1000;

/// The table.
pub fn routes(domains: Domains) -> Routes {
    Routes::new("domains")
        .add(
            Route::post("/domains", create)
                .named("create_domain")
                .rule(Rule::SignedIn("any user may make a domain of its own"))
                .summary("Create a domain")
                .takes::<NewDomain>()
                .answers::<DomainView>(201),
        )
        .add(
            Route::get("/domains", list)
                .named("list_domains")
                .rule(Rule::SignedIn("shows the domains in which the caller holds a role"))
                .summary("List the domains that you have a role in")
                .lists()
                .queries::<Filter>()
                .answers::<DomainPage>(200),
        )
        .add(
            Route::get("/domains/{domain}", view)
                .named("retrieve_domain")
                .rule(Rule::Operations(&[operations::READ]))
                .summary("View a domain")
                .queries::<Viewing>()
                .answers::<ViewedView>(200),
        )
        .add(
            Route::patch("/domains/{domain}", update)
                .named("update_domain")
                .rule(Rule::Operations(&[operations::UPDATE]))
                .summary("Change a domain's name, tags or metadata")
                .takes::<DomainChange>()
                .answers::<DomainView>(200),
        )
        .add(
            Route::post("/domains/{domain}/enable", enable)
                .named("enable_domain")
                .rule(Rule::Operations(&[operations::ENABLE]))
                .summary("Open a domain")
                .answers_empty(200),
        )
        .add(
            Route::post("/domains/{domain}/disable", disable)
                .named("disable_domain")
                .rule(Rule::Operations(&[operations::DISABLE]))
                .summary("Close a domain to all but its administrators")
                .answers_empty(200),
        )
        .add(
            Route::post("/domains/{domain}/freeze", freeze)
                .named("freeze_domain")
                .rule(Rule::SignedIn("administrators of the platform only"))
                .summary("Close a domain to all but the platform's administrators")
                .answers_empty(200),
        )
        .merge(invitations::http::routes())
        .with(domains)
}

/// What it takes to make a domain.
#[derive(Debug, Deserialize, ToSchema)]
struct NewDomain {
    /// An id of your choice; made where absent.
    id: Option<DomainId>,
    /// What people call it.
    #[serde(default)]
    name: Name,
    /// What topics call it; cannot be changed later.
    #[serde(default)]
    route: String,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    metadata: Metadata,
}

/// What can be changed.
#[derive(Debug, Deserialize, ToSchema)]
struct DomainChange {
    name: Option<Name>,
    tags: Option<Tags>,
    metadata: Option<Metadata>,
}

/// A domain as it is shown.
#[derive(Debug, Serialize, ToSchema)]
struct DomainView {
    id: DomainId,
    #[serde(skip_serializing_if = "Name::is_empty")]
    name: Name,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    route: kernel::Route,
    /// `enabled`, `disabled` or `freezed`.
    #[schema(value_type = String)]
    status: model::Status,
    created_by: UserId,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<UserId>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
}

impl From<model::Domain> for DomainView {
    fn from(domain: model::Domain) -> Self {
        Self {
            id: domain.id,
            name: domain.name,
            metadata: domain.metadata,
            tags: domain.tags,
            route: domain.route,
            status: domain.status,
            created_by: domain.created_by,
            created_at: domain.created_at,
            updated_by: domain.updated_by,
            updated_at: domain.updated_at,
        }
    }
}

/// A domain in a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedView {
    #[serde(flatten)]
    domain: DomainView,
    #[serde(flatten)]
    standing: Standing,
}

impl From<model::Listed> for ListedView {
    fn from(model::Listed { domain, standing }: model::Listed) -> Self {
        Self { domain: domain.into(), standing }
    }
}

/// A domain, and the caller's roles if they were asked for.
#[derive(Debug, Serialize, ToSchema)]
struct ViewedView {
    #[serde(flatten)]
    domain: DomainView,
    /// With `roles=true`: you.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<UserId>,
    /// With `roles=true`: the roles by which you come to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<MemberRole>>,
}

impl From<model::Viewed> for ViewedView {
    fn from(viewed: model::Viewed) -> Self {
        let (member_id, roles) = viewed.member.unzip();
        Self { domain: viewed.domain.into(), member_id, roles }
    }
}

/// A page of domains.
#[derive(Debug, Serialize, ToSchema)]
struct DomainPage {
    total: u64,
    offset: u64,
    limit: u64,
    domains: Vec<ListedView>,
}

impl From<Page<model::Listed>> for DomainPage {
    fn from(page: Page<model::Listed>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            domains: page.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// Which domains to list, beyond what all lists can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// `enabled`, `disabled`, `freezed`, `deleted` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<model::StatusFilter>,
    /// Exactly this domain.
    id: Option<DomainId>,
    /// Made at this time (RFC 3339) or later.
    created_from: Option<Timestamp>,
    /// Made at this time (RFC 3339) or earlier.
    created_to: Option<Timestamp>,
    /// Only domains in which you hold this role. Administrators of the platform need none and see all.
    role_id: Option<RoleId>,
    /// Only domains in which you hold a role of this name.
    role_name: Option<String>,
    /// Only domains in which you hold a role with all of these actions: `read,update`.
    actions: Option<String>,
}

impl Filter {
    fn of(self, listing: Listing) -> model::Query {
        model::Query {
            listing,
            status: self.status.unwrap_or_default(),
            id: self.id,
            created_from: self.created_from,
            created_to: self.created_to,
            role: RoleFilter {
                role_id: self.role_id,
                role_name: self.role_name,
                actions: self.actions,
                ..RoleFilter::default()
            },
        }
    }
}

async fn create(
    State(domains): State<Domains>,
    cx: Context,
    Json(body): Json<NewDomain>,
) -> web::Result<Json<DomainView>> {
    if body.route.is_empty() {
        return Err(kernel::Error::invalid("missing route").into());
    }
    let new = model::NewDomain {
        id: body.id,
        name: body.name,
        route: body.route.parse()?,
        tags: body.tags.unwrap_or_default(),
        metadata: body.metadata,
    };
    let domain = domains.create(&cx, new).await?;
    Ok(Json(domain.into()))
}

async fn list(
    State(domains): State<Domains>,
    cx: Context,
    List(listing): List<LIMIT_MAX>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<DomainPage>> {
    Ok(Json(domains.list(&cx, filter.of(listing)).await?.into()))
}

async fn view(
    State(domains): State<Domains>,
    cx: Context,
    Path(id): Path<DomainId>,
    Query(asked): Query<Viewing>,
) -> web::Result<Json<ViewedView>> {
    Ok(Json(domains.view(&cx, id, asked.roles).await?.into()))
}

async fn update(
    State(domains): State<Domains>,
    cx: Context,
    Path(id): Path<DomainId>,
    Json(body): Json<DomainChange>,
) -> web::Result<Json<DomainView>> {
    let change = Change { name: body.name, tags: body.tags, metadata: body.metadata };
    Ok(Json(domains.update(&cx, id, change).await?.into()))
}

async fn enable(State(domains): State<Domains>, cx: Context, Path(id): Path<DomainId>) -> web::Result<Empty> {
    domains.enable(&cx, id).await?;
    Ok(Empty(StatusCode::OK))
}

async fn disable(
    State(domains): State<Domains>,
    cx: Context,
    Path(id): Path<DomainId>,
) -> web::Result<Empty> {
    domains.disable(&cx, id).await?;
    Ok(Empty(StatusCode::OK))
}

async fn freeze(State(domains): State<Domains>, cx: Context, Path(id): Path<DomainId>) -> web::Result<Empty> {
    domains.freeze(&cx, id).await?;
    Ok(Empty(StatusCode::OK))
}
