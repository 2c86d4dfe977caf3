//! What was made, on disk: a line of JSON per gateway, keys included, in a file that only its owner may read.
//!
//! The first line says of which domain and layout the file is, and holds the seed of the external keys that the command
//! makes: so a key is known before its gateway is asked for, and again after a crash. Lines are brought to disk in batches;
//! a line that a crash has cut is dropped when the file is opened again.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use access::crypto;
use anyhow::{Context, bail, ensure};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{DomainId, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::Plan;

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
struct Head {
    /// The domain that the gateways are in.
    provision: DomainId,
    /// What they consist of.
    layout: Value,
    /// Of the external keys that are made here.
    seed: String,
}

/// How the first line begins.
const BEGIN: &str = "{\"provision\":";

/// What of a later line is looked at.
#[derive(Deserialize)]
struct Seen {
    external_id: String,
}

/// From which external keys are made.
#[derive(Clone)]
pub(super) struct Seed(hmac::Key);

impl Seed {
    fn new(text: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()))
    }

    /// The key of a device: 43 characters.
    pub(super) fn key(&self, external_id: &str) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, external_id.as_bytes())))
    }
}

/// The open file; locked, so that two commands do not write to it at once.
pub(super) struct Results {
    path: PathBuf,
    file: File,
    seed: Seed,
    made: HashSet<String>,
}

impl Results {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, domain: DomainId, plan: &Plan) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot open the results `{shown}`"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another command writes to the results `{shown}`"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the results `{shown}`"));
            }
        }
        let wrong = || format!("the results `{shown}`");
        let Whole { lines, end, cut } = whole_lines(&file).with_context(wrong)?;
        let mut lines = lines.into_iter();
        let head = match lines.next() {
            Some(first) => serde_json::from_str(&first).ok(),
            // Nothing, or a first line that a crash has cut: nothing was made yet.
            None if BEGIN.starts_with(&cut) || cut.starts_with(BEGIN) => {
                file.set_len(0)?;
                return Self::begin(path, file, domain, plan).with_context(wrong);
            }
            None => None,
        };
        let head: Head =
            head.with_context(|| format!("`{shown}` is no file of results, name another with --results"))?;
        ensure!(
            head.provision == domain,
            "the results `{shown}` are of the domain {}, name another file with --results",
            head.provision
        );
        ensure!(
            head.layout == plan.json,
            "the results `{shown}` are of another layout; go on with that one, or name another file with --results"
        );
        let mut made = HashSet::new();
        for (number, line) in lines.enumerate() {
            let seen: Seen = serde_json::from_str(&line)
                .map_err(|_| anyhow::anyhow!("line {} of the results `{shown}` is damaged", number + 2))?;
            made.insert(seen.external_id);
        }
        file.set_len(end)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self { path: path.to_owned(), file, seed: Seed::new(&head.seed), made })
    }

    fn begin(path: &Path, file: File, domain: DomainId, plan: &Plan) -> anyhow::Result<Self> {
        let seed = URL_SAFE_NO_PAD.encode(crypto::random::<32>()?);
        let head = Head { provision: domain, layout: plan.json.clone(), seed };
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut results =
            Self { path: path.to_owned(), file, seed: Seed::new(&head.seed), made: HashSet::new() };
        results.write(&[line(&head)?])?;
        // So that the file itself is there after a crash, too.
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(results)
    }

    /// Whether a gateway is made.
    pub(super) fn has(&self, external_id: &str) -> bool {
        self.made.contains(external_id)
    }

    pub(super) fn seed(&self) -> Seed {
        self.seed.clone()
    }

    /// Brings lines to disk.
    pub(super) fn write(&mut self, lines: &[Secret<String>]) -> anyhow::Result<()> {
        let all = Secret::new(lines.iter().map(|line| line.expose().as_str()).collect::<String>());
        let written = self.file.write_all(all.expose().as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("cannot write the results `{}`", self.path.display()))
    }
}

/// What is written of a gateway: what the list said, and what the platform answered.
pub(super) fn gateway(
    row: (usize, &str, &str, &Secret<String>),
    recovered: bool,
    answer: &Value,
) -> anyhow::Result<Secret<String>> {
    let (number, external_id, name, key) = row;
    line(&json!({
        "line": number, "external_id": external_id, "name": name, "external_key": key.expose(), "recovered": recovered,
        "gateway": answer,
    }))
}

fn line(value: &impl Serialize) -> anyhow::Result<Secret<String>> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(Secret::new(line))
}

/// The lines of a file.
struct Whole {
    lines: Vec<String>,
    /// Where the last one ends.
    end: u64,
    /// What follows, without an end.
    cut: String,
}

fn whole_lines(file: &File) -> anyhow::Result<Whole> {
    let (mut lines, mut end) = (Vec::new(), 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
        end += line.len() as u64;
        line.pop();
        lines.push(String::from_utf8(std::mem::take(&mut line)).context("is not text")?);
    }
    Ok(Whole { lines, end, cut: String::from_utf8_lossy(&line).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::provision::plan::tests::plan;

    const DOMAIN: &str = "8353e9c8-5a8b-4e12-9a51-3a3a3b8c5b11";

    fn open(path: &Path) -> anyhow::Result<Results> {
        Results::open(path, DOMAIN.parse().unwrap(), &plan())
    }

    fn a_line(id: &str) -> Secret<String> {
        gateway((2, id, "name", &Secret::new("key".to_owned())), false, &json!({"clients": []})).unwrap()
    }

    #[test]
    fn what_was_written_is_there_again_with_the_same_keys_and_only_for_its_owner() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("gateways.results.jsonl");
        let mut results = open(&path).unwrap();
        let key = results.seed().key("33:52");
        assert_eq!(key.expose().len(), 43);
        results.write(&[a_line("33:52"), a_line("44")]).unwrap();
        drop(results);
        let results = open(&path).unwrap();
        assert!(results.has("33:52") && results.has("44") && !results.has("55"));
        assert_eq!(results.seed().key("33:52").expose(), key.expose());
        assert_ne!(results.seed().key("44").expose(), key.expose());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_a_crash_has_cut_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("r");
        let mut results = open(&path).unwrap();
        results.write(&[a_line("1"), Secret::new(a_line("2").expose()[..20].to_owned())]).unwrap();
        drop(results);
        let mut results = open(&path).unwrap();
        assert!(results.has("1") && !results.has("2"));
        results.write(&[a_line("2")]).unwrap();
        drop(results);
        assert!(open(&path).unwrap().has("2"));
        std::fs::write(&path, "{\"provis").unwrap();
        assert!(!open(&path).unwrap().has("1"), "cut in the first line: nothing was made yet");
    }

    #[test]
    fn results_of_something_else_are_not_touched() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("r");
        let said = |results: anyhow::Result<Results>| format!("{:#}", results.err().unwrap());
        let held = open(&path).unwrap();
        assert!(said(open(&path)).contains("another command writes"));
        drop(held);
        let other = "9353e9c8-5a8b-4e12-9a51-3a3a3b8c5b11".parse().unwrap();
        assert!(said(Results::open(&path, other, &plan())).contains("are of the domain 8353e9c8"));
        let mut changed = plan();
        changed.json = json!({});
        assert!(said(Results::open(&path, DOMAIN.parse().unwrap(), &changed)).contains("another layout"));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"no json\n"].concat()).unwrap();
        assert!(said(open(&path)).contains("line 2 of the results"));
        for other in ["external_id\n1\n", "external_id"] {
            std::fs::write(&path, other).unwrap();
            assert!(said(open(&path)).contains("is no file of results"));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
    }
}
