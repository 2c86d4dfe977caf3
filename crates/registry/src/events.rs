//! What others learn of the things of the registry (reference 03 §8).

use access::{Permit, roles::Provision};
use events::Event;
use kernel::{DomainId, GroupId, Status};

use crate::{EntryId, Registered};

pub(crate) fn created<T: Registered>(thing: &T, role: &Provision, permit: &Permit, request: &str) -> Event {
    described(T::WORDS.create, thing, permit, request)
        .with_some("parent_group_id", thing.entry().parent)
        .with("roles_provisioned", [role])
}

pub(crate) fn changed<T: Registered>(
    operation: &'static str,
    thing: &T,
    permit: &Permit,
    request: &str,
) -> Event {
    described(operation, thing, permit, request)
        .with_some("updated_at", thing.entry().updated_at)
        .with_some("updated_by", thing.entry().updated_by)
}

pub(crate) fn status_changed<T: Registered>(thing: &T, permit: &Permit, request: &str) -> Event {
    let entry = thing.entry();
    let operation = match entry.status {
        Status::Enabled => T::WORDS.enable,
        Status::Disabled | Status::Deleted => T::WORDS.disable,
    };
    about(operation, entry.domain, entry.id, permit, request)
        .with("status", entry.status)
        .with_some("updated_at", entry.updated_at)
        .with_some("updated_by", entry.updated_by)
}

pub(crate) fn removed<T: Registered>(domain: DomainId, id: T::Id, permit: &Permit, request: &str) -> Event {
    about(T::WORDS.remove, domain, id, permit, request)
}

pub(crate) fn parent_set<T: Registered>(thing: &T, group: GroupId, permit: &Permit, request: &str) -> Event {
    let entry = thing.entry();
    about(T::WORDS.set_parent, entry.domain, entry.id, permit, request).with("parent_group_id", group)
}

pub(crate) fn parent_removed<T: Registered>(thing: &T, permit: &Permit, request: &str) -> Event {
    let entry = thing.entry();
    about(T::WORDS.remove_parent, entry.domain, entry.id, permit, request)
}

fn described<T: Registered>(operation: &'static str, thing: &T, permit: &Permit, request: &str) -> Event {
    let entry = thing.entry();
    let event = about(operation, entry.domain, entry.id, permit, request)
        .with("status", entry.status)
        .with("created_at", entry.created_at)
        .with_some("name", Some(&entry.name).filter(|name| !name.is_empty()))
        .with_some("tags", Some(&entry.tags).filter(|tags| !tags.is_empty()))
        .with_some("metadata", Some(&entry.metadata).filter(|metadata| !metadata.is_empty()));
    thing.describe(event)
}

fn about<I: EntryId>(
    operation: &'static str,
    domain: DomainId,
    id: I,
    permit: &Permit,
    request: &str,
) -> Event {
    access::event(operation, format!("{}:{id}", I::KIND), permit, request)
        .with("id", id)
        .with("domain", domain)
}
