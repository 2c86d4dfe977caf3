//! Users (reference 01 §5).

use kernel::{Metadata, Secret, Status, Tags, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{Api, Request};
use crate::clients::exposed;
use crate::error::Result;
use crate::page::Page;

/// Operations on users.
#[derive(Clone, Copy, Debug)]
pub struct Users<'a>(pub(crate) &'a Api);

/// What a user is on the whole platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Somebody with the rights that roles give.
    #[default]
    User,
    /// An administrator of the platform.
    Admin,
}

/// What it takes to register a user.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewUser {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address, taken once.
    pub email: String,
    /// Name and password to log in with.
    pub credentials: NewCredentials,
    /// Tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// For everyone who may view the user.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// User or administrator; only administrators make administrators.
    pub role: Role,
}

/// Name and password of a new user.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewCredentials {
    /// Name to log in with, taken once.
    pub username: String,
    /// Password; there must be one.
    #[serde(serialize_with = "exposed")]
    pub secret: Option<Secret<String>>,
}

/// What can be changed; what is absent stays.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserChange {
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_metadata: Option<Metadata>,
}

/// The name that a user logs in with.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Login {
    /// The name.
    #[serde(default)]
    pub username: String,
}

/// A user as it is shown; others than the user and administrators see less.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// First name.
    #[serde(default)]
    pub first_name: String,
    /// Last name.
    #[serde(default)]
    pub last_name: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
    /// Name to log in with.
    #[serde(default)]
    pub credentials: Login,
    /// URL of a picture.
    #[serde(default)]
    pub profile_picture: String,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// Metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// Metadata that only the user and administrators see.
    #[serde(default)]
    pub private_metadata: Metadata,
    /// What the user is on the whole platform.
    #[serde(default)]
    pub role: Role,
    /// Whether the user may log in.
    #[serde(default)]
    pub status: Status,
    /// When the user was registered.
    #[serde(default, with = "kernel::time::or_never")]
    pub created_at: Option<Timestamp>,
    /// When the user was last changed.
    #[serde(default, with = "kernel::time::or_never")]
    pub updated_at: Option<Timestamp>,
    /// When the e-mail address was verified.
    #[serde(default, with = "kernel::time::or_never")]
    pub verified_at: Option<Timestamp>,
}

/// Which users an administrator wants; texts are parts of what is looked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserQuery {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
    /// `created_at`, `updated_at`, `first_name`, `last_name`, `username` or `email`.
    pub order: Option<String>,
    /// `asc` or `desc`.
    pub dir: Option<String>,
    /// `enabled`, `disabled`, `deleted` or `all`.
    pub status: Option<String>,
    /// Name to log in with.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// `a,b`: any of the tags; `a+b`: all of them.
    pub tags: Option<String>,
    /// A JSON object that the metadata has to contain.
    pub metadata: Option<String>,
}

/// Which users anybody may look for; texts are parts of what is looked for, at least three characters long.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserSearch {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
    /// Name to log in with.
    pub username: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Id.
    pub id: Option<String>,
}

