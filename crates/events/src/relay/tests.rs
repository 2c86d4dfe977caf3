//! Delivery: at least once, in order per entity, on both engines.

use std::sync::Arc;

use db::{both_databases, params, testing::TestDb};
use kernel::{Error, Timestamp};

use super::*;
use crate::{Event, Received, Subscription};

fn event(entity: &str, number: i64) -> Event {
    Event::new("client.update", entity.to_owned(), Timestamp::from_micros(number)).with("number", number)
}

async fn push(db: &Db, outbox: &Outbox, entity: &str, number: i64) {
    let (outbox, event) = (outbox.clone(), event(entity, number));
    db.write(move |tx| Box::pin(async move { outbox.push(tx, event).await })).await.unwrap();
}

async fn next(subscription: &mut Subscription) -> Arc<Event> {
    match subscription.recv().await {
        Received::Event(event) => event,
        other => panic!("expected an event, got {other:?}"),
    }
}

async fn waiting(db: &Db) -> i64 {
    db.read(|tx| Box::pin(async move { tx.one("SELECT count(*) FROM outbox", params![]).await?.get(0) }))
        .await
        .unwrap()
}

fn start(db: &Db, outbox: &Outbox, bus: &Bus) -> Relay {
    Relay::start(db.clone(), outbox.clone(), bus.clone(), Clock::system(), None)
}

both_databases! {
    async fn a_commit_is_told_and_a_rollback_is_not(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, bus) = (Outbox::new(), Bus::default());
        let mut consumer = bus.subscribe();
        let relay = start(&db, &outbox, &bus);

        let failing = outbox.clone();
        let outcome = db.write(move |tx| Box::pin(async move {
            failing.push(tx, event("client:a", 1)).await?;
            Err::<(), _>(Error::not_found())
        })).await;
        assert!(outcome.is_err());
        push(&db, &outbox, "client:a", 2).await;

        assert_eq!(*next(&mut consumer).await, event("client:a", 2));
        relay.stop().await;
        assert_eq!(waiting(&db).await, 0);
    }

    async fn events_that_waited_for_a_relay_are_delivered_at_its_start(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, bus) = (Outbox::new(), Bus::default());
        for number in 0..600 {
            push(&db, &outbox, &format!("client:{}", number % 7), number).await;
        }
        let mut consumer = bus.subscribe();
        let relay = start(&db, &Outbox::new(), &bus);
        let mut numbers = Vec::new();
        for _ in 0..600 {
            numbers.push(next(&mut consumer).await.at().micros());
        }
        relay.stop().await;
        numbers.sort_unstable();
        assert_eq!(numbers, (0..600).collect::<Vec<_>>());
        assert_eq!(waiting(&db).await, 0);
    }

    async fn an_event_that_was_published_but_not_deleted_comes_again(db: TestDb) {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, bus) = (Outbox::new(), Bus::default());
        let mut consumer = bus.subscribe();
        push(&db, &outbox, "client:a", 1).await;
        // A relay that dies between the two steps.
        let dying = bus.clone();
        let outcome = db.write(move |tx| Box::pin(async move {
            let events = outbox::after(tx, 0, ROUND).await?;
            publish(&dying, &Clock::system(), events);
            Err::<(), _>(Error::internal("the process ends here"))
        })).await;
        assert!(outcome.is_err());

        let relay = start(&db, &outbox, &bus);
        assert_eq!(*next(&mut consumer).await, event("client:a", 1));
        assert_eq!(*next(&mut consumer).await, event("client:a", 1));
        relay.stop().await;
        assert_eq!(waiting(&db).await, 0);
    }

    async fn each_entity_keeps_its_order_while_relays_come_and_go(db: TestDb) {
        const EACH: i64 = 60;
        const ENTITIES: i64 = 8;
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let (outbox, bus) = (Outbox::new(), Bus::default());
        let mut consumer = bus.subscribe();
        let mut writers = tokio::task::JoinSet::new();
        for entity in 0..ENTITIES {
            let (db, outbox) = (db.db(), outbox.clone());
            writers.spawn(async move {
                for number in 0..EACH {
                    push(&db, &outbox, &format!("client:{entity}"), number).await;
                }
            });
        }
        let restarts = {
            let (db, outbox, bus) = (db.db(), outbox.clone(), bus.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    // Two on PostgreSQL, as on two nodes; SQLite has one process and one relay.
                    let second = (db.kind() == Engine::Postgres).then(|| start(&db, &outbox, &bus));
                    let first = start(&db, &outbox, &bus);
                    tokio::task::yield_now().await;
                    first.stop().await;
                    if let Some(second) = second {
                        second.stop().await;
                    }
                }
                start(&db, &outbox, &bus)
            })
        };
        let mut last = std::collections::HashMap::new();
        let mut seen = 0;
        while seen < ENTITIES * EACH {
            let event = next(&mut consumer).await;
            let before = last.insert(event.entity().to_owned(), event.at().micros()).unwrap_or(-1);
            assert_eq!(event.at().micros(), before + 1, "{}", event.entity());
            seen += 1;
        }
        writers.join_all().await;
        restarts.await.unwrap().stop().await;
        assert_eq!(waiting(&db).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_finds_the_events_of_another_without_being_woken() {
    let db = TestDb::postgres().await;
    db.migrate(crate::MIGRATIONS).await.unwrap();
    let bus = Bus::default();
    let mut consumer = bus.subscribe();
    let relay = start(&db, &Outbox::new(), &bus);
    // Another node's outbox, which does not wake this relay.
    push(&db, &Outbox::new(), "client:a", 1).await;
    assert_eq!(*next(&mut consumer).await, event("client:a", 1));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_one_node_reaches_the_buses_of_all() {
    let owner = TestDb::postgres().await;
    owner.migrate(crate::MIGRATIONS).await.unwrap();
    let options = || db::Options { sharing: db::Sharing::Nodes, ..db::Options::default() };
    let (outbox, one, two) = (Outbox::new(), Bus::default(), Bus::default());
    let (mut first, mut second) = (one.subscribe(), two.subscribe());
    let here = Db::open(owner.url(), options()).await.unwrap();
    let there = Db::open(owner.url(), options()).await.unwrap();
    let relays = [start(&here, &outbox, &one), start(&there, &Outbox::new(), &two)];
    push(&here, &outbox, "client:a", 1).await;
    assert_eq!(*next(&mut first).await, event("client:a", 1));
    assert_eq!(*next(&mut second).await, event("client:a", 1));
    for relay in relays {
        relay.stop().await;
    }
    assert_eq!(waiting(&here).await, 0);
}
