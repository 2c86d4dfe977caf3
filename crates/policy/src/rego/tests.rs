//! Rego through its own eyes: what it is asked, what it answers, and what is wrong with it.

use std::fs;

use super::*;

const POLICY: &str = r#"package celine.mqtt.acl

default allow := false

allow if {
    some rule in data.celine.topics
    rule.scope in input.subject.scopes
    input.action.name in rule.actions
    mqtt.covers(rule.topic, input.resource.id)
}

allow if {
    input.action.name == "publish"
    input.resource.id == sprintf("own/%s/%s", [input.subject.id, input.resource.attributes.clientid])
}

reason := "by scope" if allow

superuser if "root" in input.subject.groups
"#;

const DATA: &str =
    r#"{"celine": {"topics": [{"scope": "mqtt.read", "actions": ["subscribe", "read"], "topic": "a/+"}]}}"#;

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new(policy: &str) -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        world.write("acl.rego", policy);
        world.write("data.json", DATA);
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn options(&self) -> RegoOptions {
        RegoOptions {
            policies: self.directory.path().to_owned(),
            data: Some(self.directory.path().to_owned()),
            package: "celine.mqtt.acl".to_owned(),
            superuser_groups: vec!["ops".to_owned()],
            superuser_scopes: Vec::new(),
        }
    }

    fn load(&self) -> Result<Rego, Fault> {
        Rego::load(self.options())
    }
}

fn ask(rego: &Rego, scopes: &[&str], action: Action, topic: &str) -> Decision {
    let subject = Subject::new(SubjectKind::Service, "svc", [], scopes.iter().copied());
    rego.decide(&Who { subject: &subject, username: None, clientid: "c1" }, action, topic)
}

#[test]
fn a_policy_decides_by_subject_topic_action_and_data() {
    use Action::{Publish, Read, Subscribe};
    let rego = World::new(POLICY).load().unwrap();
    for (scopes, action, topic, allowed) in [
        (&["mqtt.read"][..], Subscribe, "a/+", true),
        (&["mqtt.read"], Subscribe, "a/#", false),
        (&["mqtt.read"], Subscribe, "$share/g/a/b", true),
        (&["mqtt.read"], Read, "a/b", true),
        (&["mqtt.read"], Publish, "a/b", false),
        (&[], Read, "a/b", false),
        (&[], Publish, "own/svc/c1", true),
        (&[], Publish, "own/svc/c2", false),
    ] {
        let decision = ask(&rego, scopes, action, topic);
        assert_eq!(decision.allowed, allowed, "{action} {topic}: {}", decision.reason);
    }
    assert_eq!(ask(&rego, &["mqtt.read"], Read, "a/b").reason.to_string(), "by scope");
    assert_eq!(ask(&rego, &[], Read, "a/b").reason.to_string(), "not allowed by the policy");
    // What no topic can be is not asked at all.
    assert_eq!(ask(&rego, &["mqtt.read"], Read, "a/+").reason, Reason::InvalidTopic);
}

#[test]
fn superusers_are_those_of_the_policy_and_of_the_settings() {
    let rego = World::new(POLICY).load().unwrap();
    for (group, expected) in [("root", true), ("ops", true), ("admins", false)] {
        let subject = Subject::new(SubjectKind::User, "u", [group], []);
        let who = Who { subject: &subject, username: None, clientid: "" };
        assert_eq!(rego.is_superuser(&who), expected, "{group}");
    }
}

