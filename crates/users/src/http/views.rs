//! Users as they are shown (reference 01 §5.1).

use kernel::{Metadata, Page, Status, Tags, Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{self, Role, User};

/// A user as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    id: UserId,
    first_name: model::PersonName,
    last_name: model::PersonName,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<model::Email>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    private_metadata: Metadata,
    #[serde(skip_serializing_if = "model::Picture::is_none")]
    profile_picture: model::Picture,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_provider: Option<model::Provider>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    credentials: CredentialsView,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    created_at: Option<Timestamp>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<UserId>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    verified_at: Option<Timestamp>,
}

/// How a user logs in; the password is never shown.
#[derive(Debug, Serialize, ToSchema)]
struct CredentialsView {
    username: model::Username,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            first_name: user.first_name,
            last_name: user.last_name,
            email: Some(user.email),
            tags: user.tags,
            metadata: user.metadata,
            private_metadata: user.private_metadata,
            profile_picture: user.picture,
            auth_provider: user.provider,
            status: Some(user.status),
            role: Some(user.role),
            credentials: CredentialsView { username: user.username },
            created_at: Some(user.created_at),
            updated_at: user.updated_at,
            updated_by: user.updated_by,
            verified_at: user.verified_at,
        }
    }
}

impl UserView {
    /// What other users may see: id, names, public metadata (reference 01 §5.4).
    pub(super) fn for_others(user: User) -> Self {
        Self {
            email: None,
            tags: Tags::default(),
            private_metadata: Metadata::default(),
            profile_picture: model::Picture::none(),
            auth_provider: None,
            status: None,
            role: None,
            created_at: None,
            updated_at: None,
            updated_by: None,
            verified_at: None,
            ..Self::from(user)
        }
    }

    /// What whoever searches sees: what other users see, and how old it is.
    fn found(user: User) -> Self {
        let (status, role) = (Some(user.status), Some(user.role));
        let (created_at, updated_at) = (Some(user.created_at), user.updated_at);
        Self { status, role, created_at, updated_at, ..Self::for_others(user) }
    }
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserPage {
    total: u64,
    offset: u64,
    limit: u64,
    users: Vec<UserView>,
}

impl UserPage {
    /// As administrators see it.
    pub(super) fn listed(page: Page<User>) -> Self {
        Self::of(page, |user| UserView {
            private_metadata: Metadata::default(),
            auth_provider: None,
            ..UserView::from(user)
        })
    }

    /// As users see it who search.
    pub(super) fn found(page: Page<User>) -> Self {
        Self::of(page, UserView::found)
    }

    fn of(page: Page<User>, view: impl FnMut(User) -> UserView) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            users: page.items.into_iter().map(view).collect(),
        }
    }
}
