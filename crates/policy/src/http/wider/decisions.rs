//! The table of reference 08 §10: users need a level and a scope, services a scope.

use serde_json::{Value, json};

use super::{AccessLevel, DatasetAction, TwinAction, UserdataAction};
use crate::{Subject, SubjectKind};

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ruling {
    pub(super) allowed: bool,
    pub(super) reason: &'static str,
}

impl Ruling {
    pub(super) const fn no(reason: &'static str) -> Self {
        Self { allowed: false, reason }
    }

    const fn yes(reason: &'static str) -> Self {
        Self { allowed: true, reason }
    }
}

/// What the highest of a user's groups makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    None,
    Viewers,
    Editors,
    Managers,
    Admins,
}

fn level(subject: &Subject) -> Level {
    let has = |group: &str| subject.groups.iter().any(|own| own == group);
    [
        ("admins", Level::Admins),
        ("managers", Level::Managers),
        ("editors", Level::Editors),
        ("viewers", Level::Viewers),
    ]
    .into_iter()
    .find_map(|(group, level)| has(group).then_some(level))
    .unwrap_or(Level::None)
}

fn has_scope(subject: &Subject, scopes: &[&str]) -> bool {
    subject.scopes.iter().any(|own| scopes.contains(&own.as_str()))
}

fn is_service(subject: &Subject) -> bool {
    subject.kind == SubjectKind::Service
}

pub(super) fn dataset(subject: Option<&Subject>, level_of: AccessLevel, action: DatasetAction) -> Ruling {
    if level_of == AccessLevel::Open && action == DatasetAction::Read {
        return Ruling::yes("open datasets are publicly readable");
    }
    let Some(subject) = subject else { return Ruling::no("anonymous access denied for non-open datasets") };
    let (needed, scopes, yes): (Level, &[&str], _) = match (level_of, action) {
        (AccessLevel::Internal, DatasetAction::Read) if is_service(subject) => {
            (Level::None, &["dataset.query", "dataset.admin"], "service has dataset.query scope")
        }
        (AccessLevel::Internal, DatasetAction::Read) => (
            Level::Viewers,
            &["dataset.query", "dataset.admin"],
            "user has viewer access and client has dataset.query scope",
        ),
        (AccessLevel::Internal, DatasetAction::Write) => {
            (Level::Editors, &["dataset.admin"], "editor access and dataset.admin scope")
        }
        (AccessLevel::Open, DatasetAction::Write) => return Ruling::no("insufficient privileges"),
        (AccessLevel::Restricted, _) | (_, DatasetAction::Admin) => {
            (Level::Admins, &["dataset.admin"], "admin access and dataset.admin scope")
        }
        (AccessLevel::Open, DatasetAction::Read) => {
            return Ruling::yes("open datasets are publicly readable");
        }
    };
    if !is_service(subject) && level(subject) < needed {
        return Ruling::no("insufficient group privileges");
    }
    match (has_scope(subject, scopes), is_service(subject)) {
        (true, _) => Ruling::yes(yes),
        (false, true) => Ruling::no("insufficient service scope"),
        (false, false) => Ruling::no("missing dataset scope for requesting client"),
    }
}

/// Which rows may be seen. Who is not known sees what everybody may see, and no more.
pub(super) fn filters(subject: Option<&Subject>, level_of: AccessLevel) -> Vec<Value> {
    let mut filters = Vec::new();
    if let Some(organization) = subject.and_then(|subject| subject.claims.get("organization")) {
        filters.push(json!({"field": "organization_id", "operator": "eq", "value": organization}));
    }
    let classes = ["public", "internal", "confidential"];
    let by_level = match subject {
        Some(subject) if is_service(subject) => 3,
        Some(subject) => match level(subject) {
            Level::Admins | Level::Managers => 3,
            Level::Editors => 2,
            Level::Viewers | Level::None => 1,
        },
        None => 1,
    };
    let by_scope = match subject {
        Some(subject) if has_scope(subject, &["dataset.admin"]) => 3,
        Some(subject) if has_scope(subject, &["dataset.query"]) => 2,
        Some(_) | None => 1,
    };
    let allowed = by_level.min(by_scope);
    if level_of != AccessLevel::Open && allowed < classes.len() {
        let value: Vec<&str> = classes.into_iter().take(allowed).collect();
        filters.push(json!({"field": "classification", "operator": "in", "value": value}));
    }
    filters
}

pub(super) fn pipeline_read(subject: Option<&Subject>) -> Ruling {
    match subject {
        Some(_) => Ruling::yes("authenticated"),
        None => Ruling::no("anonymous access denied"),
    }
}

