//! What others learn of roles (reference 02 §10.2): who did it and in which domain, beside what the reference lists.

use events::Event;
use kernel::{RoleId, UserId};

use super::{Entity, Provision, Role};
use crate::{Object, Permit};

pub(crate) fn added(
    entity: &Entity,
    object: Object,
    made: &Provision,
    permit: &Permit,
    request: &str,
) -> Event {
    described(entity.events.add, object, &made.role, permit, request)
        .with("optional_actions", &made.optional_actions)
        .with("optional_members", &made.optional_members)
}

pub(crate) fn updated(entity: &Entity, object: Object, role: &Role, permit: &Permit, request: &str) -> Event {
    described(entity.events.update, object, role, permit, request)
}

/// Something happened to a role as a whole: it is gone, or emptied.
pub(crate) fn role(
    operation: &'static str,
    object: Object,
    role: &RoleId,
    permit: &Permit,
    request: &str,
) -> Event {
    of(operation, object, permit, request).with("role_id", role)
}

pub(crate) fn actions(
    operation: &'static str,
    object: Object,
    id: &RoleId,
    actions: &[String],
    permit: &Permit,
    request: &str,
) -> Event {
    role(operation, object, id, permit, request).with("actions", actions)
}

pub(crate) fn members(
    operation: &'static str,
    object: Object,
    id: &RoleId,
    members: &[UserId],
    permit: &Permit,
    request: &str,
) -> Event {
    role(operation, object, id, permit, request).with("members", members)
}

/// Users were given a role; for whoever lets them in by other ways than the roles' own routes.
pub fn members_added(
    entity: &Entity,
    object: Object,
    role: &RoleId,
    users: &[UserId],
    permit: &Permit,
    request: &str,
) -> Event {
    members(entity.events.add_members, object, role, users, permit, request)
}

/// Users lost whatever role they had on a thing.
pub fn members_removed(
    entity: &Entity,
    object: Object,
    users: &[UserId],
    permit: &Permit,
    request: &str,
) -> Event {
    of(entity.events.remove_from_all, object, permit, request).with("members", users)
}

fn described(operation: &'static str, object: Object, role: &Role, permit: &Permit, request: &str) -> Event {
    of(operation, object, permit, request)
        .with("id", &role.id)
        .with("name", &role.name)
        .with("created_by", role.created_by)
        .with("created_at", role.created_at)
        .with_some("updated_by", role.updated_by)
        .with_some("updated_at", role.updated_at)
}

fn of(operation: &'static str, object: Object, permit: &Permit, request: &str) -> Event {
    crate::event(operation, object.to_string(), permit, request)
        .with("entity_id", object.id_text())
        .with("domain", object.in_domain())
}
