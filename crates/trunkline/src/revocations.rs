//! From what the registry announces to what the message engine must ask anew.
//!
//! The race to win: a right that was taken away must end within a second, also on a connection that stays silent. The
//! events come from the outbox, so that none is lost, and a consumer that missed some asks everything anew.

use std::str::FromStr;

use events::{Event, Received, Subscription};
use messaging::{Engine, Revocation};
use serde_json::Value;

/// Passes revocations to the engine until the bus closes.
pub(crate) async fn run(mut events: Subscription, engine: Engine) {
    loop {
        match events.recv().await {
            Received::Event(event) => of(&event).into_iter().for_each(|revocation| engine.revoke(revocation)),
            Received::Missed(_) => engine.revoke(Revocation::Everything),
            Received::Closed => return,
        }
    }
}

/// What an event takes away.
fn of(event: &Event) -> Vec<Revocation> {
    let id = event.payload().get("id");
    let one = |revocation: Option<Revocation>| revocation.into_iter().collect();
    match event.operation() {
        "client.disable" | "client.remove" => one(parsed(id).map(Revocation::ClientGone)),
        "client.update_secret" => one(parsed(id).map(Revocation::ClientSecret)),
        "channel.enable" | "channel.disable" => one(parsed(id).map(Revocation::Channel)),
        "channel.remove" => one(parsed(id).map(Revocation::ChannelGone)),
        "channel.connect" | "channel.disconnect" => {
            all(event, "channel_ids").map(Revocation::Channel).collect()
        }
        "domain.enable" | "domain.disable" | "domain.freeze" => one(parsed(id).map(Revocation::Domain)),
        "pat.revoke" | "pat.remove_scopes" => {
            one(parsed(event.payload().get("user_id")).map(Revocation::User))
        }
        // What lies in a group, and below it, is within reach of those who hold roles on the groups above.
        "group.add_parent_group"
        | "group.remove_parent_group"
        | "group.add_children_groups"
        | "group.remove_children_groups"
        | "group.remove_all_children_groups"
        | "group.remove" => one(parsed(event.payload().get("domain")).map(Revocation::UsersIn)),
        "user.disable" | "user.update_secret" => one(parsed(id).map(Revocation::UserGone)),
        operation => of_roles(operation, event),
    }
}

/// Users publish and subscribe by their roles on a channel, on the groups above it and on its domain.
fn of_roles(operation: &str, event: &Event) -> Vec<Revocation> {
    let Some((kind, change)) = operation.split_once('.') else { return Vec::new() };
    match change {
        "role.members.add" | "role.members.remove" | "role.members.remove_all" | "members.remove" => {
            all(event, "members").map(Revocation::User).collect()
        }
        "role.add"
        | "role.remove"
        | "role.actions.add"
        | "role.actions.remove"
        | "role.actions.remove_all" => {
            let reached = match kind {
                "channel" => parsed(event.payload().get("entity_id")).map(Revocation::Channel),
                "group" | "domain" => parsed(event.payload().get("domain")).map(Revocation::UsersIn),
                _ => None,
            };
            reached.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn parsed<T: FromStr>(value: Option<&Value>) -> Option<T> {
    value.and_then(Value::as_str).and_then(|text| text.parse().ok())
}

fn all<'e, T: FromStr + 'e>(event: &'e Event, field: &str) -> impl Iterator<Item = T> + 'e {
    let values = event.payload().get(field).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(|value| parsed(Some(value)))
}
