//! What others learn of clients (reference 03 §8). Never the secret.

use access::{Permit, roles::Provision};
use events::Event;
use kernel::{ClientId, DomainId};

use crate::model::Client;

pub(crate) const UPDATE: &str = "client.update";
pub(crate) const UPDATE_TAGS: &str = "client.update_tags";
pub(crate) const UPDATE_SECRET: &str = "client.update_secret";

pub(crate) fn created(client: &Client, role: &Provision, permit: &Permit, request: &str) -> Event {
    described("client.create", client, permit, request).with("roles_provisioned", [role])
}

pub(crate) fn changed(operation: &'static str, client: &Client, permit: &Permit, request: &str) -> Event {
    described(operation, client, permit, request)
        .with_some("updated_at", client.updated_at)
        .with_some("updated_by", client.updated_by)
}

pub(crate) fn status_changed(client: &Client, permit: &Permit, request: &str) -> Event {
    let operation = match client.status {
        kernel::Status::Enabled => "client.enable",
        kernel::Status::Disabled | kernel::Status::Deleted => "client.disable",
    };
    event(operation, client.domain, client.id, permit, request)
        .with("status", client.status)
        .with_some("updated_at", client.updated_at)
        .with_some("updated_by", client.updated_by)
}

pub(crate) fn removed(domain: DomainId, id: ClientId, permit: &Permit, request: &str) -> Event {
    event("client.remove", domain, id, permit, request)
}

fn described(operation: &'static str, client: &Client, permit: &Permit, request: &str) -> Event {
    let mut event = event(operation, client.domain, client.id, permit, request)
        .with("status", client.status)
        .with("created_at", client.created_at);
    if !client.name.is_empty() {
        event = event.with("name", &client.name);
    }
    if !client.identity.is_empty() {
        event = event.with("identity", &client.identity);
    }
    if !client.tags.is_empty() {
        event = event.with("tags", &client.tags);
    }
    if !client.metadata.is_empty() {
        event = event.with("metadata", &client.metadata);
    }
    if !client.private_metadata.is_empty() {
        event = event.with("private_metadata", &client.private_metadata);
    }
    event
}

fn event(operation: &'static str, domain: DomainId, id: ClientId, permit: &Permit, request: &str) -> Event {
    access::event(operation, format!("client:{id}"), permit, request).with("id", id).with("domain", domain)
}
