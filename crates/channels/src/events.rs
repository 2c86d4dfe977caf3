//! What others learn of channels (reference 03 §8).

use access::{Permit, roles::Provision};
use clients::connections::Connections;
use events::Event;
use kernel::{ChannelId, DomainId};

use crate::model::Channel;

pub(crate) const UPDATE: &str = "channel.update";
pub(crate) const UPDATE_TAGS: &str = "channel.update_tags";

pub(crate) fn created(channel: &Channel, role: &Provision, permit: &Permit, request: &str) -> Event {
    described("channel.create", channel, permit, request).with("roles_provisioned", [role])
}

pub(crate) fn changed(operation: &'static str, channel: &Channel, permit: &Permit, request: &str) -> Event {
    described(operation, channel, permit, request)
        .with_some("updated_at", channel.updated_at)
        .with_some("updated_by", channel.updated_by)
}

pub(crate) fn status_changed(channel: &Channel, permit: &Permit, request: &str) -> Event {
    let operation = match channel.status {
        kernel::Status::Enabled => "channel.enable",
        kernel::Status::Disabled | kernel::Status::Deleted => "channel.disable",
    };
    event(operation, channel.domain, channel.id, permit, request)
        .with("status", channel.status)
        .with_some("updated_at", channel.updated_at)
        .with_some("updated_by", channel.updated_by)
}

pub(crate) fn removed(domain: DomainId, id: ChannelId, permit: &Permit, request: &str) -> Event {
    event("channel.remove", domain, id, permit, request)
}

pub(crate) fn connected(
    domain: DomainId,
    connections: &Connections,
    permit: &Permit,
    request: &str,
) -> Event {
    connection("channel.connect", domain, connections, permit, request)
}

pub(crate) fn disconnected(
    domain: DomainId,
    connections: &Connections,
    permit: &Permit,
    request: &str,
) -> Event {
    connection("channel.disconnect", domain, connections, permit, request)
}

/// Ordered by domain: one event may speak of many channels.
fn connection(
    operation: &'static str,
    domain: DomainId,
    connections: &Connections,
    permit: &Permit,
    request: &str,
) -> Event {
    access::event(operation, format!("domain:{domain}"), permit, request)
        .with("domain", domain)
        .with("channel_ids", connections.channels())
        .with("client_ids", connections.clients())
        .with("types", connections.types())
}

fn described(operation: &'static str, channel: &Channel, permit: &Permit, request: &str) -> Event {
    let mut event = event(operation, channel.domain, channel.id, permit, request)
        .with("status", channel.status)
        .with("created_at", channel.created_at)
        .with_some("route", channel.route.as_ref());
    if !channel.name.is_empty() {
        event = event.with("name", &channel.name);
    }
    if !channel.tags.is_empty() {
        event = event.with("tags", &channel.tags);
    }
    if !channel.metadata.is_empty() {
        event = event.with("metadata", &channel.metadata);
    }
    event
}

fn event(operation: &'static str, domain: DomainId, id: ChannelId, permit: &Permit, request: &str) -> Event {
    access::event(operation, format!("channel:{id}"), permit, request).with("id", id).with("domain", domain)
}
