//! The rule list: who may do what on which topics, in the words of the rule file (reference 08 §6).
//!
//! An action is granted if the subject is capable of it (its groups and scopes say so), no rule denies it and one rule
//! allows it. A denial counts whatever the order. Everything is prepared when the files are read, so that a decision
//! allocates nothing.

mod compiled;
mod document;
mod files;
mod rule;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

pub(crate) use compiled::Granted;
pub use document::Fault;
pub(crate) use document::read as read_json;
use document::{Effect, Merged, Roles, Table};
pub(crate) use files::{read as read_all, read_document as read_file};
use rule::Rule;

use crate::{Action, Actions, Asked, Decision, Reason, SubjectKind, Who};

/// How the two tables of capabilities go together (reference 08 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CapabilityMode {
    /// A group or a scope is enough.
    #[default]
    Union,
    /// Of users both a group and a scope are asked; services have scopes alone.
    Intersection,
}

/// What a denial means for a subscription (reference 08 §6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubscribeDeny {
    /// A filter that shares one topic with a denied pattern is denied.
    #[default]
    Overlap,
    /// Only a filter that lies within a denied pattern is denied. Safe only where the broker asks before each delivery.
    Exact,
}

/// What is not in the files.
#[derive(Debug, Clone, Default)]
pub struct RuleOptions {
    /// How groups and scopes go together.
    pub capability_mode: CapabilityMode,
    /// What a denial means for a subscription.
    pub subscribe_deny: SubscribeDeny,
    /// Groups that are superusers beside those of the table.
    pub superuser_groups: Vec<String>,
    /// Scopes that are superusers beside those of the table.
    pub superuser_scopes: Vec<String>,
}

/// The rules of all files, ready to decide.
#[derive(Debug)]
pub struct RuleList {
    denying: Vec<Rule>,
    allowing: Vec<Rule>,
    groups: HashMap<String, Actions>,
    scopes: HashMap<String, Actions>,
    options: RuleOptions,
    personal: bool,
    warnings: Vec<String>,
}

/// The tables of the seed, for files without `roles`.
const GROUPS: [(&str, &[Action]); 4] = [
    ("admins", &[Action::Subscribe, Action::Read, Action::Publish, Action::Superuser]),
    ("managers", &[Action::Subscribe, Action::Read, Action::Publish]),
    ("editors", &[Action::Subscribe, Action::Read, Action::Publish]),
    ("viewers", &[Action::Subscribe, Action::Read]),
];
const SCOPES: [(&str, &[Action]); 3] = [
    ("mqtt.admin", &[Action::Subscribe, Action::Read, Action::Publish, Action::Superuser]),
    ("mqtt.read", &[Action::Subscribe, Action::Read]),
    ("mqtt.write", &[Action::Publish]),
];

impl RuleList {
    /// Reads a file, or all `*.json` files below a directory. A directory without any is a fault: rules that are moved away
    /// must not deny everybody.
    pub fn load(path: &Path, options: RuleOptions) -> Result<Self, Fault> {
        let files = files::read(path, "json")?;
        if files.is_empty() {
            let what = "there is no file `*.json` here".to_owned();
            return Err(Fault { file: path.display().to_string(), line: 0, column: 0, what });
        }
        Self::of_files(&files, options)
    }

    /// Reads texts with the names of their files.
    pub fn of_files(files: &[(String, String)], options: RuleOptions) -> Result<Self, Fault> {
        let mut merged = Merged::default();
        for (file, text) in files {
            merged.add(file, text)?;
        }
        Ok(Self::new(merged, options))
    }

    fn new(merged: Merged, options: RuleOptions) -> Self {
        let Merged { rules, roles, mut warnings } = merged;
        let rules = rules.map(|(rules, _)| rules).unwrap_or_default();
        if rules.is_empty() {
            warnings.push("there are no rules: every topic is denied".to_owned());
        }
        let (groups, scopes) = tables(roles, &mut warnings);
        let (mut denying, mut allowing) = (Vec::new(), Vec::new());
        for (number, text) in (1..).zip(rules) {
            let is_denial = text.effect == Effect::Deny;
            let Some(rule) = Rule::new(number, text, &mut warnings) else { continue };
            if is_denial { denying.push(rule) } else { allowing.push(rule) }
        }
        let personal = denying.iter().chain(&allowing).any(Rule::is_personal);
        Self { denying, allowing, groups, scopes, options, personal, warnings }
    }

