//! What was decided is put on record.

use kernel::Timestamp;

use super::{Asking, Outcome, Policy};
use crate::{
    audit::{self, Record},
    identity::Identity,
};

impl Policy {
    /// Waits until every decision is on record; to be called when no more questions come.
    pub async fn close(&self) {
        self.0.audit.settle().await;
    }

    /// Puts a decision on record.
    pub(crate) async fn record(
        &self,
        asking: &Asking<'_>,
        started: Timestamp,
        identity: Option<&Identity>,
        outcome: &Outcome,
        (resource_type, resource_id, action): (&str, &str, &str),
        cached: bool,
    ) {
        if !self.0.audit.is_on() {
            return;
        }
        let timestamp = self.0.clock.now();
        let subject = match identity {
            Some(Identity::Subject(principal)) => Some(&principal.subject),
            Some(Identity::Member(_)) | None => None,
        };
        let policy = match identity {
            Some(Identity::Member(_)) => "platform",
            Some(Identity::Subject(_)) | None => self.policy_name(),
        };
        let is_error = !outcome.is_decided();
        let allowed = outcome.is_granted();
        let record = Record {
            event: if is_error { "policy_error" } else { "policy_decision" },
            request_id: asking.request_id,
            allowed,
            policy,
            reason: outcome.words(),
            latency_ms: audit::milliseconds(timestamp.since(started)),
            cached,
            subject_id: identity.map(Identity::id),
            subject_type: identity.map(|identity| identity.kind().to_string()),
            resource_type,
            resource_id: audit::cut(resource_id),
            action,
            source_service: Some(audit::cut(asking.source)).filter(|source| !source.is_empty()),
            input: self.0.audit.input(subject),
            level: if is_error {
                "error"
            } else if allowed {
                "info"
            } else {
                "warning"
            },
            timestamp,
        };
        self.0.audit.write(&record).await;
    }

    pub(crate) fn policy_name(&self) -> &'static str {
        self.0.source.name()
    }
}
