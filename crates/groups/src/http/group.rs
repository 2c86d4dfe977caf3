//! One group: create, view, change, remove.

use access::{
    Context, Object,
    standing::{Viewed, Viewing},
};
use axum::extract::State;
use http::StatusCode;
use kernel::{DomainId, GroupId, Metadata, Name, Status, Tags, Timestamp, UserId};
use registry::http::NewTags;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Created, Empty, Json, Path, Query};

use crate::{
    Groups,
    model::{self, Description, Placed},
};

/// What it takes to make a group.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewGroup {
    /// What people call it; 1 to 1024 bytes.
    #[serde(default)]
    name: Name,
    /// What it is for.
    description: Option<Description>,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    metadata: Metadata,
    /// `enabled` or `disabled`.
    #[serde(default)]
    status: Status,
    /// The group that contains it.
    #[serde(default, deserialize_with = "registry::http::group_or_none")]
    #[schema(value_type = Option<GroupId>)]
    parent_id: Option<GroupId>,
}

/// What can be changed; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct GroupChange {
    name: Option<Name>,
    description: Option<Description>,
    metadata: Option<Metadata>,
}

/// A group as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupView {
    pub(super) id: GroupId,
    domain_id: DomainId,
    /// The group that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_id: Option<GroupId>,
    name: Name,
    description: Option<Description>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    /// 1 where nothing contains it.
    level: usize,
    /// The ids from the root down to the group itself, joined by dots.
    path: String,
    /// In a hierarchy that is shown as a tree: what it contains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub(super) children: Vec<GroupView>,
    created_at: Timestamp,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<UserId>,
    status: Status,
}

impl From<Placed> for GroupView {
    fn from(placed: Placed) -> Self {
        let (parent_id, level, path) = (placed.parent(), placed.level(), placed.path());
        let group = placed.group;
        Self {
            id: group.id,
            domain_id: group.domain,
            parent_id,
            name: group.name,
            description: group.description,
            tags: group.tags,
            metadata: group.metadata,
            level,
            path,
            children: Vec::new(),
            created_at: group.created_at,
            updated_at: group.updated_at,
            updated_by: group.updated_by,
            status: group.status,
        }
    }
}

pub(super) async fn create(
    State(groups): State<Groups>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewGroup>,
) -> web::Result<Created<GroupView>> {
    let new = model::NewGroup {
        name: body.name,
        description: body.description,
        tags: body.tags.unwrap_or_default(),
        metadata: body.metadata,
        status: body.status,
        parent: body.parent_id,
    };
    let created = groups.create(&cx, domain, new.checked()?).await?;
    Ok(Created(format!("/groups/{}", created.group.id), created.into()))
}

pub(super) async fn view(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Query(asked): Query<Viewing>,
) -> web::Result<Json<Viewed<GroupView>>> {
    let group = groups.view(&cx, domain, id).await?.into();
    Ok(Json(Viewed::of(group, &cx, Object::group(domain, id), asked).await?))
}

pub(super) async fn update(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Json(body): Json<GroupChange>,
) -> web::Result<Json<GroupView>> {
    let shared = kernel::Change { name: body.name, metadata: body.metadata, tags: None };
    let change = model::Change { shared, description: body.description };
    Ok(Json(groups.update(&cx, domain, id, change).await?.into()))
}

pub(super) async fn update_tags(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Json(body): Json<NewTags>,
) -> web::Result<Json<GroupView>> {
    Ok(Json(groups.update_tags(&cx, domain, id, body.tags()).await?.into()))
}

pub(super) async fn enable(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
) -> web::Result<Json<GroupView>> {
    Ok(Json(groups.enable(&cx, domain, id).await?.into()))
}

pub(super) async fn disable(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
) -> web::Result<Json<GroupView>> {
    Ok(Json(groups.disable(&cx, domain, id).await?.into()))
}

pub(super) async fn delete(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
) -> web::Result<Empty> {
    groups.delete(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
