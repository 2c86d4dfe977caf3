//! The file of bindings: a line of JSON for each, the latest of a client counts.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use kernel::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Binding;
use crate::{
    Subject,
    identity::{Identity, Platform, Principal},
};

/// One binding as it is kept: never what was shown.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) broker: String,
    pub(super) username: String,
    pub(super) clientid: String,
    pub(super) ends_at: Timestamp,
    /// What the issuer calls the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    who: Who,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Who {
    Subject(Subject, Timestamp),
    Member(Value),
}

impl Line {
    /// None for an identity that cannot be brought back.
    pub(super) fn new(broker: &str, username: &str, clientid: &str, binding: &Binding) -> Option<Self> {
        let who = match &binding.identity {
            Identity::Subject(principal) => Who::Subject(principal.subject.clone(), principal.expires_at),
            Identity::Member(member) => Who::Member(member.saved.clone()?),
        };
        let token_id = match &binding.identity {
            Identity::Subject(principal) => principal.token_id.clone(),
            Identity::Member(_) => None,
        };
        let [broker, username, clientid] = [broker, username, clientid].map(str::to_owned);
        Some(Self { broker, username, clientid, ends_at: binding.ends_at, token_id, who })
    }

    pub(super) fn identity(&self, platform: Option<&dyn Platform>) -> Option<Identity> {
        match &self.who {
            Who::Subject(subject, expires_at) => {
                let principal = Principal::new(subject.clone(), *expires_at);
                Some(Identity::Subject(Arc::new(principal.with_token_id(self.token_id.clone()))))
            }
            Who::Member(saved) => platform?.restore(saved).map(|member| Identity::Member(Arc::new(member))),
        }
    }
}

/// The lines of a file; none if it is not there. The last line may be cut by a crash.
pub(super) fn read(path: &Path) -> Result<Vec<Line>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(path, &error)),
    };
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// The file while it is written.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    is_failing: bool,
}

impl Journal {
    /// Begins the file anew with these lines.
    pub(super) fn begin(path: &Path, lines: &[Line]) -> Result<Self> {
        let written = write_anew(path, lines).map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), file: written, lines: lines.len(), is_failing: false })
    }

    /// Adds a line; begins anew with `all` when most lines are old. It is with the system before the broker is answered.
    pub(super) fn add(&mut self, line: &Line, count: usize, all: impl Fn() -> Vec<Line>) {
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        if self.lines > 2 * count + 1000 {
            return self.begin_again(&all());
        }
        self.lines += 1;
        let written = self.file.write_all(&text);
        self.note(written);
    }

    /// Writes the whole file anew.
    pub(super) fn begin_again(&mut self, lines: &[Line]) {
        self.lines = lines.len();
        let written = write_anew(&self.path, lines).map(|file| self.file = file);
        self.note(written);
    }

    /// Says once that writing fails.
    fn note(&mut self, written: std::io::Result<()>) {
        match written {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(
                    path = %self.path.display(), %error,
                    "logins of brokers cannot be kept; after a restart their clients must log in again"
                );
            }
            Err(_) => {}
        }
    }
}

fn write_anew(path: &Path, lines: &[Line]) -> std::io::Result<File> {
    let fresh = path.with_extension("new");
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    let mut out = BufWriter::new(file);
    for line in lines {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
    }
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    Ok(file)
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("the file `{}` of brokers' logins cannot be used ({error})", path.display()))
}
