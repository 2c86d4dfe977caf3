//! What was answered survives the end of the process, and nothing is there by half.
//!
//! The test starts itself once more as a writer, kills it with SIGKILL under load, and looks into the database.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use db::{Db, Migration, Options, params};

const PAIRS: Migration = Migration {
    id: "pairs/0001",
    sql: "CREATE TABLE lefts (id TEXT NOT NULL PRIMARY KEY); CREATE TABLE rights (id TEXT NOT NULL PRIMARY KEY);",
};
/// Tells the process that it is the writer, and where to write.
const WRITER: &str = "CRASH_TEST_DATABASE";
/// Tells the writer what its ids begin with.
const ROUND: &str = "CRASH_TEST_ROUND";
const ROUNDS: usize = 10;
const ANSWERS_PER_ROUND: usize = 150;
const CALLERS: usize = 16;

#[test]
fn answered_jobs_survive_a_kill_on_sqlite() {
    if be_the_writer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    kill_and_look(
        &format!("sqlite:{}", dir.path().join("crash.db").display()),
        "answered_jobs_survive_a_kill_on_sqlite",
    );
}

#[test]
fn answered_jobs_survive_a_kill_on_postgres() {
    if be_the_writer() {
        return;
    }
    kill_and_look(&testkit::postgres::url(), "answered_jobs_survive_a_kill_on_postgres");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// In the writer's process: writes pairs and prints each id once its job is answered, until the process is killed.
fn be_the_writer() -> bool {
    let Ok(url) = std::env::var(WRITER) else { return false };
    let round = std::env::var(ROUND).unwrap();
    runtime().block_on(async {
        let db = Db::open(&url, Options::default()).await.unwrap();
        db.migrate(&[PAIRS]).await.unwrap();
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            let (db, round) = (db.clone(), round.clone());
            callers.spawn(async move {
                for number in 0_u64.. {
                    let id = format!("{round}-{caller}-{number}");
                    let row = id.clone();
                    db.write(|tx| {
                        Box::pin(async move {
                            tx.execute("INSERT INTO lefts (id) VALUES ($1)", params![&row]).await?;
                            tx.execute("INSERT INTO rights (id) VALUES ($1)", params![row]).await
                        })
                    })
                    .await
                    .unwrap();
                    // A full line in one write, so that a kill cannot cut it.
                    std::io::stdout().lock().write_all(format!("answered {id}\n").as_bytes()).unwrap();
                }
            });
        }
        callers.join_all().await;
    });
    true
}

fn kill_and_look(url: &str, test: &str) {
    let mut answered = HashSet::new();
    for round in 0..ROUNDS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(WRITER, url)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut ids =
            lines.by_ref().filter_map(|line| line.unwrap().strip_prefix("answered ").map(str::to_owned));
        answered.extend(ids.by_ref().take(ANSWERS_PER_ROUND));
        writer.kill().unwrap();
        answered.extend(ids);
        writer.wait().unwrap();

        let (lefts, rights) = runtime().block_on(stored(url));
        assert!(answered.len() >= (round + 1) * ANSWERS_PER_ROUND, "the writer ended on its own");
        assert!(answered.is_subset(&lefts), "an answered job is gone");
        assert_eq!(lefts, rights, "a job is there by half");
    }
}

async fn stored(url: &str) -> (HashSet<String>, HashSet<String>) {
    let db = Db::open(url, Options::default()).await.unwrap();
    let sets = db
        .scan(|tx| {
            Box::pin(async move {
                let lefts = tx.all("SELECT id FROM lefts", &[]).await?;
                let rights = tx.all("SELECT id FROM rights", &[]).await?;
                let set =
                    |rows: Vec<db::Row>| rows.iter().map(|row| row.get("id")).collect::<kernel::Result<_>>();
                Ok((set(lefts)?, set(rights)?))
            })
        })
        .await
        .unwrap();
    db.close().await;
    sets
}