pub(super) fn transition(subject: Option<&Subject>, from: &str, to: &str) -> Ruling {
    let Some(subject) = subject else { return Ruling::no("anonymous access denied") };
    let is_valid = match from {
        "pending" => ["started", "cancelled"].contains(&to),
        "started" => ["running", "failed", "cancelled"].contains(&to),
        "running" => ["completed", "failed", "cancelled"].contains(&to),
        "failed" | "cancelled" => to == "pending",
        _ => false,
    };
    if !is_valid {
        return Ruling::no("invalid state transition");
    }
    let yes = Ruling::yes("valid state transition authorized");
    let (execute, admin) =
        (has_scope(subject, &["pipeline.execute"]), has_scope(subject, &["pipeline.admin"]));
    if is_service(subject) {
        let usual = ["started", "running", "completed", "failed"].contains(&to);
        return if admin || (execute && usual) {
            yes
        } else {
            Ruling::no("insufficient scope for transition")
        };
    }
    if !execute && !admin {
        return Ruling::no("missing pipeline scope for requesting client");
    }
    let may = match level(subject) {
        Level::Admins => true,
        Level::Managers => ["started", "running", "cancelled", "pending"].contains(&to),
        Level::Editors => ["started", "running"].contains(&to),
        Level::Viewers | Level::None => false,
    };
    if may { yes } else { Ruling::no("insufficient privileges for transition") }
}

pub(super) fn twin(subject: Option<&Subject>, action: TwinAction) -> Ruling {
    let Some(subject) = subject else { return Ruling::no("anonymous access denied") };
    let (needed, scopes, yes): (_, &[&str], _) = match action {
        TwinAction::Read => (Level::Viewers, &["dt.read", "dt.write", "dt.admin"], "user can read dt data"),
        TwinAction::Write => (Level::Editors, &["dt.write", "dt.admin"], "dt data may be changed"),
        TwinAction::Simulate => (Level::Managers, &["dt.simulate", "dt.admin"], "dt may be simulated"),
        TwinAction::Admin => (Level::Admins, &["dt.admin"], "dt may be administered"),
        TwinAction::EmitEvent if !is_service(subject) => return Ruling::no("insufficient privileges"),
        TwinAction::EmitEvent => {
            (Level::None, &["dt.write", "dt.simulate", "dt.admin"], "service can emit dt events")
        }
    };
    if !is_service(subject) && level(subject) < needed {
        return Ruling::no("insufficient group privileges");
    }
    if has_scope(subject, scopes) { Ruling::yes(yes) } else { Ruling::no("insufficient scope privileges") }
}

/// What is known of a user's thing.
#[derive(Debug, Default)]
pub(super) struct Userdata<'a> {
    pub(super) owner: &'a str,
    pub(super) resource_type: &'a str,
    pub(super) visibility: &'a str,
    pub(super) shared_with: Vec<&'a str>,
    pub(super) shared_with_groups: Vec<&'a str>,
}

