//! Policies in Rego, for those who have them (reference 08 §9, §13).
//!
//! A policy is a package with a rule `allow`, and maybe `reason` and `superuser`. It is asked about one action at a time; the
//! rule files are its `data`. No decision of it is remembered: it may look at the time and at all of a client.
//!
//! The program is prepared when the files are read. To decide, it is copied, so that nobody waits for another; the copy shares
//! all but its input.

mod bounded;

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use regorus::{Engine as Program, Value, utils::limits::ExecutionTimerConfig};
use serde_json::json;

use crate::{
    Action, Asked, Decision, Pattern, Reason, Subject, SubjectKind, Who,
    rules::{Fault, read_all, read_json},
};

/// How long a decision may take.
const LIMIT: Duration = Duration::from_millis(50);
/// After how many steps the clock is looked at: what is made doubles with a step at the most.
const STEPS: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);
/// The most of a reason that is told, in characters.
const MAX_REASON: usize = 256;

/// Where the policies are and what they are called.
#[derive(Debug, Clone)]
pub struct RegoOptions {
    /// A file, or a directory whose `*.rego` files are read.
    pub policies: PathBuf,
    /// A JSON file, or a directory of them: what the policies find as `data`. None: nothing.
    pub data: Option<PathBuf>,
    /// The package with the rules that are asked.
    pub package: String,
    /// Groups that are superusers whatever the policy says.
    pub superuser_groups: Vec<String>,
    /// Scopes that are superusers whatever the policy says.
    pub superuser_scopes: Vec<String>,
}

/// Policies that are ready to decide.
#[derive(Debug)]
pub(crate) struct Rego {
    program: Program,
    allow: String,
    reason: Option<String>,
    superuser: Option<String>,
    count: usize,
    options: RegoOptions,
}

impl Rego {
    /// Reads the files; the error says where they are wrong.
    pub(crate) fn load(options: RegoOptions) -> Result<Self, Fault> {
        let files = read_all(&options.policies, "rego")?;
        let nowhere = |what: String| fault(&options.policies, what);
        if files.is_empty() {
            return Err(nowhere("there is no file `*.rego` here".to_owned()));
        }
        let mut program = Program::new();
        program.set_execution_timer_config(ExecutionTimerConfig { limit: LIMIT, check_interval: STEPS });
        add_topics(&mut program).map_err(|error| nowhere(error.to_string()))?;
        bounded::add(&mut program).map_err(nowhere)?;
        let count = files.len();
        for (file, text) in files {
            let read = program.add_policy(file.clone(), text);
            read.map_err(|error| located(Path::new(&file), &error.to_string()))?;
        }
        for (file, text) in
            options.data.as_deref().map(|path| read_all(path, "json")).transpose()?.into_iter().flatten()
        {
            let data: serde_json::Map<String, serde_json::Value> = read_json(&file, &text)?;
            let added = program.add_data(Value::from(serde_json::Value::Object(data)));
            added.map_err(|error| located(Path::new(&file), &error.to_string()))?;
        }
        let rule = |name: &str| format!("data.{}.{name}", options.package);
        let allow = rule("allow");
        program.compile_with_entrypoint(&allow.as_str().into()).map_err(|error| {
            let text = error.to_string();
            if text.contains("not a valid rule path") {
                nowhere(format!("there is no rule `{allow}`; write it, or set `policy.package`"))
            } else {
                located(&options.policies, &text)
            }
        })?;
        let mut known = |name: &str| {
            let rule = rule(name);
            program.compile_with_entrypoint(&rule.as_str().into()).is_ok().then_some(rule)
        };
        let (reason, superuser) = (known("reason"), known("superuser"));
        Ok(Self { program, allow, reason, superuser, count, options })
    }

