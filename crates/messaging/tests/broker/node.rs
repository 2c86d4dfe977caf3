//! A broker with a database that can be killed and started again.

use std::sync::Arc;

use db::{Db, Options, testing::TestDb};
use kernel::{Clock, Timestamp};
use messaging::{Engine, Limits, MIGRATIONS};
use tokio::runtime::Runtime;

use crate::Broker;
use crate::gate::{Plant, TestGate};

/// The time at which the first node of a test starts, in microseconds.
const START: i64 = 1_800_000_000_000_000;

/// A node in a runtime of its own, so that all of its tasks can end at any point, as with `kill -9`.
pub(crate) struct Node {
    url: String,
    seconds: i64,
    running: Option<(Runtime, Broker)>,
    pub(crate) db: Db,
}

impl Node {
    pub(crate) async fn start(db: &TestDb) -> Self {
        Self::with(db, |_| {}).await
    }

    pub(crate) async fn with(db: &TestDb, change: impl FnOnce(&mut Limits)) -> Self {
        // A SQLite file has one process at a time, and one handle.
        db.close().await;
        let mut limits = Limits::default();
        change(&mut limits);
        let url = db.url().to_owned();
        let (runtime, broker, db) = run(url.clone(), 0, limits).await;
        Self { url, seconds: 0, running: Some((runtime, broker)), db }
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.running.as_ref().unwrap().1
    }

    /// Ends everything at once, and starts again `seconds` later.
    pub(crate) async fn killed_and_back_after(&mut self, seconds: i64) {
        self.kill();
        self.back_after(seconds).await;
    }

    /// Shuts down in good order and starts again.
    pub(crate) async fn restart(&mut self) {
        self.broker().engine.shutdown().await;
        self.killed_and_back_after(0).await;
    }

    fn kill(&mut self) {
        let (runtime, broker) = self.running.take().unwrap();
        drop(broker);
        runtime.shutdown_background();
    }

    async fn back_after(&mut self, seconds: i64) {
        self.db.close().await;
        self.seconds += seconds;
        let (runtime, broker, db) = run(self.url.clone(), self.seconds, Limits::default()).await;
        self.running = Some((runtime, broker));
        self.db = db;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}

async fn run(url: String, seconds: i64, limits: Limits) -> (Runtime, Broker, Db) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let started = runtime.spawn(async move {
        let db =
            Db::open(&url, Options { sharing: db::Sharing::Bystander, ..Options::default() }).await.unwrap();
        db.migrate(MIGRATIONS).await.unwrap();
        let plant = Plant::new();
        let gate = Arc::new(TestGate::new(&plant));
        let clock = Clock::manual(Timestamp::from_micros(START + seconds * 1_000_000));
        let rules = Arc::clone(&gate) as Arc<dyn messaging::Gate>;
        let engine = Engine::stored(rules, clock, limits, None, db.clone()).await.unwrap();
        (Broker::serve(engine, gate, plant), db)
    });
    let (broker, db) = started.await.unwrap();
    (runtime, broker, db)
}
