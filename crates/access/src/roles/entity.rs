//! The kinds of things that have roles, as data: what differs between them is one row here.

use kernel::Operation;

/// A kind of thing that has roles.
#[derive(Debug)]
pub struct Entity {
    /// The schema's word for it: `client`.
    pub kind: &'static str,
    /// The service that serves it: `clients`.
    pub service: &'static str,
    /// Actions that a role may hold beside those of the schema; they grant nothing (reference 02 §12).
    pub without_effect: &'static [&'static str],
    /// All operations, for the check of the permission table at start.
    pub operations: &'static [Operation],
    pub(crate) asks: Asks,
    pub(crate) paths: Paths,
    pub(crate) names: Names,
    pub(crate) events: Events,
}

/// What each use case asks permission for (reference 02 §4.2).
#[derive(Debug)]
pub(crate) struct Asks {
    /// To make a role, and to give it members.
    pub(crate) add: [Operation; 2],
    pub(crate) retrieve_all: Operation,
    pub(crate) retrieve: Operation,
    pub(crate) update: Operation,
    pub(crate) remove: Operation,
    pub(crate) add_actions: Operation,
    pub(crate) list_actions: Operation,
    pub(crate) remove_actions: Operation,
    pub(crate) remove_all_actions: Operation,
    pub(crate) add_members: Operation,
    pub(crate) list_members: Operation,
    pub(crate) remove_members: Operation,
    pub(crate) remove_all_members: Operation,
}

/// The paths of the routes.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) available_actions: &'static str,
    pub(crate) roles: &'static str,
    pub(crate) everybody: &'static str,
    pub(crate) role: &'static str,
    pub(crate) actions: &'static str,
    pub(crate) actions_delete: &'static str,
    pub(crate) actions_delete_all: &'static str,
    pub(crate) members: &'static str,
    pub(crate) members_delete: &'static str,
    pub(crate) members_delete_all: &'static str,
}

/// The names of the routes.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) available_actions: &'static str,
    pub(crate) add: &'static str,
    pub(crate) list: &'static str,
    pub(crate) list_everybody: &'static str,
    pub(crate) remove_from_all: &'static str,
    pub(crate) view: &'static str,
    pub(crate) update: &'static str,
    pub(crate) remove: &'static str,
    pub(crate) add_actions: &'static str,
    pub(crate) list_actions: &'static str,
    pub(crate) remove_actions: &'static str,
    pub(crate) remove_all_actions: &'static str,
    pub(crate) add_members: &'static str,
    pub(crate) list_members: &'static str,
    pub(crate) remove_members: &'static str,
    pub(crate) remove_all_members: &'static str,
}

