//! Clients and users that a group lets go (reference 02 §12).

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{ClientId, DomainId, GroupId};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Empty, Json, Path};

use crate::{Groups, members::Members};

/// Who and what is let go.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NamedMembers {
    /// Ids of clients and of users.
    #[serde(default)]
    members: Vec<ClientId>,
}

pub(super) async fn remove(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Json(body): Json<NamedMembers>,
) -> web::Result<Empty> {
    groups.remove_members(&cx, Some(domain), id, Members::new(body.members)?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove_without_domain(
    State(groups): State<Groups>,
    cx: Context,
    Path(id): Path<GroupId>,
    Json(body): Json<NamedMembers>,
) -> web::Result<Empty> {
    groups.remove_members(&cx, None, id, Members::new(body.members)?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
