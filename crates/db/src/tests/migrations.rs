//! Schemas that grow.

use kernel::Kind;

use crate::{Db, Migration, Options, both_databases, testing::TestDb};

const FIRST: Migration = Migration { id: "a/0001", sql: "CREATE TABLE a (id TEXT NOT NULL PRIMARY KEY);" };
const SECOND: Migration = Migration { id: "a/0002", sql: "ALTER TABLE a ADD COLUMN name TEXT;" };
const BROKEN: Migration =
    Migration { id: "a/0003", sql: "CREATE TABLE b (id TEXT); INSERT INTO nowhere VALUES (1);" };

async fn has(db: &TestDb, sql: &'static str) -> bool {
    db.read(move |tx| Box::pin(async move { tx.all(sql, &[]).await })).await.is_ok()
}

both_databases! {
    async fn each_migration_runs_once(db: TestDb) {
        db.migrate(&[FIRST]).await.unwrap();
        db.migrate(&[FIRST]).await.unwrap();
        assert!(!has(&db, "SELECT name FROM a").await);
        db.migrate(&[FIRST, SECOND]).await.unwrap();
        assert!(has(&db, "SELECT name FROM a").await);
    }

    async fn a_newer_database_is_refused_and_left_alone(db: TestDb) {
        db.migrate(&[FIRST, SECOND]).await.unwrap();
        let error = db.migrate(&[FIRST]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unprocessable);
        assert!(error.to_string().contains("newer than this program"), "{error}");
        assert!(error.to_string().contains("`a/0002`"), "{error}");
        db.migrate(&[FIRST, SECOND]).await.unwrap();
    }

    async fn a_migration_that_fails_leaves_nothing(db: TestDb) {
        let error = db.migrate(&[FIRST, SECOND, BROKEN]).await.unwrap_err();
        assert!(error.chain().contains("`a/0003`"), "{error:?}");
        assert!(!has(&db, "SELECT id FROM a").await);
        assert!(!has(&db, "SELECT id FROM b").await);
        db.migrate(&[FIRST]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_once() {
    let db = TestDb::postgres().await;
    let mut nodes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let options = Options { sharing: crate::Sharing::Bystander, ..Options::default() };
        let node = Db::open(db.url(), options).await.unwrap();
        nodes.spawn(async move { node.migrate(&[FIRST, SECOND]).await });
    }
    assert!(nodes.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
}
