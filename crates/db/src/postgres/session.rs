//! One connection for the time of one job, with as few round trips as the job allows.
//!
//! BEGIN does not travel alone: it is sent together with the first statement, and statements whose answer nobody waits
//! for ([`Session::execute_later`]) travel with the next one or with the COMMIT. PostgreSQL runs what is sent in order,
//! and once one statement has failed it refuses the rest and turns COMMIT into ROLLBACK; so the first error of a
//! group is the one that counts.
//!
//! The futures are boxed: what waits for a server would otherwise be compiled into, and be as large as, the future of every
//! use case, on SQLite as well.

use std::sync::Arc;

use deadpool_postgres::{Client, Object};
use futures_util::future::{join, join_all};
use kernel::{Error, Result};
use tokio::runtime::Handle;
use tokio_postgres::Statement;

use crate::{BoxFuture, Row, Val, error, postgres::bind::arguments, row::Source};

/// A connection and what has been sent on it.
///
/// INVARIANT: a connection with an open transaction never returns to the pool: if the session is dropped on the way
/// (the caller has gone away), it is rolled back first.
pub(crate) struct Session {
    client: Option<Client>,
    waiting: Waiting,
    open: bool,
}

/// What is to be sent before the next statement.
#[derive(Default)]
struct Waiting {
    begin: Option<Arc<str>>,
    later: Vec<Later>,
}

struct Later {
    sql: String,
    statement: Statement,
    params: Vec<Val>,
}

impl Session {
    /// A session that begins a transaction with `begin` when there is something to run; without it every statement
    /// is on its own.
    pub(crate) fn new(client: Client, begin: Option<Arc<str>>) -> Self {
        Self { client: Some(client), waiting: Waiting { begin, later: Vec::new() }, open: false }
    }

    pub(crate) fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Val]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let statement = self.prepare(sql).await?;
            self.run(sql, &statement, params).await
        })
    }

    pub(crate) fn execute_later<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Val],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.waiting.begin.is_none() && !self.open {
                return self.execute(sql, params).await.map(drop);
            }
            let statement = self.prepare(sql).await?;
            self.waiting.later.push(Later { sql: sql.to_owned(), statement, params: params.to_vec() });
            Ok(())
        })
    }

    /// For a statement that will not come again in this form: it is not kept prepared.
    pub(crate) fn execute_once<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Val],
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let statement =
                self.client()?.prepare(sql).await.map_err(|error| error::postgres(sql, &error))?;
            self.run(sql, &statement, params).await
        })
    }

    pub(crate) fn all<'a>(&'a mut self, sql: &'a str, params: &'a [Val]) -> BoxFuture<'a, Result<Vec<Row>>> {
        Box::pin(async move {
            let statement = self.prepare(sql).await?;
            let waiting = self.start();
            let client = self.client()?;
            let arguments = arguments(params);
            let (before, answer) = join(waiting.send(client), client.query(&statement, &arguments)).await;
            before?;
            let rows = answer.map_err(|error| error::postgres(sql, &error))?;
            Ok(rows.into_iter().map(|row| Row(Source::Postgres(row))).collect())
        })
    }

    /// Ends the job. `Ok` means that its changes are durable.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if !self.open && self.waiting.later.is_empty() {
            return Ok(());
        }
        let waiting = self.start();
        let client = self.client()?;
        let (before, commit) = join(waiting.send(client), client.batch_execute("COMMIT")).await;
        // Whatever came of it, the server has ended the transaction, or the connection is dead.
        self.open = false;
        before?;
        commit.map_err(|error| error::postgres("COMMIT", &error))
    }

    /// Ends the job without a trace.
    pub(crate) async fn roll_back(mut self) {
        if !self.open {
            return;
        }
        if let Ok(client) = self.client() {
            // On failure the session is dropped with its transaction open, and its connection with it.
            self.open = client.batch_execute("ROLLBACK").await.is_err();
        }
    }

    /// Sends a statement together with what waits to be sent before it.
    async fn run(&mut self, sql: &str, statement: &Statement, params: &[Val]) -> Result<u64> {
        let waiting = self.start();
        let client = self.client()?;
        let arguments = arguments(params);
        let (before, answer) = join(waiting.send(client), client.execute(statement, &arguments)).await;
        before?;
        answer.map_err(|error| error::postgres(sql, &error))
    }

    async fn prepare(&self, sql: &str) -> Result<Statement> {
        self.client()?.prepare_cached(sql).await.map_err(|error| error::postgres(sql, &error))
    }

    /// From here on something is on its way to the server.
    fn start(&mut self) -> Waiting {
        self.open |= self.waiting.begin.is_some();
        std::mem::take(&mut self.waiting)
    }

    fn client(&self) -> Result<&Client> {
        self.client.as_ref().ok_or_else(|| Error::internal("the session has lost its connection"))
    }
}

impl Waiting {
    /// Sends all of it at once, at the first poll, and waits for the answers; the first error counts.
    async fn send(self, client: &Client) -> Result<()> {
        let begin = async {
            match &self.begin {
                Some(begin) => {
                    client.batch_execute(begin).await.map_err(|error| error::postgres(begin, &error))
                }
                None => Ok(()),
            }
        };
        let later = join_all(self.later.iter().map(|later| async {
            let arguments = arguments(&later.params);
            client
                .execute(&later.statement, &arguments)
                .await
                .map_err(|error| error::postgres(&later.sql, &error))
        }));
        let (begin, later) = join(begin, later).await;
        begin?;
        later.into_iter().try_for_each(|answer| answer.map(drop))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(client) = self.client.take().filter(|_| self.open) else { return };
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    if client.batch_execute("ROLLBACK").await.is_err() {
                        drop(Object::take(client));
                    }
                });
            }
            Err(_) => drop(Object::take(client)),
        }
    }
}