    /// How many files it is made of.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn decide(&self, who: &Who<'_>, action: Action, topic: &str) -> Decision {
        match Asked::read(action, topic) {
            Some(asked) => self.judge(who, action, asked.text()),
            None => Decision::denied(Reason::InvalidTopic),
        }
    }

    /// Whether `who` may read all that a filter can match.
    pub(crate) fn decide_delivery(&self, who: &Who<'_>, filter: &str) -> Decision {
        match Asked::read(Action::Subscribe, filter) {
            Some(asked) => self.judge(who, Action::Read, asked.text()),
            None => Decision::denied(Reason::InvalidTopic),
        }
    }

    fn judge(&self, who: &Who<'_>, action: Action, topic: &str) -> Decision {
        let (mut program, allowed) = match self.evaluated(&self.allow, who, action, topic) {
            Ok((program, answer)) => (program, answer == Value::from(true)),
            Err(fault) => return Decision::denied(Reason::Unable(fault.to_string().into())),
        };
        let told = self.reason.as_ref().and_then(|rule| program.eval_rule(rule.clone()).ok());
        let reason = match told.as_ref().and_then(|told| told.as_string().ok()) {
            Some(told) => Reason::Told(told.chars().take(MAX_REASON).collect()),
            None => Reason::Said(if allowed { "authorized" } else { "not allowed by the policy" }),
        };
        Decision { allowed, reason }
    }

    /// What a rule says, and the program that has said it. One that takes too long is asked once more: the time is that of the
    /// wall, and this thread may have had none of it.
    fn evaluated(
        &self,
        rule: &str,
        who: &Who<'_>,
        action: Action,
        topic: &str,
    ) -> Result<(Program, Value), Fault> {
        let nowhere = |what: &str| fault(&self.options.policies, what.to_owned());
        let input =
            input(who, action, topic).ok_or_else(|| nowhere("a claim of the token cannot be read"))?;
        let mut tried = 0;
        loop {
            let mut program = self.program.clone();
            program.set_input(input.clone());
            match program.eval_rule(rule.to_owned()) {
                Ok(answer) => return Ok((program, answer)),
                Err(error) if tried == 0 && is_late(&error.to_string()) => tried += 1,
                Err(error) => return Err(located(&self.options.policies, &error.to_string())),
            }
        }
    }

    /// Whether the broker need not ask about `who`. What cannot be decided is no.
    pub(crate) fn is_superuser(&self, who: &Who<'_>) -> bool {
        let named = |names: &[String], own: &[String]| names.iter().any(|name| own.contains(name));
        let RegoOptions { superuser_groups, superuser_scopes, .. } = &self.options;
        if named(superuser_groups, &who.subject.groups) || named(superuser_scopes, &who.subject.scopes) {
            return true;
        }
        let Some(rule) = &self.superuser else { return false };
        match self.evaluated(rule, who, Action::Superuser, "") {
            Ok((_, answer)) => answer == Value::from(true),
            Err(why) => {
                tracing::warn!("policy: nobody can say who is a superuser: {why}");
                false
            }
        }
    }
}

/// What the policy finds as `input`; none where a claim is not what it seems.
fn input(who: &Who<'_>, action: Action, topic: &str) -> Option<Value> {
    let input = json!({
        "subject": who.subject,
        "resource": {
            "type": "topic",
            "id": topic,
            "attributes": {"clientid": who.clientid, "username": who.username},
        },
        "action": {"name": action.as_str(), "context": {}},
        "environment": {},
    });
    bounded::is_plain(&input).then(|| Value::from(input))
}

/// `mqtt.covers(pattern, topic)` and `mqtt.overlaps(pattern, topic)`: to compare filters as text lets clients have more than
/// they should.
fn add_topics(program: &mut Program) -> Result<(), impl std::fmt::Display + use<>> {
    fn compared(arguments: &[Value], compare: fn(&Pattern, &str, &Who<'_>) -> bool) -> Value {
        let [pattern, topic] = arguments else { return Value::Undefined };
        let (Ok(pattern), Ok(topic)) = (pattern.as_string(), topic.as_string()) else {
            return Value::Undefined;
        };
        let Ok(pattern) = Pattern::parse(pattern) else { return Value::Undefined };
        // Identities stand in a pattern of Rego as text.
        let nobody = Subject::new(SubjectKind::Anonymous, "", [], []);
        Value::from(compare(&pattern, topic, &Who { subject: &nobody, username: None, clientid: "" }))
    }
    let covers = |arguments: Vec<Value>| Ok(compared(&arguments, Pattern::covers));
    let overlaps = |arguments: Vec<Value>| Ok(compared(&arguments, Pattern::overlaps));
    program.add_extension("mqtt.covers".to_owned(), 2, Box::new(covers))?;
    program.add_extension("mqtt.overlaps".to_owned(), 2, Box::new(overlaps))
}

fn is_late(error: &str) -> bool {
    error.contains("time limit")
}

fn fault(path: &Path, what: String) -> Fault {
    Fault { file: path.display().to_string(), line: 0, column: 0, what }
}

/// What the interpreter says (`--> file:line:column`, the line itself, `error: …`) in our words.
fn located(path: &Path, text: &str) -> Fault {
    let told = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let place = text.lines().find_map(|line| line.strip_prefix("--> ")).and_then(|place| {
        let mut parts = place.rsplitn(3, ':');
        let (column, line) = (parts.next()?.trim().parse().ok()?, parts.next()?.parse().ok()?);
        Some((parts.next()?.to_owned(), line, column))
    });
    match (told, place) {
        (Some(what), Some((file, line, column))) => Fault { file, line, column, what: what.to_owned() },
        _ if is_late(text) => fault(path, format!("the policy took longer than {} ms", LIMIT.as_millis())),
        _ => fault(path, text.split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

#[cfg(test)]
mod tests;
