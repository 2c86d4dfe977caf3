//! What others learn of configurations and profiles (reference 04 §3.5); never a key, and nothing that was rendered.

use access::Permit;
use events::Event;
use kernel::{ConfigId, DomainId, ProfileId, Timestamp};

use crate::model::{Config, NewBinding, Profile};

pub(crate) const CREATE: &str = "bootstrap.config.create";
pub(crate) const UPDATE: &str = "bootstrap.config.update";
pub(crate) const ENABLE: &str = "bootstrap.config.enable";
pub(crate) const DISABLE: &str = "bootstrap.config.disable";
pub(crate) const UPDATE_CERT: &str = "bootstrap.cert.update";
pub(crate) const UPDATE_CONNECTIONS: &str = "bootstrap.client.update_connections";
pub(crate) const PROFILE_CREATE: &str = "bootstrap.profile.create";
pub(crate) const PROFILE_UPDATE: &str = "bootstrap.profile.update";

/// A configuration came or changed.
pub(crate) fn changed(operation: &'static str, config: &Config, permit: &Permit, request: &str) -> Event {
    let event = access::event(operation, entity(config.id), permit, request);
    described(event, config)
}

/// A configuration was removed.
pub(crate) fn removed(domain: DomainId, id: ConfigId, permit: &Permit, request: &str) -> Event {
    access::event("bootstrap.config.remove", entity(id), permit, request)
        .with("domain_id", domain)
        .with("config_id", id)
}

/// A configuration went with its client.
pub(crate) fn removed_with_client(domain: DomainId, id: ConfigId, permit: &Permit, request: &str) -> Event {
    access::event("bootstrap.config.remove_handler", entity(id), permit, request)
        .with("domain_id", domain)
        .with("config_id", id)
}

/// A device has fetched its configuration, or has tried to.
pub(crate) fn fetched(config: &Config, success: bool, at: Timestamp, request: &str) -> Event {
    let event = Event::new("bootstrap.client.bootstrap", entity(config.id), at)
        .with("success", success)
        .with("request_id", request);
    described(event, config)
}

fn described(event: Event, config: &Config) -> Event {
    let name = Some(&config.name).filter(|name| !name.is_empty());
    let channels = Some(&config.channels).filter(|channels| !channels.is_empty());
    event
        .with("status", config.status)
        .with("config_id", config.id)
        .with("domain_id", config.domain)
        .with("external_id", config.external_id.as_str())
        .with_some("name", name)
        .with_some("client_id", config.client)
        .with_some("channels", channels)
}

/// A profile came or changed.
pub(crate) fn profile(operation: &'static str, profile: &Profile, permit: &Permit, request: &str) -> Event {
    access::event(operation, format!("profile:{}", profile.id), permit, request)
        .with("profile_id", profile.id)
        .with("domain_id", profile.domain)
        .with("name", &profile.name)
}

/// A profile was removed.
pub(crate) fn profile_removed(domain: DomainId, id: ProfileId, permit: &Permit, request: &str) -> Event {
    access::event("bootstrap.profile.delete", format!("profile:{id}"), permit, request)
        .with("domain_id", domain)
        .with("profile_id", id)
}

/// A profile was assigned.
pub(crate) fn assigned(config: &Config, profile: ProfileId, permit: &Permit, request: &str) -> Event {
    access::event("bootstrap.profile.assign", entity(config.id), permit, request)
        .with("domain_id", config.domain)
        .with("config_id", config.id)
        .with("profile_id", profile)
}

/// Something came into slots.
pub(crate) fn bound(config: &Config, new: &[NewBinding], permit: &Permit, request: &str) -> Event {
    let slots: Vec<&str> = new.iter().map(|binding| binding.slot.as_str()).collect();
    access::event("bootstrap.bindings.bind", entity(config.id), permit, request)
        .with("domain_id", config.domain)
        .with("config_id", config.id)
        .with("slots", slots)
}

/// Somebody had the bindings looked at anew.
pub(crate) fn refreshed(config: &Config, permit: &Permit, request: &str) -> Event {
    access::event("bootstrap.bindings.refresh", entity(config.id), permit, request)
        .with("domain_id", config.domain)
        .with("config_id", config.id)
}

fn entity(id: ConfigId) -> String {
    format!("bootstrap:{id}")
}
