//! What others learn of domains (reference 02 §10.2).

use access::{Permit, gates::Gate, roles::Provision};
use events::Event;

use crate::model::Domain;

pub(crate) fn created(domain: &Domain, role: &Provision, permit: &Permit, request: &str) -> Event {
    whole("domain.create", domain, permit, request).with("roles_provisioned", [role])
}

pub(crate) fn updated(domain: &Domain, permit: &Permit, request: &str) -> Event {
    whole("domain.update", domain, permit, request)
        .with_some("updated_at", domain.updated_at)
        .with_some("updated_by", domain.updated_by)
}

pub(crate) fn status_changed(domain: &Domain, permit: &Permit, request: &str) -> Event {
    let operation = match domain.status.0 {
        Gate::Enabled => "domain.enable",
        Gate::Disabled => "domain.disable",
        Gate::Frozen => "domain.freeze",
        Gate::Deleted => "domain.delete",
    };
    event(operation, domain, permit, request)
        .with_some("updated_at", domain.updated_at)
        .with_some("updated_by", domain.updated_by)
}

fn whole(operation: &'static str, domain: &Domain, permit: &Permit, request: &str) -> Event {
    let event = event(operation, domain, permit, request)
        .with("name", &domain.name)
        .with("route", &domain.route)
        .with("status", domain.status)
        .with("created_at", domain.created_at)
        .with("created_by", domain.created_by);
    let event = if domain.tags.is_empty() { event } else { event.with("tags", &domain.tags) };
    if domain.metadata.is_empty() { event } else { event.with("metadata", &domain.metadata) }
}

fn event(operation: &'static str, domain: &Domain, permit: &Permit, request: &str) -> Event {
    access::event(operation, format!("domain:{}", domain.id), permit, request).with("id", domain.id)
}
