//! Expectations of a rule file, in YAML: what is to be allowed and what denied (`trunkline policy test`).
//!
//! ```yaml
//! rules: celine.json            # beside this file; a flag may name others
//! subjects:
//!   dashboard: {type: service, id: svc-dash, scopes: [mqtt.read]}
//! cases:
//!   - {subject: dashboard, action: subscribe, topic: "celine/digital-twin/#", expect: allow}
//!   - {subject: dashboard, action: publish, topic: "celine/digital-twin/x", expect: deny}
//! ```

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use crate::{Action, PolicySource, Reason, Subject, SubjectKind, Who, engine::Engine, rules::Fault};

/// A file of expectations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The rules, relative to the file.
    #[serde(default)]
    pub rules: Option<PathBuf>,
    /// Policies in Rego, relative to the file; the rules are their data.
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// The package of those policies, if it is another than usual.
    #[serde(default)]
    pub package: Option<String>,
    #[serde(default)]
    subjects: BTreeMap<String, Described>,
    cases: Vec<Case>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    #[serde(rename = "type")]
    kind: SubjectKind,
    id: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    name: Option<String>,
    subject: Whom,
    action: Action,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    clientid: String,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Whom {
    Named(String),
    Described(Described),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its name, or what it asks.
    pub name: String,
    /// Whether it came out as expected.
    pub holds: bool,
    /// What was decided and why.
    pub decided: String,
}

/// One decision with the rule behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, and by which rule.
    pub why: String,
}

/// A policy that is asked without a service around it.
#[derive(Debug)]
pub struct Trial(Engine);

impl Trial {
    /// Reads the policy.
    pub fn load(source: &PolicySource) -> Result<Self, Fault> {
        source.load().map(Self)
    }

    /// What in the files is hardly meant as it is written.
    pub fn warnings(&self) -> &[String] {
        self.0.warnings()
    }

    /// What is decided about `who`, and why.
    pub fn explain(&self, who: &Who<'_>, action: Action, topic: &str) -> Explained {
        if action == Action::Superuser {
            let allowed = self.0.is_superuser(who);
            let why = match (&self.0, allowed) {
                (Engine::Rego(_), true) => "the policy says so",
                (Engine::Rego(_), false) => "the policy does not say so",
                (_, true) => "a group or scope is superuser",
                (_, false) => "no group or scope is superuser",
            };
            return Explained { allowed, why: why.to_owned() };
        }
        let decision = self.0.decide(who, action, topic);
        let why = match decision.reason {
            Reason::AllowedBy(rule) => format!("allowed by rule {rule}"),
            other => other.to_string(),
        };
        Explained { allowed: decision.allowed, why }
    }
}

impl Cases {
    /// Reads the file; the error says where it is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        yaml_serde::from_str(text).map_err(|error| error.to_string())
    }

    /// Tries each case.
    pub fn run(&self, trial: &Trial) -> Result<Vec<Verdict>, String> {
        self.cases.iter().map(|case| self.verdict(case, trial)).collect()
    }

    fn verdict(&self, case: &Case, trial: &Trial) -> Result<Verdict, String> {
        let (label, described) = match &case.subject {
            Whom::Described(described) => (described.id.clone(), described),
            Whom::Named(name) => {
                let found = self.subjects.get(name).ok_or_else(|| {
                    format!("a case is about `{name}`, which is not among the subjects of the file")
                })?;
                (name.clone(), found)
            }
        };
        let Described { kind, id, groups, scopes } = described;
        let (groups, scopes) = (groups.iter().map(String::as_str), scopes.iter().map(String::as_str));
        let subject = Subject::new(*kind, id.clone(), groups, scopes);
        let username = Some(case.username.as_str()).filter(|name| !name.is_empty());
        let who = Who { subject: &subject, username, clientid: &case.clientid };
        let Explained { allowed, why } = trial.explain(&who, case.action, &case.topic);
        let name = case
            .name
            .clone()
            .unwrap_or_else(|| format!("{label} {} {}", case.action, case.topic).trim().to_owned());
        let decided = format!("{}: {why}", if allowed { "allow" } else { "deny" });
        Ok(Verdict { name, holds: allowed == (case.expect == Expected::Allow), decided })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleOptions;

    #[test]
    fn cases_hold_or_say_what_was_decided_instead() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("r.json");
        std::fs::write(
            &file,
            r#"{"celine": {"mqtt": {"acl": {"rules": [{"subjects": {}, "topics": ["a/#"], "actions": "*"}]}}}}"#,
        )
        .unwrap();
        let trial = Trial::load(&PolicySource::Rules(Some(file), RuleOptions::default())).unwrap();
        let cases = Cases::read(
            "subjects:\n  dash: {type: service, id: s, scopes: [mqtt.read]}\ncases:\n\
             - {subject: dash, action: read, topic: a/b, expect: allow}\n\
             - {name: no writing, subject: dash, action: publish, topic: a/b, expect: allow}\n\
             - {subject: {type: user, id: u, groups: [admins]}, action: superuser, expect: allow}\n",
        )
        .unwrap();
        let verdicts = cases.run(&trial).unwrap();
        let told: Vec<_> = verdicts.iter().map(|v| (v.name.as_str(), v.holds, v.decided.as_str())).collect();
        assert_eq!(
            told,
            [
                ("dash read a/b", true, "allow: allowed by rule 1"),
                ("no writing", false, "deny: missing capability publish"),
                ("u superuser", true, "allow: a group or scope is superuser"),
            ]
        );
        assert!(
            Cases::read("cases:\n- {subject: x, action: fly, expect: allow}").unwrap_err().contains("fly")
        );
        let unknown = Cases::read("cases:\n- {subject: x, action: read, topic: a, expect: allow}").unwrap();
        assert!(unknown.run(&trial).unwrap_err().contains("`x`"));
    }
}
