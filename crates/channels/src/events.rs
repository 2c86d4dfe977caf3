//! What others learn of channels (reference 03 §8).

use access::Permit;
use clients::connections::OfChannel;
use events::Event;
use kernel::DomainId;
use registry::Words;

pub(crate) const WORDS: Words = Words {
    create: "channel.create",
    update: "channel.update",
    update_tags: "channel.update_tags",
    enable: "channel.enable",
    disable: "channel.disable",
    remove: "channel.remove",
    set_parent: "channel.set_parent",
    remove_parent: "channel.remove_parent",
};

/// Clients were connected to a channel: each of them with each type.
pub(crate) fn connected(domain: DomainId, made: &OfChannel, permit: &Permit, request: &str) -> Event {
    changed("channel.connect", domain, made, permit, request)
}

/// Clients were disconnected from a channel: each of them, with each type.
pub(crate) fn disconnected(domain: DomainId, taken: &OfChannel, permit: &Permit, request: &str) -> Event {
    changed("channel.disconnect", domain, taken, permit, request)
}

/// One channel in one event, so that each channel's events keep their order.
fn changed(
    operation: &'static str,
    domain: DomainId,
    of: &OfChannel,
    permit: &Permit,
    request: &str,
) -> Event {
    access::event(operation, format!("channel:{}", of.channel), permit, request)
        .with("domain", domain)
        .with("channel_ids", [of.channel])
        .with("client_ids", &of.clients)
        .with("types", &of.types)
}
