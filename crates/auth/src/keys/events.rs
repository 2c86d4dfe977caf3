//! What the message plane learns of keys, so that connections end with the right that opened them. Upstream announces
//! nothing of keys; this is our own.

use access::Permit;
use events::Event;
use kernel::KeyId;

/// A key is void.
pub(super) fn revoked(id: KeyId, permit: &Permit, request: &str) -> Event {
    access::event("key.revoke", format!("key:{id}"), permit, request).with("id", id)
}

/// Another key signs tokens from now on.
pub(super) fn rotated(kid: &str, permit: &Permit, request: &str) -> Event {
    access::event("key.rotate", format!("signing_key:{kid}"), permit, request).with("id", kid)
}
