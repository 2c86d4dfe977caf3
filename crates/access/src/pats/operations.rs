//! What a scope can be about: the kinds of things and, for each, the operations that there are (reference 01 §4.4).
//!
//! Upstream takes any text and never matches what is misspelt; here it is refused. What a kind is called in a scope and
//! in the permission table is the same word, so that an operation of the table needs no translation.

use std::str::FromStr;

use kernel::{Error, Result};

/// The kind of thing that a scope is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityType {
    /// Groups.
    Groups,
    /// Channels.
    Channels,
    /// Clients.
    Clients,
    /// Configurations that devices fetch when they are started for the first time.
    Bootstrap,
    /// Dashboards of a console; no service asks for them.
    Dashboards,
    /// Messages; the entity is the channel.
    Messages,
    /// Domains; the entity is the domain.
    Domains,
    /// Rules and their alarms.
    Rules,
    /// Reports.
    Reports,
}

const WORDS: [(EntityType, &str); 9] = [
    (EntityType::Groups, "groups"),
    (EntityType::Channels, "channels"),
    (EntityType::Clients, "clients"),
    (EntityType::Bootstrap, "bootstrap"),
    (EntityType::Dashboards, "dashboards"),
    (EntityType::Messages, "messages"),
    (EntityType::Domains, "domains"),
    (EntityType::Rules, "rules"),
    (EntityType::Reports, "reports"),
];

/// What can be done with the roles of a thing.
const ROLES: &[&str] = &[
    "role_add",
    "role_remove",
    "role_update",
    "role_retrieve",
    "role_retrieve_all",
    "role_add_actions",
    "role_list_actions",
    "role_check_actions_exists",
    "role_remove_actions",
    "role_remove_all_actions",
    "role_add_members",
    "role_list_members",
    "role_check_members_exists",
    "role_remove_members",
    "role_remove_all_members",
];

/// Operations on what is in no domain yet, or in any: only these may name the domain `*`.
const WITHOUT_DOMAIN: &[&str] =
    &["create", "list", "list_invitation", "view_invitation", "accept_invitation", "reject_invitation"];

impl EntityType {
    /// The word in JSON and in the database.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The operations on things of this kind, roles apart.
    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Groups => &[
                "create_groups",
                "list_groups",
                "view",
                "update",
                "update_tags",
                "enable",
                "disable",
                "delete",
                "retrieve_group_hierarchy",
                "add_parent_group",
                "remove_parent_group",
                "add_children_groups",
                "remove_children_groups",
                "remove_all_children_groups",
                "list_children_groups",
                "set_child_client",
                "remove_child_client",
                "set_child_channel",
                "remove_child_channel",
            ],
            Self::Channels => &[
                "create_channels",
                "list_channels",
                "list_user_channels",
                "view",
                "update",
                "update_tags",
                "enable",
                "disable",
                "delete",
                "set_parent_group",
                "remove_parent_group",
                "connect_client",
                "disconnect_client",
                "set_child_channel",
                "remove_child_channel",
            ],
            Self::Clients => &[
                "create_clients",
                "list_clients",
                "list_user_clients",
                "view",
                "update",
                "update_tags",
                "update_secret",
                "enable",
                "disable",
                "delete",
                "set_parent_group",
                "remove_parent_group",
                "connect_to_channel",
                "disconnect_from_channel",
                "issue_cert",
                "view_cert",
                "renew_cert",
                "revoke_cert",
                "download_cert",
                "set_child_client",
                "remove_child_client",
            ],
            Self::Bootstrap => &["create", "list", "view", "update", "update_cert", "remove", "change_state"],
            Self::Dashboards => &["dashboard_share", "dashboard_unshare", "read"],
            Self::Messages => &["message_publish", "message_subscribe"],
            Self::Domains => &[
                "create",
                "list",
                "read",
                "update",
                "enable",
                "disable",
                "freeze",
                "send_invitation",
                "list_domain_invitation",
                "delete_invitation",
                "list_invitation",
                "view_invitation",
                "accept_invitation",
                "reject_invitation",
                "create_clients",
                "list_clients",
                "create_channels",
                "list_channels",
                "create_groups",
                "list_groups",
                "list_certs",
                "find_cert",
            ],
            Self::Rules => &[
                "create",
                "list",
                "view",
                "update",
                "update_tags",
                "update_schedule",
                "enable",
                "disable",
                "delete",
                "alarm_assign",
                "alarm_acknowledge",
                "alarm_resolve",
            ],
            Self::Reports => &[
                "create",
                "list",
                "generate",
                "view",
                "update",
                "update_schedule",
                "enable",
                "disable",
                "delete",
                "update_template",
                "view_template",
                "delete_template",
            ],
        }
    }

    const fn has_roles(self) -> bool {
        matches!(self, Self::Groups | Self::Channels | Self::Clients | Self::Domains)
    }

    /// The operation that a scope means by `word`: its name in the table, or what older documents call it.
    pub fn operation(self, word: &str) -> Option<&'static str> {
        let word = match (self, word) {
            (Self::Clients, "create") => "create_clients",
            (Self::Clients, "list") => "list_clients",
            (Self::Channels, "create") => "create_channels",
            (Self::Channels, "list") => "list_channels",
            (Self::Groups, "create") => "create_groups",
            (Self::Groups, "list") => "list_groups",
            (Self::Dashboards, "share") => "dashboard_share",
            (Self::Dashboards, "unshare") => "dashboard_unshare",
            (Self::Messages, "publish") => "message_publish",
            (Self::Messages, "subscribe") => "message_subscribe",
            (Self::Clients | Self::Channels | Self::Groups | Self::Rules | Self::Reports, "read") => "view",
            (_, word) => word,
        };
        let roles: &[&str] = if self.has_roles() { ROLES } else { &[] };
        self.own().iter().chain(roles).copied().find(|known| *known == word)
    }

    /// Whether `operation` is about what is in no one domain.
    pub(super) fn needs_no_domain(self, operation: &str) -> bool {
        self == Self::Domains && WITHOUT_DOMAIN.contains(&operation)
    }
}

