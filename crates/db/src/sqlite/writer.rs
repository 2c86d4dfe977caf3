//! The one writer: a thread that runs write jobs one after another and commits many of them at once.
//!
//! A COMMIT waits for the disk, so its cost is shared. The writer begins a transaction with the first job that waits,
//! runs each further job that is already there (up to [`BATCH`] of them, or until [`LONGEST`] has passed), commits, and
//! only then answers all of them. A job that comes alone is committed alone, at once. Each job has a SAVEPOINT of its
//! own: one that fails is undone without harm to its neighbours.
//!
//! INVARIANT: no job is answered with `Ok` before the COMMIT that holds it has returned, and no hook runs before it.
//! The test `an_answered_write_is_seen_by_the_next_read` fails when an answer comes early, and `tests/crash.rs` kills
//! the process under load.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use kernel::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    BoxFuture, Tx, Val, error,
    job::run_in_place,
    migrate::{LEDGER, NOTE, Plan, SEEN},
    sqlite::{Session, closed, lock::Lock},
    tx::{self, Hook},
};

/// Jobs that share one COMMIT, at the most.
const BATCH: usize = 256;
/// How long a batch may go on taking in jobs, so that the first of them does not wait for the last.
const LONGEST: Duration = Duration::from_millis(20);
/// Jobs that wait, at the most; more callers wait for room.
const QUEUE: usize = 1024;
/// After this long without a job the log is emptied into the database file.
const IDLE: Duration = Duration::from_millis(500);

/// The way to the writer's thread.
pub(super) struct Writer {
    orders: Sender<Order>,
    room: Arc<Semaphore>,
}

