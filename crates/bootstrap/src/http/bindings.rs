//! The profile of a configuration and what stands in its slots, over HTTP.

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{ConfigId, DomainId, Error, ProfileId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use web::{Empty, Json, Path, Route, Routes, Rule};

use super::{UPDATE, configs::id_or_none};
use crate::{
    Bootstrap,
    model::{NewBinding, Resource, Snapshot},
    operations,
};

pub(super) fn routes() -> Routes<Bootstrap> {
    const BINDINGS: &str = "/{domain}/clients/bootstrap/enrollments/{config}/bindings";
    Routes::new("bootstrap")
        .add(
            Route::patch("/{domain}/clients/bootstrap/enrollments/{config}/profile", assign)
                .named("assign_profile")
                .rule(UPDATE)
                .summary("Give a configuration a profile")
                .takes::<Assigned>()
                .answers_empty(204),
        )
        .add(
            Route::put(BINDINGS, bind)
                .named("bind_resources")
                .rule(Rule::Operations(&[
                    operations::UPDATE,
                    clients::operations::VIEW,
                    channels::operations::VIEW,
                    certs::operations::VIEW,
                    certs::operations::FIND,
                ]))
                .summary("Put clients, channels and certificates into the slots of a configuration")
                .takes::<NewBindings>()
                .answers_empty(204),
        )
        .add(
            Route::get(BINDINGS, list)
                .named("list_bindings")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("See what stands in the slots, without secrets")
                .answers::<Bindings>(200),
        )
        .add(
            Route::post("/{domain}/clients/bootstrap/enrollments/{config}/bindings/refresh", refresh)
                .named("refresh_bindings")
                .rule(Rule::Operations(&[operations::UPDATE]))
                .summary("Read what stands in the slots anew")
                .description("Devices always get what is known when they ask, so that this changes nothing.")
                .answers_empty(204),
        )
}

/// The profile to assign.
#[derive(Debug, Deserialize, ToSchema)]
struct Assigned {
    #[serde(default, deserialize_with = "id_or_none")]
    #[schema(value_type = String, required = true)]
    profile_id: Option<ProfileId>,
}

/// What to put into which slots.
#[derive(Debug, Deserialize, ToSchema)]
struct NewBindings {
    #[serde(default)]
    bindings: Vec<NewBindingBody>,
}

/// One thing for one slot.
#[derive(Debug, Deserialize, ToSchema)]
struct NewBindingBody {
    #[serde(default)]
    slot: String,
    /// `client`, `channel` or `cert`.
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    resource_id: String,
}

impl NewBindingBody {
    fn parse(self) -> Result<NewBinding> {
        if self.slot.is_empty() || self.resource_id.is_empty() {
            return Err(Error::invalid("missing entity id"));
        }
        if self.slot.len() > 256 {
            return Err(Error::invalid("invalid slot, at most 256 bytes"));
        }
        Ok(NewBinding { slot: self.slot, resource: Resource::parse(self.kind.parse()?, &self.resource_id)? })
    }
}

/// What stands in the slots of a configuration.
#[derive(Debug, Serialize, ToSchema)]
struct Bindings {
    bindings: Vec<BindingView>,
}

/// What stands in one slot.
#[derive(Debug, Serialize, ToSchema)]
struct BindingView {
    config_id: ConfigId,
    slot: String,
    #[serde(rename = "type")]
    kind: String,
    resource_id: String,
    #[schema(value_type = Object)]
    snapshot: Map<String, Value>,
    updated_at: Timestamp,
}

impl BindingView {
    fn new(config_id: ConfigId, bound: Snapshot) -> Self {
        Self {
            config_id,
            slot: bound.slot,
            kind: bound.kind,
            resource_id: bound.id,
            snapshot: bound.known,
            updated_at: bound.updated_at,
        }
    }
}

async fn assign(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
    Json(body): Json<Assigned>,
) -> web::Result<Empty> {
    let profile = body.profile_id.ok_or_else(|| Error::invalid("missing entity id"))?;
    bootstrap.assign_profile(&cx, domain, id, profile).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn bind(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
    Json(body): Json<NewBindings>,
) -> web::Result<Empty> {
    let new = body.bindings.into_iter().map(NewBindingBody::parse).collect::<Result<_>>()?;
    bootstrap.bind(&cx, domain, id, new).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn list(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
) -> web::Result<Json<Bindings>> {
    let bound = bootstrap.list_bindings(&cx, domain, id).await?;
    Ok(Json(Bindings { bindings: bound.into_iter().map(|bound| BindingView::new(id, bound)).collect() }))
}

async fn refresh(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
) -> web::Result<Empty> {
    bootstrap.refresh_bindings(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
