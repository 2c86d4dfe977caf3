//! The parameters that all lists share.

use axum::extract::FromRequestParts;
use http::request::Parts;
use kernel::{
    Listing, Metadata,
    metadata::TagFilter,
    page::{Direction, Order, PageRequest},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::query::{Query, json_value, parsed};
use crate::Error;

/// The part of the query that all lists share, as a [`Listing`] (reference 07 §8.4). What a list takes beyond it is a
/// [`Query`] of its own beside this one: each passes over what the other reads. `MAX_LIMIT` is how many rows a page may
/// have.
#[derive(Debug, Clone)]
pub struct List<const MAX_LIMIT: u64 = { PageRequest::MAX_LIMIT }>(pub Listing);

/// What the query may hold.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct ListParameters {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100; of domains 1 to 1000.
    limit: Option<u64>,
    /// `name`, `created_at` or `updated_at`.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>)]
    order: Option<Order>,
    /// `asc` or `desc`.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>)]
    dir: Option<Direction>,
    /// Part of the name.
    name: Option<String>,
    /// `a,b`: any of the tags; `a+b` (the plus sent as %2B): all of them.
    tags: Option<String>,
    /// A JSON object that the metadata contains.
    #[serde(default, deserialize_with = "json_value")]
    #[param(value_type = Option<String>)]
    metadata: Option<Metadata>,
    /// Only the number of rows.
    #[serde(default)]
    only_total: bool,
}

impl<S: Sync, const MAX_LIMIT: u64> FromRequestParts<S> for List<MAX_LIMIT> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(asked) = Query::<ListParameters>::from_request_parts(parts, state).await?;
        Ok(Self(Listing {
            page: PageRequest::up_to(MAX_LIMIT, asked.offset, asked.limit, asked.only_total)?,
            order: asked.order.unwrap_or_default(),
            direction: asked.dir.unwrap_or_default(),
            name: asked.name,
            tags: asked.tags.as_deref().and_then(TagFilter::parse),
            metadata: asked.metadata.map(Metadata::checked).transpose()?,
        }))
    }
}
