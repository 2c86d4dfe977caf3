//! What the message plane learns of tokens, so that connections end with the right that opened them. Upstream announces
//! nothing of tokens; these two are our own.

use access::Permit;
use events::Event;
use kernel::PatId;

/// A secret is void: the token was revoked or removed, or has a new one.
pub(super) fn revoked(id: PatId, permit: &Permit, request: &str) -> Event {
    access::event("pat.revoke", format!("pat:{id}"), permit, request).with("id", id)
}

/// A token is good for less than before.
pub(super) fn scopes_removed(id: PatId, permit: &Permit, request: &str) -> Event {
    access::event("pat.remove_scopes", format!("pat:{id}"), permit, request).with("id", id)
}
