//! One node per database, or several that know of each other: the caches of two could not know of each other's writes.
//!
//! The lock is an advisory one of PostgreSQL, held by a session that does nothing else, so that it ends with this
//! process, however that ends. Nodes that share the database hold it together, and their sessions listen to what the
//! others tell (`words.rs`). The session may be lost on its own (the server restarts, a firewall forgets it): then it
//! is made again at once, and if another node was quicker, the log says so until it has gone. A node that listens asks for
//! a sign of life every second, so that it knows within [`PULSE`] and [`PATIENCE`] that it has become deaf.

use std::{sync::Arc, time::Duration};

use kernel::{Error, Kind, Result};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::Client;

use crate::{
    error,
    postgres::address::Address,
    words::{Ear, Words},
};

/// The advisory lock of the node that uses a database: `trunkn` in ASCII. Each database has its own.
const NODE_LOCK: i64 = 0x7472_756e_6b6e;
/// How often a lock that another node holds is tried again at the start, and while it should be ours.
const AGAIN: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_secs(1);
/// After this long without a word each side takes the other for lost.
const SILENCE: Duration = Duration::from_secs(60);

/// How often a session that listens shows that it is alive, and how long it may take to.
const PULSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

const TAKEN: &str = "another trunkline uses this database; stop it, give this node a database of its own, or make both nodes \
                     of one cluster";

/// The lock, held until all clones are dropped, [`Lock::release`] is called, or the process ends.
#[derive(Clone)]
pub(super) struct Lock {
    orders: mpsc::Sender<oneshot::Sender<()>>,
}

impl Lock {
    /// Takes the lock, with `words` together with others that do; waits up to `wait` for a node that is about to end.
    pub(super) async fn take(
        address: Arc<Address>,
        words: Option<Arc<Words>>,
        wait: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + wait;
        let session = Session::open(&address, words).await?;
        while !session.try_lock().await? {
            if Instant::now() >= deadline {
                return Err(Error::new(Kind::Unprocessable, TAKEN));
            }
            sleep(AGAIN).await;
        }
        session.listen().await?;
        let (orders, queue) = mpsc::channel(1);
        tokio::spawn(keep(address, session, queue));
        Ok(Self { orders })
    }

    /// Returns when another node may have the database.
    pub(super) async fn release(&self) {
        let (caller, answer) = oneshot::channel();
        if self.orders.send(caller).await.is_ok() {
            // An error means that the task has ended, and the session with it.
            let _ = answer.await;
        }
    }
}

/// Holds the lock until there is an order to release it, or nobody left who could give one.
async fn keep(address: Arc<Address>, session: Session, mut orders: mpsc::Receiver<oneshot::Sender<()>>) {
    let mut session = session;
    let order = loop {
        tokio::select! {
            order = orders.recv() => {
                session.unlock().await;
                break order;
            }
            () = session.is_lost() => {}
        }
        let words = session.words.clone();
        if let Some(words) = &words {
            words.deafen();
            tracing::warn!(
                "the connection that hears what other nodes change is lost; nothing is remembered until it is back"
            );
        } else {
            tracing::warn!("the connection that keeps other nodes from the database is lost");
        }
        tokio::select! {
            order = orders.recv() => break order,
            again = take_again(&address, words) => session = again,
        }
    };
    if let Some(caller) = order {
        let _ = caller.send(());
    }
}

/// Makes the session again and takes the lock, however long it takes.
async fn take_again(address: &Address, words: Option<Arc<Words>>) -> Session {
    let mut reported = false;
    loop {
        match Session::open_locked(address, words.clone()).await {
            Ok(Some(session)) => {
                if words.is_some() {
                    tracing::info!("what other nodes change is heard again");
                } else {
                    tracing::info!("other nodes are kept from the database again");
                }
                return session;
            }
            Ok(None) if !reported => {
                tracing::error!("{TAKEN}: until then either may answer with what the other has changed");
                reported = true;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %error.chain(), "the lock on the database cannot be taken again yet");
            }
        }
        sleep(RETRY).await;
    }
}

/// The connection that holds the lock.
struct Session {
    client: Client,
    ended: JoinHandle<()>,
    /// What is told and heard; `None`: nobody else may use the database.
    words: Option<Arc<Words>>,
}

impl Session {
    async fn open(address: &Address, words: Option<Arc<Words>>) -> Result<Self> {
        let mut ear = words.clone().map(Ear::new);
        let notified = move |payload: &str| {
            if let Some(ear) = &mut ear {
                ear.notified(payload);
            }
        };
        let (client, ended) = address.connect(SILENCE, notified).await?;
        let session = Self { client, ended, words };
        let (idle, interval) = (SILENCE.as_secs() / 2, SILENCE.as_secs() / 6);
        // No limit on idleness may end a session that is idle by design; servers before 14 have no such setting.
        let sql = format!(
            "SET tcp_keepalives_idle = {idle}; SET tcp_keepalives_interval = {interval}; SET tcp_keepalives_count = 3;
             SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
        );
        session
            .client
            .batch_execute(&sql)
            .await
            .map_err(|error| error::postgres("prepare the session of the lock", &error))?;
        Ok(session)
    }

