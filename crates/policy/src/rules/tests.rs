//! The vectors of reference 08 §7, and what a rule file may not hold.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::Subject;

#[derive(Deserialize)]
struct Cast {
    rules: BTreeMap<String, Value>,
    subjects: BTreeMap<String, Subject>,
}

fn cast() -> Cast {
    serde_json::from_str(include_str!("../../vectors/cast.json")).unwrap()
}

fn list(rules: &[&Value], options: RuleOptions) -> Result<RuleList, Fault> {
    let text = json!({"celine": {"mqtt": {"acl": {"rules": rules}}}}).to_string();
    RuleList::of_files(&[("rules.json".to_owned(), text)], options)
}

fn of_text(text: &str) -> Result<RuleList, Fault> {
    RuleList::of_files(&[("rules.json".to_owned(), text.to_owned())], RuleOptions::default())
}

fn who(subject: &Subject) -> Who<'_> {
    Who { subject, username: None, clientid: "" }
}

#[test]
fn every_vector_of_the_reference_is_decided_as_it_says() {
    let cast = cast();
    let mut seen = 0;
    for line in include_str!("../../vectors/decisions.csv").lines().skip(1) {
        let [number, names, subject, actions, topic, answer, why] =
            line.split('|').collect::<Vec<_>>().try_into().unwrap();
        seen += 1;
        let rules: Vec<&Value> =
            names.split(' ').filter(|name| *name != "-").map(|name| &cast.rules[name]).collect();
        let Ok(rules) = list(&rules, RuleOptions::default()) else {
            // A pattern that matches nothing is refused where it is written.
            assert_eq!((names, answer), ("P", "deny"), "{number}: {why}");
            continue;
        };
        // Without a token nothing is evaluated.
        let Some(subject) = cast.subjects.get(subject) else {
            assert_eq!((subject, answer), ("no", "deny"));
            continue;
        };
        let allowed = actions.split('+').all(|action| {
            let action: Action = serde_json::from_value(json!(action)).unwrap();
            rules.decide(&who(subject), action, topic).allowed
        });
        assert_eq!(allowed, answer == "allow", "vector {number} {line}");
    }
    assert_eq!(seen, 90);
}

#[test]
fn superusers_are_those_of_the_tables() {
    let cast = cast();
    let rules = list(&[], RuleOptions::default()).unwrap();
    let mut found: Vec<&str> = cast
        .subjects
        .iter()
        .filter(|(_, s)| rules.is_superuser(&who(s)))
        .map(|(name, _)| name.as_str())
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["adm", "av", "ta"]);

    let more = RuleOptions { superuser_groups: vec!["viewers".to_owned()], ..RuleOptions::default() };
    assert!(list(&[], more).unwrap().is_superuser(&who(&cast.subjects["vw"])));
}

#[test]
fn the_reason_names_the_step_that_decided() {
    let cast = cast();
    let rules = list(&[&cast.rules["F"], &cast.rules["E"]], RuleOptions::default()).unwrap();
    let vw = &cast.subjects["vw"];
    let why = |action, topic| rules.decide(&who(vw), action, topic).reason.to_string();
    assert_eq!(why(Action::Subscribe, "celine/#/x"), "invalid topic");
    assert_eq!(why(Action::Publish, "celine/system/x"), "missing capability publish");
    assert_eq!(why(Action::Subscribe, "celine/system/#"), "denied by rule 2");
    assert_eq!(why(Action::Subscribe, "other"), "no matching rule");
    assert_eq!(rules.decide(&who(vw), Action::Read, "celine/system/x").reason, Reason::AllowedBy(1));
}

#[test]
fn an_exact_denial_lets_wider_filters_through() {
    let cast = cast();
    let options = RuleOptions { subscribe_deny: SubscribeDeny::Exact, ..RuleOptions::default() };
    let rules = list(&[&cast.rules["E"], &cast.rules["F"]], options).unwrap();
    let may = |filter| rules.decide(&who(&cast.subjects["vw"]), Action::Subscribe, filter).allowed;
    assert!(may("celine/system/alerts/+"));
    assert!(!may("celine/system/alerts/critical"));
}

#[test]
fn in_an_intersection_a_user_needs_both_a_group_and_a_scope() {
    let rule = json!({"subjects": {}, "topics": ["x"], "actions": "*"});
    let options = RuleOptions { capability_mode: CapabilityMode::Intersection, ..RuleOptions::default() };
    let rules = list(&[&rule], options).unwrap();
    let may = |subject: &Subject| rules.decide(&who(subject), Action::Publish, "x").allowed;
    assert!(!may(&Subject::new(SubjectKind::User, "u", ["editors"], [])));
    assert!(!may(&Subject::new(SubjectKind::User, "u", [], ["mqtt.write"])));
    assert!(may(&Subject::new(SubjectKind::User, "u", ["editors"], ["mqtt.write"])));
    assert!(may(&Subject::new(SubjectKind::Service, "s", [], ["mqtt.write"])));
}

#[test]
fn a_star_is_everything_and_also_what_begins_with_a_dollar() {
    let rule = json!({"subjects": {"types": "*", "ids": "*"}, "topics": "*", "actions": "*"});
    let rules = list(&[&rule], RuleOptions::default()).unwrap();
    let admin = Subject::new(SubjectKind::User, "u", ["admins"], []);
    assert!(rules.decide(&who(&admin), Action::Subscribe, "$SYS/#").allowed);
}

