//! Lists of groups: of a domain, below a group, above a group.

use std::{collections::HashMap, str::FromStr};

use access::{
    Context,
    hierarchy::MAX_DEPTH,
    standing::{RoleFilter, Standing},
};
use axum::extract::State;
use kernel::{DomainId, Error, GroupId, Listing, Page, Result, Timestamp, UserId, status::StatusFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Json, List, Path, Query};

use super::group::GroupView;
use crate::{
    Groups,
    model::{self, Listed, Way},
};

/// Which groups to list, beyond what all lists can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Filter {
    /// `enabled`, `disabled`, `deleted` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Exactly this group.
    id: Option<GroupId>,
    /// Only groups above which there is none that you may see.
    #[serde(default)]
    root_group: bool,
    /// Made at this time (RFC 3339) or later.
    created_from: Option<Timestamp>,
    /// Made at this time (RFC 3339) or earlier.
    created_to: Option<Timestamp>,
    /// What this user may see; only administrators of the platform may ask about others.
    user: Option<UserId>,
    /// Not together with `user`; alone it is passed over (reference 02 §3.4).
    group: Option<String>,
}

impl Filter {
    fn of(&self, listing: Listing, access: RoleFilter) -> model::Query {
        model::Query {
            listing,
            status: self.status.unwrap_or_default(),
            id: self.id,
            topmost: self.root_group,
            created_from: self.created_from,
            created_to: self.created_to,
            access,
        }
    }
}

/// Which groups below a group to list, beyond what all lists can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ChildrenFilter {
    /// `enabled`, `disabled`, `deleted` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Exactly this group.
    id: Option<GroupId>,
    /// Made at this time (RFC 3339) or later.
    created_from: Option<Timestamp>,
    /// Made at this time (RFC 3339) or earlier.
    created_to: Option<Timestamp>,
    /// The nearest level below the group; 1 where absent.
    start_level: Option<i64>,
    /// The farthest level; 0 where absent, which is the nearest alone. -1 is the bottom.
    end_level: Option<i64>,
}

impl ChildrenFilter {
    fn of(&self, listing: Listing, access: RoleFilter) -> model::Query {
        model::Query {
            listing,
            status: self.status.unwrap_or_default(),
            id: self.id,
            topmost: false,
            created_from: self.created_from,
            created_to: self.created_to,
            access,
        }
    }
}

/// How much of a hierarchy to show.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct HierarchyFilter {
    /// How many levels, at most 20; 0 or absent: all.
    #[serde(default)]
    level: u64,
    /// 0 or more, or `asc`: the groups above. Less than 0, or `desc`: those below; so where absent.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    dir: Option<Dir>,
    /// Nest what is contained under `children`.
    #[serde(default)]
    tree: bool,
}

/// A direction as a number, as the reference says, or as a word, as its SDK sends it (reference 02 §12).
#[derive(Debug, Clone, Copy)]
struct Dir(i64);

impl FromStr for Dir {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "asc" => Ok(Self(1)),
            "desc" => Ok(Self(-1)),
            _ => text.parse().map(Self).map_err(|_| Error::invalid("invalid query parameters")),
        }
    }
}

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupPage {
    total: u64,
    offset: u64,
    limit: u64,
    groups: Vec<ListedView>,
}

/// A row of a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedView {
    #[serde(flatten)]
    group: GroupView,
    #[serde(flatten)]
    standing: Standing,
}

impl From<Listed> for ListedView {
    fn from(Listed { placed, standing }: Listed) -> Self {
        Self { group: placed.into(), standing }
    }
}

impl From<Page<Listed>> for GroupPage {
    fn from(page: Page<Listed>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            groups: page.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// The groups above or below a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HierarchyView {
    /// As it was asked for.
    level: u64,
    /// As it was asked for; less than 0 is down.
    direction: i64,
    groups: Vec<GroupView>,
}

/// Puts each group under its parent where that is there too. `groups` is in the order of the paths, so that a group
/// comes after its parent; the order among siblings stays.
fn nested(groups: Vec<GroupView>) -> Vec<GroupView> {
    let at: HashMap<GroupId, usize> =
        groups.iter().enumerate().map(|(index, group)| (group.id, index)).collect();
    let mut waiting: Vec<Vec<GroupView>> = groups.iter().map(|_| Vec::new()).collect();
    let mut roots = Vec::new();
    // From the end, so that a group has all of its children before it is given to its parent.
    for (index, mut group) in groups.into_iter().enumerate().rev() {
        group.children = waiting.get_mut(index).map(std::mem::take).unwrap_or_default();
        group.children.reverse();
        let parent = group.parent_id.and_then(|parent| at.get(&parent)).and_then(|at| waiting.get_mut(*at));
        parent.unwrap_or(&mut roots).push(group);
    }
    roots.reverse();
    roots
}

pub(super) async fn list(
    State(groups): State<Groups>,
    cx: Context,
    Path(domain): Path<DomainId>,
    List(listing): List,
    Query(filter): Query<Filter>,
    Query(access): Query<RoleFilter>,
) -> web::Result<Json<GroupPage>> {
    if filter.user.is_some() && filter.group.as_ref().is_some_and(|group| !group.is_empty()) {
        return Err(Error::invalid("multiple entities are provided in filter are not supported").into());
    }
    Ok(Json(groups.list(&cx, domain, filter.user, filter.of(listing, access)).await?.into()))
}

pub(super) async fn children(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    List(listing): List,
    Query(filter): Query<ChildrenFilter>,
    Query(access): Query<RoleFilter>,
) -> web::Result<Json<GroupPage>> {
    let levels = (filter.start_level.unwrap_or(1), filter.end_level.unwrap_or(0));
    Ok(Json(groups.children(&cx, domain, id, levels, filter.of(listing, access)).await?.into()))
}

pub(super) async fn hierarchy(
    State(groups): State<Groups>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, GroupId)>,
    Query(filter): Query<HierarchyFilter>,
) -> web::Result<Json<HierarchyView>> {
    let levels = usize::try_from(filter.level).unwrap_or(usize::MAX);
    if levels > MAX_DEPTH {
        return Err(Error::invalid("invalid level").into());
    }
    let direction = filter.dir.map_or(-1, |dir| dir.0);
    let way = if direction < 0 { Way::Down } else { Way::Up };
    let found = groups.hierarchy(&cx, domain, id, way, levels).await?;
    let groups = found.into_iter().map(GroupView::from).collect();
    let groups = if filter.tree { nested(groups) } else { groups };
    Ok(Json(HierarchyView { level: filter.level, direction, groups }))
}
