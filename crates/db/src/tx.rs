//! The transaction that a job runs in.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kernel::{Error, Result};

use crate::{Engine, Row, Val, landmarks::Landmarks, postgres, sqlite, val, words::Said};

/// An open transaction. Store functions take `&mut Tx`; none begins or commits, so any two compose.
pub struct Tx {
    pub(crate) session: Session,
    landmarks: Option<Arc<Landmarks>>,
    hooks: Vec<Hook>,
    /// For other nodes; `None`: there are none.
    said: Option<Said>,
    failed: bool,
}

pub(crate) type Hook = Box<dyn FnOnce() + Send>;

pub(crate) enum Session {
    Sqlite(sqlite::Session),
    Postgres(postgres::Session),
}

/// Runs what a job left to be done after its COMMIT. The change stands, so a hook that panics is reported and passed
/// over.
pub(crate) fn run_hooks(hooks: Vec<Hook>) {
    for hook in hooks {
        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
            tracing::error!("a hook panicked after a commit");
        }
    }
}

/// Rows of an INSERT with several rows, at the most, that are worth a prepared statement of their own.
const KEPT_ROWS: usize = 16;

impl Tx {
    pub(crate) const fn new(session: Session) -> Self {
        Self { session, landmarks: None, hooks: Vec::new(), said: None, failed: false }
    }

    /// One whose changes other nodes are told of.
    pub(crate) fn telling(session: Session) -> Self {
        Self { said: Some(Said::default()), ..Self::new(session) }
    }

    /// One that reads a single snapshot of what is committed; only from there may something be remembered of a list.
    pub(crate) fn of_snapshot(session: Session, landmarks: Arc<Landmarks>) -> Self {
        Self { landmarks: Some(landmarks), ..Self::new(session) }
    }

    /// What is known of the lists of this database, where it may be used.
    pub(crate) fn landmarks(&self) -> Option<&Landmarks> {
        self.landmarks.as_deref()
    }

    /// Runs a statement; returns how many rows it changed.
    pub async fn execute(&mut self, sql: &str, params: &[Val]) -> Result<u64> {
        self.admit(params)?;
        let outcome = match &mut self.session {
            Session::Sqlite(session) => session.execute(sql, params),
            Session::Postgres(session) => session.execute(sql, params).await,
        };
        self.note(outcome)
    }

    /// Runs a statement whose count nobody needs. On PostgreSQL it travels with the next statement or the COMMIT
    /// instead of costing a round trip; if it fails, that statement or the COMMIT reports its error.
    pub async fn execute_later(&mut self, sql: &str, params: &[Val]) -> Result<()> {
        self.admit(params)?;
        let outcome = match &mut self.session {
            Session::Sqlite(session) => session.execute(sql, params).map(drop),
            Session::Postgres(session) => session.execute_later(sql, params).await,
        };
        self.note(outcome)
    }

    /// All rows of an answer.
    pub async fn all(&mut self, sql: &str, params: &[Val]) -> Result<Vec<Row>> {
        self.admit(params)?;
        let outcome = match &mut self.session {
            Session::Sqlite(session) => session.all(sql, params),
            Session::Postgres(session) => session.all(sql, params).await,
        };
        self.note(outcome)
    }

    /// The one row that must be there. Internal where there is none or more than one.
    pub async fn one(&mut self, sql: &str, params: &[Val]) -> Result<Row> {
        let row = self.one_or_none(sql, params).await?;
        row.ok_or_else(|| Error::internal(format!("no row where there must be one: {sql}")))
    }

    /// The one row, or none. Internal where there is more than one.
    pub async fn one_or_none(&mut self, sql: &str, params: &[Val]) -> Result<Option<Row>> {
        let mut rows = self.all(sql, params).await?;
        let row = rows.pop();
        if rows.is_empty() {
            Ok(row)
        } else {
            Err(Error::internal(format!("more than one row where there must be one: {sql}")))
        }
    }