#[test]
fn what_is_wrong_is_told_by_file_line_and_column() {
    for (policy, line, words) in [
        ("package celine.mqtt.acl\n\nallow if {\n  input.x ==\n}\n", 5, ""),
        ("package celine.mqtt.acl\n\nallow if unknown\n", 3, "unknown"),
        ("package other\n\nallow := true\n", 0, "data.celine.mqtt.acl.allow"),
        ("", 1, "package"),
    ] {
        let fault = World::new(policy).load().unwrap_err();
        assert!(fault.line == line && fault.what.contains(words), "{policy}: {fault}");
        assert!(line == 0 || (fault.file.ends_with("acl.rego") && fault.column > 0), "{fault}");
    }
    let world = World::new(POLICY);
    world.write("data.json", "{\n  \"celine\": [}");
    assert_eq!(world.load().unwrap_err().line, 2);
    world.write("data.json", DATA);
    world.write("second.json", r#"{"celine": {"topics": []}}"#);
    assert!(world.load().unwrap_err().file.ends_with("second.json"));
    fs::remove_file(world.directory.path().join("acl.rego")).unwrap();
    assert!(world.load().unwrap_err().what.contains("*.rego"));
}

#[test]
fn what_takes_too_long_or_fails_grants_nothing_and_says_so() {
    for (policy, words) in [
        (
            "package celine.mqtt.acl\nallow if {\n  some x in numbers.range(1, 3000)\n  \
             some y in numbers.range(1, 3000)\n  x * y < 0\n}\nallow if true\n",
            "took longer than 50 ms",
        ),
        ("package celine.mqtt.acl\nallow if nothing(1)\n", "nothing"),
        ("package celine.mqtt.acl\nallow if to_number(input.resource.id) > 0\n", "acl.rego:2"),
    ] {
        let decision = ask(&World::new(policy).load().unwrap(), &[], Action::Read, "a/b");
        assert!(!decision.allowed, "{policy}");
        let Reason::Unable(why) = decision.reason else { panic!("{policy}: {}", decision.reason) };
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn only_true_is_a_yes() {
    for answer in ["\"true\"", "1", "[true]", "{\"a\": true}", "false", "null"] {
        let policy = format!("package celine.mqtt.acl\nallow := {answer}\n");
        let decision = ask(&World::new(&policy).load().unwrap(), &[], Action::Read, "a/b");
        assert!(!decision.allowed, "{answer}");
    }
}

#[test]
fn what_would_make_too_much_is_refused_before_it_is_made() {
    let long = "a".repeat(60_000);
    for call in [
        r#"replace(input.resource.id, "a", input.resource.id)"#,
        r#"strings.replace_n({"a": input.resource.id}, input.resource.id)"#,
        r#"regex.replace(input.resource.id, "a", input.resource.id)"#,
        r#"concat(input.resource.id, split("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""))"#,
        "numbers.range(1, 1000000000)",
        "numbers.range(1000000000, 1)",
        "numbers.range_step(1, 1000000000, 2)",
        "array.concat(numbers.range(1, 11000), numbers.range(1, 11000))",
        r#"sprintf("%0999999999d", [1])"#,
        r#"sprintf("%.999999999f", [1.5])"#,
        "bits.lsh(1, 4000000000)",
        r#"net.cidr_expand("0.0.0.0/0")"#,
        r#"net.cidr_expand("::/0")"#,
        r#"units.parse("1e2000000000K")"#,
        r#"units.parse_bytes("1E+2000000000")"#,
        r#"json.unmarshal("{\"$serde_json::private::Number\":\"1e2000000000\"}")"#,
        r#"json.unmarshal("{\"\\u0024serde_json::private::Number\":\"1e2000000000\"}")"#,
    ] {
        let policy = format!("package celine.mqtt.acl\nallow if {{\n  {call}\n}}\n");
        let decision = ask(&World::new(&policy).load().unwrap(), &[], Action::Read, &long);
        let Reason::Unable(why) = &decision.reason else { panic!("{call}: {}", decision.reason) };
        assert!(!decision.allowed && why.contains("acl.rego:3"), "{call}: {why}");
    }
}

#[test]
fn builtins_with_a_bound_say_what_they_say_without_one() {
    for holds in [
        r#"numbers.range(1, 3) == [1, 2, 3]"#,
        "numbers.range_step(0, 10, 5) == [0, 5, 10]",
        "array.concat([1], [2]) == [1, 2]",
        r#"concat("/", ["a", "b"]) == "a/b""#,
        r#"concat(",", {"b", "a"}) == "a,b""#,
        r#"replace("a/b", "/", ".") == "a.b""#,
        r#"strings.replace_n({"<": "&lt;", ">": "&gt;"}, "<b>") == "&lt;b&gt;""#,
        r#"regex.replace("a/b", "/.*", "") == "a""#,
        r#"sprintf("own/%s/%03d", ["x", 7]) == "own/x/007""#,
        "bits.lsh(1, 8) == 256",
        r#"count(net.cidr_expand("10.0.0.0/30")) == 4"#,
        r#"units.parse("10K") == 10000"#,
        r#"units.parse_bytes("1KiB") == 1024"#,
        r#"json.unmarshal("{\"a\": 1}").a == 1"#,
        r#"json.is_valid("{}")"#,
        r#"not json.is_valid("{")"#,
        r#"not regex.replace("a", "(", "") == "a""#,
    ] {
        let policy = format!("package celine.mqtt.acl\nallow if {{\n  {holds}\n}}\n");
        let decision = ask(&World::new(&policy).load().unwrap(), &[], Action::Read, "a/b");
        assert!(decision.allowed, "{holds}: {}", decision.reason);
    }
}

#[test]
fn a_claim_that_stands_for_an_endless_number_is_not_handed_over() {
    let rego = World::new("package celine.mqtt.acl\nallow := true\n").load().unwrap();
    let mut subject = Subject::new(SubjectKind::User, "u", [], []);
    let ask =
        |subject: &Subject| rego.decide(&Who { subject, username: None, clientid: "" }, Action::Read, "a");
    assert!(ask(&subject).allowed);
    subject.claims.insert("a".to_owned(), json!({"$serde_json::private::Number": "1e2000000000"}));
    assert!(!ask(&subject).allowed);
}
