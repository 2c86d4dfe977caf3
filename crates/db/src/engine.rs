//! The handle to a database, whichever it is.

use std::{fmt, time::Duration};

use kernel::{Error, Result};

use crate::{
    BoxFuture, Migration, Tx, Word, migrate,
    postgres::Postgres,
    sqlite::Sqlite,
    words::{Hears, Words},
};

/// Which database is behind a [`Db`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite in a file, in this process.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// How to use the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// PostgreSQL: the most connections that are held open.
    pub connections: usize,
    /// PostgreSQL: how long one statement may take before it is given up as unavailable.
    pub statement_timeout: Duration,
    /// How long a scan may take before it is given up as unavailable: the whole of it on SQLite, each of its statements on
    /// PostgreSQL.
    pub scan_timeout: Duration,
    /// How long to wait for a connection, or for another process to let go of the database.
    pub wait: Duration,
    /// PostgreSQL: who else may use the database. SQLite files always have one process.
    pub sharing: Sharing,
}

/// Who else may use a PostgreSQL database. All but a bystander take one connection more, which must lead to one session of
/// the server: no pooler may share it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: what is remembered here is told nobody else.
    Alone,
    /// Nodes that also say so. They tell each other what they change.
    Nodes,
    /// Anybody. Whoever remembers something must not be one; no node notices it.
    Bystander,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16,
            statement_timeout: Duration::from_secs(30),
            scan_timeout: Duration::from_secs(10),
            wait: Duration::from_secs(5),
            sharing: Sharing::Alone,
        }
    }
}

/// A database. Clones are cheap and share one pool.
#[derive(Clone)]
pub struct Db(Inner);

#[derive(Clone)]
enum Inner {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Db {
    /// Opens `sqlite:PATH`, a bare path, or `postgres://…`. A SQLite file that is not there is created.
    ///
    /// PostgreSQL takes `sslmode=disable|prefer|require|verify-full` and `sslrootcert=FILE` in the URL, with libpq's
    /// meaning: `require` encrypts but trusts any server, `verify-full` checks chain and host name.
    ///
    /// Invalid for a URL that cannot be read; Unprocessable where another process uses the database;
    /// Unavailable where the file or the server cannot be reached.
    pub async fn open(url: &str, options: Options) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self(Inner::Postgres(Postgres::open(url, &options).await?)));
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains("://") || path == ":memory:" {
            return Err(Error::invalid(
                "the database is `sqlite:PATH`, a path, or `postgres://user@host/name`",
            ));
        }
        Ok(Self(Inner::Sqlite(Sqlite::open(path.into(), &options).await?)))
    }

    /// Brings the schema up to date: runs those of `migrations` that this database has not seen, in the given order,
    /// in one exclusive transaction.
    ///
    /// Unprocessable, with a message that says what to do, where the database holds a migration that is not in the
    /// list (it was written by a newer program) or one whose text has changed since.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<()> {
        let plan = migrate::Plan::new(migrations, self.kind());
        match &self.0 {
            Inner::Sqlite(sqlite) => sqlite.migrate(plan).await,
            Inner::Postgres(postgres) => postgres.migrate(plan).await,
        }
    }

    /// A read that finishes in microseconds, such as a look-up by key.
    ///
    /// SQLite: in place, on the calling thread, over one snapshot. PostgreSQL: each statement sees what is committed
    /// when it starts.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        match &self.0 {
            Inner::Sqlite(sqlite) => sqlite.read(job),
            Inner::Postgres(postgres) => postgres.read(job).await,
        }
    }

    /// A read that may take long: lists and counts. All its statements see one snapshot.
    ///
    /// SQLite: on a thread for blocking work. PostgreSQL: in a read-only transaction. Unavailable after
    /// [`Options::scan_timeout`]; on SQLite a scan also ends when the caller goes away.
    pub async fn scan<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        match &self.0 {
            Inner::Sqlite(sqlite) => sqlite.scan(job).await,
            Inner::Postgres(postgres) => postgres.scan(job).await,
        }
    }

    /// One write transaction: an error of the job rolls all of it back; `Ok` comes only after the COMMIT is durable.
    ///
    /// If the caller goes away (drops the future), a job that was handed over runs to its end on SQLite. On PostgreSQL it
    /// is rolled back if the job is still running; once the job has returned `Ok`, the COMMIT and the hooks take place.
    ///
    /// An error of the COMMIT itself, Unavailable, may hide a change that was made: the connection can break between
    /// the server's deed and its word.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        match &self.0 {
            Inner::Sqlite(sqlite) => sqlite.write(job).await,
            Inner::Postgres(postgres) => postgres.write(job).await,
        }
    }

    /// Which database this is.
    pub const fn kind(&self) -> Engine {
        match self.0 {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Calls `hearer` with each word on a topic that a transaction of any node, this one included, has told
    /// ([`Tx::tell`]); for whoever remembers what it read. It must be quick and must not wait. On a database that is not
    /// shared there is nothing to hear: what is remembered is forgotten in a hook of the transaction.
    pub fn hear(&self, topic: &'static str, hearer: impl Fn(Word<'_>) + Send + Sync + 'static) {
        if let Some(words) = self.words() {
            words.add(topic, hearer);
        }
    }

    /// As [`Db::hear`], for whoever acts on a change: it is called after all who remember have been.
    pub fn hear_late(&self, topic: &'static str, hearer: impl Fn(Word<'_>) + Send + Sync + 'static) {
        if let Some(words) = self.words() {
            words.add_late(topic, hearer);
        }
    }

    /// Whether this node hears what others change; always, where there are no others.
    pub fn hears(&self) -> Hears {
        self.words().map_or_else(Hears::always, Words::hears)
    }

    /// Whether other nodes use the database, too.
    pub const fn is_shared(&self) -> bool {
        match &self.0 {
            Inner::Sqlite(_) => false,
            Inner::Postgres(postgres) => postgres.words.is_some(),
        }
    }

    fn words(&self) -> Option<&Words> {
        match &self.0 {
            Inner::Sqlite(_) => None,
            Inner::Postgres(postgres) => postgres.words.as_deref(),
        }
    }

    /// Whether the database answers; for readiness checks.
    pub async fn ping(&self) -> Result<()> {
        self.read(|tx| Box::pin(async move { tx.all("SELECT 1", &[]).await.map(drop) })).await
    }

    /// Waits for the writes that were handed over, empties SQLite's log into the database file, and closes all
    /// connections. Later calls are Unavailable.
    pub async fn close(&self) {
        match &self.0 {
            Inner::Sqlite(sqlite) => sqlite.close().await,
            Inner::Postgres(postgres) => postgres.close().await,
        }
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Db({})", self.kind())
    }
}
