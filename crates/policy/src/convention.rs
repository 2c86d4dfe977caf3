//! Topics that say themselves who may use them: `celine/{service}/{resource}/…` (reference 08 §6.6).

use crate::{Action, Asked, Decision, Reason, Subject, SubjectKind, Who};

/// The policy by convention, for installations of the later public version.
#[derive(Debug, Clone)]
pub struct Convention {
    /// The scope that is superuser.
    pub superuser_scope: String,
}

impl Default for Convention {
    fn default() -> Self {
        Self { superuser_scope: "mqtt.admin".to_owned() }
    }
}

const GLOBAL_ADMINS: [&str; 2] = ["admin", "mqtt.admin"];

impl Convention {
    /// Whether `who` may do `action` on `topic`.
    pub fn decide(&self, who: &Who<'_>, action: Action, topic: &str) -> Decision {
        let Some(asked) = Asked::read(action, topic) else { return Decision::denied(Reason::InvalidTopic) };
        let verb = match action {
            Action::Subscribe | Action::Read => "read",
            Action::Publish => "write",
            Action::Superuser => return Decision::denied(Reason::Said("invalid action")),
        };
        let subject = who.subject;
        let mut levels = asked.text().split('/');
        let (Some("celine"), Some(service)) = (levels.next(), levels.next()) else {
            return Decision::denied(Reason::Said("invalid topic format"));
        };
        let resource = levels.next();
        let is_deeper = levels.next().is_some();
        match resource {
            None => of_service(subject, service, false),
            Some("#" | "+") if !is_deeper => of_service(subject, service, true),
            Some("#" | "+") => Decision::denied(Reason::Said("service-level wildcard denied")),
            Some(resource) => of_resource(subject, service, resource, verb),
        }
    }

    /// Whether the broker need not ask about `who`.
    pub fn is_superuser(&self, who: &Who<'_>) -> bool {
        who.subject.scopes.contains(&self.superuser_scope) || is_global_admin(who.subject)
    }
}

fn is_global_admin(subject: &Subject) -> bool {
    subject.groups.iter().any(|group| GLOBAL_ADMINS.contains(&group.as_str()))
}

fn of_service(subject: &Subject, service: &str, wildcard: bool) -> Decision {
    let said = |plain, wild| Decision::allowed(Reason::Said(if wildcard { wild } else { plain }));
    let denied = Decision::denied(Reason::Said("denied"));
    match subject.kind {
        SubjectKind::Service if has(&subject.scopes, &[service, ".admin"]) => {
            said("service admin scope", "service admin scope wildcard")
        }
        SubjectKind::User if is_global_admin(subject) => {
            said("user global admin", "user global admin wildcard")
        }
        SubjectKind::User if is_service_admin(subject, service) => {
            said("user service admin", "user service admin wildcard")
        }
        SubjectKind::Service | SubjectKind::User | SubjectKind::Anonymous => denied,
    }
}

fn is_service_admin(subject: &Subject, service: &str) -> bool {
    has(&subject.groups, &[service, ".admin"]) || has(&subject.groups, &["mqtt:", service, ":admin"])
}

fn of_resource(subject: &Subject, service: &str, resource: &str, verb: &str) -> Decision {
    let may = |names: &[String], colons: bool| {
        let dotted = |last| has(names, &[service, ".", resource, ".", last]);
        let with_colons = |last| colons && has(names, &["mqtt:", service, ":", resource, ":", last]);
        [verb, "*"].into_iter().any(|last| dotted(last) || with_colons(last))
    };
    let said = |words| Decision::allowed(Reason::Said(words));
    match subject.kind {
        SubjectKind::Service if may(&subject.scopes, false) => said("service scope"),
        SubjectKind::Service if has(&subject.scopes, &[service, ".admin"]) => said("service admin scope"),
        SubjectKind::User if may(&subject.groups, true) => said("user group"),
        SubjectKind::User if is_global_admin(subject) => said("user global admin"),
        SubjectKind::User if is_service_admin(subject, service) => said("user service admin"),
        SubjectKind::Service | SubjectKind::User | SubjectKind::Anonymous => {
            Decision::denied(Reason::Said("denied"))
        }
    }
}

/// Whether one of the names is these parts together.
fn has(names: &[String], parts: &[&str]) -> bool {
    names.iter().any(|name| {
        let rest = parts.iter().try_fold(name.as_str(), |rest, part| rest.strip_prefix(part));
        rest == Some("")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(kind: SubjectKind, held: &[&str], action: Action, topic: &str) -> Decision {
        let none: [&str; 0] = [];
        let held = held.iter().copied();
        let subject = match kind {
            SubjectKind::Service => Subject::new(kind, "s", none, held),
            _ => Subject::new(kind, "u", held, none),
        };
        Convention::default().decide(&Who { subject: &subject, username: None, clientid: "" }, action, topic)
    }

    #[test]
    fn the_topic_says_which_scope_or_group_is_needed() {
        use Action::{Publish, Read, Subscribe};
        use SubjectKind::{Anonymous, Service, User};
        for (kind, held, action, topic, allowed) in [
            (Service, "dt.events.read", Subscribe, "celine/dt/events/#", true),
            (Service, "dt.events.read", Publish, "celine/dt/events/x", false),
            (Service, "dt.events.write", Publish, "celine/dt/events/x", true),
            (Service, "dt.events.*", Read, "celine/dt/events/x", true),
            (Service, "dt.events.read", Read, "celine/dt/state/x", false),
            (Service, "dt.admin", Subscribe, "celine/dt/#", true),
            (Service, "dt.admin", Subscribe, "celine/dt", true),
            (Service, "dt.admin", Subscribe, "celine/+/events", false),
            (Service, "dt.events.read", Subscribe, "celine/dt/+", false),
            (Service, "dt.admin", Subscribe, "celine/dt/+/x", false),
            (User, "mqtt:dt:events:read", Read, "celine/dt/events", true),
            (User, "dt.events.write", Publish, "celine/dt/events/y", true),
            (User, "admin", Subscribe, "celine/dt/#", true),
            (User, "admin", Subscribe, "#", false),
            (User, "admin", Subscribe, "other/dt/x", false),
            (User, "mqtt:dt:admin", Publish, "celine/dt/events/y", true),
            (Anonymous, "admin", Publish, "celine/dt/events/y", false),
        ] {
            let decision = decide(kind, &[held], action, topic);
            assert_eq!(decision.allowed, allowed, "{kind} {held} {action} {topic}: {}", decision.reason);
        }
        // Two reasons at once are no reason to refuse.
        assert!(decide(User, &["admin", "dt.admin"], Subscribe, "celine/dt/#").allowed);
    }
}