pub(super) fn userdata(subject: Option<&Subject>, facts: &Userdata<'_>, action: UserdataAction) -> Ruling {
    use UserdataAction::{Delete, Read, Share, Write};
    let Some(subject) = subject else { return Ruling::no("anonymous access denied") };
    if is_service(subject) {
        let scopes: &[&str] = match action {
            Read => &["userdata.read", "userdata.admin"],
            Write => &["userdata.write", "userdata.admin"],
            Delete => &["userdata.admin"],
            Share => &[],
        };
        let has = has_scope(subject, scopes);
        return if has { Ruling::yes("service scope") } else { Ruling::no("insufficient service scope") };
    }
    let is_admin = level(subject) == Level::Admins && has_scope(subject, &["userdata.admin"]);
    if is_admin && action != Share {
        return Ruling::yes("admin override");
    }
    let reads = has_scope(subject, &["userdata.read", "userdata.write", "userdata.admin"]);
    let writes = has_scope(subject, &["userdata.write", "userdata.admin"]);
    let is_owner = !facts.owner.is_empty() && facts.owner == subject.id;
    let is_shared = facts.shared_with.contains(&subject.id.as_str())
        || subject.groups.iter().any(|group| facts.shared_with_groups.contains(&group.as_str()))
        || (facts.resource_type == "dashboard" && facts.visibility == "public");
    let may = if action == Read { reads } else { writes };
    match (is_owner, is_shared && action == Read) {
        (true, _) if may => Ruling::yes("user accessing own data"),
        (_, true) if may => Ruling::yes("resource shared with user"),
        (false, false) => Ruling::no("not resource owner"),
        (_, _) => Ruling::no("missing userdata scope for requesting client"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(group: &str, scopes: &[&str]) -> Subject {
        Subject::new(SubjectKind::User, "u", [group], scopes.iter().copied())
    }

    fn service(scopes: &[&str]) -> Subject {
        Subject::new(SubjectKind::Service, "s", [], scopes.iter().copied())
    }

    #[test]
    fn datasets_are_for_whom_the_table_says() {
        use AccessLevel::{Internal, Open, Restricted};
        use DatasetAction::{Admin, Read, Write};
        let may = |subject: Option<&Subject>, level, action| dataset(subject, level, action).allowed;
        assert!(may(None, Open, Read) && !may(None, Open, Write) && !may(None, Internal, Read));
        let viewer = user("viewers", &["dataset.query"]);
        assert!(may(Some(&viewer), Internal, Read) && !may(Some(&viewer), Restricted, Read));
        assert!(!may(Some(&user("viewers", &[])), Internal, Read));
        assert!(!may(Some(&user("none", &["dataset.query"])), Internal, Read));
        let editor = user("editors", &["dataset.admin"]);
        assert!(may(Some(&editor), Internal, Write) && !may(Some(&editor), Internal, Admin));
        let admin = user("admins", &["dataset.admin"]);
        assert!(
            may(Some(&admin), Restricted, Write)
                && may(Some(&admin), Open, Admin)
                && !may(Some(&admin), Open, Write)
        );
        assert!(may(Some(&service(&["dataset.query"])), Internal, Read));
        assert!(may(Some(&service(&["dataset.admin"])), Restricted, Read));
        assert!(!may(Some(&service(&["dataset.query"])), Restricted, Read));
    }

    #[test]
    fn rows_are_filtered_for_everybody_who_may_not_see_all() {
        let classes = |subject: Option<&Subject>| {
            filters(subject, AccessLevel::Internal).last().map(|filter| filter["value"].clone())
        };
        assert_eq!(classes(None), Some(json!(["public"])));
        assert_eq!(classes(Some(&user("managers", &["dataset.query"]))), Some(json!(["public", "internal"])));
        assert_eq!(classes(Some(&user("viewers", &["dataset.admin"]))), Some(json!(["public"])));
        assert_eq!(classes(Some(&user("managers", &["dataset.admin"]))), None);
        let mut member = service(&["dataset.admin"]);
        member.claims.insert("organization".to_owned(), json!("acme"));
        assert_eq!(
            filters(Some(&member), AccessLevel::Internal),
            [json!({"field": "organization_id", "operator": "eq", "value": "acme"})]
        );
        assert!(!filters(None, AccessLevel::Restricted).is_empty());
    }

    #[test]
    fn a_transition_must_be_valid_and_within_the_callers_reach() {
        let may = |subject: &Subject, from, to| transition(Some(subject), from, to).allowed;
        let editor = user("editors", &["pipeline.execute"]);
        assert!(may(&editor, "pending", "started") && !may(&editor, "pending", "cancelled"));
        assert!(!may(&editor, "completed", "pending") && !may(&editor, "pending", "running"));
        assert!(may(&user("managers", &["pipeline.admin"]), "running", "cancelled"));
        assert!(!may(&user("managers", &["pipeline.admin"]), "running", "completed"));
        assert!(may(&user("admins", &["pipeline.admin"]), "running", "completed"));
        assert!(may(&service(&["pipeline.execute"]), "running", "failed"));
        assert!(!may(&service(&["pipeline.execute"]), "failed", "pending"));
        assert!(may(&service(&["pipeline.admin"]), "failed", "pending"));
        assert!(!transition(None, "pending", "started").allowed);
    }

    #[test]
    fn twins_and_data_of_users_follow_the_table() {
        assert!(twin(Some(&user("viewers", &["dt.read"])), TwinAction::Read).allowed);
        assert!(!twin(Some(&user("viewers", &["dt.write"])), TwinAction::Write).allowed);
        assert!(!twin(Some(&user("admins", &["dt.admin"])), TwinAction::EmitEvent).allowed);
        assert!(twin(Some(&service(&["dt.simulate"])), TwinAction::EmitEvent).allowed);

        let own = Userdata { owner: "u", ..Userdata::default() };
        let others = Userdata { owner: "v", ..Userdata::default() };
        let shared = Userdata { owner: "v", shared_with_groups: vec!["viewers"], ..Userdata::default() };
        let writer = user("viewers", &["userdata.write"]);
        let may =
            |subject: &Subject, facts: &Userdata<'_>, action| userdata(Some(subject), facts, action).allowed;
        assert!(may(&writer, &own, UserdataAction::Share) && may(&writer, &shared, UserdataAction::Read));
        assert!(
            !may(&writer, &shared, UserdataAction::Write) && !may(&writer, &others, UserdataAction::Read)
        );
        let admin = user("admins", &["userdata.admin"]);
        assert!(may(&admin, &others, UserdataAction::Delete) && !may(&admin, &others, UserdataAction::Share));
        assert!(!may(&service(&["userdata.admin"]), &own, UserdataAction::Share));
        assert!(!may(&user("viewers", &[]), &Userdata::default(), UserdataAction::Read));
    }
}