impl Users<'_> {
    /// Registers one; by an administrator, or by anybody where the platform lets everybody in.
    pub async fn create(&self, new: &NewUser) -> Result<User> {
        self.request(Method::POST, "").json(new).answer().await
    }

    /// The caller.
    pub async fn profile(&self) -> Result<User> {
        self.request(Method::GET, "/profile").answer().await
    }

    /// Views one.
    pub async fn view(&self, id: UserId) -> Result<User> {
        self.request(Method::GET, &format!("/{id}")).answer().await
    }

    /// Lists them, for administrators of the platform.
    pub async fn list(&self, query: &UserQuery) -> Result<Page<User>> {
        self.request(Method::GET, "").query(query).page("users").await
    }

    /// Looks for some.
    pub async fn search(&self, search: &UserSearch) -> Result<Page<User>> {
        self.request(Method::GET, "/search").query(search).page("users").await
    }

    /// Changes one; what is absent stays.
    pub async fn update(&self, id: UserId, change: &UserChange) -> Result<User> {
        self.request(Method::PATCH, &format!("/{id}")).json(change).answer().await
    }

    /// Replaces the tags of one.
    pub async fn update_tags(&self, id: UserId, tags: &[String]) -> Result<User> {
        self.request(Method::PATCH, &format!("/{id}/tags")).json(&json!({"tags": tags})).answer().await
    }

    /// Replaces the picture of one.
    pub async fn update_picture(&self, id: UserId, url: &str) -> Result<User> {
        let body = json!({"profile_picture": url});
        self.request(Method::PATCH, &format!("/{id}/picture")).json(&body).answer().await
    }

    /// Replaces the e-mail address of one; it has to be verified again. With the caller's password a lost password can be
    /// set anew by the address as soon as that is verified, without it only after seven days.
    pub async fn update_email(
        &self,
        id: UserId,
        email: &str,
        password: Option<&Secret<String>>,
    ) -> Result<User> {
        let body = match password {
            None => json!({"email": email}),
            Some(password) => json!({"email": email, "secret": password.expose()}),
        };
        self.request(Method::PATCH, &format!("/{id}/email")).json(&body).answer().await
    }

    /// Replaces the name that one logs in with.
    pub async fn update_username(&self, id: UserId, username: &str) -> Result<User> {
        let body = json!({"username": username});
        self.request(Method::PATCH, &format!("/{id}/username")).json(&body).answer().await
    }

    /// Makes one an administrator of the platform, or no longer.
    pub async fn update_role(&self, id: UserId, role: Role) -> Result<User> {
        self.request(Method::PATCH, &format!("/{id}/role")).json(&json!({"role": role})).answer().await
    }

    /// Replaces the caller's password and ends their sessions.
    pub async fn update_password(&self, old: &Secret<String>, new: &Secret<String>) -> Result<User> {
        let body = json!({"old_secret": old.expose(), "new_secret": new.expose()});
        self.request(Method::PATCH, "/secret").json(&body).answer().await
    }

    /// Lets one log in again.
    pub async fn enable(&self, id: UserId) -> Result<User> {
        self.request(Method::POST, &format!("/{id}/enable")).answer().await
    }

    /// Shuts one out.
    pub async fn disable(&self, id: UserId) -> Result<User> {
        self.request(Method::POST, &format!("/{id}/disable")).answer().await
    }

    /// Marks one for removal.
    pub async fn delete(&self, id: UserId) -> Result<()> {
        self.request(Method::DELETE, &format!("/{id}")).done().await
    }

    /// Sends the caller a mail that verifies the address.
    pub async fn send_verification(&self) -> Result<()> {
        self.request(Method::POST, "/send-verification").done().await
    }

    /// Verifies an address with the token of that mail.
    pub async fn verify_email(&self, token: &Secret<String>) -> Result<()> {
        self.request_at(Method::GET, "/verify-email").query(&[("token", token.expose())]).done().await
    }

    /// Sends a mail with which a lost password can be replaced, if there is such an account.
    pub async fn request_reset(&self, email: &str) -> Result<()> {
        self.request_at(Method::POST, "/password/reset-request").json(&json!({"email": email})).done().await
    }

    /// Replaces a lost password with the token of that mail.
    pub async fn reset_password(&self, token: &Secret<String>, password: &Secret<String>) -> Result<()> {
        let body = json!({"password": password.expose(), "confirm_password": password.expose()});
        let bearer = Secret::new(format!("Bearer {}", token.expose()));
        self.request_at(Method::PUT, "/password/reset").authorization(&bearer).json(&body).done().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        self.request_at(method, &format!("/users{below}"))
    }

    fn request_at(&self, method: Method, path: &str) -> Request {
        self.0.request(method, &self.0.remotes().users, path)
    }
}