    /// `INSERT INTO t (a, b) VALUES`, and the rows to insert, each with as many values as columns are named; in as few
    /// statements as the engine's limit on bound values allows. What follows `VALUES` (`ON CONFLICT DO NOTHING`) comes
    /// after the rows. Returns how many rows were inserted.
    pub async fn insert_many(&mut self, insert: &str, rows: Vec<Vec<Val>>) -> Result<u64> {
        let width = rows.first().map_or(1, Vec::len).max(1);
        if rows.iter().any(|row| row.len() != width) {
            return Err(Error::internal(format!("the rows of one INSERT differ in length: {insert}")));
        }
        let most = (self.engine().most_params() / width).max(1);
        let mut inserted = 0;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let params: Vec<Val> = rows.by_ref().take(most).flatten().collect();
            inserted += self.insert_some(insert, width, &params).await?;
        }
        Ok(inserted)
    }

    async fn insert_some(&mut self, insert: &str, width: usize, params: &[Val]) -> Result<u64> {
        let count = params.len() / width;
        let sql = rows_of_placeholders(insert, width, count);
        if count <= KEPT_ROWS {
            return self.execute(&sql, params).await;
        }
        self.admit(params)?;
        let outcome = match &mut self.session {
            Session::Sqlite(session) => session.execute_once(&sql, params),
            Session::Postgres(session) => session.execute_once(&sql, params).await,
        };
        self.note(outcome)
    }

    /// Runs after the COMMIT and before the caller is answered; not at all where the job failed. It must do no harm
    /// where nothing has changed, such as forgetting what a cache holds: it also runs when PostgreSQL's answer to the
    /// COMMIT was an error or got lost, since the change may have been made. It must be quick and must not wait: on
    /// SQLite it holds up every writer.
    pub fn on_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Whether there are other nodes to tell.
    pub const fn tells(&self) -> bool {
        self.said.is_some()
    }

    /// Tells every node that shares the database, this one included, that something of a topic has changed, if the
    /// transaction commits; see [`Db::hear`](crate::Db::hear). `word` is one line. Where no other node uses the database
    /// it does nothing: what this node remembers is to be forgotten in a hook ([`Tx::on_commit`]), before the caller is
    /// answered.
    pub fn tell(&mut self, topic: &'static str, word: &str) {
        if let Some(said) = &mut self.said {
            said.say(topic, word);
        }
    }

    /// What a SELECT ends with to hold its rows against other writers until the transaction ends. SQLite has one writer,
    /// so there is nothing to say.
    pub const fn for_update(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE",
        }
    }

    /// What a SELECT ends with to hold its rows as they are until the transaction ends: others may hold them the same
    /// way, and whoever changes or deletes them waits. SQLite has one writer, so there is nothing to say.
    pub const fn for_share(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR SHARE",
        }
    }

    /// Which database this is, for the few statements that differ.
    pub const fn engine(&self) -> Engine {
        match self.session {
            Session::Sqlite(_) => Engine::Sqlite,
            Session::Postgres(_) => Engine::Postgres,
        }
    }

    /// Ends a job: its outcome, or an error where a statement failed and the job kept silent about it. Clears the
    /// mark, so that the next job starts afresh.
    pub(crate) fn settle<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if std::mem::take(&mut self.failed) && outcome.is_ok() {
            return Err(Error::internal("a statement of the job failed, but the job did not"));
        }
        outcome
    }

    /// Sends what is to be told; it is heard after the COMMIT.
    pub(crate) async fn tell_others(&mut self) -> Result<()> {
        let Some(said) = self.said.take().filter(|said| !said.is_empty()) else { return Ok(()) };
        for piece in said.pieces() {
            self.execute_later("SELECT pg_notify('trunkline', $1)", &[Val::Text(piece)]).await?;
        }
        Ok(())
    }

    pub(crate) fn take_hooks(&mut self) -> Vec<Hook> {
        std::mem::take(&mut self.hooks)
    }

    fn admit(&mut self, params: &[Val]) -> Result<()> {
        if self.failed {
            return Err(Error::internal("a statement follows one that failed in the same transaction"));
        }
        let outcome = val::storable(params);
        self.note(outcome)
    }

    fn note<T>(&mut self, outcome: Result<T>) -> Result<T> {
        self.failed |= outcome.is_err();
        outcome
    }
}

impl Engine {
    /// How many values one statement can bind: SQLITE_MAX_VARIABLE_NUMBER's default, and the 16-bit count of
    /// PostgreSQL's Bind message.
    const fn most_params(self) -> usize {
        match self {
            Self::Sqlite => 32_766,
            Self::Postgres => 65_535,
        }
    }
}

/// `… VALUES ($1,$2),($3,$4) …` for `count` rows of `width` values.
fn rows_of_placeholders(insert: &str, width: usize, count: usize) -> String {
    use std::fmt::Write as _;

    let (head, tail) = insert.split_once("VALUES").unwrap_or((insert, ""));
    let mut sql = String::with_capacity(insert.len() + count * (width * 5 + 3));
    sql.push_str(head);
    sql.push_str("VALUES");
    for row in 0..count {
        sql.push_str(if row == 0 { " (" } else { ",(" });
        for column in 1..=width {
            let separator = if column == 1 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(sql, "{separator}${}", row * width + column);
        }
        sql.push(')');
    }
    sql.push_str(tail);
    sql
}

#[cfg(test)]
mod tests {
    use super::rows_of_placeholders;

    #[test]
    fn every_row_has_its_own_placeholders() {
        assert_eq!(
            rows_of_placeholders("INSERT INTO t (a, b) VALUES", 2, 2),
            "INSERT INTO t (a, b) VALUES ($1,$2),($3,$4)"
        );
        assert_eq!(
            rows_of_placeholders("INSERT INTO t (a) VALUES ON CONFLICT DO NOTHING", 1, 1),
            "INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING"
        );
    }
}
