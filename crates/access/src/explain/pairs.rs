//! Operations that are about two things, each of which must agree: what the use case asks of the second.
//!
//! A use case names all that it asks for in one call of [`crate::Context::authorize_all`]; this is the same from the
//! outside, where only one of the things may be known.

use kernel::Operation;

/// An operation, and what is asked of another thing besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    of: Operation,
    pub(super) also: Operation,
    /// The schema's word for the other thing.
    pub(super) kind: &'static str,
    pub(super) other: Other,
}

/// Which thing the other one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// One that the request names.
    Named,
    /// One that the request may name.
    MayBeNamed,
    /// The group that the first one is in, if it is in one.
    Parent,
}

use Other::{MayBeNamed, Named, Parent};

/// The table (reference 02 §5.6).
const PAIRS: [Pair; 14] = [
    pair(("channels", "connect_client"), ("clients", "connect_to_channel"), "client", Named),
    pair(("clients", "connect_to_channel"), ("channels", "connect_client"), "channel", Named),
    pair(("channels", "disconnect_client"), ("clients", "disconnect_from_channel"), "client", Named),
    pair(("clients", "disconnect_from_channel"), ("channels", "disconnect_client"), "channel", Named),
    pair(("clients", "set_parent_group"), ("groups", "set_child_client"), "group", Named),
    pair(("channels", "set_parent_group"), ("groups", "set_child_channel"), "group", Named),
    pair(("groups", "add_parent_group"), ("groups", "add_children_groups"), "group", Named),
    pair(("groups", "add_children_groups"), ("groups", "add_parent_group"), "group", Named),
    pair(("clients", "remove_parent_group"), ("groups", "remove_child_client"), "group", Parent),
    pair(("channels", "remove_parent_group"), ("groups", "remove_child_channel"), "group", Parent),
    pair(("groups", "remove_parent_group"), ("groups", "remove_parent_group"), "group", Parent),
    pair(("domains", "create_clients"), ("groups", "set_child_client"), "group", MayBeNamed),
    pair(("domains", "create_channels"), ("groups", "set_child_channel"), "group", MayBeNamed),
    pair(("domains", "create_groups"), ("groups", "add_children_groups"), "group", MayBeNamed),
];

const fn pair(
    of: (&'static str, &'static str),
    also: (&'static str, &'static str),
    kind: &'static str,
    other: Other,
) -> Pair {
    Pair { of: Operation::new(of.0, of.1), also: Operation::new(also.0, also.1), kind, other }
}

/// What `operation` asks of another thing, if it does.
pub(super) fn of(operation: Operation) -> Option<Pair> {
    PAIRS.iter().find(|pair| pair.of == operation).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::{DEFAULT, Permissions};

    #[test]
    fn both_halves_of_every_pair_take_a_permission() {
        let schema = relation::Schema::platform().unwrap();
        let table = Permissions::parse(DEFAULT, &schema, &[]).unwrap();
        for pair in PAIRS {
            for half in [pair.of, pair.also] {
                assert!(table.get(half).is_some(), "{half}");
            }
        }
    }
}