impl FromStr for EntityType {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        if word == "users" {
            return Err(Error::invalid("operation not valid for entity type"));
        }
        let known = WORDS.iter().find(|(_, known)| *known == word);
        known.map(|(kind, _)| *kind).ok_or_else(|| Error::invalid("invalid entity type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission;

    #[test]
    fn every_kind_is_read_back_from_its_word() {
        for (kind, word) in WORDS {
            assert_eq!(word.parse::<EntityType>().unwrap(), kind);
            assert_eq!(kind.word(), word);
        }
        assert_eq!(
            "users".parse::<EntityType>().unwrap_err().to_string(),
            "operation not valid for entity type"
        );
        assert!("things".parse::<EntityType>().is_err());
    }

    #[test]
    fn what_older_documents_call_an_operation_is_understood() {
        for (kind, word, means) in [
            (EntityType::Clients, "create", Some("create_clients")),
            (EntityType::Groups, "list", Some("list_groups")),
            (EntityType::Channels, "read", Some("view")),
            (EntityType::Domains, "read", Some("read")),
            (EntityType::Dashboards, "read", Some("read")),
            (EntityType::Dashboards, "unshare", Some("dashboard_unshare")),
            (EntityType::Messages, "publish", Some("message_publish")),
            (EntityType::Messages, "view", None),
            (EntityType::Clients, "veiw", None),
            (EntityType::Clients, "role_add_members", Some("role_add_members")),
            (EntityType::Rules, "role_add", None),
        ] {
            assert_eq!(kind.operation(word), means, "{kind:?} {word}");
        }
    }

    #[test]
    fn a_scope_can_name_every_operation_of_the_permission_table() {
        let table: std::collections::BTreeMap<String, serde_json::Value> =
            yaml_serde::from_str(permission::DEFAULT).unwrap();
        let mut seen = 0;
        for (entity, lists) in table {
            let kind: EntityType = entity.parse().unwrap();
            for (list, prefix) in [("operations", ""), ("roles_operations", "role_")] {
                let rows = lists[list].as_array().cloned().unwrap_or_default();
                for word in rows.iter().flat_map(|row| row.as_object().unwrap().keys()) {
                    let word = format!("{prefix}{word}");
                    assert!(kind.operation(&word).is_some(), "{entity} {word}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 90, "{seen}");
    }
}
