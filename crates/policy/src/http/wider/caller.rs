//! Who asks about other things than topics, and what it is answered.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use web::{Connection, Guard};

use super::{
    Answer, Served,
    decisions::Ruling,
    refusal::{Refusal, unauthorized, undecided},
};
use crate::{
    Action, Subject, SubjectKind,
    http::body::bearer as bearer_of,
    identity::Identity,
    service::{Asking, Outcome, Shown},
};

/// Who asks; nobody without a token.
pub(super) struct Caller<'a> {
    served: &'a Served,
    asking: Asking<'a>,
    identity: Option<Identity>,
    /// A member of the platform as a subject.
    member: Option<Subject>,
    started: kernel::Timestamp,
}

impl<'a> Caller<'a> {
    pub(super) async fn of(
        served: &'a Served,
        guard: &'a Guard,
        from: Connection,
        headers: &'a HeaderMap,
    ) -> Result<Self, Refusal> {
        let started = served.policy.now();
        served.policy.takes_question(from.peer.ip()).map_err(|outcome| undecided(&outcome))?;
        let source =
            headers.get("x-source-service").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request_id = guard.request_id().as_str();
        let asking = Asking { broker: "", peer: from.peer.ip(), request_id, source };
        let bearer = match headers.get(header::AUTHORIZATION) {
            None => None,
            Some(_) => match bearer_of(headers) {
                Some(token) => Some(token),
                None => return Err(unauthorized("Invalid authorization header format")),
            },
        };
        let identity = match bearer {
            None => None,
            Some(_) => match served.policy.shown(&asking, &Shown { bearer, ..Shown::default() }).await {
                Ok(identity) => identity,
                Err(outcome) if outcome.is_decided() => return Err(unauthorized("Unauthorized")),
                Err(outcome) => return Err(undecided(&outcome)),
            },
        };
        let member = match &identity {
            Some(Identity::Member(member)) => Some(Subject::new(member.kind, member.id.clone(), [], [])),
            Some(Identity::Subject(_)) | None => None,
        };
        Ok(Self { served, asking, identity, member, started })
    }

    /// Nobody who is neither user nor service has any right.
    pub(super) fn subject(&self) -> Option<&Subject> {
        let subject = match &self.identity {
            Some(Identity::Subject(principal)) => Some(&principal.subject),
            Some(Identity::Member(_)) | None => self.member.as_ref(),
        };
        subject.filter(|subject| subject.kind != SubjectKind::Anonymous)
    }

    pub(super) async fn topic(&self, topic: &str, action: &str) -> Result<Outcome, Refusal> {
        let action =
            Action::ALL.into_iter().find(|known| known.as_str() == action && *known != Action::Superuser);
        let (Some(identity), Some(action)) = (&self.identity, action) else {
            return Ok(Outcome::denied(if self.identity.is_none() {
                "anonymous access denied"
            } else {
                "invalid action"
            }));
        };
        let (outcome, _) = self.served.policy.may(identity, &Shown::default(), action, topic).await;
        if outcome.is_decided() { Ok(outcome) } else { Err(undecided(&outcome)) }
    }

    pub(super) async fn rule(
        &self,
        Ruling { allowed, reason }: Ruling,
        about: (&str, &str, &str),
    ) -> Response {
        let outcome = if allowed { Outcome::Granted(reason) } else { Outcome::denied(reason) };
        self.answer(&outcome, about).await
    }

    pub(super) async fn answer(&self, outcome: &Outcome, about: (&str, &str, &str)) -> Response {
        let policy = &self.served.policy;
        policy.record(&self.asking, self.started, self.identity.as_ref(), outcome, about, false).await;
        let reason = outcome.words().to_owned();
        let request_id = self.asking.request_id.to_owned();
        web::Json(Answer { allowed: outcome.is_granted(), reason, request_id }).into_response()
    }
}
