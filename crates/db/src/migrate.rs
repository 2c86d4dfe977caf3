//! Bringing a schema up to date.
//!
//! Each capability has a list of [`Migration`]s; the program joins the lists and runs them at every start. Which ones a
//! database has seen is in its table `schema_migrations`, with a checksum of their text.

use std::collections::HashMap;

use aws_lc_rs::digest;
use kernel::{Error, Kind, Result};

use crate::Engine;

/// One step of a schema, forward only.
///
/// Where the engines need different text, it stands in blocks of whole lines:
///
/// ```sql
/// CREATE TABLE outbox (
/// -- sqlite
///   id  INTEGER PRIMARY KEY AUTOINCREMENT,
/// -- end
/// -- postgres
///   id  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
/// -- end
///   payload JSONB NOT NULL
/// );
/// ```
///
/// The type words `TEXT`, `JSONB` and `BYTEA` (in capitals) become what the crate's table says; write `text` where
/// PostgreSQL must not get a collation (a cast).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// `<capability>/<number>`, for example `clients/0001`. Never changes.
    pub id: &'static str,
    /// The statements, separated by semicolons. Never changes once released.
    pub sql: &'static str,
}

/// The table of what has been done. Its own text is not a migration.
pub(crate) const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
  id          text   NOT NULL PRIMARY KEY,
  checksum    text   NOT NULL,
  applied_at  BIGINT NOT NULL
)";

/// The statements for the ledger.
pub(crate) const SEEN: &str = "SELECT id, checksum FROM schema_migrations ORDER BY id";
pub(crate) const NOTE: &str = "INSERT INTO schema_migrations (id, checksum, applied_at) VALUES ($1, $2, $3)";

/// The functions that PostgreSQL lacks and the counts come first.
const OWN: &[Migration] = &[
    Migration { id: "db/0001", sql: include_str!("../migrations/0001_functions.sql") },
    Migration { id: "db/0002", sql: include_str!("../migrations/0002_tallies.sql") },
    Migration { id: "db/0003", sql: include_str!("../migrations/0003_tally_versions.sql") },
];

/// The migrations of this program in the dialect of one engine.
pub(crate) struct Plan {
    steps: Vec<Step>,
}

pub(crate) struct Step {
    pub(crate) id: &'static str,
    pub(crate) checksum: String,
    pub(crate) sql: String,
}

impl Plan {
    pub(crate) fn new(migrations: &[Migration], engine: Engine) -> Self {
        let steps = OWN
            .iter()
            .chain(migrations)
            .map(|migration| Step {
                id: migration.id,
                checksum: checksum(migration.sql),
                sql: in_dialect(migration.sql, engine),
            })
            .collect();
        Self { steps }
    }

    /// The steps that a database with these rows in its ledger lacks, or why it cannot be used.
    pub(crate) fn pending(&self, mut seen: HashMap<String, String>) -> Result<Vec<&Step>> {
        let mut pending = Vec::new();
        for step in &self.steps {
            match seen.remove(step.id) {
                None => pending.push(step),
                Some(checksum) if checksum == step.checksum => {}
                Some(_) => {
                    return Err(refused(format!(
                        "the database was made with another text of the migration `{}`: start the version that made \
                         it, or restore a backup",
                        step.id
                    )));
                }
            }
        }
        match seen.into_keys().min() {
            None => Ok(pending),
            Some(id) => Err(refused(format!(
                "the database is newer than this program, which does not know its migration `{id}`: start the newer \
                 version again, or restore a backup from before the upgrade"
            ))),
        }
    }
}

fn refused(why: String) -> Error {
    Error::new(Kind::Unprocessable, why)
}

fn checksum(sql: &str) -> String {
    use std::fmt::Write as _;
    digest::digest(&digest::SHA256, sql.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The text for one engine: the other's blocks are left out, type words are translated.
fn in_dialect(sql: &str, engine: Engine) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut block = None;
    for line in sql.lines() {
        match line.trim() {
            "-- sqlite" => block = Some(Engine::Sqlite),
            "-- postgres" => block = Some(Engine::Postgres),
            "-- end" => block = None,
            _ if block.is_none_or(|only| only == engine) => {
                let code = line.split_once("--").map_or(line, |(code, _comment)| code);
                push_with_types(&mut text, code, engine);
                text.push('\n');
            }
            _ => {}
        }
    }
    text
}

fn push_with_types(text: &mut String, code: &str, engine: Engine) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = code;
    while let Some(start) = rest.find(is_word) {
        let (between, from_word) = rest.split_at(start);
        let (word, after) = from_word.split_at(from_word.find(|c| !is_word(c)).unwrap_or(from_word.len()));
        text.push_str(between);
        text.push_str(match (engine, word) {
            (Engine::Postgres, "TEXT") => "TEXT COLLATE \"C\"",
            (Engine::Sqlite, "JSONB") => "TEXT",
            (Engine::Sqlite, "BYTEA") => "BLOB",
            _ => word,
        });
        rest = after;
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "CREATE TABLE t (\n  id TEXT NOT NULL, -- TEXT; more\n-- sqlite\n  n INTEGER,\n-- end\n-- postgres\n  n BIGINT,\n-- end\n  doc JSONB,\n  TEXTUAL BYTEA\n);";

    #[test]
    fn each_engine_gets_its_own_text() {
        assert_eq!(
            in_dialect(SQL, Engine::Sqlite),
            "CREATE TABLE t (\n  id TEXT NOT NULL, \n  n INTEGER,\n  doc TEXT,\n  TEXTUAL BLOB\n);\n"
        );
        assert_eq!(
            in_dialect(SQL, Engine::Postgres),
            "CREATE TABLE t (\n  id TEXT COLLATE \"C\" NOT NULL, \n  n BIGINT,\n  doc JSONB,\n  TEXTUAL BYTEA\n);\n"
        );
    }

    #[test]
    fn a_newer_database_and_a_changed_text_are_refused() {
        let plan = Plan::new(&[Migration { id: "a/0001", sql: "x" }], Engine::Sqlite);
        let ledger = |id: &str, sum: &str| HashMap::from([(id.to_owned(), sum.to_owned())]);

        assert_eq!(plan.pending(HashMap::new()).unwrap().len(), OWN.len() + 1);
        assert_eq!(plan.pending(ledger("a/0001", &checksum("x"))).unwrap().len(), OWN.len());
        let newer = plan.pending(ledger("a/0002", "")).err().unwrap();
        assert!(newer.to_string().contains("`a/0002`"), "{newer}");
        assert!(newer.to_string().contains("start the newer version"), "{newer}");
        assert!(plan.pending(ledger("a/0001", "other")).is_err());
    }
}
