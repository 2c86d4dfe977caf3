//! Forwarding: at least once, in order, never in the way of what is inside.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use db::{both_databases, params, testing::TestDb};
use kernel::Error;

use super::*;
use crate::{Bus, Outbox, Received, Relay};

/// Notes what it was given; refuses while it is away.
#[derive(Default)]
struct Notebook {
    away: AtomicBool,
    taken: Mutex<Vec<(i64, Event)>>,
    asked: Notify,
}

impl Sink for Notebook {
    fn take<'a>(&'a self, events: &'a [(i64, Event)]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.asked.notify_one();
            if self.away.load(SeqCst) {
                return Err(Error::unavailable("away"));
            }
            self.taken.lock().unwrap().extend_from_slice(events);
            Ok(())
        })
    }
}

fn event(number: i64) -> Event {
    let at = Clock::system().now();
    Event::new("client.update", "client:a".to_owned(), at).with("number", number)
}

async fn push(db: &Db, outbox: &Outbox, number: i64) {
    let outbox = outbox.clone();
    db.write(move |tx| Box::pin(async move { outbox.push(tx, event(number)).await })).await.unwrap();
}

async fn count(db: &Db, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    db.read(move |tx| Box::pin(async move { tx.one(&sql, params![]).await?.get(0) })).await.unwrap()
}

fn numbers(notebook: &Notebook) -> Vec<i64> {
    let taken = notebook.taken.lock().unwrap();
    taken.iter().map(|(_, event)| event.payload()["number"].as_i64().unwrap()).collect()
}

async fn emptied(db: &Db) {
    while count(db, "outbox").await + count(db, "outbox_outward").await > 0 {
        tokio::task::yield_now().await;
    }
}

both_databases! {
    async fn what_happens_inside_is_told_outside_in_order(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, outward, sink) = (Outbox::new(), Outward::default(), Arc::new(Notebook::default()));
        let relay =
            Relay::start(db.db(), outbox.clone(), Bus::default(), Clock::system(), Some(outward.clone()));
        let forwarder = Forwarder::start(db.db(), outward, sink.clone(), Clock::system());
        for number in 0..600 {
            push(&db, &outbox, number).await;
        }
        emptied(&db).await;
        forwarder.stop().await;
        relay.stop().await;
        let mut seen = numbers(&sink);
        seen.dedup();
        assert_eq!(seen, (0..600).collect::<Vec<_>>());
    }

    async fn a_sink_that_is_away_holds_up_nobody_inside_and_misses_nothing(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, outward, sink) = (Outbox::new(), Outward::default(), Arc::new(Notebook::default()));
        sink.away.store(true, SeqCst);
        let bus = Bus::default();
        let mut inside = bus.subscribe();
        let relay = Relay::start(db.db(), outbox.clone(), bus, Clock::system(), Some(outward.clone()));
        let forwarder = Forwarder::start(db.db(), outward, sink.clone(), Clock::system());
        for number in 0..3 {
            push(&db, &outbox, number).await;
            assert!(matches!(inside.recv().await, Received::Event(_)));
        }
        sink.asked.notified().await;
        relay.stop().await;
        assert_eq!(count(&db, "outbox_outward").await, 3);
        sink.away.store(false, SeqCst);
        emptied(&db).await;
        forwarder.stop().await;
        assert_eq!(numbers(&sink), [0, 1, 2]);
    }

    async fn without_an_outside_nothing_is_left_for_it(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, bus) = (Outbox::new(), Bus::default());
        let mut inside = bus.subscribe();
        let relay = Relay::start(db.db(), outbox.clone(), bus, Clock::system(), None);
        push(&db, &outbox, 1).await;
        assert!(matches!(inside.recv().await, Received::Event(_)));
        relay.stop().await;
        assert_eq!(count(&db, "outbox_outward").await, 0);
    }

    async fn events_that_have_waited_for_a_week_are_dropped_and_no_others(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let now = Clock::system().now();
        let old = Timestamp::from_micros(now.micros() - KEEP_MICROS - 1);
        db.write(move |tx| Box::pin(async move {
            for (id, at) in [(1_i64, old), (2, now)] {
                tx.execute(
                    "INSERT INTO outbox_outward (id, entity, operation, payload, created_at)
                     VALUES ($1, 'client:a', 'client.update', '{}', $2)",
                    params![id, at],
                ).await?;
            }
            Ok(())
        })).await.unwrap();
        drop_old(&db, now).await.unwrap();
        let left = db.read(|tx| Box::pin(outbox::outward(tx, 10))).await.unwrap();
        assert_eq!(left.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    }
}
