//! What a group is put into, and what is put into it.

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{DomainId, GroupId};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Empty, Json, Path};

use crate::{Groups, moves::Children};

/// The group that is to contain this one.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewParent {
    #[schema(required = true)]
    parent_id: Option<GroupId>,
    /// As older documents call it (reference 02 §12).
    #[schema(ignore)]
    group_id: Option<GroupId>,
}

/// The groups that are put into this one, or taken out of it.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewChildren {
    children_ids: Option<Vec<GroupId>>,
    /// As older documents call them (reference 02 §12).
    #[schema(ignore)]
    groups: Option<Vec<GroupId>>,
}

impl NewChildren {
    fn of(self, group: GroupId) -> kernel::Result<Children> {
        Children::new(group, self.children_ids.or(self.groups).unwrap_or_default())
    }
}

pub(super) async fn add_parent(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Json(body): Json<NewParent>,
) -> web::Result<Empty> {
    let parent = body.parent_id.or(body.group_id);
    let parent = parent.ok_or_else(|| kernel::Error::invalid("invalid id format provided"))?;
    groups.add_parent(&cx, domain, id, parent).await?;
    Ok(Empty(StatusCode::OK))
}

pub(super) async fn remove_parent(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
) -> web::Result<Empty> {
    groups.remove_parent(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn add_children(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Json(body): Json<NewChildren>,
) -> web::Result<Empty> {
    groups.add_children(&cx, domain, id, body.of(id)?).await?;
    Ok(Empty(StatusCode::OK))
}

pub(super) async fn remove_children(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Json(body): Json<NewChildren>,
) -> web::Result<Empty> {
    groups.remove_children(&cx, domain, id, body.of(id)?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove_all_children(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
) -> web::Result<Empty> {
    groups.remove_all_children(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
