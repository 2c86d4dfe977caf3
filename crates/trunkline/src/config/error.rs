//! What is wrong with a configuration: every problem at once, each with its place and what to do.

use std::fmt;

use super::source::Source;

/// All that is wrong, one problem per line.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The settings are fine if there are no problems.
    pub(super) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// A file that was named cannot be read.
    #[error("cannot read {what} `{path}`: {cause}; give the path of a file that exists and can be read")]
    Unreadable { what: String, path: String, cause: std::io::Error },

    /// The configuration file is no TOML.
    #[error("{path}:{line}: this is not TOML: {reason}")]
    NotToml { path: String, line: usize, reason: String },

    /// A key that does not exist.
    #[error("{place}: unknown setting `{key}`{}", suggestion(nearest.as_deref(), "; `trunkline config example` lists all settings"))]
    UnknownKey { place: Source, key: String, nearest: Option<String> },

    /// A variable of ours that does not exist.
    #[error("environment: unknown variable `{name}`{}", suggestion(nearest.as_deref(), "; unset it, or see `trunkline serve --help` for all names"))]
    UnknownVariable { name: String, nearest: Option<String> },

    /// A variable that is not UTF-8.
    #[error("environment: the value of `{name}` is not UTF-8 text")]
    NotText { name: String },

    /// A section where a value should be, or the other way round.
    #[error("{place}: `{key}` is {found}, expected {expected}")]
    WrongShape { place: Source, key: String, found: &'static str, expected: String },

    /// A value that its type refuses.
    #[error("{place}: `{key}` is `{value}`, expected {expected}")]
    WrongValue { place: Source, key: String, value: String, expected: String },

    /// Settings that do not fit each other.
    #[error("{place}: `{key}` {reason}")]
    Conflict { place: Source, key: &'static str, reason: &'static str },
}

fn suggestion(nearest: Option<&str>, otherwise: &str) -> String {
    nearest.map_or_else(|| otherwise.to_owned(), |nearest| format!("; did you mean `{nearest}`?"))
}
