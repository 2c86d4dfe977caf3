//! What others learn of invitations (reference 02 §10.2).

use access::Permit;
use events::Event;
use kernel::{DomainId, UserId};

use super::model::Named;

/// `invitation.send`, also when it is sent again.
pub(crate) const SEND: &str = "invitation.send";
/// `invitation.accept`.
pub(crate) const ACCEPT: &str = "invitation.accept";
/// `invitation.reject`.
pub(crate) const REJECT: &str = "invitation.reject";

pub(crate) fn changed(operation: &'static str, named: &Named, permit: &Permit, request: &str) -> Event {
    let invitation = &named.invitation;
    event(operation, invitation.domain, invitation.invitee, permit, request)
        .with("invited_by", invitation.invited_by)
        .with("role_id", &invitation.role)
        .with("domain_name", &named.domain_name)
        .with_some("role_name", named.role_name.as_ref())
}

pub(crate) fn deleted(domain: DomainId, invitee: UserId, permit: &Permit, request: &str) -> Event {
    event("invitation.delete", domain, invitee, permit, request)
}

fn event(
    operation: &'static str,
    domain: DomainId,
    invitee: UserId,
    permit: &Permit,
    request: &str,
) -> Event {
    access::event(operation, format!("domain:{domain}"), permit, request)
        .with("invitee_user_id", invitee)
        .with("domain_id", domain)
        .with("super_admin", permit.is_platform_admin())
}
