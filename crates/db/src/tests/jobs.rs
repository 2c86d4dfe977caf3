//! Transactions: all or nothing, hooks, failures, and what happens to neighbours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kernel::{Error, Kind, Result};

use crate::{Db, Migration, Options, Tx, both_databases, params, testing::TestDb, violated};

const ITEMS: Migration = Migration {
    id: "items/0001",
    sql: "CREATE TABLE items (id TEXT NOT NULL PRIMARY KEY, place BIGINT NOT NULL, label TEXT UNIQUE, half TEXT, note TEXT);
          CREATE UNIQUE INDEX items_place_half ON items (place, half);
          CREATE UNIQUE INDEX items_lower_note ON items (lower(note));
          -- sqlite
          CREATE TABLE numbered (id INTEGER PRIMARY KEY);
          -- end
          -- postgres
          CREATE TABLE numbered (id BIGINT PRIMARY KEY);
          -- end",
};

async fn insert(tx: &mut Tx, id: &str, place: i64) -> Result<()> {
    tx.execute("INSERT INTO items (id, place, half) VALUES ($1, $2, '')", params![id, place]).await.map(drop)
}

async fn put(db: &Db, id: String, place: i64) -> Result<()> {
    db.write(move |tx| Box::pin(async move { insert(tx, &id, place).await })).await
}

async fn count(db: &Db) -> i64 {
    db.read(|tx| Box::pin(async move { tx.one("SELECT count(*) FROM items", &[]).await?.get(0) }))
        .await
        .unwrap()
}

