//! Personal access tokens: what a user lends to a program, narrowed down to scopes (reference 01 §4).
//!
//! A token acts for its owner, but only where one of its scopes names what is asked: the effective right is the scope
//! *and* the owner's own right. The rules that hold here:
//!
//! - Of the secret only a keyed digest is kept; it is shown once, when it is made.
//! - A token is void while its owner is disabled, and works again when the owner is enabled.
//! - A change of the owner's password voids all tokens, and each works again with a new secret: whoever knew the old
//!   password may have made or read them.
//! - What is revoked, expired or narrowed down ends with the commit of that change.
//!
//! [`known`] verifies and answers [`permits`]; [`scope`] and [`operations`] say what a scope may be; the rows are in
//! [`store`], the use cases and routes in the `auth` crate.

pub mod known;
pub mod model;
pub mod operations;
pub mod scope;
pub mod secret;
pub mod store;

use std::borrow::Cow;

use kernel::{DomainId, Operation};

use crate::Object;

pub use known::{Pats, forget_user, permits, permits_of};
pub use operations::EntityType;
pub use scope::Scope;

/// What a scope must name for a request to pass (reference 01 §4.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The kind of thing in the plural: `clients`, `channels`, `groups`, `domains`, …
    pub entity_type: Cow<'static, str>,
    /// The domain's id, or `*` for what belongs to none.
    pub domain: String,
    /// The operation's name in the permission table; `role_add` and the like for roles.
    pub operation: Cow<'static, str>,
    /// The thing's id, or `*` for what concerns all of a kind.
    pub entity: String,
}

/// Stands for any thing, or any domain.
pub const ANY: &str = "*";

impl Ask {
    /// The asks of which one must be met for `operation` on `object`.
    ///
    /// Creating and listing is asked of the kind that is created or listed, with `*`. What a group must agree to when
    /// something moves into it is named under the moved kind by the reference, and under `groups` by common sense:
    /// either will do (reference 01 §4.4, reference 02 §5.9).
    pub(crate) fn of(operation: Operation, object: Object) -> Vec<Self> {
        let domain = object.in_domain();
        let own = Self::new(operation.entity, domain, operation.name, object.id_text());
        let other = |entity_type, id: String| Self::new(entity_type, domain, operation.name, id);
        match (operation.entity, operation.name) {
            ("domains", name) => match name.strip_prefix("create_").or_else(|| name.strip_prefix("list_")) {
                Some("clients") => vec![other("clients", ANY.to_owned()), own],
                Some("channels") => vec![other("channels", ANY.to_owned()), own],
                Some("groups") => vec![other("groups", ANY.to_owned()), own],
                _ => vec![own],
            },
            ("groups", "set_child_client" | "remove_child_client") => {
                vec![other("clients", object.id_text()), own]
            }
            ("groups", "set_child_channel" | "remove_child_channel") => {
                vec![other("channels", object.id_text()), own]
            }
            ("bootstrap", _) if object.kind() == DomainId::KIND => vec![other("bootstrap", ANY.to_owned())],
            ("channels", "remove_parent_group") => {
                vec![Self { operation: "set_parent_group".into(), ..own.clone() }, own]
            }
            _ => vec![own],
        }
    }

    /// The ask for `operation` on what is the caller's own: in one domain, or in none.
    pub(crate) fn of_own(operation: Operation, domain: Option<DomainId>) -> Self {
        let place = domain.map_or_else(|| ANY.to_owned(), |domain| domain.to_string());
        Self {
            entity_type: operation.entity.into(),
            domain: place.clone(),
            operation: operation.name.into(),
            entity: place,
        }
    }

    fn new(entity_type: &'static str, domain: DomainId, operation: &'static str, entity: String) -> Self {
        Self {
            entity_type: entity_type.into(),
            domain: domain.to_string(),
            operation: operation.into(),
            entity,
        }
    }
}
