//! What can be done with users: one function per use case, one file per part of a user's life.
//!
//! | File | Use cases |
//! |---|---|
//! | [`registration`] | the first administrator, registering |
//! | [`profile`] | viewing, changing what a profile shows and the user name |
//! | [`address`] | changing the address |
//! | [`listing`] | lists and searches |
//! | [`status`] | enabling, disabling, deleting |
//! | [`purge`] | removing who was deleted a while ago |
//! | [`role`] | who administers the platform |
//! | [`password`] | changing the password |
//! | [`recovery`] | a new password by mail |
//! | [`rescue`] | an administrator who has lost the password |
//! | [`verification`] | verifying the address |
//!
//! Logging in is in [`crate::login`].

mod address;
mod listing;
mod password;
mod profile;
mod purge;
pub(crate) mod recovery;
mod registration;
mod rescue;
mod role;
mod status;
pub(crate) mod verification;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use access::{Access, Context, Permit};
use kernel::{Error, Result, UserId};
use regex::Regex;
use tokio::sync::Notify;

pub use purge::OnPurge;
pub use registration::FirstAdmin;

use crate::{mail::Post, model::User, oauth::OAuthSettings, store};

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a password must match.
    pub password_rule: Regex,
    /// Whether anyone may register; otherwise only administrators do.
    pub self_register: bool,
    /// How mails are sent; none where they are not.
    pub mail: Option<Post>,
    /// Logins by way of other providers.
    pub oauth: Option<OAuthSettings>,
    /// How often users are removed that were deleted a while ago.
    pub delete_interval: Duration,
    /// How long after its deletion a user is removed; until then it can be brought back.
    pub delete_after: Duration,
}

impl Settings {
    /// All defaults, with this rule for passwords.
    pub const fn with_password_rule(password_rule: Regex) -> Self {
        Self {
            password_rule,
            self_register: false,
            mail: None,
            oauth: None,
            delete_interval: Duration::from_secs(24 * 3600),
            delete_after: Duration::from_secs(720 * 3600),
        }
    }
}

/// The users service.
#[derive(Clone)]
pub struct Users {
    pub(crate) access: Access,
    pub(crate) settings: Arc<Settings>,
    /// Wakes the deliveries.
    pub(crate) mailed: Arc<Notify>,
    /// Whether the log says already that mail is not set up.
    pub(crate) mail_missed: Arc<AtomicBool>,
    /// What else belongs to a user.
    pub(crate) on_purge: Arc<Vec<OnPurge>>,
}

impl axum::extract::FromRef<Users> for Access {
    fn from_ref(users: &Users) -> Self {
        users.access.clone()
    }
}

impl Users {
    /// The service on top of `access`.
    pub fn new(access: Access, settings: Settings) -> Self {
        Self {
            access,
            settings: Arc::new(settings),
            mailed: Arc::new(Notify::new()),
            mail_missed: Arc::new(AtomicBool::new(false)),
            on_purge: Arc::new(Vec::new()),
        }
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

/// As [`authorize_over`], for what decides who the account belongs to and whether it works.
async fn authorize_in_person(cx: &Context, user: UserId) -> Result<Permit> {
    cx.authorize_in_person()?;
    authorize_over(cx, user).await
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
