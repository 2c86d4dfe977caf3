//! Scopes: what a token is good for, and whether that meets what a request asks.

use std::collections::HashSet;

use kernel::{DomainId, Error, Result};
use uuid::Uuid;

use super::{ANY, Ask, EntityType};

/// One thing that a token is good for, valid as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    entity_type: EntityType,
    domain: Reach,
    operation: &'static str,
    entity: Reach,
}

/// One of a kind, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reach {
    Any,
    One(Uuid),
}

impl Reach {
    fn parse(text: &str) -> Result<Self> {
        if text == ANY {
            return Ok(Self::Any);
        }
        // The ids of all kinds of things are spelt alike.
        text.parse::<DomainId>().map(|id| Self::One(id.uuid()))
    }

    fn text(self) -> String {
        match self {
            Self::Any => ANY.to_owned(),
            Self::One(id) => id.as_hyphenated().to_string(),
        }
    }
}

impl Scope {
    /// A scope from what a caller sent or what was stored.
    ///
    /// Invalid, with the contract's words, where something is missing or the kind has no such operation.
    pub fn new(domain: &str, entity_type: &str, entity: &str, operation: &str) -> Result<Self> {
        if domain.is_empty() {
            return Err(Error::invalid("missing domainID"));
        }
        if entity.is_empty() {
            return Err(Error::invalid("missing entity id"));
        }
        let entity_type: EntityType = entity_type.parse()?;
        let operation = entity_type
            .operation(operation)
            .ok_or_else(|| Error::invalid("operation not valid for entity type"))?;
        let (domain, entity) = (Reach::parse(domain)?, Reach::parse(entity)?);
        if domain == Reach::Any && !entity_type.needs_no_domain(operation) {
            return Err(Error::invalid(
                "domain_id `*` is for creating and listing domains and for invitations, name the domain",
            ));
        }
        let is_alarm = entity_type == EntityType::Rules && operation.starts_with("alarm_");
        if is_alarm && entity != Reach::Any {
            return Err(Error::invalid("alarm operations on rules entity type require wildcard entity ID"));
        }
        Ok(Self { entity_type, domain, operation, entity })
    }

    /// The domain's id, or `*`.
    pub fn domain(&self) -> String {
        self.domain.text()
    }

    /// The kind of thing.
    pub const fn entity_type(&self) -> EntityType {
        self.entity_type
    }

    /// The thing's id, or `*`.
    pub fn entity(&self) -> String {
        self.entity.text()
    }

    /// The operation's name in the permission table.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Whether it is about any thing of its kind.
    pub fn is_wildcard(&self) -> bool {
        self.entity == Reach::Any
    }

    /// The same for any thing of its kind.
    #[must_use]
    pub const fn widened(self) -> Self {
        Self { entity: Reach::Any, ..self }
    }
}

/// Whether one of `scopes` meets `ask`: the same kind, domain and operation, and the same thing or any.
pub(super) fn meets(scopes: &HashSet<Scope>, ask: &Ask) -> bool {
    let Ok(entity_type) = ask.entity_type.parse::<EntityType>() else { return false };
    let Some(operation) = entity_type.operation(&ask.operation) else { return false };
    let (Ok(domain), Ok(entity)) = (Reach::parse(&ask.domain), Reach::parse(&ask.entity)) else {
        return false;
    };
    // Stored with the domain `*` is only what needs no domain, so it may be looked for without asking that again.
    [domain, Reach::Any].into_iter().any(|domain| {
        [entity, Reach::Any]
            .into_iter()
            .any(|entity| scopes.contains(&Scope { entity_type, domain, operation, entity }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
    const OTHER: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a12";
    const THING: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a13";

    fn ask(entity_type: &'static str, domain: &str, operation: &'static str, entity: &str) -> Ask {
        Ask {
            entity_type: entity_type.into(),
            domain: domain.to_owned(),
            operation: operation.into(),
            entity: entity.to_owned(),
        }
    }

    fn only(domain: &str, entity_type: &str, entity: &str, operation: &str) -> HashSet<Scope> {
        HashSet::from([Scope::new(domain, entity_type, entity, operation).unwrap()])
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (scope, message) in [
            (["", "clients", "*", "view"], "missing domainID"),
            ([DOMAIN, "clients", "", "view"], "missing entity id"),
            ([DOMAIN, "things", "*", "view"], "invalid entity type"),
            ([DOMAIN, "users", "*", "view"], "operation not valid for entity type"),
            ([DOMAIN, "clients", "*", "fly"], "operation not valid for entity type"),
            ([DOMAIN, "messages", "*", "view"], "operation not valid for entity type"),
            (["x", "clients", "*", "view"], "invalid id format provided"),
            ([DOMAIN, "clients", "x", "view"], "invalid id format provided"),
            (
                [DOMAIN, "rules", THING, "alarm_resolve"],
                "alarm operations on rules entity type require wildcard entity ID",
            ),
        ] {
            let [domain, entity_type, entity, operation] = scope;
            let error = Scope::new(domain, entity_type, entity, operation).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert!(Scope::new("*", "clients", "*", "view").is_err());
        assert!(Scope::new("*", "domains", "*", "create").is_ok());
        assert!(Scope::new(DOMAIN, "rules", "*", "alarm_resolve").is_ok());
    }

    #[test]
    fn a_scope_meets_its_own_thing_and_a_wildcard_meets_all_of_the_domain() {
        let one = only(DOMAIN, "clients", THING, "read");
        assert!(meets(&one, &ask("clients", DOMAIN, "view", THING)));
        let all = only(DOMAIN, "clients", "*", "view");
        assert!(meets(&all, &ask("clients", DOMAIN, "view", THING)));
        assert!(meets(&all, &ask("clients", DOMAIN, "view", "*")));
        for other in [
            ask("clients", DOMAIN, "view", OTHER),
            ask("clients", DOMAIN, "view", "*"),
            ask("clients", OTHER, "view", THING),
            ask("clients", DOMAIN, "update", THING),
            ask("channels", DOMAIN, "view", THING),
            ask("clients", "*", "view", THING),
        ] {
            assert!(!meets(&one, &other), "{other:?}");
        }
    }

    #[test]
    fn what_needs_no_domain_is_met_by_any_domain_only() {
        let anywhere = only("*", "domains", "*", "list");
        assert!(meets(&anywhere, &ask("domains", "*", "list", "*")));
        assert!(!meets(&only(DOMAIN, "domains", "*", "list"), &ask("domains", "*", "list", "*")));
        let accept = only("*", "domains", "*", "accept_invitation");
        assert!(meets(&accept, &ask("domains", DOMAIN, "accept_invitation", DOMAIN)));
    }
}
