//! SQLite: one writer thread, pooled read-only connections beside it.

mod functions;
mod lock;
mod session;
mod watch;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kernel::{Error, Result};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

pub(crate) use session::Session;

use crate::{
    BoxFuture, Options, Tx, error,
    job::run_in_place,
    landmarks::Landmarks,
    migrate::Plan,
    sqlite::{lock::Lock, watch::Watch, writer::Writer},
    tx,
};

/// Scans that run at the same time; more would only fight for the disk.
const SCANS: usize = 4;
/// Page cache of the writer, and of each reader, in KiB: upper bounds, filled only by use.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 2 * 1024;
/// Prepared statements that each connection keeps.
const STATEMENTS: usize = 256;

/// A SQLite database that this process has opened.
#[derive(Clone)]
pub(crate) struct Sqlite(Arc<Shared>);

struct Shared {
    writer: Writer,
    readers: Readers,
    scans: Arc<Semaphore>,
    longest_scan: Duration,
}

/// Read-only connections, the most recently used on top. A read takes one and brings it back, so there are as many as
/// reads ever ran at the same time.
struct Readers {
    path: PathBuf,
    wait: Duration,
    idle: Mutex<Vec<Session>>,
    closed: AtomicBool,
    landmarks: Arc<Landmarks>,
}

impl Sqlite {
    pub(crate) async fn open(path: PathBuf, options: &Options) -> Result<Self> {
        let wait = options.wait;
        let lock = Lock::take(&path, wait).await?;
        lock::create_private(&path)?;
        let opening = path.clone();
        let connection = tokio::task::spawn_blocking(move || open_writer(&opening, wait))
            .await
            .map_err(Error::internal)?
            .map_err(|error| error::opening(&error))?;
        let writer = Writer::start(Session::new(connection), lock)?;
        let readers = Readers {
            path,
            wait,
            idle: Mutex::default(),
            closed: AtomicBool::new(false),
            landmarks: Arc::default(),
        };
        let scans = Arc::new(Semaphore::new(SCANS));
        Ok(Self(Arc::new(Shared { writer, readers, scans, longest_scan: options.scan_timeout })))
    }

    pub(crate) async fn migrate(&self, plan: Plan) -> Result<()> {
        self.0.writer.migrate(plan).await
    }

    pub(crate) fn read<T>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    ) -> Result<T> {
        self.0.readers.run(job, None)
    }

    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let turn = Arc::clone(&self.0.scans).acquire_owned().await.map_err(Error::internal)?;
        let shared = Arc::clone(&self.0);
        let (watch, _interest) = Watch::start(shared.longest_scan);
        let scan = tokio::task::spawn_blocking(move || {
            // Held until the scan has really ended, however long the caller stays.
            let _turn = turn;
            shared.readers.run(job, Some(&watch))
        });
        scan.await.map_err(Error::internal)?
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.0.writer.write(job).await
    }

    pub(crate) async fn close(&self) {
        // Readers first: the log can be emptied into the file only when nobody reads it.
        self.0.readers.close();
        self.0.writer.close().await;
    }
}

impl Readers {
    /// Runs a job in place over one snapshot, for as long as `watch` allows. If it panics, its connection goes with it.
    fn run<T>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
        watch: Option<&Watch>,
    ) -> Result<T> {
        let mut session = self.take()?;
        session.control("BEGIN")?;
        if let Some(watch) = watch {
            watch.over(&mut session)?;
        }
        let mut tx = Tx::of_snapshot(tx::Session::Sqlite(session), Arc::clone(&self.landmarks));
        let outcome = run_in_place(job(&mut tx));
        let outcome = tx.settle(outcome);
        let hooks = tx.take_hooks();
        if let tx::Session::Sqlite(mut session) = tx.session {
            if watch.is_some() {
                watch::release(&mut session)?;
            }
            session.control("COMMIT")?;
            self.bring_back(session);
        }
        if outcome.is_ok() {
            tx::run_hooks(hooks);
        }
        outcome
    }

    fn take(&self) -> Result<Session> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Ok(Session::new(open_reader(&self.path, self.wait)?)), Ok)
    }

    fn bring_back(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.closed.load(Ordering::Acquire) {
            idle.push(session);
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What every call answers after [`Sqlite::close`].
fn closed() -> Error {
    Error::unavailable("the database has been closed")
}

fn open_writer(path: &Path, wait: Duration) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error| error::sqlite(&format!("open `{}`", path.display()), &error);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    // FULL: a COMMIT returns when the log is on disk. A checkpoint that becomes due under load runs in the writer at
    // 4,000 pages (16 MiB); when it is idle it empties the log earlier.
    let pragmas = format!(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA temp_store = MEMORY;"
    );
    prepare_connection(&connection, wait, &pragmas).map_err(failed)?;
    // SQLite answers with the mode that it could set: without shared memory, as on some network file systems, the old.
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let cause = format!("open `{}`: the file system does not allow a write-ahead log", path.display());
        return Err(Error::unavailable(cause));
    }
    Ok(connection)
}

fn open_reader(path: &Path, wait: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error| error::sqlite(&format!("open `{}` for reading", path.display()), &error);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let pragmas = format!("PRAGMA cache_size = -{READER_CACHE_KIB}; PRAGMA temp_store = MEMORY;");
    prepare_connection(&connection, wait, &pragmas).map_err(failed)?;
    Ok(connection)
}

fn prepare_connection(connection: &Connection, wait: Duration, pragmas: &str) -> rusqlite::Result<()> {
    connection.busy_timeout(wait)?;
    connection.execute_batch(pragmas)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    functions::register(connection)
}