#[test]
fn an_absent_table_is_the_documented_one_and_an_empty_table_grants_nothing() {
    let rules = r#"{"celine": {"roles": {"group_permissions": {}, "scope_permissions": {}},
        "mqtt": {"acl": {"rules": [{"subjects": {}, "topics": "*", "actions": "*"}]}}}}"#;
    let admin = Subject::new(SubjectKind::User, "u", ["admins"], ["mqtt.admin"]);
    let rules = of_text(rules).unwrap();
    assert_eq!(rules.decide(&who(&admin), Action::Read, "x").reason, Reason::MissingCapability(Action::Read));
    assert!(!rules.is_superuser(&who(&admin)));
    assert!(rules.warnings().is_empty(), "{:?}", rules.warnings());

    let absent = of_text("{}").unwrap();
    assert!(absent.is_superuser(&who(&admin)));
    assert_eq!(absent.warnings().len(), 2);
}

#[test]
fn what_is_wrong_is_told_by_line_and_column() {
    let rule = |rule: &str| {
        of_text(&format!("{{\"celine\": {{\"mqtt\": {{\"acl\": {{\"rules\": [\n  {rule}\n]}}}}}}}}"))
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    for (text, error) in [
        (
            r#"{"subjects": {}, "topics": ["a/#/b"], "actions": "*"}"#,
            "rules.json:2:37: `celine.mqtt.acl.rules[0].topics[0]`: `a/#/b` is no valid topic filter: `+` must be a whole \
             level and `#` the whole last one",
        ),
        (
            r#"{"subjects": {}, "topics": "x", "actions": "*"}"#,
            "rules.json:2:32: `celine.mqtt.acl.rules[0].topics`: invalid value: string \"x\", expected a list, or \"*\" for \
             all",
        ),
        (
            r#"{"subjects": {"group": []}, "topics": "*", "actions": "*"}"#,
            "rules.json:2:23: `celine.mqtt.acl.rules[0].subjects.group`: unknown field `group`, expected one of `types`, \
             `ids`, `groups`, `scopes`",
        ),
        (
            r#"{"subjects": {}, "topics": "*", "actions": ["write"]}"#,
            "rules.json:2:53: `celine.mqtt.acl.rules[0].actions[0]`: unknown variant `write`, expected one of `subscribe`, \
             `read`, `publish`, `superuser`",
        ),
        (
            r#"{"effect": "permit"}"#,
            "rules.json:2:21: `celine.mqtt.acl.rules[0].effect`: unknown variant `permit`, expected `allow` or `deny`",
        ),
        (
            r#"{"effect": "deny", "effect": "allow"}"#,
            "rules.json:2:29: `celine.mqtt.acl.rules[0]`: duplicate field `effect`",
        ),
    ] {
        assert_eq!(rule(text), error, "{text}");
    }
    assert!(rule(r#"{"subjects": null, "topics": "*", "actions": "*"}"#).contains("subjects"));
    assert!(rule(r#"{"topics": "#).starts_with("rules.json:3:"));
    assert!(of_text("[]").unwrap_err().to_string().starts_with("rules.json:1:"));
    assert!(of_text("{} x").unwrap_err().to_string().starts_with("rules.json:1:4"));
    let twice = r#"{"celine": {"roles": {"group_permissions": {"a": [], "a": ["read"]}}}}"#;
    assert!(of_text(twice).unwrap_err().to_string().contains("stands here twice"));
}

#[test]
fn files_are_merged_and_must_not_contradict_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "b.json",
        r#"{"celine": {"mqtt": {"acl": {"rules": [{"subjects": {}, "topics": "*", "actions": "*"}]}}}}"#,
    );
    write("deep/er/a.JSON", r#"{"celine": {"roles": {"group_permissions": {"g": ["read"]}}}}"#);
    write("c.json", r#"{"celine": {"roles": {"group_permissions": {"h": "*"}}}, "datasets": {"x": 1}}"#);
    write("notes.txt", "no JSON");
    let load = || RuleList::load(directory.path(), RuleOptions::default());
    let rules = load().unwrap();
    let subject = Subject::new(SubjectKind::User, "u", ["g"], []);
    assert!(rules.decide(&who(&subject), Action::Read, "x").allowed);
    assert!(rules.is_superuser(&who(&Subject::new(SubjectKind::User, "u", ["h"], []))));

    write("d.json", r#"{"celine": {"roles": {"group_permissions": {"g": ["read", "publish"]}}}}"#);
    assert!(load().unwrap_err().what.contains("celine.roles.group_permissions.g"));
    write("d.json", r#"{"celine": {"mqtt": {"acl": {"rules": []}}}}"#);
    assert!(load().unwrap_err().what.contains("celine.mqtt.acl.rules"));
    write("d.json", "{");
    assert!(load().unwrap_err().file.ends_with("d.json"));
}

#[test]
fn rules_that_say_too_little_are_warned_about() {
    let rules = of_text(
        r#"{"celine": {"roles": {"group_permission": {}, "group_permissions": {}, "scope_permissions": {}},
            "mqtt": {"acl": {"rules": [
            {"topics": "*", "actions": "*"},
            {"subjects": {"groups": ["*"]}, "topics": ["*", "a/${user}"], "actions": "*"},
            {"topics": ["x"], "actions": ["read"], "effect": "deny"}]}}}}"#,
    )
    .unwrap();
    let warnings = rules.warnings().join("\n");
    for part in [
        "rule 1 says no `subjects`",
        "rule 2: `*`",
        "rule 2: the topic `*`",
        "`${user}`",
        "group_permission`",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert_eq!(rules.count(), 2);
}
