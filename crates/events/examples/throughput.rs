//! What a durable change and a look-up cost: `cargo run --release -p trunkline-events --example throughput -- <database URL>`.
//!
//! A change is the shape of "create a client": an entity, a relation, a role, its member, one event. 16 callers wait for
//! their answers; the relay runs beside them. Use an empty database.
#![expect(clippy::print_stdout, reason = "it prints its measurements")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use db::{Db, Migration, Options, Tx, params};
use events::{Bus, Event, Outbox, Relay};
use kernel::{ClientId, Clock, Result, Rng};

const CALLERS: u64 = 16;
const RUN: Duration = Duration::from_secs(5);
const VIEWS: u32 = 100_000;

const SCHEMA: Migration = Migration {
    id: "throughput/0001",
    sql: "CREATE TABLE entities (id TEXT NOT NULL PRIMARY KEY, domain_id TEXT NOT NULL, name TEXT NOT NULL,
            tags JSONB NOT NULL, metadata JSONB NOT NULL, status BIGINT NOT NULL, created_at BIGINT NOT NULL);
          CREATE INDEX entities_page ON entities (domain_id, status, created_at, id);
          CREATE TABLE relations (object TEXT NOT NULL, relation TEXT NOT NULL, subject TEXT NOT NULL,
            PRIMARY KEY (object, relation, subject));
          CREATE INDEX relations_subject ON relations (subject);
          CREATE TABLE roles (id TEXT NOT NULL PRIMARY KEY, entity_id TEXT NOT NULL, actions JSONB NOT NULL);
          CREATE UNIQUE INDEX roles_entity ON roles (entity_id, id);
          CREATE TABLE members (role_id TEXT NOT NULL, member_id TEXT NOT NULL, entity_id TEXT NOT NULL,
            PRIMARY KEY (role_id, member_id));
          CREATE UNIQUE INDEX members_entity ON members (member_id, entity_id);",
};

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).ok_or_else(|| kernel::Error::invalid("expected a database URL"))?;
    let db = Db::open(&url, Options::default()).await?;
    let migrations: Vec<Migration> = events::MIGRATIONS.iter().copied().chain([SCHEMA]).collect();
    db.migrate(&migrations).await?;
    let outbox = Outbox::new();
    let relay = Relay::start(db.clone(), outbox.clone(), Bus::default(), Clock::system(), None);

    let created = creates(&db, &outbox).await?;
    println!("{}: {created:.0} changes per second, {CALLERS} callers", db.kind());
    let alone = one_caller(&db, &outbox).await?;
    println!("{}: {alone:.0} changes per second, 1 caller", db.kind());
    let view = views(&db).await?;
    println!("{}: {:.1} µs per look-up by id, 1 caller", db.kind(), view.as_secs_f64() * 1e6);

    relay.stop().await;
    db.close().await;
    Ok(())
}

async fn creates(db: &Db, outbox: &Outbox) -> Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (db, outbox, done) = (db.clone(), outbox.clone(), Arc::clone(&done));
        callers.spawn(async move {
            while began.elapsed() < RUN {
                create(&db, &outbox).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    callers.join_all().await.into_iter().collect::<Result<()>>()?;
    Ok(f64::from(u32::try_from(done.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
        / began.elapsed().as_secs_f64())
}

async fn one_caller(db: &Db, outbox: &Outbox) -> Result<f64> {
    let began = Instant::now();
    let mut done = 0_u32;
    while began.elapsed() < RUN {
        create(db, outbox).await?;
        done += 1;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

async fn create(db: &Db, outbox: &Outbox) -> Result<()> {
    let (id, outbox) = (ClientId::generate(&Rng::system()), outbox.clone());
    db.write(move |tx| Box::pin(async move { insert(tx, id, &outbox).await })).await
}

async fn insert(tx: &mut Tx, id: ClientId, outbox: &Outbox) -> Result<()> {
    let (now, role, domain) =
        (Clock::system().now(), format!("client_{id}"), "6f0f1f3c-0c1d-4f1e-8a58-1f1df0a4b5a1");
    tx.execute(
        "INSERT INTO entities (id, domain_id, name, tags, metadata, status, created_at)
         VALUES ($1, $2, $3, $4, $5, 0, $6)",
        params![
            id,
            domain,
            "boiler",
            serde_json::json!(["hot", "old"]),
            serde_json::json!({"site": {"floor": 2}}),
            now
        ],
    )
    .await?;
    tx.execute_later(
        "INSERT INTO relations (object, relation, subject) VALUES ($1, $2, $3)",
        params![id, "domain", domain],
    )
    .await?;
    let actions = serde_json::json!(["read", "update", "delete", "connect_to_channel", "manage_role"]);
    tx.execute_later(
        "INSERT INTO roles (id, entity_id, actions) VALUES ($1, $2, $3)",
        params![&role, id, actions],
    )
    .await?;
    tx.execute_later(
        "INSERT INTO members (role_id, member_id, entity_id) VALUES ($1, $2, $3)",
        params![&role, domain, id],
    )
    .await?;
    let event =
        Event::new("client.create", format!("client:{id}"), now).with("id", id).with("name", "boiler");
    outbox.push(tx, event).await
}

async fn views(db: &Db) -> Result<Duration> {
    let ids: Vec<String> = db
        .scan(|tx| {
            Box::pin(async move {
                let rows = tx.all("SELECT id FROM entities ORDER BY id LIMIT 1000", params![]).await?;
                rows.iter().map(|row| row.get("id")).collect()
            })
        })
        .await?;
    let began = Instant::now();
    for id in ids.iter().cycle().take(usize::try_from(VIEWS).unwrap_or(usize::MAX)) {
        let id = id.clone();
        let found: Option<String> = db
            .read(move |tx| {
                Box::pin(async move {
                    let row = tx.one_or_none("SELECT * FROM entities WHERE id = $1", params![id]).await?;
                    row.map(|row| row.get("name")).transpose()
                })
            })
            .await?;
        if found.is_none() {
            return Err(kernel::Error::not_found());
        }
    }
    Ok(began.elapsed() / VIEWS)
}