/// The names of the events (reference 02 §10.2).
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) add: &'static str,
    pub(crate) update: &'static str,
    pub(crate) remove: &'static str,
    pub(crate) add_actions: &'static str,
    pub(crate) remove_actions: &'static str,
    pub(crate) remove_all_actions: &'static str,
    pub(crate) add_members: &'static str,
    pub(crate) remove_members: &'static str,
    pub(crate) remove_all_members: &'static str,
    pub(crate) remove_from_all: &'static str,
}

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident = $kind:literal in $service:literal at $all:literal, one at $one:literal, $more:expr;)*) => {
        $($(#[$doc])* pub const $name: &Entity = &Entity {
            kind: $kind,
            service: $service,
            without_effect: $more,
            operations: &[
                Operation::new($service, "role_add"),
                Operation::new($service, "role_retrieve_all"),
                Operation::new($service, "role_retrieve"),
                Operation::new($service, "role_update"),
                Operation::new($service, "role_remove"),
                Operation::new($service, "role_add_actions"),
                Operation::new($service, "role_list_actions"),
                Operation::new($service, "role_remove_actions"),
                Operation::new($service, "role_remove_all_actions"),
                Operation::new($service, "role_add_members"),
                Operation::new($service, "role_list_members"),
                Operation::new($service, "role_remove_members"),
                Operation::new($service, "role_remove_all_members"),
            ],
            asks: Asks {
                add: [Operation::new($service, "role_add"), Operation::new($service, "role_add_members")],
                retrieve_all: Operation::new($service, "role_retrieve_all"),
                retrieve: Operation::new($service, "role_retrieve"),
                update: Operation::new($service, "role_update"),
                remove: Operation::new($service, "role_remove"),
                add_actions: Operation::new($service, "role_add_actions"),
                list_actions: Operation::new($service, "role_list_actions"),
                remove_actions: Operation::new($service, "role_remove_actions"),
                remove_all_actions: Operation::new($service, "role_remove_all_actions"),
                add_members: Operation::new($service, "role_add_members"),
                list_members: Operation::new($service, "role_list_members"),
                remove_members: Operation::new($service, "role_remove_members"),
                remove_all_members: Operation::new($service, "role_remove_all_members"),
            },
            paths: Paths {
                available_actions: concat!($all, "/roles/available-actions"),
                roles: concat!($one, "/roles"),
                everybody: concat!($one, "/roles/members"),
                role: concat!($one, "/roles/{role}"),
                actions: concat!($one, "/roles/{role}/actions"),
                actions_delete: concat!($one, "/roles/{role}/actions/delete"),
                actions_delete_all: concat!($one, "/roles/{role}/actions/delete-all"),
                members: concat!($one, "/roles/{role}/members"),
                members_delete: concat!($one, "/roles/{role}/members/delete"),
                members_delete_all: concat!($one, "/roles/{role}/members/delete-all"),
            },
            names: Names {
                available_actions: concat!("list_", $kind, "_available_actions"),
                add: concat!("add_", $kind, "_role"),
                list: concat!("list_", $kind, "_roles"),
                list_everybody: concat!("list_", $kind, "_members"),
                remove_from_all: concat!("remove_", $kind, "_members"),
                view: concat!("view_", $kind, "_role"),
                update: concat!("update_", $kind, "_role"),
                remove: concat!("remove_", $kind, "_role"),
                add_actions: concat!("add_", $kind, "_role_actions"),
                list_actions: concat!("list_", $kind, "_role_actions"),
                remove_actions: concat!("remove_", $kind, "_role_actions"),
                remove_all_actions: concat!("remove_all_", $kind, "_role_actions"),
                add_members: concat!("add_", $kind, "_role_members"),
                list_members: concat!("list_", $kind, "_role_members"),
                remove_members: concat!("remove_", $kind, "_role_members"),
                remove_all_members: concat!("remove_all_", $kind, "_role_members"),
            },
            events: Events {
                add: concat!($kind, ".role.add"),
                update: concat!($kind, ".role.update"),
                remove: concat!($kind, ".role.remove"),
                add_actions: concat!($kind, ".role.actions.add"),
                remove_actions: concat!($kind, ".role.actions.remove"),
                remove_all_actions: concat!($kind, ".role.actions.remove_all"),
                add_members: concat!($kind, ".role.members.add"),
                remove_members: concat!($kind, ".role.members.remove"),
                remove_all_members: concat!($kind, ".role.members.remove_all"),
                remove_from_all: concat!($kind, ".members.remove"),
            },
        };)*

        /// All of them.
        pub const ENTITIES: &[&Entity] = &[$($name),*];
    };
}

entities! {
    /// Roles on domains: who belongs to a domain, and what they may do in all of it.
    DOMAINS = "domain" in "domains" at "/domains", one at "/domains/{domain}", &[];
    /// Roles on groups: what their members may do with a group and with what is in it.
    GROUPS = "group" in "groups" at "/{domain}/groups", one at "/{domain}/groups/{group}", &[];
    /// Roles on clients.
    CLIENTS = "client" in "clients" at "/{domain}/clients", one at "/{domain}/clients/{client}",
        &["publish", "subscribe"];
    /// Roles on channels.
    CHANNELS = "channel" in "channels" at "/{domain}/channels", one at "/{domain}/channels/{channel}", &[];
}

impl Entity {
    /// The actions that a role can hold, in the order of the API (reference 02 §5.4).
    pub fn actions(&self) -> &'static [&'static str] {
        relation::actions(self.kind)
    }

    /// The kind with this word.
    pub fn of(kind: &str) -> Option<&'static Self> {
        ENTITIES.iter().find(|entity| entity.kind == kind).copied()
    }
}
