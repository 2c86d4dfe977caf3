//! The guard of a request: what its route declared, and whether the use case lived up to it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use axum::extract::FromRequestParts;
use http::request::Parts;
use kernel::Operation;

use crate::{
    Error, RequestId,
    routes::{RouteFacts, Rule},
};

/// Travels in the request's extensions. `access` reads the declared [`Rule`] from it and leaves its marks; a success
/// without the marks that the rule asks for never leaves the process (it becomes a 500, and the log says which route).
#[derive(Clone)]
pub struct Guard(Arc<Scope>);

struct Scope {
    request_id: RequestId,
    rule: OnceLock<Rule>,
    route: OnceLock<Arc<RouteFacts>>,
    signed_in: AtomicBool,
    authorized: AtomicBool,
}

impl Guard {
    /// The guard of a request that has not found its route yet.
    pub(crate) fn new(request_id: RequestId) -> Self {
        Self(Arc::new(Scope {
            request_id,
            rule: OnceLock::new(),
            route: OnceLock::new(),
            signed_in: AtomicBool::new(false),
            authorized: AtomicBool::new(false),
        }))
    }

    /// A guard for a call that does not come through a route: another protocol, or a test of a use case.
    pub fn for_rule(rule: Rule) -> Self {
        let guard = Self::new(RequestId::fresh());
        // The cell is new, so that setting it cannot fail.
        let _ = guard.0.rule.set(rule);
        guard
    }

    /// Notes that the router has chosen this route.
    pub(crate) fn enter(&self, route: &Arc<RouteFacts>) {
        let _ = self.0.rule.set(route.rule);
        let _ = self.0.route.set(Arc::clone(route));
    }

    /// The route, once the router has chosen it.
    pub(crate) fn route(&self) -> Option<&RouteFacts> {
        self.0.route.get().map(Arc::as_ref)
    }

    /// The id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    /// What the route declared; none before a route was found.
    pub fn declared(&self) -> Option<Rule> {
        self.0.rule.get().copied()
    }

    /// Whether the route declared that it may ask for this operation.
    pub fn declares(&self, operation: Operation) -> bool {
        matches!(self.declared(), Some(Rule::Operations(declared)) if declared.contains(&operation))
    }

    /// Marks that the caller has shown valid credentials. Call it nowhere but in `access`.
    pub fn mark_signed_in(&self) {
        self.0.signed_in.store(true, Ordering::Relaxed);
    }

    /// Marks that the caller was authorized for a declared operation. Call it nowhere but in `access`.
    pub fn mark_authorized(&self) {
        self.0.authorized.store(true, Ordering::Relaxed);
    }

    /// Whether a success may leave: the marks that the declared rule asks for are there.
    pub fn holds(&self) -> bool {
        match self.declared() {
            None | Some(Rule::Public(_)) => true,
            Some(Rule::SignedIn(_)) => {
                self.0.signed_in.load(Ordering::Relaxed) || self.0.authorized.load(Ordering::Relaxed)
            }
            Some(Rule::Operations(_)) => self.0.authorized.load(Ordering::Relaxed),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Guard {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let guard = parts.extensions.get::<Self>().cloned();
        guard.ok_or_else(|| kernel::Error::internal("the request did not come through web::App").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: Operation = Operation::new("clients", "view");
    const DELETE: Operation = Operation::new("clients", "delete");

    #[test]
    fn an_operation_route_holds_only_with_its_permit() {
        let guard = Guard::for_rule(Rule::Operations(&[VIEW]));
        assert!(guard.declares(VIEW));
        assert!(!guard.declares(DELETE));
        guard.mark_signed_in();
        assert!(!guard.holds());
        guard.mark_authorized();
        assert!(guard.holds());
    }

    #[test]
    fn a_signed_in_route_holds_only_with_valid_credentials() {
        let guard = Guard::for_rule(Rule::SignedIn("the caller's own profile"));
        assert!(!guard.holds());
        assert!(!guard.declares(VIEW));
        guard.mark_signed_in();
        assert!(guard.holds());
        assert!(Guard::for_rule(Rule::Public("health")).holds());
    }
}
