//! What can be done with users: one function per use case, one file per part of a user's life.
//!
//! | File | Use cases |
//! |---|---|
//! | [`registration`] | the first administrator, registering |
//! | [`profile`] | viewing, changing what a profile shows, the user name and the address |
//! | [`listing`] | lists and searches |
//! | [`status`] | enabling, disabling, deleting |
//! | [`role`] | who administers the platform |
//! | [`password`] | changing the password |
//!
//! Logging in is in [`crate::login`].

mod listing;
mod password;
mod profile;
mod registration;
mod role;
mod status;

use std::sync::Arc;

use access::{Access, Context, Permit};
use kernel::{Error, Result, UserId};
use regex::Regex;

pub use registration::FirstAdmin;

use crate::{model::User, store};

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a password must match.
    pub password_rule: Regex,
    /// Whether anyone may register; otherwise only administrators do.
    pub self_register: bool,
}

impl Settings {
    /// All defaults, with this rule for passwords.
    pub const fn with_password_rule(password_rule: Regex) -> Self {
        Self { password_rule, self_register: false }
    }
}

/// The users service.
#[derive(Clone)]
pub struct Users {
    pub(crate) access: Access,
    pub(crate) settings: Arc<Settings>,
}

impl axum::extract::FromRef<Users> for Access {
    fn from_ref(users: &Users) -> Self {
        users.access.clone()
    }
}

impl Users {
    /// The service on top of `access`.
    pub fn new(access: Access, settings: Settings) -> Self {
        Self { access, settings: Arc::new(settings) }
    }

    pub(crate) async fn get(&self, id: UserId) -> Result<User> {
        let found =
            self.access.db().read(move |tx| Box::pin(async move { store::get(tx, id).await })).await?;
        found.ok_or_else(Error::not_found)
    }
}

/// Lets the user itself and administrators of the platform pass.
async fn authorize_over(cx: &Context, user: UserId) -> Result<Permit> {
    if cx.caller().user == user && !cx.is_platform_admin().await? {
        cx.authorize_self()
    } else {
        cx.authorize_platform_admin().await
    }
}

/// Names, picture, address and password of an account that a provider vouches for change there.
pub(crate) fn is_ours(user: &User) -> Result<()> {
    match &user.provider {
        None => Ok(()),
        Some(provider) => Err(Error::unprocessable(format!(
            "account details can only be changed at the provider `{provider}`"
        ))),
    }
}

pub(crate) const fn touch(user: &mut User, permit: &Permit) {
    user.updated_by = Some(permit.actor());
    user.updated_at = Some(permit.at());
}
