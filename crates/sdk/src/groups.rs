//! Groups of clients, channels and groups (reference 02 §3).

use kernel::{DomainId, GroupId, Metadata, Status, Tags, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::Standing;
use crate::api::Api;
use crate::error::Result;
use crate::page::Page;
use crate::registry::{Kind, Registry};

/// The kind of thing.
#[derive(Clone, Copy, Debug)]
pub struct Groups;

impl Kind for Groups {
    const PLURAL: &'static str = "groups";
    const PARENT: &'static str = "parent_id";
    const CHANGE: Method = Method::PUT;
    type Id = GroupId;
    type View = Group;
    type New = NewGroup;
    type Change = GroupChange;

    fn base(api: &Api) -> &str {
        &api.remotes().groups
    }
}

/// What it takes to make a group.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewGroup {
    /// What people call it.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The group that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<GroupId>,
    /// Tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Metadata.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Enabled or disabled.
    pub status: Status,
}

impl NewGroup {
    /// A group with a name, in no other group.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// What can be changed; what is absent stays.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GroupChange {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another description; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// A group as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The domain it belongs to.
    #[serde(default)]
    pub domain_id: Option<DomainId>,
    /// The group it belongs to.
    #[serde(default)]
    pub parent_id: Option<GroupId>,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// Metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// How deep it lies; 1 is in no other group.
    #[serde(default)]
    pub level: Option<u32>,
    /// The ids from the root down to it, with dots between them.
    #[serde(default)]
    pub path: Option<String>,
    /// The groups in it, where a hierarchy was asked for as a tree.
    #[serde(default)]
    pub children: Vec<Group>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(default, with = "kernel::time::or_never")]
    pub updated_at: Option<Timestamp>,
    /// Who changed it last.
    #[serde(default)]
    pub updated_by: Option<UserId>,
    /// Whether it is in use.
    #[serde(default)]
    pub status: Status,
    /// How the caller reaches it.
    #[serde(flatten)]
    pub standing: Standing,
}

/// Which part of the hierarchy around a group is wanted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct HierarchyQuery {
    /// How many levels, up to 20.
    pub level: Option<u32>,
    /// From 0 on: the groups above; below 0: those in it.
    pub dir: Option<i32>,
    /// Nested instead of in a row.
    pub tree: Option<bool>,
}

/// The groups above or in a group, with the group itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Hierarchy {
    /// The groups from the top, or the tops of the trees.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// Which of the groups in a group are wanted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ChildrenQuery {
    /// The first level below the group, 1 unless given.
    pub start_level: Option<i64>,
    /// The last level; 0 is the first one only, -1 has no end.
    pub end_level: Option<i64>,
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
}

impl Registry<'_, Groups> {
    /// The groups above or in a group.
    pub async fn hierarchy(&self, id: GroupId, query: &HierarchyQuery) -> Result<Hierarchy> {
        self.request(Method::GET, &format!("/{id}/hierarchy")).query(query).answer().await
    }

    /// Lists the groups in a group.
    pub async fn children(&self, id: GroupId, query: &ChildrenQuery) -> Result<Page<Group>> {
        self.request(Method::GET, &format!("/{id}/children")).query(query).page(Groups::PLURAL).await
    }

    /// Puts groups that are in no group into one.
    pub async fn add_children(&self, id: GroupId, children: &[GroupId]) -> Result<()> {
        let body = json!({"children_ids": children});
        self.request(Method::POST, &format!("/{id}/children")).json(&body).done().await
    }

    /// Takes groups out of one.
    pub async fn remove_children(&self, id: GroupId, children: &[GroupId]) -> Result<()> {
        let body = json!({"children_ids": children});
        self.request(Method::DELETE, &format!("/{id}/children")).json(&body).done().await
    }

    /// Takes all groups out of one.
    pub async fn remove_all_children(&self, id: GroupId) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}/children/all")).done().await
    }
}