enum Order {
    Run(Box<dyn Job>),
    Migrate(Plan, oneshot::Sender<Result<()>>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread, which owns the connection and the lock on the file until it ends.
    pub(super) fn start(session: Session, lock: Lock) -> Result<Self> {
        let (orders, queue) = channel();
        let work =
            Work { queue, held: None, tx: Tx::new(tx::Session::Sqlite(session)), dirty: false, _lock: lock };
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || work.until_closed())
            .map_err(Error::unavailable)?;
        Ok(Self { orders, room: Arc::new(Semaphore::new(QUEUE)) })
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(Error::internal)?;
        let (caller, answer) = oneshot::channel();
        let job = Waiting { job: Some(job), outcome: None, hooks: Vec::new(), caller, _room: room };
        self.orders.send(Order::Run(Box::new(job))).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn migrate(&self, plan: Plan) -> Result<()> {
        let (caller, answer) = oneshot::channel();
        self.orders.send(Order::Migrate(plan, caller)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Returns when all jobs that were handed over are answered and the file is closed.
    pub(super) async fn close(&self) {
        let (caller, answer) = oneshot::channel();
        if self.orders.send(Order::Close(caller)).is_ok() {
            // An error means that the thread has ended, which is what we wait for.
            let _ = answer.await;
        }
    }
}

/// A job of any result type.
trait Job: Send {
    /// Runs the job; returns whether its changes are to be kept.
    fn run(&mut self, tx: &mut Tx) -> bool;

    /// Answers the caller, with the job's own error or with what became of the COMMIT.
    fn answer(self: Box<Self>, commit: Result<()>);
}

struct Waiting<F, T> {
    job: Option<F>,
    outcome: Option<Result<T>>,
    hooks: Vec<Hook>,
    caller: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

impl<F, T> Job for Waiting<F, T>
where
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx) -> bool {
        let Some(job) = self.job.take() else { return false };
        // A job that panics must not take the writer with it: what it did is rolled back like any failure.
        let outcome = catch_unwind(AssertUnwindSafe(|| run_in_place(job(tx))))
            .unwrap_or_else(|_| Err(Error::internal("a write job panicked")));
        let outcome = tx.settle(outcome);
        let keep = outcome.is_ok();
        self.hooks = tx.take_hooks();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, commit: Result<()>) {
        let outcome = match (self.outcome, commit) {
            (Some(Ok(value)), Ok(())) => {
                tx::run_hooks(self.hooks);
                Ok(value)
            }
            (Some(Ok(_)), Err(error)) => Err(error),
            (Some(Err(error)), _) => Err(error),
            (None, commit) => Err(commit.err().unwrap_or_else(closed)),
        };
        // The caller may have gone away; the change stands.
        let _ = self.caller.send(outcome);
    }
}

/// The thread's side.
struct Work {
    queue: Receiver<Order>,
    /// An order that ended a batch and is next.
    held: Option<Order>,
    tx: Tx,
    /// Whether the log holds what the database file does not.
    dirty: bool,
    /// Released after the connection is closed: fields are dropped in this order.
    _lock: Lock,
}

impl Work {
    fn until_closed(mut self) {
        loop {
            match self.next() {
                Ok(Order::Run(job)) => self.batch(job),
                Ok(Order::Migrate(plan, caller)) => {
                    let outcome = self.migrate(&plan);
                    let _ = caller.send(outcome);
                }
                Ok(Order::Close(caller)) => {
                    self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
                    drop(self);
                    let _ = caller.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)"),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next(&mut self) -> Result<Order, RecvTimeoutError> {
        if let Some(order) = self.held.take() {
            return Ok(order);
        }
        if self.dirty {
            return self.queue.recv_timeout(IDLE);
        }
        self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }

    /// Runs `first` and the jobs that wait behind it in one transaction, then answers them all.
    fn batch(&mut self, first: Box<dyn Job>) {
        if let Err(error) = self.control("BEGIN IMMEDIATE") {
            return first.answer(Err(error));
        }
        self.dirty = true;
        let began = Instant::now();
        let mut jobs = Vec::new();
        let mut next = Some(first);
        let mut sound = Ok(());
        while let Some(mut job) = next.take() {
            sound = self.run(job.as_mut());
            jobs.push(job);
            if sound.is_ok() && jobs.len() < BATCH && began.elapsed() < LONGEST {
                next = self.waiting_job();
            }
        }
        let commit = sound.and_then(|()| self.control("COMMIT"));
        if commit.is_err() && !self.is_autocommit() {
            // If even this fails, the next BEGIN says so.
            let _ = self.control("ROLLBACK");
        }
        for job in jobs {
            job.answer(commit.as_ref().copied().map_err(again));
        }
    }

    /// Runs one job between savepoints. An error means that the whole transaction is lost.
    fn run(&mut self, job: &mut dyn Job) -> Result<()> {
        self.control("SAVEPOINT job")?;
        let keep = job.run(&mut self.tx);
        if self.is_autocommit() {
            // A full disk or a failing one makes SQLite roll back everything, earlier jobs included.
            return Err(Error::unavailable("SQLite gave up the transaction"));
        }
        if !keep {
            self.control("ROLLBACK TO job")?;
        }
        self.control("RELEASE job")
    }

    fn waiting_job(&mut self) -> Option<Box<dyn Job>> {
        match self.queue.try_recv().ok()? {
            Order::Run(job) => Some(job),
            other => {
                self.held = Some(other);
                None
            }
        }
    }

    fn migrate(&mut self, plan: &Plan) -> Result<()> {
        self.control("BEGIN EXCLUSIVE")?;
        self.dirty = true;
        let outcome = self.steps(plan).and_then(|()| self.control("COMMIT"));
        if outcome.is_err() && !self.is_autocommit() {
            let _ = self.control("ROLLBACK");
        }
        outcome
    }

    fn steps(&mut self, plan: &Plan) -> Result<()> {
        let now = kernel::Clock::system().now();
        let tx::Session::Sqlite(session) = &mut self.tx.session else { return Ok(()) };
        session.execute(LEDGER, &[])?;
        let rows = session.all(SEEN, &[])?;
        let seen =
            rows.iter().map(|row| Ok((row.get("id")?, row.get("checksum")?))).collect::<Result<_>>()?;
        for step in plan.pending(seen)? {
            session
                .connection()
                .execute_batch(&step.sql)
                .map_err(|error| error::sqlite(&format!("run the migration `{}`", step.id), &error))?;
            session.execute(NOTE, &[Val::from(step.id), Val::from(&step.checksum), Val::from(now)])?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, pragma: &str) {
        if let tx::Session::Sqlite(session) = &self.tx.session
            && let Err(error) = session.connection().query_row(pragma, [], |_| Ok(()))
        {
            // The log keeps what it holds, and the next checkpoint tries again.
            tracing::warn!(%error, "the write-ahead log could not be written back");
        }
        self.dirty = false;
    }

    fn control(&mut self, sql: &'static str) -> Result<()> {
        match &mut self.tx.session {
            tx::Session::Sqlite(session) => session.control(sql),
            tx::Session::Postgres(_) => {
                Err(Error::internal("the SQLite writer holds a PostgreSQL connection"))
            }
        }
    }

    fn is_autocommit(&self) -> bool {
        match &self.tx.session {
            tx::Session::Sqlite(session) => session.connection().is_autocommit(),
            tx::Session::Postgres(_) => true,
        }
    }
}

/// The same error for one more caller.
fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.public().to_owned()).cause(error.chain())
}