    async fn open_locked(address: &Address, words: Option<Arc<Words>>) -> Result<Option<Self>> {
        let session = Self::open(address, words).await?;
        if !session.try_lock().await? {
            return Ok(None);
        }
        session.listen().await?;
        Ok(Some(session))
    }

    /// From here on everything that others change is heard.
    async fn listen(&self) -> Result<()> {
        let Some(words) = &self.words else { return Ok(()) };
        self.client
            .batch_execute("LISTEN trunkline")
            .await
            .map_err(|error| error::postgres("listen to other nodes", &error))?;
        words.listens();
        Ok(())
    }

    /// Waits until the session has ended, or gives no sign of life although it should.
    async fn is_lost(&mut self) {
        if self.words.is_none() {
            let _ended = (&mut self.ended).await;
            return;
        }
        loop {
            tokio::select! {
                _ended = &mut self.ended => return,
                () = sleep(PULSE) => {}
            }
            let answer = timeout(PATIENCE, self.client.batch_execute("SELECT 1")).await;
            if !matches!(answer, Ok(Ok(()))) {
                return;
            }
        }
    }

    async fn try_lock(&self) -> Result<bool> {
        let sql = match self.words {
            None => "SELECT pg_try_advisory_lock($1)",
            Some(_) => "SELECT pg_try_advisory_lock_shared($1)",
        };
        self.client
            .query_one(sql, &[&NODE_LOCK])
            .await
            .and_then(|row| row.try_get(0))
            .map_err(|error| error::postgres("take the lock on the database", &error))
    }

    async fn unlock(&self) {
        let sql = match self.words {
            None => "SELECT pg_advisory_unlock($1)",
            Some(_) => "SELECT pg_advisory_unlock_shared($1)",
        };
        if let Err(error) = self.client.execute(sql, &[&NODE_LOCK]).await {
            // The server releases it when it notices that the session has ended.
            tracing::warn!(%error, "the lock on the database could not be released");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Db, Options, params, testing::TestDb};

    /// The sessions that hold the lock, by process id, or those that wait for it.
    async fn sessions(db: &TestDb, granted: bool) -> Vec<i64> {
        db.read(move |tx| {
            Box::pin(async move {
                let sql = "SELECT pid::bigint FROM pg_locks
                            WHERE locktype = 'advisory' AND granted = $1 AND (classid::bigint << 32) + objid::bigint = $2
                              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
                tx.all(sql, params![granted, NODE_LOCK]).await?.iter().map(|row| row.get(0)).collect()
            })
        })
        .await
        .unwrap()
    }

    async fn terminate(db: &TestDb, session: i64) {
        db.read(move |tx| {
            Box::pin(async move {
                tx.all("SELECT pg_terminate_backend($1::bigint::int)", params![session]).await.map(drop)
            })
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_database_is_used_by_one_node_at_a_time() {
        let owner = TestDb::postgres().await;
        let options = || Options { wait: Duration::from_secs(2), ..Options::default() };
        let first = Db::open(owner.url(), options()).await.unwrap();
        let error = Db::open(owner.url(), options()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unprocessable);
        assert_eq!(error.to_string(), TAKEN);
        Db::open(TestDb::postgres().await.url(), options())
            .await
            .expect("another database is another matter");

        // Whoever waits gets it when the first is closed, or has let go of all its handles.
        let url = owner.url().to_owned();
        let second = tokio::spawn(async move { Db::open(&url, Options::default()).await });
        first.close().await;
        drop(second.await.unwrap().unwrap());
        Db::open(owner.url(), Options::default()).await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_lock_is_taken_again() {
        let owner = TestDb::postgres().await;
        let _node = Db::open(owner.url(), Options::default()).await.unwrap();
        let lost = sessions(&owner, true).await;
        assert_eq!(lost.len(), 1);
        terminate(&owner, lost[0]).await;
        testkit::wait_until_async("the lock is taken again", async || {
            let held = sessions(&owner, true).await;
            !held.is_empty() && held != lost
        })
        .await;
    }

    #[tokio::test]
    async fn a_lock_lost_to_another_is_reported_and_taken_when_that_ends() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let _logging = tracing::subscriber::set_default(
            tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(Log(Arc::clone(&log)))).finish(),
        );
        let owner = TestDb::postgres().await;
        let _node = Db::open(owner.url(), Options::default()).await.unwrap();
        let (let_go, released) = oneshot::channel::<()>();
        let handle = owner.db();
        let other = tokio::spawn(async move {
            handle
                .write(|tx| {
                    Box::pin(async move {
                        tx.execute("SELECT pg_advisory_xact_lock($1)::text", params![NODE_LOCK]).await?;
                        released.await.map_err(Error::internal)
                    })
                })
                .await
        });
        testkit::wait_until_async("the other waits", async || !sessions(&owner, false).await.is_empty())
            .await;
        terminate(&owner, sessions(&owner, true).await[0]).await;
        testkit::wait_until_async("it is reported", async || {
            let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
            log.lines().any(|line| line.contains("ERROR") && line.contains(TAKEN))
        })
        .await;
        let others = sessions(&owner, true).await;
        let_go.send(()).unwrap();
        other.await.unwrap().unwrap();
        testkit::wait_until_async("the lock is taken again", async || {
            let held = sessions(&owner, true).await;
            !held.is_empty() && held != others
        })
        .await;
    }

    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for &Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
