//! One rule, prepared.

use super::document::{Effect, ListOrAll, RuleText, SubjectsText};
use crate::{Action, Actions, Asked, Pattern, Subject, SubjectKind, Who};

/// A rule that can match something.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its place in the file, from 1.
    pub(super) number: usize,
    subjects: Subjects,
    topics: Topics,
    actions: Actions,
}

/// Each filter that is there must hold.
#[derive(Debug, Default)]
struct Subjects {
    types: Option<Vec<SubjectKind>>,
    ids: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    scopes: Option<Vec<Scope>>,
}

#[derive(Debug)]
enum Scope {
    Named(String),
    /// Those that begin so: `x.*` is `x.`.
    Below(String),
}

#[derive(Debug)]
enum Topics {
    /// Also those that begin with `$`.
    All,
    Of(Vec<Pattern>),
}

impl Rule {
    /// Prepares a rule; none, with a warning, if it can match nothing.
    pub(super) fn new(number: usize, text: RuleText, warnings: &mut Vec<String>) -> Option<Self> {
        let RuleText { subjects, topics, actions, effect, .. } = text;
        let mut lacks = |what: &str| {
            warnings.push(format!("rule {number} says no `{what}` and never matches"));
        };
        let subjects = match subjects {
            Some(subjects) => Some(Subjects::new(subjects)),
            // A denial that forgot to say whom is for everybody.
            None if effect == Effect::Deny => Some(Subjects::default()),
            None => {
                lacks("subjects");
                None
            }
        };
        if topics.is_none() {
            lacks("topics");
        }
        if actions.is_none() {
            lacks("actions");
        }
        let (subjects, topics, actions) = (subjects?, topics?, actions?);
        let topics = match topics {
            ListOrAll::All => Topics::All,
            ListOrAll::These(patterns) => Topics::Of(patterns),
        };
        let actions = match actions {
            ListOrAll::All => Actions::EVERY,
            ListOrAll::These(actions) => actions.into_iter().collect(),
        };
        let rule = Self { number, subjects, topics, actions };
        rule.warn(warnings);
        Some(rule)
    }

    fn warn(&self, warnings: &mut Vec<String>) {
        let number = self.number;
        if let Topics::Of(patterns) = &self.topics {
            for odd in patterns.iter().filter_map(Pattern::odd_placeholder) {
                warnings.push(format!(
                    "rule {number}: `{odd}` is no placeholder and stands for itself; there are `${{subject.id}}`, \
                     `${{username}}` and `${{clientid}}`"
                ));
            }
            if patterns.iter().any(|pattern| pattern.to_string() == "*") {
                warnings.push(format!(
                    "rule {number}: the topic `*` in a list is that topic; all are `\"*\"` without a list"
                ));
            }
        }
        let names = [&self.subjects.ids, &self.subjects.groups].into_iter().flatten().flatten();
        if names.into_iter().any(|name| name == "*") {
            warnings
                .push(format!("rule {number}: `*` in a list is that name; all are `\"*\"` without a list"));
        }
    }

    pub(super) fn is_personal(&self) -> bool {
        matches!(&self.topics, Topics::Of(patterns) if patterns.iter().any(Pattern::is_personal))
    }

    pub(super) fn allows(&self, who: &Who<'_>, action: Action, asked: Asked<'_>) -> bool {
        self.actions.contains(action)
            && self.subjects.are(who.subject)
            && self.topics.any(|pattern| pattern.covers(asked.text(), who))
    }

    /// The topics that it allows to `subject`, if they are the same for all of a subject's clients and free of `$`.
    pub(super) fn plain_topics<'a>(&'a self, subject: &Subject) -> impl Iterator<Item = &'a str> {
        let patterns: &[Pattern] = match &self.topics {
            Topics::Of(patterns) if self.subjects.are(subject) => patterns,
            Topics::Of(_) | Topics::All => &[],
        };
        patterns.iter().map(Pattern::as_str).filter(|text| !text.contains('$'))
    }

    pub(super) fn denies(&self, who: &Who<'_>, action: Action, asked: Asked<'_>, exact: bool) -> bool {
        if !self.actions.contains(action) || !self.subjects.are(who.subject) {
            return false;
        }
        self.topics.any(|pattern| match asked {
            Asked::Filter(filter) if !exact => pattern.overlaps(filter, who),
            Asked::Filter(text) | Asked::Name(text) => {
                pattern.covers(text, who) || (pattern.is_unfit_for(who) && pattern.overlaps(text, who))
            }
        })
    }
}

impl Subjects {
    fn new(text: SubjectsText) -> Self {
        Self {
            types: these(text.types).map(|kinds| kinds.into_iter().map(SubjectKind::from).collect()),
            ids: these(text.ids),
            groups: these(text.groups),
            scopes: these(text.scopes).map(|scopes| scopes.into_iter().map(Scope::new).collect()),
        }
    }

    fn are(&self, subject: &Subject) -> bool {
        let has = |named: &Option<Vec<String>>, own: &[String]| {
            named.as_ref().is_none_or(|named| own.iter().any(|name| named.contains(name)))
        };
        self.types.as_ref().is_none_or(|types| types.contains(&subject.kind))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&subject.id))
            && has(&self.groups, &subject.groups)
            && self
                .scopes
                .as_ref()
                .is_none_or(|named| subject.scopes.iter().any(|own| named.iter().any(|scope| scope.is(own))))
    }
}

/// No filter, or what it lists.
fn these<T>(filter: Option<ListOrAll<T>>) -> Option<Vec<T>> {
    match filter {
        None | Some(ListOrAll::All) => None,
        Some(ListOrAll::These(list)) => Some(list),
    }
}

impl Scope {
    fn new(text: String) -> Self {
        match text.strip_suffix('*').filter(|start| start.ends_with('.')) {
            Some(start) => Self::Below(start.to_owned()),
            None => Self::Named(text),
        }
    }

    fn is(&self, own: &str) -> bool {
        match self {
            Self::Named(name) => name == own,
            Self::Below(start) => own.starts_with(start.as_str()),
        }
    }
}

impl Topics {
    fn any(&self, matches: impl Fn(&Pattern) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Of(patterns) => patterns.iter().any(matches),
        }
    }
}