    /// What in the files is hardly meant as it is written.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many rules can match.
    pub fn count(&self) -> usize {
        self.denying.len() + self.allowing.len()
    }

    /// Whether decisions depend on the client's id or name at the broker.
    pub const fn is_personal(&self) -> bool {
        self.personal
    }

    /// Whether `who` may do `action` on `topic`.
    pub fn decide(&self, who: &Who<'_>, action: Action, topic: &str) -> Decision {
        match Asked::read(action, topic) {
            Some(asked) => self.judge(who, action, asked),
            None => Decision::denied(Reason::InvalidTopic),
        }
    }

    /// Whether `who` may read everything that a filter can match: for brokers that do not ask before a delivery.
    pub fn decide_delivery(&self, who: &Who<'_>, filter: &str) -> Decision {
        match Asked::read(Action::Subscribe, filter) {
            Some(asked) => self.judge(who, Action::Read, asked),
            None => Decision::denied(Reason::InvalidTopic),
        }
    }

    fn judge(&self, who: &Who<'_>, action: Action, asked: Asked<'_>) -> Decision {
        if !self.is_capable(who, action) {
            return Decision::denied(Reason::MissingCapability(action));
        }
        let exact = self.options.subscribe_deny == SubscribeDeny::Exact;
        if let Some(rule) = self.denying.iter().find(|rule| rule.denies(who, action, asked, exact)) {
            return Decision::denied(Reason::DeniedBy(rule.number));
        }
        match self.allowing.iter().find(|rule| rule.allows(who, action, asked)) {
            Some(rule) => Decision::allowed(Reason::AllowedBy(rule.number)),
            None => Decision::denied(Reason::NoRule),
        }
    }

    /// Whether the broker need not ask about `who` at all. Rules have no say in it.
    pub fn is_superuser(&self, who: &Who<'_>) -> bool {
        let named = |names: &[String], own: &[String]| names.iter().any(|name| own.contains(name));
        let (groups, scopes) = (&who.subject.groups, &who.subject.scopes);
        of_table(&self.groups, groups).and(of_table(&self.scopes, scopes)).contains(Action::Superuser)
            || named(&self.options.superuser_groups, groups)
            || named(&self.options.superuser_scopes, scopes)
    }

    fn is_capable(&self, who: &Who<'_>, action: Action) -> bool {
        let groups = of_table(&self.groups, &who.subject.groups);
        let scopes = of_table(&self.scopes, &who.subject.scopes);
        let both = self.options.capability_mode == CapabilityMode::Intersection
            && who.subject.kind == SubjectKind::User;
        let actions = if both { groups.common(scopes) } else { groups.and(scopes) };
        actions.contains(action)
    }
}

fn of_table(table: &HashMap<String, Actions>, names: &[String]) -> Actions {
    names.iter().filter_map(|name| table.get(name)).fold(Actions::default(), |all, some| all.and(*some))
}

type Capabilities = HashMap<String, Actions>;

fn tables(roles: Option<Roles>, warnings: &mut Vec<String>) -> (Capabilities, Capabilities) {
    let Some(Roles { group_permissions, scope_permissions, .. }) = roles else {
        warnings
            .push("there is no `celine.roles`: the groups and scopes of the documentation count".to_owned());
        let table = |rows: &[(&str, &[Action])]| {
            rows.iter()
                .map(|(name, actions)| ((*name).to_owned(), actions.iter().copied().collect()))
                .collect()
        };
        return (table(&GROUPS), table(&SCOPES));
    };
    let mut table = |table: Option<Table>, name: &str| {
        if table.is_none() {
            warnings.push(format!("`celine.roles` has no `{name}`: nothing is granted by it"));
        }
        let rows: BTreeMap<String, Actions> = table.unwrap_or_default().0;
        rows.into_iter().collect()
    };
    (table(group_permissions, "group_permissions"), table(scope_permissions, "scope_permissions"))
}
