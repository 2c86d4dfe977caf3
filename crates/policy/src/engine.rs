//! The policy in force, whatever language it is written in, and how another takes its place.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    Action, Decision, RuleList, Who,
    convention::Convention,
    rego::{Rego, RegoOptions},
    rules::{Fault, Granted, RuleOptions},
};

/// Where the policy comes from.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// Rules in files, or none.
    Rules(Option<PathBuf>, RuleOptions),
    /// The convention of topics.
    Convention(Convention),
    /// Policies in Rego.
    Rego(RegoOptions),
}

/// A policy, ready to decide.
#[derive(Debug)]
pub(crate) enum Engine {
    Rules(Box<RuleList>),
    Convention(Convention),
    Rego(Box<Rego>),
}

/// The names, lengths and times of files.
pub(crate) type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl PolicySource {
    /// What it is called in records and metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Rules(..) => "celine.mqtt.acl",
            Self::Convention(_) => "celine.mqtt.convention",
            Self::Rego(_) => "rego",
        }
    }

    /// Reads it.
    pub(crate) fn load(&self) -> Result<Engine, Fault> {
        match self {
            Self::Rules(Some(path), options) => RuleList::load(path, options.clone()).map(Engine::of_rules),
            Self::Rules(None, options) => RuleList::of_files(&[], options.clone()).map(Engine::of_rules),
            Self::Convention(convention) => Ok(Engine::Convention(convention.clone())),
            Self::Rego(options) => Rego::load(options.clone()).map(|rego| Engine::Rego(Box::new(rego))),
        }
    }

    /// What changes when one of its files, or the list of the denied, does: their names, lengths and times.
    pub(crate) fn stamp(&self, denied: Option<&Path>) -> Stamp {
        let mut stamp = Vec::new();
        match self {
            Self::Rules(path, _) => path.iter().for_each(|path| note(path, 0, &mut stamp)),
            Self::Convention(_) => {}
            Self::Rego(RegoOptions { policies, data, .. }) => {
                note(policies, 0, &mut stamp);
                data.iter().for_each(|path| note(path, 0, &mut stamp));
            }
        }
        if let Some(path) = denied {
            note(path, 0, &mut stamp);
        }
        stamp.sort();
        stamp
    }
}

/// As deep as rule files are looked for.
const MAX_DEPTH: usize = 16;

fn note(path: &Path, depth: usize, stamp: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let Ok(facts) = fs::metadata(path) else { return };
    if !facts.is_dir() {
        stamp.push((path.to_owned(), facts.len(), facts.modified().ok()));
    } else if depth < MAX_DEPTH {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            note(&entry.path(), depth + 1, stamp);
        }
    }
}

impl Engine {
    fn of_rules(rules: RuleList) -> Self {
        Self::Rules(Box::new(rules))
    }

    pub(crate) fn decide(&self, who: &Who<'_>, action: Action, topic: &str) -> Decision {
        match self {
            Self::Rules(rules) => rules.decide(who, action, topic),
            Self::Convention(convention) => convention.decide(who, action, topic),
            Self::Rego(rego) => rego.decide(who, action, topic),
        }
    }

    pub(crate) fn decide_delivery(&self, who: &Who<'_>, filter: &str) -> Decision {
        match self {
            Self::Rules(rules) => rules.decide_delivery(who, filter),
            // To subscribe and to read are one there.
            Self::Convention(convention) => convention.decide(who, Action::Subscribe, filter),
            Self::Rego(rego) => rego.decide_delivery(who, filter),
        }
    }

    pub(crate) fn is_superuser(&self, who: &Who<'_>) -> bool {
        match self {
            Self::Rules(rules) => rules.is_superuser(who),
            Self::Convention(convention) => convention.is_superuser(who),
            Self::Rego(rego) => rego.is_superuser(who),
        }
    }

    /// What `who` may do without a question; empty where only questions tell.
    pub(crate) fn compiled(&self, who: &Who<'_>) -> Vec<Granted> {
        match self {
            Self::Rules(rules) => rules.compiled(who),
            Self::Convention(_) | Self::Rego(_) => Vec::new(),
        }
    }

    /// Whether decisions depend on more than the subject, the action and the topic.
    pub(crate) const fn is_personal(&self) -> bool {
        match self {
            Self::Rules(rules) => rules.is_personal(),
            Self::Convention(_) => false,
            // It may look at everything, and at the clock.
            Self::Rego(_) => true,
        }
    }

    /// How many rules it has.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Rules(rules) => rules.count(),
            Self::Convention(_) => 1,
            Self::Rego(rego) => rego.count(),
        }
    }

    pub(crate) fn warnings(&self) -> &[String] {
        match self {
            Self::Rules(rules) => rules.warnings(),
            Self::Convention(_) | Self::Rego(_) => &[],
        }
    }
}
