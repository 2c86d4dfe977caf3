//! The environment: three generations of names for one setting (reference 07 §1).
//!
//! `TRUNKLINE_X` is ours and strict: an unknown one is an error. `MG_X`, `SMQ_X` and older names are understood where we
//! have the setting; the others may belong to programs that run beside us and are only noted.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::error::Problem;
use super::resolve::Given;
use super::setting::Setting;
use super::source::Source;

/// Variables of ours that are no settings of the server: they belong to the command line.
pub(crate) const OTHER_VARIABLES: &[&str] = &[
    "TRUNKLINE_CONFIG",
    "TRUNKLINE_URL",
    "TRUNKLINE_USERNAME",
    "TRUNKLINE_PASSWORD",
    "TRUNKLINE_TOKEN",
    "TRUNKLINE_DOMAIN",
];

/// The variables of the process. An empty value counts as not set.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// With what the original policy service read besides (reference 08 §9): its names in any case, and those that its
    /// `.env` file says where the process does not. Other names of that file are somebody else's.
    pub(crate) fn with_celine(self, dotenv: &str) -> Self {
        let proper = |name: &str| {
            let upper = name.to_ascii_uppercase();
            upper.starts_with("CELINE_").then_some(upper)
        };
        let said = dotenv.lines().filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            let name = name.trim().trim_start_matches("export ").trim();
            let value = value.trim();
            let quoted = |quote| value.strip_prefix(quote)?.split_once(quote).map(|(inner, _)| inner);
            // Without quotes a comment may follow.
            let bare = value.split_once(" #").map_or(value, |(before, _)| before.trim_end());
            let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(bare);
            (!value.is_empty()).then(|| Some((proper(name)?, OsString::from(value))))?
        });
        let mut all: BTreeMap<String, OsString> = said.collect();
        all.extend(self.0.into_iter().map(|(name, value)| (proper(&name).unwrap_or(name), value)));
        Self(all)
    }

    /// The text of one variable.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(|value| value.to_str()).map(str::to_owned)
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        Self(variables.into_iter().filter(|(_, value)| !value.is_empty()).filter_map(named).collect())
    }
}

/// What the environment gives, and what is to be said about it.
#[derive(Debug, Default)]
pub(super) struct EnvironmentLayer {
    given: BTreeMap<&'static str, Given>,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl EnvironmentLayer {
    /// What it says about a setting.
    pub(super) fn get(&self, setting: &Setting) -> Option<&Given> {
        self.given.get(setting.key)
    }

    /// Reads all names of all settings; what is wrong goes to `problems`.
    pub(super) fn read(
        environment: &Environment,
        table: &[&'static Setting],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut layer = Self::default();
        let mut known: BTreeSet<String> = OTHER_VARIABLES.iter().map(|&name| name.to_owned()).collect();
        for setting in table {
            let mut found: Vec<Given> = Vec::new();
            for name in setting.variables() {
                let file_name = format!("{name}_FILE");
                match environment.0.get(&name).map(|value| value.to_str()) {
                    Some(Some(value)) => found.push(Given::value(value, Source::Environment(name.clone()))),
                    Some(None) => problems.push(Problem::NotText { name: name.clone() }),
                    None => {}
                }
                if setting.secret
                    && let Some(path) = environment.text(&file_name)
                {
                    found.push(Given::in_file(&path, Source::Environment(file_name.clone())));
                }
                known.extend([name, file_name]);
            }
            layer.take(setting, found);
        }
        layer.look_at_others(environment, &known, problems);
        layer
    }

    /// The first one counts; one warning if a later one says something else.
    fn take(&mut self, setting: &'static Setting, found: Vec<Given>) {
        let mut found = found.into_iter();
        let Some(first) = found.next() else { return };
        if let Some(other) = found.find(|other| other.text != first.text || other.is_path != first.is_path) {
            self.warnings.push(format!(
                "{} and {} have different values for `{}`; the first one is used",
                first.source, other.source, setting.key
            ));
        }
        self.given.insert(setting.key, first);
    }

    fn look_at_others(
        &mut self,
        environment: &Environment,
        known: &BTreeSet<String>,
        problems: &mut Vec<Problem>,
    ) {
        for name in environment.0.keys().filter(|name| !known.contains(*name)) {
            if let Some(wrong) = name.strip_prefix("TRUNKLINE_") {
                let ours = known.iter().filter_map(|name| name.strip_prefix("TRUNKLINE_"));
                let nearest = kernel::nearest(wrong, ours).map(|name| format!("TRUNKLINE_{name}"));
                problems.push(Problem::UnknownVariable { name: name.clone(), nearest });
            } else if name.starts_with("MG_") || name.starts_with("SMQ_") {
                if name.ends_with("_DB_HOST") {
                    self.warnings.push(format!(
                        "environment {name} is not used: one database holds everything, name it with `database_url`"
                    ));
                }
                self.notes.push(format!("environment {name} is not a setting of this program"));
            }
        }
    }
}
