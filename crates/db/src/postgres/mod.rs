//! PostgreSQL: a pool of connections, each job on one of them, and one connection more that keeps other nodes away, or
//! hears what they change.

mod address;
mod bind;
mod lock;
mod session;
mod tls;

use std::{collections::HashMap, sync::Arc};

use deadpool_postgres::{Client, Hook, HookError, Pool, PoolConfig, Runtime, Timeouts};
use kernel::{Error, Result};

pub(crate) use bind::StoredCell;
pub(crate) use session::Session;

use crate::{
    BoxFuture, Options, Sharing, Tx, Val, error,
    landmarks::Landmarks,
    migrate::{LEDGER, NOTE, Plan, SEEN},
    postgres::{address::Address, lock::Lock},
    tx,
    words::Words,
};

/// The advisory lock under which migrations run: `trunkl` in ASCII.
const MIGRATION_LOCK: i64 = 0x7472_756e_6b6c;

/// A PostgreSQL database.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    /// What a scan begins with.
    begin_scan: Arc<str>,
    landmarks: Arc<Landmarks>,
    lock: Option<Lock>,
    /// What is told to and heard from other nodes; `None`: there are none.
    pub(crate) words: Option<Arc<Words>>,
}

impl Postgres {
    /// Opens the pool and one connection, so that a wrong address is reported at once.
    pub(crate) async fn open(url: &str, options: &Options) -> Result<Self> {
        let address = Arc::new(Address::read(url, options.wait)?);
        let limits = format!("SET statement_timeout = {}", options.statement_timeout.as_millis());
        let pool = Pool::builder(address.manager())
            .config(PoolConfig {
                max_size: options.connections,
                timeouts: Timeouts {
                    wait: Some(options.wait),
                    create: Some(options.wait),
                    recycle: Some(options.wait),
                },
                ..PoolConfig::default()
            })
            .post_create(Hook::async_fn(move |client, _| {
                let limits = limits.clone();
                Box::pin(async move { client.batch_execute(&limits).await.map_err(HookError::Backend) })
            }))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(Error::internal)?;
        let begin_scan = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
            options.scan_timeout.as_millis()
        );
        let words = (options.sharing == Sharing::Nodes).then(|| Arc::new(Words::new()));
        let landmarks = Arc::default();
        let mut postgres = Self { pool, begin_scan: begin_scan.into(), landmarks, lock: None, words };
        drop(postgres.client().await.map_err(|error| error::opening(&error))?);
        if options.sharing != Sharing::Bystander {
            postgres.lock = Some(Lock::take(address, postgres.words.clone(), options.wait).await?);
        }
        Ok(postgres)
    }

    pub(crate) async fn migrate(&self, plan: Plan) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(|e| error::postgres("begin", &e))?;
        let failed = |error| error::postgres("prepare the migrations", &error);
        transaction
            .batch_execute(&format!(
                "SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning;
                 SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
            ))
            .await
            .map_err(failed)?;
        transaction.batch_execute(LEDGER).await.map_err(failed)?;
        let rows = transaction.query(SEEN, &[]).await.map_err(failed)?;
        let seen = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<HashMap<String, String>, _>>()
            .map_err(failed)?;
        let now = kernel::Clock::system().now();
        for step in plan.pending(seen)? {
            let what = format!("run the migration `{}`", step.id);
            transaction.batch_execute(&step.sql).await.map_err(|error| error::postgres(&what, &error))?;
            let note = [Val::from(step.id), Val::from(&step.checksum), Val::from(now)];
            transaction
                .execute(NOTE, &bind::arguments(&note))
                .await
                .map_err(|error| error::postgres(&what, &error))?;
        }
        transaction.commit().await.map_err(|error| error::postgres("commit the migrations", &error))
    }

    pub(crate) async fn read<T>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    ) -> Result<T> {
        self.run(job, self.telling(None).await?).await
    }

    pub(crate) async fn scan<T>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    ) -> Result<T> {
        let session = self.session(Some(Arc::clone(&self.begin_scan))).await?;
        self.run(job, Tx::of_snapshot(session, Arc::clone(&self.landmarks))).await
    }

    pub(crate) async fn write<T>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    ) -> Result<T> {
        self.run(job, self.telling(Some("BEGIN".into())).await?).await
    }

    pub(crate) async fn close(&self) {
        self.pool.close();
        if let Some(lock) = &self.lock {
            lock.release().await;
        }
    }

    async fn client(&self) -> Result<Client> {
        self.pool.get().await.map_err(|error| error::pool(&error))
    }

    /// Boxed for the reason that [`session`] gives.
    fn session(&self, begin: Option<Arc<str>>) -> BoxFuture<'_, Result<tx::Session>> {
        Box::pin(async move { Ok(tx::Session::Postgres(Session::new(self.client().await?, begin))) })
    }

    /// A transaction that tells other nodes what it changes, where there are any.
    async fn telling(&self, begin: Option<Arc<str>>) -> Result<Tx> {
        let session = self.session(begin).await?;
        Ok(if self.words.is_some() { Tx::telling(session) } else { Tx::new(session) })
    }

    async fn run<T>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
        mut tx: Tx,
    ) -> Result<T> {
        let outcome = job(&mut tx).await;
        let outcome = tx.settle(outcome);
        let concluded = conclude(tx, outcome.is_ok()).await;
        outcome.and_then(|value| concluded.map(|()| value))
    }
}

/// Commits what is to be kept and tells others of it, or rolls back.
fn conclude(mut tx: Tx, keep: bool) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let told = if keep { tx.tell_others().await } else { Ok(()) };
        let hooks = tx.take_hooks();
        let tx::Session::Postgres(session) = tx.session else { return told };
        if keep && told.is_ok() {
            return end(session, hooks).await;
        }
        session.roll_back().await;
        told
    })
}

/// Commits and runs the hooks, in a task of its own: a caller that goes away in the middle takes neither with it.
///
/// The hooks also run where the COMMIT failed: when the connection broke on the way, the server may have done it.
async fn end(session: Session, hooks: Vec<tx::Hook>) -> Result<()> {
    let ending = tokio::spawn(async move {
        let outcome = session.commit().await;
        tx::run_hooks(hooks);
        outcome
    });
    ending.await.map_err(Error::internal)?
}
