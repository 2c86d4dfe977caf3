//! What others learn of users (reference 01 §9). Never a password, a hash or a token.

use access::Permit;
use events::Event;
use kernel::{Status, Timestamp};

use crate::model::User;

pub(crate) fn created(user: &User, permit: &Permit, request: &str) -> Event {
    described("user.create", user, permit, request)
}

pub(crate) fn secret_updated(user: &User, permit: &Permit, request: &str) -> Event {
    described("user.update_secret", user, permit, request)
        .with_some("updated_at", user.updated_at)
        .with_some("updated_by", user.updated_by)
}

pub(crate) fn status_changed(user: &User, permit: &Permit, request: &str) -> Event {
    let operation = match user.status {
        Status::Enabled => "user.enable",
        Status::Disabled | Status::Deleted => "user.disable",
    };
    access::event(operation, format!("user:{}", user.id), permit, request)
        .with("id", user.id)
        .with("status", user.status)
        .with_some("updated_at", user.updated_at)
        .with_some("updated_by", user.updated_by)
}

pub(crate) fn logged_in(user: &User, at: Timestamp, request: &str) -> Event {
    of_session("user.issue_token", user, at, request).with("username", user.username.as_str())
}

pub(crate) fn refreshed(user: &User, at: Timestamp, request: &str) -> Event {
    of_session("user.refresh_token", user, at, request)
}

pub(crate) fn logged_out(session: &str, permit: &Permit, request: &str) -> Event {
    access::event("user.revoke_refresh_token", format!("user:{}", permit.actor()), permit, request)
        .with("token_id", session)
}

fn of_session(operation: &'static str, user: &User, at: Timestamp, request: &str) -> Event {
    Event::new(operation, format!("user:{}", user.id), at)
        .with("user_id", user.id)
        .with("request_id", request)
}

fn described(operation: &'static str, user: &User, permit: &Permit, request: &str) -> Event {
    let mut event = access::event(operation, format!("user:{}", user.id), permit, request)
        .with("id", user.id)
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
