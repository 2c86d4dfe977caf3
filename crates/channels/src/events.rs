//! What others learn of channels (reference 03 §8).

use access::Permit;
use clients::connections::Connections;
use events::Event;
use kernel::{ChannelId, DomainId};
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

pub(crate) const CONNECT: &str = "channel.connect";
pub(crate) const DISCONNECT: &str = "channel.disconnect";

/// Clients were connected to a channel, or disconnected. One event for each channel, so that each channel's events keep
/// their order.
pub(crate) fn connections(
    operation: &'static str,
    domain: DomainId,
    channel: ChannelId,
    connections: &Connections,
    permit: &Permit,
    request: &str,
) -> Event {
    access::event(operation, format!("channel:{channel}"), permit, request)
        .with("domain", domain)
        .with("channel_ids", [channel])
        .with("client_ids", connections.clients())
        .with("types", connections.types())
}
