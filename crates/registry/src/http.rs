//! The wire shapes and handlers that clients and channels share; each capability mounts them in its own table.

use access::{
    Access, Context,
    standing::{RoleFilter, Standing},
};
use axum::extract::{FromRef, FromRequestParts, State};
use http::{StatusCode, request::Parts};
use kernel::{DomainId, GroupId, Metadata, Name, Status, Tags, Timestamp, UserId, status::StatusFilter};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, List, Path};

use crate::{Entries, Entry, EntryId, InGroup, Listed, Query, Registered};

/// A service whose things these handlers serve.
pub trait Service: Clone + Send + Sync + 'static {
    /// What it keeps.
    type Thing: Registered;
    /// How one is shown.
    type View: From<Self::Thing> + Serialize;

    /// The use cases that it shares with others.
    fn entries(&self) -> &Entries<Self::Thing>;
}

type Id<S> = <<S as Service>::Thing as Registered>::Id;

/// The part of a view that all things have.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryView<I> {
    id: I,
    #[serde(skip_serializing_if = "Name::is_empty")]
    name: Name,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    domain_id: DomainId,
    /// The group that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_group_id: Option<GroupId>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    created_at: Timestamp,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<UserId>,
    status: Status,
}

impl<I> From<Entry<I>> for EntryView<I> {
    fn from(entry: Entry<I>) -> Self {
        Self {
            id: entry.id,
            name: entry.name,
            tags: entry.tags,
            domain_id: entry.domain,
            parent_group_id: entry.parent,
            metadata: entry.metadata,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            updated_by: entry.updated_by,
            status: entry.status,
        }
    }
}

/// A row of a list: the thing, and what only lists tell.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedView<V> {
    #[serde(flatten)]
    thing: V,
    /// The groups from the root down to the one that contains it, joined by dots.
    #[serde(skip_serializing_if = "String::is_empty")]
    parent_group_path: String,
    #[serde(flatten)]
    standing: Standing,
}

impl<V> ListedView<V> {
    /// The row, shown as `view` shows its thing.
    pub fn new<T>(listed: Listed<T>, view: impl FnOnce(T) -> V) -> Self {
        Self { thing: view(listed.item), parent_group_path: listed.parent_path, standing: listed.standing }
    }
}

/// The tags that replace the present ones.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewTags {
    #[serde(default)]
    tags: Option<Tags>,
}

impl NewTags {
    /// The tags; none where none were sent.
    pub fn tags(self) -> Tags {
        self.tags.unwrap_or_default()
    }
}

/// The group to put a thing into.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewParent {
    /// The group's id.
    #[serde(default, deserialize_with = "group_or_none")]
    parent_group_id: Option<GroupId>,
    /// The published document's name for it (reference 03 §6), which counts where that is not given.
    #[serde(default, alias = "parent_group", deserialize_with = "group_or_none")]
    #[schema(ignore)]
    parent_id: Option<GroupId>,
}

/// Reads a group's id; empty and null are none. For `#[serde(default, deserialize_with = "…")]`.
pub fn group_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GroupId>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// Which things to list, beyond what all lists can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Parameters {
    /// `enabled`, `disabled`, `deleted` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Exactly this one.
    id: Option<String>,
    /// Only those in this group or one below it; empty: only those in no group.
    #[serde(default, deserialize_with = "web::present")]
    #[param(value_type = Option<String>)]
    group: Option<InGroup>,
    /// Only those made at this time (RFC 3339) or later.
    created_from: Option<Timestamp>,
    /// Only those made at this time (RFC 3339) or earlier.
    created_to: Option<Timestamp>,
    /// As this user sees the list; for administrators of the platform.
    user: Option<UserId>,
}

/// The query of a list of the registry, ready to be asked. What a kind adds is a [`web::Query`] of its own beside it.
#[derive(Debug, Clone)]
pub struct Asked<I>(pub Query<I>);

impl<I: EntryId, S: Sync> FromRequestParts<S> for Asked<I> {
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, web::Error> {
        let List(listing) = <List>::from_request_parts(parts, state).await?;
        let web::Query(asked) = web::Query::<Parameters>::from_request_parts(parts, state).await?;
        let web::Query(access) = web::Query::<RoleFilter>::from_request_parts(parts, state).await?;
        Ok(Self(Query {
            listing,
            status: asked.status.unwrap_or_default(),
            id: asked.id.map(|id| I::parse(&id)).transpose()?,
            group: asked.group,
            created_from: asked.created_from,
            created_to: asked.created_to,
            user: asked.user,
            access,
        }))
    }
}

/// Replaces the tags.
pub async fn update_tags<S: Service>(
    State(service): State<S>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, Id<S>)>,
    Json(body): Json<NewTags>,
) -> web::Result<Json<S::View>>
where
    Access: FromRef<S>,
{
    Ok(Json(service.entries().update_tags(&cx, domain, id, body.tags()).await?.into()))
}

/// Puts a thing back into use.
pub async fn enable<S: Service>(
    State(service): State<S>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, Id<S>)>,
) -> web::Result<Json<S::View>>
where
    Access: FromRef<S>,
{
    Ok(Json(service.entries().enable(&cx, domain, id).await?.into()))
}

/// Takes a thing out of use.
pub async fn disable<S: Service>(
    State(service): State<S>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, Id<S>)>,
) -> web::Result<Json<S::View>>
where
    Access: FromRef<S>,
{
    Ok(Json(service.entries().disable(&cx, domain, id).await?.into()))
}

/// Puts a thing into a group.
pub async fn set_parent<S: Service>(
    State(service): State<S>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, Id<S>)>,
    Json(body): Json<NewParent>,
) -> web::Result<Empty>
where
    Access: FromRef<S>,
{
    let group = body
        .parent_group_id
        .or(body.parent_id)
        .ok_or_else(|| kernel::Error::invalid("missing parent group id"))?;
    service.entries().set_parent(&cx, domain, id, group).await?;
    Ok(Empty(StatusCode::OK))
}

/// Takes a thing out of its group.
pub async fn remove_parent<S: Service>(
    State(service): State<S>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, Id<S>)>,
) -> web::Result<Empty>
where
    Access: FromRef<S>,
{
    service.entries().remove_parent(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

/// Removes a thing.
pub async fn delete<S: Service>(
    State(service): State<S>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, Id<S>)>,
) -> web::Result<Empty>
where
    Access: FromRef<S>,
{
    service.entries().delete(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
