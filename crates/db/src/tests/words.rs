//! Two nodes on one PostgreSQL database.

use std::sync::{Arc, Mutex};

use crate::{Db, Options, Sharing, Word, params, testing::TestDb};

async fn node(owner: &TestDb) -> Db {
    Db::open(owner.url(), Options { sharing: Sharing::Nodes, ..Options::default() }).await.unwrap()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn of(db: &Db, topic: &'static str) -> Self {
        let log = Self::default();
        let lines = Arc::clone(&log.0);
        db.hear(topic, move |word| {
            lines.lock().unwrap().push(match word {
                Word::This(text) => text.to_owned(),
                Word::Everything => "everything".to_owned(),
            });
        });
        log
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn tell(db: &Db, word: &'static str, commits: bool) {
    let outcome = db
        .write(move |tx| {
            Box::pin(async move {
                tx.all("SELECT 1", params![]).await?;
                tx.tell("thing", word);
                if commits { Ok(()) } else { Err(kernel::Error::not_found()) }
            })
        })
        .await;
    assert_eq!(outcome.is_ok(), commits);
}

#[tokio::test]
async fn what_one_node_commits_all_hear_and_what_it_rolls_back_none() {
    let owner = TestDb::postgres().await;
    let (one, other) = (node(&owner).await, node(&owner).await);
    let (own, others) = (Log::of(&one, "thing"), Log::of(&other, "thing"));
    let unconcerned = Log::of(&other, "else");
    tell(&one, "never", false).await;
    tell(&one, "first", true).await;
    tell(&other, "second", true).await;
    testkit::wait_until_async("both hear both", async || own.lines().len() == 2 && others.lines().len() == 2)
        .await;
    assert_eq!(own.lines(), ["first", "second"]);
    assert_eq!(others.lines(), ["first", "second"]);
    assert!(unconcerned.lines().is_empty());
}

#[tokio::test]
async fn a_node_that_becomes_deaf_knows_it_and_forgets_everything() {
    let owner = TestDb::postgres().await;
    let node = node(&owner).await;
    let log = Log::of(&node, "thing");
    assert!(node.hears().now());
    let hears = node.hears();
    // From the first `everything` until it listens again nothing may be remembered.
    let deaf = Arc::new(Mutex::new(Vec::new()));
    let states = Arc::clone(&deaf);
    node.hear("thing", move |_| states.lock().unwrap().push(hears.now()));
    owner
        .read(|tx| {
            Box::pin(async move {
                let sql = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
                            WHERE datname = current_database() AND query LIKE '%LISTEN trunkline%' AND pid <> pg_backend_pid()";
                tx.all(sql, &[]).await.map(|rows| assert_eq!(rows.len(), 1))
            })
        })
        .await
        .unwrap();
    testkit::wait_until_async("it listens again", async || log.lines().len() == 2 && node.hears().now())
        .await;
    assert_eq!(log.lines(), ["everything", "everything"]);
    assert_eq!(*deaf.lock().unwrap(), [false, false]);
    tell(&node, "after", true).await;
    testkit::wait_until_async("it hears again", async || log.lines().len() == 3).await;
}

#[tokio::test]
async fn a_database_is_one_nodes_alone_or_a_clusters() {
    let owner = TestDb::postgres().await;
    let options =
        |sharing| Options { sharing, wait: std::time::Duration::from_millis(300), ..Options::default() };
    let shared = node(&owner).await;
    let error = Db::open(owner.url(), options(Sharing::Alone)).await.unwrap_err();
    assert!(error.to_string().contains("make both nodes of one cluster"), "{error}");
    shared.close().await;
    let alone = Db::open(owner.url(), options(Sharing::Alone)).await.unwrap();
    Db::open(owner.url(), options(Sharing::Nodes)).await.unwrap_err();
    alone.close().await;
}
