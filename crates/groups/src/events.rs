//! What others learn of groups (reference 02 §10.2).

use access::{Permit, roles::Provision};
use events::Event;
use kernel::{ClientId, DomainId, GroupId, Status};

use crate::model::{Group, Placed};

pub(crate) const UPDATE: &str = "group.update";
pub(crate) const UPDATE_TAGS: &str = "group.update_tags";
pub(crate) const REMOVE: &str = "group.remove";
pub(crate) const REMOVE_PARENT: &str = "group.remove_parent_group";
pub(crate) const ADD_CHILDREN: &str = "group.add_children_groups";
pub(crate) const REMOVE_CHILDREN: &str = "group.remove_children_groups";
pub(crate) const REMOVE_ALL_CHILDREN: &str = "group.remove_all_children_groups";

pub(crate) fn created(placed: &Placed, role: &Provision, permit: &Permit, request: &str) -> Event {
    described("group.create", placed, permit, request).with("roles_provisioned", [role])
}

pub(crate) fn changed(operation: &'static str, placed: &Placed, permit: &Permit, request: &str) -> Event {
    described(operation, placed, permit, request)
        .with_some("updated_at", placed.group.updated_at)
        .with_some("updated_by", placed.group.updated_by)
}

pub(crate) fn status_changed(group: &Group, permit: &Permit, request: &str) -> Event {
    let operation = match group.status {
        Status::Enabled => "group.enable",
        Status::Disabled | Status::Deleted => "group.disable",
    };
    plain(operation, group.domain, group.id, permit, request)
        .with("status", group.status)
        .with_some("updated_at", group.updated_at)
        .with_some("updated_by", group.updated_by)
}

pub(crate) fn parent_added(
    domain: DomainId,
    group: GroupId,
    parent: GroupId,
    permit: &Permit,
    request: &str,
) -> Event {
    plain("group.add_parent_group", domain, group, permit, request).with("parent_id", parent)
}

pub(crate) fn children_changed(
    operation: &'static str,
    (domain, group): (DomainId, GroupId),
    children: &[GroupId],
    permit: &Permit,
    request: &str,
) -> Event {
    plain(operation, domain, group, permit, request).with("children_ids", children)
}

/// A client was taken out of its group; the event that clients have for it (reference 03 §8).
pub(crate) fn client_taken_out(domain: DomainId, client: ClientId, permit: &Permit, request: &str) -> Event {
    access::event("client.remove_parent", format!("client:{client}"), permit, request)
        .with("id", client)
        .with("domain", domain)
}

/// An event that says no more than which group it is about.
pub(crate) fn plain(
    operation: &'static str,
    domain: DomainId,
    id: GroupId,
    permit: &Permit,
    request: &str,
) -> Event {
    access::event(operation, format!("group:{id}"), permit, request).with("id", id).with("domain", domain)
}

fn described(operation: &'static str, placed: &Placed, permit: &Permit, request: &str) -> Event {
    let group = &placed.group;
    let mut event = plain(operation, group.domain, group.id, permit, request)
        .with("name", &group.name)
        .with("status", group.status)
        .with("created_at", group.created_at)
        .with_some("parent", placed.parent())
        .with_some("description", group.description.as_ref());
    if !group.tags.is_empty() {
        event = event.with("tags", &group.tags);
    }
    if !group.metadata.is_empty() {
        event = event.with("metadata", &group.metadata);
    }
    event
}
