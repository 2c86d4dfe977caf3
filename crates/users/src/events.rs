//! What others learn of users (reference 01 §9). Never a password, a hash or a token, nor private metadata.

use access::Permit;
use events::Event;
use kernel::{Status, Timestamp, UserId};

use crate::model::User;

pub(crate) const UPDATE: &str = "user.update";
pub(crate) const UPDATE_TAGS: &str = "user.update_tags";
pub(crate) const UPDATE_PICTURE: &str = "user.update_profile_picture";
pub(crate) const UPDATE_EMAIL: &str = "user.update_email";
pub(crate) const UPDATE_USERNAME: &str = "user.update_username";
pub(crate) const UPDATE_ROLE: &str = "user.update_role";
pub(crate) const UPDATE_SECRET: &str = "user.update_secret";

pub(crate) fn created(user: &User, permit: &Permit, request: &str) -> Event {
    described(of(user, "user.create", permit, request), user)
}

/// A change of an enabled user, with what the catalogue lists for the operation.
pub(crate) fn changed(operation: &'static str, user: &User, permit: &Permit, request: &str) -> Event {
    let event = updated(of(user, operation, permit, request), user);
    match operation {
        UPDATE_USERNAME => event
            .with("first_name", user.first_name.as_str())
            .with("last_name", user.last_name.as_str())
            .with("username", user.username.as_str()),
        UPDATE_PICTURE => event.with("profile_picture", user.picture.as_str()),
        UPDATE_ROLE => described(event, user).with("role", user.role),
        _ => described(event, user),
    }
}

pub(crate) fn status_changed(user: &User, permit: &Permit, request: &str) -> Event {
    let operation = match user.status {
        Status::Enabled => "user.enable",
        Status::Disabled => "user.disable",
        Status::Deleted => "user.delete",
    };
    updated(of(user, operation, permit, request), user).with("status", user.status)
}

pub(crate) fn logged_in(user: &User, at: Timestamp, request: &str) -> Event {
    of_session("user.issue_token", user, at, request).with("username", user.username.as_str())
}

pub(crate) fn refreshed(user: &User, at: Timestamp, request: &str) -> Event {
    of_session("user.refresh_token", user, at, request)
}

pub(crate) fn session_ended(user: UserId, session: &str, permit: &Permit, request: &str) -> Event {
    access::event("user.revoke_refresh_token", format!("user:{user}"), permit, request)
        .with("user_id", user)
        .with("token_id", session)
}

/// A mail with a link to a new password was sent.
pub(crate) fn reset_sent(email: &str, at: Timestamp, request: &str) -> Event {
    Event::new("user.send_password_reset", format!("mail:{email}"), at)
        .with("email", email)
        .with("host", "")
        .with("user", "")
        .with("request_id", request)
}

pub(crate) fn reset(user: &User, permit: &Permit, request: &str) -> Event {
    access::event("user.reset_secret", format!("user:{}", user.id), permit, request)
}

pub(crate) fn verification_sent(permit: &Permit, request: &str) -> Event {
    access::event("user.send_verification", format!("user:{}", permit.actor()), permit, request)
}

pub(crate) fn verified(user: &User, permit: &Permit, request: &str) -> Event {
    access::event("user.verify_email", format!("user:{}", user.id), permit, request)
        .with("email", user.email.as_str())
        .with_some("verified_at", user.verified_at)
}

/// Somebody has logged in by way of another provider, under this id there.
pub(crate) fn oauth_callback(user: &User, provider_id: &str, at: Timestamp, request: &str) -> Event {
    Event::new("user.oauth_callback", format!("user:{}", user.id), at)
        .with("user_id", provider_id)
        .with("request_id", request)
}

/// A user who was marked as deleted is gone for good.
pub(crate) fn purged(user: &User, at: Timestamp) -> Event {
    Event::new("user.purge", format!("user:{}", user.id), at)
        .with("id", user.id)
        .with_some("deleted_at", user.updated_at)
        .with_some("deleted_by", user.updated_by)
        .with("request_id", "purge")
}

fn of_session(operation: &'static str, user: &User, at: Timestamp, request: &str) -> Event {
    Event::new(operation, format!("user:{}", user.id), at)
        .with("user_id", user.id)
        .with("request_id", request)
}

fn of(user: &User, operation: &'static str, permit: &Permit, request: &str) -> Event {
    access::event(operation, format!("user:{}", user.id), permit, request)
        .with("super_admin", permit.is_platform_admin())
        .with("id", user.id)
}

fn updated(event: Event, user: &User) -> Event {
    event.with_some("updated_at", user.updated_at).with_some("updated_by", user.updated_by)
}

fn described(event: Event, user: &User) -> Event {
    let mut event = event
        .with("status", user.status)
        .with("created_at", user.created_at)
        .with("first_name", user.first_name.as_str())
        .with("last_name", user.last_name.as_str())
        .with("username", user.username.as_str())
        .with("email", user.email.as_str());
    if !user.tags.is_empty() {
        event = event.with("tags", &user.tags);
    }
    if !user.metadata.is_empty() {
        event = event.with("metadata", &user.metadata);
    }
    event
}
