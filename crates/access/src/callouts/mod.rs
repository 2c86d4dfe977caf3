//! Callouts: HTTP endpoints of the operator's own that may refuse a request after it was authorized (reference 02 §6).
//!
//! An endpoint is told who does what, and answers 200 to let it pass. Everything else refuses: an answer that is an error
//! of ours (400, 401, 404, …) is passed on, any other is a 403, and an endpoint that cannot be reached, is too slow or
//! has failed itself refuses with 503. It is asked only about operations that the operator has named, after our own
//! authorization and before anything is done. The payload never holds a secret ([`payload`]).

pub mod hook;
pub mod payload;

use std::collections::HashMap;

use kernel::{DomainId, Operation, Result, Timestamp, UserId};
use serde_json::Value;

use crate::Object;
pub use hook::Settings;
use hook::{Hook, Question};
pub use payload::{page_meta, page_of};

/// The callouts of this installation: at most one per service.
#[derive(Debug, Default)]
pub struct Callouts(HashMap<&'static str, Hook>);

/// What an operation is asked for, as callouts are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind of thing: `domain`, `group`, `client`, `channel`.
    pub entity_type: &'static str,
    /// The thing; none where it is about to be made, or many are meant.
    pub entity_id: Option<String>,
    /// The domain that it is in.
    pub domain: Option<DomainId>,
}

impl Target {
    /// One thing.
    pub fn of(object: Object) -> Self {
        Self {
            entity_type: object.kind(),
            entity_id: Some(object.id_text()),
            domain: Some(object.in_domain()),
        }
    }

    /// What is the caller's own, in a domain or in none.
    pub fn of_own(operation: Operation, domain: Option<DomainId>) -> Self {
        let entity_type = match operation.entity {
            "domains" => "domain",
            "users" => "user",
            other => other,
        };
        Self { entity_type, entity_id: domain.map(|domain| domain.to_string()), domain }
    }
}

impl Callouts {
    /// The callouts as the operator has set them: each with the service that asks it, `domains`, `groups`, `clients` or
    /// `channels`. Invalid, with what to do, where one cannot be set up.
    pub fn open(settings: &[(&'static str, Settings)]) -> Result<Self> {
        let mut hooks = HashMap::new();
        for (service, settings) in settings {
            if !settings.urls.is_empty() {
                hooks.insert(*service, Hook::open(service, settings)?);
            }
        }
        Ok(Self(hooks))
    }

    /// Whether anybody wants to be asked about `operation`.
    pub fn wants(&self, operation: Operation) -> bool {
        self.hook(operation).is_some()
    }

    /// Asks each endpoint in turn; the first that does not answer 200 refuses the request.
    pub async fn consult(
        &self,
        caller: UserId,
        at: Timestamp,
        operation: Operation,
        target: &Target,
        payload: Value,
    ) -> Result<()> {
        let Some(hook) = self.hook(operation) else { return Ok(()) };
        hook.ask(&Question {
            operation: name_of(operation),
            entity_type: target.entity_type,
            entity_id: target.entity_id.as_deref(),
            caller_id: caller,
            caller_type: "user",
            domain_id: target.domain,
            time: at,
            payload: payload::without_secrets(payload),
        })
        .await
    }

    fn hook(&self, operation: Operation) -> Option<&Hook> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(service_of(operation)).filter(|hook| hook.wants(name_of(operation)))
    }
}

/// The service that asks: what is created or listed in a domain is the business of the service that keeps it.
fn service_of(operation: Operation) -> &'static str {
    match (operation.entity, operation.name) {
        ("domains", "create_clients" | "list_clients" | "list_user_clients") => "clients",
        ("domains", "create_channels" | "list_channels" | "list_user_channels") => "channels",
        ("domains", "create_groups" | "list_groups" | "list_user_groups") => "groups",
        (entity, _) => entity,
    }
}

/// The name without the table's prefix: operations on things and on their roles share names (reference 02 §6).
fn name_of(operation: Operation) -> &'static str {
    operation.name.strip_prefix("role_").unwrap_or(operation.name)
}
