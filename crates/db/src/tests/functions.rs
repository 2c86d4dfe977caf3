//! The functions that stand in for PostgreSQL's operators answer as PostgreSQL does.

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::block_in_place};

use crate::{Db, both_databases, json as naive, params, testing::TestDb};

/// Documents from so few parts that one often contains the other.
fn document() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        prop_oneof![Just(1.0), Just(0.5), Just(1e3)].prop_map(Value::from),
        prop_oneof![Just("a"), Just("b"), Just("1"), Just("ü")].prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(Value::from_iter),
        ]
    })
}

async fn ask(db: &Db, question: &'static str, doc: Value, want: Value) -> bool {
    db.read(move |tx| Box::pin(async move { tx.one(question, params![doc, want]).await?.get(0) }))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_contain_each_other_as_in_postgresql() {
    let (sqlite, postgres) = (TestDb::sqlite().await, TestDb::postgres().await);
    postgres.migrate(&[]).await.unwrap();
    let (runtime, question) = (Handle::current(), "SELECT json_contains($1, $2)");
    let outcome = block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
        runner.run(&(document(), document()), |(doc, want)| {
            let truth = runtime.block_on(ask(&postgres, question, doc.clone(), want.clone()));
            let ours = runtime.block_on(ask(&sqlite, question, doc.clone(), want.clone()));
            if truth != ours || ours != naive::contains(&doc, &want) {
                return Err(TestCaseError::fail(format!("{doc} @> {want} is {truth}")));
            }
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_found_as_in_postgresql() {
    let (sqlite, postgres) = (TestDb::sqlite().await, TestDb::postgres().await);
    postgres.migrate(&[]).await.unwrap();
    for (doc, want) in [
        (json!(["a", "b"]), json!(["b", "c"])),
        (json!(["a", "b"]), json!(["c"])),
        (json!([]), json!(["c"])),
        (json!(["a"]), json!([])),
    ] {
        for question in ["SELECT tags_any($1, $2)", "SELECT tags_all($1, $2)"] {
            let ours = ask(&sqlite, question, doc.clone(), want.clone()).await;
            assert_eq!(
                ours,
                ask(&postgres, question, doc.clone(), want.clone()).await,
                "{question}: {doc}, {want}"
            );
        }
    }
}

both_databases! {
    async fn names_are_compared_in_any_case_and_null_stays_null(db: TestDb) {
        db.migrate(&[]).await.unwrap();
        for (name, part, answer) in [
            (Some("ΟΔΟΣ Süd"), Some("οδος süD"), Some(true)),
            (Some("Straße"), Some("STRASSE"), Some(true)),
            (Some("İstanbul"), Some("istanbul"), Some(false)),
            (Some("a_b"), Some("a%"), Some(false)),
            (Some("a"), Some(""), Some(true)),
            (None, Some("a"), None),
            (Some("a"), None, None),
        ] {
            let found = db.read(move |tx| Box::pin(async move {
                tx.one("SELECT name_contains($1, $2)", params![name, part]).await?.get::<Option<bool>>(0)
            })).await.unwrap();
            assert_eq!(found, answer, "{name:?} / {part:?}");
        }
    }
}

#[tokio::test]
async fn postgresql_finds_documents_through_an_index() {
    let db = TestDb::postgres().await;
    db.migrate(&[crate::Migration {
        id: "docs/0001",
        sql: "CREATE TABLE docs (tags JSONB NOT NULL); CREATE INDEX docs_tags ON docs USING gin (tags);",
    }])
    .await
    .unwrap();
    for condition in ["json_contains(tags, $1)", "tags_all(tags, $1)", "tags_any(tags, $1)"] {
        let plan = db
            .write(move |tx| {
                Box::pin(async move {
                    tx.execute("SET LOCAL enable_seqscan = off", &[]).await?;
                    // EXPLAIN takes no placeholders; a prepared statement's generic plan is what the program gets.
                    tx.execute(&format!("PREPARE q (jsonb) AS SELECT * FROM docs WHERE {condition}"), &[])
                        .await?;
                    let rows = tx.all("EXPLAIN EXECUTE q('[\"a\"]')", &[]).await?;
                    tx.execute("DEALLOCATE q", &[]).await?;
                    rows.iter().map(|row| row.get::<String>(0)).collect::<kernel::Result<Vec<_>>>()
                })
            })
            .await
            .unwrap()
            .join("\n");
        assert!(plan.contains("docs_tags"), "{condition}:\n{plan}");
    }
}
