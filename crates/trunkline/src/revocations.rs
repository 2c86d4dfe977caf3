//! From what the registry announces to what the message engine must ask anew.
//!
//! The race to win: a right that was taken away must end within a second, also on a connection that stays silent. The
//! events come from the outbox, so that none is lost, and a consumer that missed some asks everything anew.

use std::str::FromStr;

use events::{Event, Received, Subscription};
use messaging::{Engine, Revocable, Revocation};
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
        // Its connections cannot be told from the client's others, which come back.
        "certificate.revoke" => one(parsed(event.payload().get("entity_id")).map(Revocation::ClientSecret)),
        "channel.enable" | "channel.disable" | "channel.set_parent" | "channel.remove_parent" => {
            one(parsed(id).map(Revocation::Channel))
        }
        "channel.remove" => one(parsed(id).map(Revocation::ChannelGone)),
        "channel.connect" | "channel.disconnect" => {
            all(event, "channel_ids").map(Revocation::Channel).collect()
        }
        "domain.enable" | "domain.disable" | "domain.freeze" => one(parsed(id).map(Revocation::Domain)),
        "pat.revoke" => one(of_credential(event, Revocable::Pat)),
        "key.revoke" => one(of_credential(event, Revocable::Key)),
        "pat.remove_scopes" => one(parsed(event.payload().get("user_id")).map(Revocation::User)),
        // What lies in a group, and below it, is within reach of those who hold roles on the groups above.
        "group.add_parent_group"
        | "group.remove_parent_group"
        | "group.add_children_groups"
        | "group.remove_children_groups"
        | "group.remove_all_children_groups"
        | "group.remove" => one(parsed(event.payload().get("domain")).map(Revocation::UsersIn)),
        "user.disable" | "user.delete" | "user.update_secret" => one(parsed(id).map(Revocation::UserGone)),
        "user.reset_secret" => one(parsed(event.payload().get("user_id")).map(Revocation::UserGone)),
        "user.update_role" => one(parsed(id).map(Revocation::User)),
        operation => of_roles(operation, event),
    }
}

/// The connections of other credentials of the same user stay.
fn of_credential<T: FromStr>(event: &Event, revocable: fn(T) -> Revocable) -> Option<Revocation> {
    let user = parsed(event.payload().get("user_id"))?;
    Some(Revocation::Credential(user, revocable(parsed(event.payload().get("id"))?)))
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

#[cfg(test)]
mod tests {
    use kernel::{Timestamp, UserId};

    use super::*;

    const ID: &str = "00000000-0000-4000-8000-000000000001";
    const DOMAIN: &str = "00000000-0000-4000-8000-000000000002";
    const USERS: [&str; 2] = ["00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000004"];

    fn taken_away(operation: &'static str) -> Vec<Revocation> {
        let event = Event::new(operation, String::new(), Timestamp::from_micros(0))
            .with("id", ID)
            .with("entity_id", ID)
            .with("domain", DOMAIN)
            .with("user_id", USERS[0])
            .with("members", USERS);
        of(&event)
    }

    #[test]
    fn whoever_comes_into_a_role_or_out_of_it_is_asked_about_again() {
        let both: Vec<_> =
            USERS.iter().map(|user| Revocation::User(user.parse::<UserId>().unwrap())).collect();
        for operation in [
            "channel.role.members.add",
            "group.role.members.remove",
            "domain.role.members.remove_all",
            "domain.members.remove",
        ] {
            assert_eq!(taken_away(operation), both, "{operation}");
        }
    }

    #[test]
    fn a_role_that_changes_reaches_the_channel_or_the_users_of_the_domain() {
        for change in ["add", "remove", "actions.add", "actions.remove", "actions.remove_all"] {
            let of_role = |kind: &str| -> &'static str { format!("{kind}.role.{change}").leak() };
            assert_eq!(taken_away(of_role("channel")), [Revocation::Channel(ID.parse().unwrap())]);
            for kind in ["group", "domain"] {
                assert_eq!(
                    taken_away(of_role(kind)),
                    [Revocation::UsersIn(DOMAIN.parse().unwrap())],
                    "{change}"
                );
            }
            assert_eq!(taken_away(of_role("client")), [], "nobody publishes by a role on a client");
        }
        assert_eq!(taken_away("channel.role.update"), [], "a new name");
    }

    #[test]
    fn a_user_who_may_no_longer_work_loses_the_connections() {
        let gone = [Revocation::UserGone(ID.parse().unwrap())];
        for operation in ["user.disable", "user.delete", "user.update_secret"] {
            assert_eq!(taken_away(operation), gone, "{operation}");
        }
        assert_eq!(taken_away("user.reset_secret"), [Revocation::UserGone(USERS[0].parse().unwrap())]);
        assert_eq!(taken_away("user.update_role"), [Revocation::User(ID.parse().unwrap())]);
    }

    #[test]
    fn a_credential_that_is_revoked_takes_its_own_connections_along() {
        let user = USERS[0].parse().unwrap();
        let pat = Revocation::Credential(user, Revocable::Pat(ID.parse().unwrap()));
        assert_eq!(taken_away("pat.revoke"), [pat]);
        let key = Revocation::Credential(user, Revocable::Key(ID.parse().unwrap()));
        assert_eq!(taken_away("key.revoke"), [key]);
        assert_eq!(taken_away("pat.remove_scopes"), [Revocation::User(user)]);
    }

    #[test]
    fn a_channel_that_moves_is_asked_about_again() {
        for operation in ["channel.set_parent", "channel.remove_parent"] {
            assert_eq!(taken_away(operation), [Revocation::Channel(ID.parse().unwrap())], "{operation}");
        }
    }

    #[test]
    fn a_group_that_moves_or_goes_is_a_question_to_the_users_of_its_domain() {
        let users = [Revocation::UsersIn(DOMAIN.parse().unwrap())];
        for operation in [
            "group.add_parent_group",
            "group.remove_parent_group",
            "group.add_children_groups",
            "group.remove_children_groups",
            "group.remove_all_children_groups",
            "group.remove",
        ] {
            assert_eq!(taken_away(operation), users, "{operation}");
        }
        assert_eq!(taken_away("group.update"), [], "nothing has moved");
    }
}