both_databases! {
    async fn a_failed_job_leaves_nothing_and_its_neighbours_alone(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for place in 0..60 {
            let db = db.db();
            tasks.spawn(async move {
                db.write(move |tx| Box::pin(async move {
                    insert(tx, &place.to_string(), place).await?;
                    if place % 3 == 0 { Err(Error::conflict("no")) } else { Ok(place) }
                })).await
            });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 40);
        assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|error| error.to_string() == "no"));
        assert_eq!(count(&db).await, 40);
    }

    async fn a_taken_key_has_the_same_name_on_both(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        for (sql, key) in [
            ("INSERT INTO items (id, place, half) VALUES ('a', 1, '')", "items_pkey"),
                        ("INSERT INTO items (id, place, label) VALUES ('b', 1, 'X')", "items_label_key"),
            ("INSERT INTO items (id, place, half) VALUES ('c', 5, 'h')", "items_place_half"),
            ("INSERT INTO items (id, place, note) VALUES ('d', 1, 'n')", "items_lower_note"),
            ("INSERT INTO numbered (id) VALUES (7)", "numbered_pkey"),
        ] {
            let error = db.write(move |tx| Box::pin(async move {
                tx.execute("INSERT INTO items VALUES ('a', 5, 'X', 'h', 'N')", &[]).await?;
                tx.execute("INSERT INTO numbered (id) VALUES (7)", &[]).await?;
                tx.execute(sql, &[]).await
            })).await.unwrap_err();
            assert_eq!(violated(&error), Some(key), "{sql}: {error:?}");
            assert_eq!(error.kind(), Kind::Conflict);
        }
        assert_eq!(violated(&Error::not_found()), None);
        assert_eq!(count(&db).await, 0);
    }

    async fn a_job_that_ignores_a_failed_statement_fails(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        let outcome = db.write(|tx| Box::pin(async move {
            insert(tx, "a", 1).await?;
            let _ignored = insert(tx, "a", 2).await;
            Ok(())
        })).await;
        assert_eq!(outcome.unwrap_err().kind(), Kind::Internal);
        let outcome = db.write(|tx| Box::pin(async move {
            let _ignored = insert(tx, "a", 1).await.and(insert(tx, "a", 2).await);
            insert(tx, "b", 3).await
        })).await;
        assert!(outcome.unwrap_err().chain().contains("follows one that failed"));
        assert_eq!(count(&db).await, 0);
        put(&db, "a".to_owned(), 1).await.unwrap();
    }

    async fn hooks_run_after_the_commit_and_before_the_answer(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        for (fails, expected) in [(false, 1), (true, 1), (false, 2)] {
            let hook = Arc::clone(&ran);
            let outcome = db.write(move |tx| Box::pin(async move {
                tx.execute("DELETE FROM items", &[]).await?;
                tx.on_commit(|| panic!("a hook's own mistake"));
                tx.on_commit(move || { hook.fetch_add(1, Ordering::SeqCst); });
                if fails { Err(Error::not_found()) } else { Ok(()) }
            })).await;
            assert_eq!(outcome.is_err(), fails);
            assert_eq!(ran.load(Ordering::SeqCst), expected);
        }
    }

    async fn an_answered_write_is_seen_by_the_next_read(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8_i64 {
            let db = db.db();
            tasks.spawn(async move {
                for n in 0..25 {
                    let id = format!("{task}-{n}");
                    put(&db, id.clone(), task * 100 + n).await.unwrap();
                    let found = db.read(move |tx| Box::pin(async move {
                        tx.one_or_none("SELECT id FROM items WHERE id = $1", params![id]).await
                    })).await.unwrap();
                    assert!(found.is_some());
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(count(&db).await, 200);
    }

    async fn a_scan_sees_one_snapshot_and_cannot_write(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        put(&db, "a".to_owned(), 1).await.unwrap();
        let (before, after) = {
            let (seen, wait) = tokio::sync::oneshot::channel();
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let handle = db.db();
            let scan = tokio::spawn(async move {
                handle.scan(move |tx| Box::pin(async move {
                    let before: i64 = tx.one("SELECT count(*) FROM items", &[]).await?.get(0)?;
                    seen.send(()).unwrap();
                    tokio::task::block_in_place(|| gone.recv().unwrap());
                    let after: i64 = tx.one("SELECT count(*) FROM items", &[]).await?.get(0)?;
                    Ok((before, after))
                })).await
            });
            wait.await.unwrap();
            put(&db, "b".to_owned(), 2).await.unwrap();
            go.send(()).unwrap();
            scan.await.unwrap().unwrap()
        };
        assert_eq!((before, after), (1, 1));
        let outcome = db.scan(|tx| Box::pin(async move { insert(tx, "c", 3).await })).await;
        assert_eq!(outcome.unwrap_err().kind(), Kind::Internal);
        assert_eq!(count(&db).await, 2);
    }

    async fn a_statement_sent_later_counts_and_its_failure_too(db: TestDb) {
        db.migrate(&[ITEMS]).await.unwrap();
        let later = "INSERT INTO items (id, place) VALUES ($1, 1)";
        db.write(move |tx| Box::pin(async move {
            tx.execute_later(later, params!["a"]).await?;
            tx.execute_later(later, params!["b"]).await
        })).await.unwrap();
        assert_eq!(count(&db).await, 2);
        for then_one_more in [false, true] {
            let error = db.write(move |tx| Box::pin(async move {
                insert(tx, "c", 9).await?;
                tx.execute_later(later, params!["a"]).await?;
                if then_one_more {
                    insert(tx, "d", 10).await?;
                }
                Ok(())
            })).await.unwrap_err();
            assert_eq!(violated(&error), Some("items_pkey"));
        }
        assert_eq!(count(&db).await, 2);
    }

    async fn a_closed_database_is_unavailable_and_opens_again(db: TestDb) {
        let mut db = db;
        db.migrate(&[ITEMS]).await.unwrap();
        put(&db, "a".to_owned(), 1).await.unwrap();
        let old = db.db();
        db.reopen().await;
        assert_eq!(count(&db).await, 1);
        assert_eq!(old.ping().await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(put(&old, "b".to_owned(), 2).await.unwrap_err().kind(), Kind::Unavailable);
        db.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_panicking_job_does_not_stop_the_writer() {
    let db = TestDb::sqlite().await;
    db.migrate(&[ITEMS]).await.unwrap();
    let outcome: Result<()> = db
        .write(|tx| {
            Box::pin(async move {
                insert(tx, "a", 1).await?;
                panic!("a job's own mistake");
            })
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Internal);
    assert_eq!(count(&db).await, 0);
    put(&db, "a".to_owned(), 1).await.unwrap();
}

#[tokio::test]
async fn a_job_that_waits_for_anything_else_is_rolled_back() {
    let db = TestDb::sqlite().await;
    db.migrate(&[ITEMS]).await.unwrap();
    let outcome = db
        .write(|tx| {
            Box::pin(async move {
                insert(tx, "a", 1).await?;
                tokio::task::yield_now().await;
                Ok(())
            })
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Internal);
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_transaction_behind() {
    let owner = TestDb::postgres().await;
    let options = Options { connections: 1, ..Options::default() };
    let db = Db::open(owner.url(), options).await.unwrap();
    db.migrate(&[ITEMS]).await.unwrap();
    let (reached, wait) = tokio::sync::oneshot::channel();
    let handle = db.clone();
    let caller = tokio::spawn(async move {
        handle
            .write(|tx| {
                Box::pin(async move {
                    insert(tx, "a", 1).await?;
                    let _ = reached.send(());
                    std::future::pending().await
                })
            })
            .await
            .map(|(): ()| ())
    });
    wait.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    // The only connection comes back, and the row is not there.
    put(&db, "b".to_owned(), 2).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_unavailable() {
    let owner = TestDb::postgres().await;
    let options = Options { statement_timeout: Duration::from_millis(50), ..Options::default() };
    let db = Db::open(owner.url(), options).await.unwrap();
    let outcome =
        db.read(|tx| Box::pin(async move { tx.all("SELECT pg_sleep(30)::text", &[]).await.map(drop) })).await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Unavailable);
}

/// A statement that keeps a core busy: minutes on SQLite.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000000) \
                       SELECT count(*) FROM n";

#[tokio::test]
async fn a_scan_that_takes_too_long_is_unavailable() {
    for owner in [TestDb::sqlite().await, TestDb::postgres().await] {
        let url = owner.url().to_owned();
        owner.close().await;
        let options = Options { scan_timeout: Duration::from_millis(50), ..Options::default() };
        let db = Db::open(&url, options).await.unwrap();
        let outcome = db.scan(|tx| Box::pin(async move { tx.one(ENDLESS, &[]).await.map(drop) })).await;
        assert_eq!(outcome.unwrap_err().kind(), Kind::Unavailable, "{db:?}");
        // The limit was the scan's alone.
        db.scan(|tx| Box::pin(async move { tx.one("SELECT 1", &[]).await.map(drop) })).await.unwrap();
    }
}

#[tokio::test]
async fn a_scan_of_many_short_statements_ends_in_time_too() {
    let owner = TestDb::sqlite().await;
    owner.close().await;
    let options = Options { scan_timeout: Duration::from_millis(50), ..Options::default() };
    let db = Db::open(owner.url(), options).await.unwrap();
    let scan = db.scan(|tx| {
        Box::pin(async move {
            for _ in 0..100_000_000 {
                tx.one("SELECT 1", &[]).await?;
            }
            Ok(())
        })
    });
    assert_eq!(scan.await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_scan_ends_when_its_caller_goes_away() {
    let db = TestDb::sqlite().await;
    let (started, start) = tokio::sync::oneshot::channel();
    let (ended, end) = tokio::sync::oneshot::channel();
    let handle = db.db();
    let caller = tokio::spawn(async move {
        let scan = handle.scan(|tx| {
            Box::pin(async move {
                let _ = started.send(());
                let outcome = tx.one(ENDLESS, &[]).await.map(drop);
                let _ = ended.send(outcome.as_ref().err().map(Error::kind));
                outcome
            })
        });
        scan.await
    });
    start.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(end.await.unwrap(), Some(Kind::Unavailable));
}

#[tokio::test]
async fn a_database_is_opened_by_one_process_at_a_time() {
    let db = TestDb::sqlite().await;
    let options = Options { wait: Duration::ZERO, ..Options::default() };
    let error = Db::open(db.url(), options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unprocessable);
    assert!(error.to_string().contains("another process has opened"), "{error}");
    db.close().await;
    Db::open(db.url(), Options::default()).await.unwrap();
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_reported_without_its_password() {
    let port = testkit::ports::free();
    let options = || Options { wait: Duration::from_secs(1), ..Options::default() };
    let gone = format!("postgres://u:hunter2@127.0.0.1:{port}/d");
    for (url, kind) in [
        (gone.as_str(), Kind::Unavailable),
        ("postgres://u:hunter2@[", Kind::Invalid),
        ("mysql://u:hunter2@h/d", Kind::Invalid),
        ("sqlite:", Kind::Invalid),
        ("sqlite::memory:", Kind::Invalid),
        ("sqlite:/nowhere/at/all.db", Kind::Unavailable),
    ] {
        let error = Db::open(url, options()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_spoils_nothing() {
    let db = TestDb::sqlite().await;
    db.migrate(&[ITEMS]).await.unwrap();
    // The most pages that the writer's connection may use stand in for the disk.
    let limit = |pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        db.write(move |tx| Box::pin(async move { tx.all(&sql, &[]).await.map(drop) }))
    };
    limit(60).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for place in 0..200 {
        let db = db.db();
        tasks.spawn(async move {
            db.write(move |tx| {
                Box::pin(async move {
                    insert(tx, &place.to_string(), place).await?;
                    tx.execute(
                        "UPDATE items SET note = $2 WHERE place = $1",
                        params![place, format!("{place} {}", "x".repeat(3000))],
                    )
                    .await
                })
            })
            .await
        });
    }
    let outcomes = tasks.join_all().await;
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(stored < 200);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    }
    assert_eq!(usize::try_from(count(&db).await).unwrap(), stored);
    limit(10_000).await.unwrap();
    put(&db, "later".to_owned(), 1_000).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "these are notes, and no database, however long one reads ".repeat(100)).unwrap();
    let error = Db::open(path.to_str().unwrap(), Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let db = TestDb::sqlite().await;
    db.migrate(&[ITEMS]).await.unwrap();
    let path = db.url().strip_prefix("sqlite:").unwrap();
    for file in [path.to_owned(), format!("{path}-wal"), format!("{path}-shm")] {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drops_its_connections_is_unavailable_until_the_next() {
    let db = TestDb::postgres().await;
    db.migrate(&[ITEMS]).await.unwrap();
    put(&db, "a".to_owned(), 1).await.unwrap();
    let outcome = db
        .write(|tx| {
            Box::pin(async move {
                insert(tx, "b", 2).await?;
                tx.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[]).await?;
                insert(tx, "c", 3).await
            })
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Unavailable);
    put(&db, "d".to_owned(), 4).await.unwrap();
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn rows_held_for_share_are_shared_and_not_changed() {
    let db = TestDb::postgres().await;
    db.migrate(&[ITEMS]).await.unwrap();
    put(&db, "a".to_owned(), 1).await.unwrap();
    let others = db.db();
    let (shared, changed) = db
        .write(move |tx| {
            Box::pin(async move {
                let held = format!("SELECT id FROM items{}", tx.for_share());
                tx.one(&held, &[]).await?;
                let shared = others.write(|tx| Box::pin(async move { tx.one(&held, &[]).await.map(drop) }));
                let shared = shared.await;
                let changed = others.write(|tx| {
                    Box::pin(async move {
                        tx.execute("SET LOCAL lock_timeout = 50", &[]).await?;
                        tx.execute("UPDATE items SET place = 2", &[]).await
                    })
                });
                Ok((shared, changed.await))
            })
        })
        .await
        .unwrap();
    shared.unwrap();
    assert_eq!(changed.unwrap_err().kind(), Kind::Unavailable);
}

/// Items whose COMMIT does what their note says: waits for the advisory lock 1, or ends its connection.
const SLOW_TO_COMMIT: Migration = Migration {
    id: "items/0002",
    sql: "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            IF NEW.note = 'wait' THEN PERFORM pg_advisory_xact_lock(1); END IF;
            IF NEW.note = 'die' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NULL;
          END $$;
          CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION at_commit();",
};

async fn put_with_hook(db: Db, note: &'static str, hook: impl FnOnce() + Send + 'static) -> Result<()> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.on_commit(hook);
            tx.execute("INSERT INTO items (id, place, note) VALUES ('a', 1, $1)", params![note])
                .await
                .map(drop)
        })
    })
    .await
}

#[tokio::test]
async fn hooks_run_even_if_the_caller_goes_away_during_the_commit() {
    let db = TestDb::postgres().await;
    db.migrate(&[ITEMS, SLOW_TO_COMMIT]).await.unwrap();
    let (held, lock_held) = tokio::sync::oneshot::channel();
    let (let_go, released) = tokio::sync::oneshot::channel::<()>();
    let handle = db.db();
    let holder = tokio::spawn(async move {
        handle
            .write(|tx| {
                Box::pin(async move {
                    tx.execute("SELECT pg_advisory_xact_lock(1)::text", &[]).await?;
                    held.send(()).unwrap();
                    released.await.map_err(Error::internal)
                })
            })
            .await
    });
    lock_held.await.unwrap();
    let (ran, hook_ran) = tokio::sync::oneshot::channel();
    let caller = tokio::spawn(put_with_hook(db.db(), "wait", move || ran.send(()).unwrap()));
    testkit::wait_until_async("the COMMIT waits", async || {
        let waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted";
        !db.read(move |tx| Box::pin(async move { tx.all(waiting, &[]).await })).await.unwrap().is_empty()
    })
    .await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let_go.send(()).unwrap();
    holder.await.unwrap().unwrap();
    hook_ran.await.expect("the hook is to run");
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn hooks_run_when_nobody_knows_what_became_of_the_commit() {
    let db = TestDb::postgres().await;
    db.migrate(&[ITEMS, SLOW_TO_COMMIT]).await.unwrap();
    let (ran, mut hook_ran) = tokio::sync::oneshot::channel();
    let outcome = put_with_hook(db.db(), "die", move || ran.send(()).unwrap()).await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Unavailable);
    hook_ran.try_recv().expect("the hook is to have run");
}
