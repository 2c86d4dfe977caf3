//! Views of one thing that say how the caller comes to it.

use kernel::Result;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::MemberRole;
use crate::{Context, Object};

/// What the view of one thing may be asked for.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub struct Viewing {
    /// Also the roles by which you come to it.
    #[serde(default)]
    pub roles: bool,
}

/// One thing, and the caller's roles if they were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Viewed<V> {
    #[serde(flatten)]
    thing: V,
    /// With `roles=true`: the roles by which you come to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<MemberRole>>,
}

impl<V> Viewed<V> {
    /// What the caller was permitted to view, as asked for.
    pub async fn of(thing: V, cx: &Context, object: Object, asked: Viewing) -> Result<Self> {
        let roles = if asked.roles { Some(cx.own_roles(object).await?) } else { None };
        Ok(Self { thing, roles })
    }
}
