//! The statements, on both databases.

use std::time::Duration;

use bytes::Bytes;
use db::{Db, testing::TestDb};
use kernel::{ChannelId, ClientId, DomainId, Result, Rng, Timestamp};

use super::*;

const SESSION: u64 = 7;
const OTHER: u64 = 8;

async fn change(db: &Db, changes: Vec<Change>) {
    db.write(move |tx| Box::pin(async move { apply(tx, &changes).await })).await.unwrap();
}

async fn waiting(db: &Db, session: u64, after: u64, most: usize) -> Vec<Waiting> {
    db.read(move |tx| Box::pin(load(tx, session, after, most))).await.unwrap()
}

async fn totals(db: &Db, session: u64, after: u64) -> (u64, u64) {
    db.read(move |tx| Box::pin(count(tx, session, after))).await.unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn channel(number: u64) -> ChannelId {
    ChannelId::generate(&Rng::seeded(number))
}

fn record(id: u64) -> SessionRecord {
    SessionRecord {
        id,
        client: ClientId::generate(&Rng::seeded(1)),
        domain: DomainId::generate(&Rng::seeded(2)),
        name: format!("device {id}"),
        expiry: 60,
        ends_at: None,
        sent: 0,
        will: Some(WillRecord { publish: vec![0, 1, 255], delay: 5, due: None }),
        owner: None,
    }
}

fn subscription(filter: &str, options: u8) -> SubscriptionRecord {
    SubscriptionRecord {
        session: SESSION,
        filter: filter.to_owned(),
        domain: DomainId::generate(&Rng::seeded(2)),
        channel: channel(3),
        subtopic: "#".to_owned(),
        spelling: "m/d/c/ch".to_owned(),
        share: Some("group".to_owned()),
        options,
        identifier: Some(268_435_455),
    }
}

fn contents(text: &str) -> Contents {
    let properties = Bytes::from_static(&[0x26, 0, 1, b'a', 0, 0]);
    Contents { payload: Bytes::copy_from_slice(text.as_bytes()), properties, expires_at: Some(at(9)) }
}

fn queued(session: u64, seq: i64, body: Body) -> QueueRecord {
    QueueRecord {
        session,
        seq,
        qos: 2,
        retain: true,
        channel: channel(3),
        topic: "m/d/c/ch/a".to_owned(),
        identifiers: vec![1, 70_000],
        bytes: 300,
        body,
    }
}

fn own(session: u64, seq: i64) -> QueueRecord {
    queued(session, seq, Body::Own(contents("x")))
}

fn places(found: &[Waiting]) -> Vec<u64> {
    found
        .iter()
        .map(|one| match one {
            Waiting::Message { record, .. } => record.seq.unsigned_abs(),
            Waiting::Released { seq } => *seq,
        })
        .collect()
}

async fn with_tables(db: &TestDb) {
    db.migrate(MIGRATIONS).await.unwrap();
}

async fn all_sessions(db: &Db) -> Vec<SessionRecord> {
    db.read(|tx| Box::pin(sessions(tx))).await.unwrap()
}

async fn messages(db: &Db) -> u64 {
    let count = db.read(|tx| {
        Box::pin(async move { tx.one("SELECT COUNT(*) AS n FROM mqtt_messages", &[]).await?.get::<u64>("n") })
    });
    count.await.unwrap()
}

db::both_databases! {
    async fn a_session_is_kept_through_its_connections_until_it_ends(db: TestDb) {
        with_tables(&db).await;
        change(&db, vec![Change::Attach(record(SESSION)), Change::Attach(record(OTHER))]).await;
        assert_eq!(all_sessions(&db).await, [record(SESSION), record(OTHER)]);
        assert_eq!(db.read(|tx| Box::pin(last_session(tx))).await.unwrap(), OTHER);

        let detach = |will_due| Change::Detach { session: SESSION, expiry: 30, ends_at: at(40), sent: 3, will_due };
        change(&db, vec![detach(Some(at(20)))]).await;
        let mut expected = SessionRecord { expiry: 30, ends_at: Some(at(40)), sent: 3, ..record(SESSION) };
        expected.will.as_mut().unwrap().due = Some(at(20));
        assert_eq!(all_sessions(&db).await[0], expected);
        change(&db, vec![Change::DropWill { session: SESSION }]).await;
        assert_eq!(all_sessions(&db).await[0].will, None);
        change(&db, vec![Change::Attach(record(SESSION))]).await;
        let again = &all_sessions(&db).await[0];
        assert_eq!((again.ends_at, again.sent, again.will.is_some()), (None, 3, true));
        change(&db, vec![detach(None)]).await;
        assert_eq!(all_sessions(&db).await[0].will, None, "it said goodbye");

        change(&db, vec![Change::End { session: SESSION }]).await;
        assert_eq!(all_sessions(&db).await, [record(OTHER)]);
    }

    async fn a_subscription_is_renewed_and_ends(db: TestDb) {
        with_tables(&db).await;
        let found = async || db.read(|tx| Box::pin(subscriptions(tx))).await.unwrap();
        let (first, second) = (subscription("a", 1), subscription("b", 2));
        change(&db, vec![Change::Subscribe(first.clone()), Change::Subscribe(second.clone())]).await;
        assert_eq!(found().await, [first.clone(), second.clone()]);
        let renewed = SubscriptionRecord { options: 0b1110, share: None, identifier: None, ..first };
        change(&db, vec![Change::Subscribe(renewed.clone())]).await;
        assert_eq!(found().await, [renewed, second.clone()]);
        change(&db, vec![Change::Unsubscribe { session: SESSION, filter: "a".to_owned() }]).await;
        assert_eq!(found().await, [second]);
        change(&db, vec![Change::End { session: SESSION }]).await;
        assert_eq!(found().await, []);
    }

    async fn received_identifiers_are_held_once_until_they_are_released(db: TestDb) {
        with_tables(&db).await;
        let found = async || {
            let mut found = db.read(|tx| Box::pin(unreleased(tx))).await.unwrap();
            found.sort_unstable();
            found
        };
        let hold = |packet_id| Change::Hold { session: SESSION, packet_id };
        change(&db, vec![hold(1), hold(65_535), hold(1)]).await;
        assert_eq!(found().await, [(SESSION, 1), (SESSION, 65_535)]);
        change(&db, vec![Change::Release { session: SESSION, packet_id: 1 }]).await;
        assert_eq!(found().await, [(SESSION, 65_535)]);
        change(&db, vec![Change::End { session: SESSION }]).await;
        assert_eq!(found().await, []);
    }

    async fn a_queue_is_read_in_its_order_and_in_portions(db: TestDb) {
        with_tables(&db).await;
        let last = async || db.read(|tx| Box::pin(last_seq(tx, SESSION))).await.unwrap();
        assert_eq!((last().await, totals(&db, SESSION, 0).await), (0, (0, 0)));
        let mut changes: Vec<Change> = (1..=40).rev().map(|seq| Change::Enqueue(own(SESSION, seq))).collect();
        changes.push(Change::Enqueue(own(OTHER, 1)));
        change(&db, changes).await;
        assert_eq!(last().await, 40);
        assert_eq!(totals(&db, SESSION, 0).await, (40, 12_000));
        assert_eq!(totals(&db, SESSION, 38).await, (2, 600));
        let first = waiting(&db, SESSION, 0, 3).await;
        assert_eq!(first[0], Waiting::Message { record: own(SESSION, 1), shared: None });
        assert_eq!(places(&first), [1, 2, 3]);
        assert_eq!(places(&waiting(&db, SESSION, 38, 3).await), [39, 40]);

        change(&db, vec![Change::Finished { session: SESSION, first: 2, last: 39 }]).await;
        change(&db, vec![Change::Received { session: SESSION, seq: 40 }]).await;
        let left = waiting(&db, SESSION, 0, 9).await;
        assert_eq!(places(&left), [1, 40]);
        assert_eq!(left[1], Waiting::Released { seq: 40 });
        change(&db, vec![Change::End { session: SESSION }]).await;
        assert_eq!(waiting(&db, SESSION, 0, 9).await, []);
        assert_eq!(waiting(&db, OTHER, 0, 9).await.len(), 1);
    }

    async fn a_shared_message_stays_until_nobody_waits_for_it(db: TestDb) {
        with_tables(&db).await;
        let share = |session, seq, id| Change::Enqueue(queued(session, seq, Body::Shared(id)));
        let message = |id| Change::Message(MessageRecord { id, contents: contents("shared") });
        let finish = |session, seq: u64| Change::Finished { session, first: seq, last: seq };
        let unneeded = || Change::Unneeded { messages: vec![1] };
        change(&db, vec![message(1), share(SESSION, 1, 1), share(OTHER, 1, 1)]).await;
        assert_eq!(db.read(|tx| Box::pin(last_message(tx))).await.unwrap(), 1);
        let expected = QueueRecord { body: Body::Own(contents("shared")), ..own(OTHER, 1) };
        assert_eq!(waiting(&db, OTHER, 0, 1).await, [Waiting::Message { record: expected, shared: Some(1) }]);
        change(&db, vec![finish(SESSION, 1), unneeded()]).await;
        assert_eq!(messages(&db).await, 1);
        change(&db, vec![finish(OTHER, 1), unneeded()]).await;
        assert_eq!(messages(&db).await, 0);

        change(&db, vec![message(3), message(4), share(OTHER, 9, 4), Change::SweepMessages]).await;
        assert_eq!(messages(&db).await, 1, "the one that somebody waits for");
        change(&db, vec![finish(OTHER, 9), Change::SweepMessages]).await;
        assert_eq!(messages(&db).await, 0);

        change(&db, vec![message(2), share(SESSION, 2, 2), share(OTHER, 2, 2)]).await;
        change(&db, vec![Change::End { session: SESSION }]).await;
        assert_eq!(messages(&db).await, 1);
        change(&db, vec![Change::Forget { session: OTHER, channel: channel(4) }]).await;
        assert_eq!(messages(&db).await, 1);
        change(&db, vec![Change::Forget { session: OTHER, channel: channel(3) }]).await;
        assert_eq!((messages(&db).await, totals(&db, OTHER, 0).await), (0, (0, 0)));
    }

    async fn what_is_forgotten_of_a_channel_are_messages_and_not_releases(db: TestDb) {
        with_tables(&db).await;
        change(&db, vec![
            Change::Enqueue(own(SESSION, 1)),
            Change::Enqueue(own(SESSION, 2)),
            Change::Received { session: SESSION, seq: 2 },
            Change::Forget { session: SESSION, channel: channel(3) },
        ]).await;
        assert_eq!(waiting(&db, SESSION, 0, 9).await, [Waiting::Released { seq: 2 }]);
    }

    async fn retained_messages_are_replaced_removed_and_expire(db: TestDb) {
        with_tables(&db).await;
        let record = |number, subtopic: &str, text| RetainedRecord {
            channel: channel(number),
            subtopic: subtopic.to_owned(),
            qos: 1,
            bytes: 100,
            contents: contents(text),
        };
        let found = async |after: Option<&'static str>| -> Vec<RetainedRecord> {
            let step = db.read(move |tx| {
                Box::pin(async move { load_retained(tx, channel(3), after, 2).await })
            });
            let step: Result<_> = step.await;
            step.unwrap()
        };
        change(&db, ["", "a", "B", "a/b"].map(|subtopic| Change::Retain(record(3, subtopic, "1"))).to_vec()).await;
        change(&db, vec![Change::Retain(record(4, "", "1")), Change::Retain(record(3, "a", "2"))]).await;
        assert_eq!(db.read(|tx| Box::pin(retained_total(tx))).await.unwrap(), (5, 500));
        assert_eq!(found(None).await, [record(3, "", "1"), record(3, "B", "1")]);
        assert_eq!(found(Some("B")).await, [record(3, "a", "2"), record(3, "a/b", "1")]);
        change(&db, vec![Change::Unretain { channel: channel(3), subtopic: "a".to_owned() }]).await;
        assert_eq!(found(Some("B")).await, [record(3, "a/b", "1")]);
        change(&db, vec![Change::ExpireRetained { now: at(8) }]).await;
        change(&db, vec![Change::CloseChannel { channel: channel(4) }]).await;
        assert_eq!(db.read(|tx| Box::pin(retained_total(tx))).await.unwrap(), (3, 300));
        change(&db, vec![Change::ExpireRetained { now: at(9) }]).await;
        assert_eq!(found(None).await, []);
    }

    async fn what_another_node_has_stored_gets_its_places_behind_the_rest(db: TestDb) {
        with_tables(&db).await;
        let unplaced_now = async || db.read(|tx| Box::pin(unplaced(tx))).await.unwrap();
        let text = |seq, text| Change::Enqueue(queued(SESSION, seq, Body::Own(contents(text))));
        change(&db, vec![Change::Subscribe(subscription("a", 1)), text(4, "placed")]).await;
        change(&db, vec![text(-8, "second"), text(-7, "first"), Change::Enqueue(own(OTHER, -7))]).await;
        assert_eq!(places(&waiting(&db, SESSION, 0, 9).await), [4]);
        assert_eq!(db.read(|tx| Box::pin(last_seq(tx, SESSION))).await.unwrap(), 4);
        assert_eq!(unplaced_now().await.len(), 2);
        let placed = db.write(|tx| Box::pin(place(tx, SESSION, 4))).await.unwrap();
        assert_eq!(placed, (2, 600));
        assert_eq!(unplaced_now().await, [OTHER]);
        let found = waiting(&db, SESSION, 4, 9).await;
        assert_eq!(places(&found), [5, 6]);
        let texts: Vec<_> = found.into_iter().map(|one| match one {
            Waiting::Message { record: QueueRecord { body: Body::Own(contents), .. }, .. } => contents.payload,
            other => panic!("{other:?}"),
        }).collect();
        assert_eq!(texts, ["first", "second"]);
        assert_eq!(db.write(|tx| Box::pin(place(tx, SESSION, 6))).await.unwrap(), (0, 0));
        // A session that may not read the channel any more does not get what was stored for it meanwhile.
        assert_eq!(db.write(|tx| Box::pin(place(tx, OTHER, 0))).await.unwrap(), (0, 0));
        assert_eq!(waiting(&db, OTHER, 0, 9).await, []);
        assert!(unplaced_now().await.is_empty());
    }

    async fn a_node_holds_its_lease_and_the_dead_leave_their_sessions(db: TestDb) {
        with_tables(&db).await;
        let joined = async || db.write(|tx| Box::pin(join(tx))).await.unwrap();
        let (first, second) = (joined().await, joined().await);
        assert!(second > first);
        assert_eq!(db.read(|tx| Box::pin(nodes(tx))).await.unwrap(), [first, second]);
        let of = |id, owner| Change::Attach(SessionRecord { owner, ..record(id) });
        change(&db, vec![of(SESSION, Some(first)), of(OTHER, Some(second)), of(9, None)]).await;
        let adopted = db.write(move |tx| Box::pin(adopt(tx, second))).await.unwrap();
        assert_eq!(adopted, [9], "nobody's");
        assert!(!db.write(move |tx| Box::pin(super::own(tx, second, SESSION))).await.unwrap(), "another's");
        change(&db, vec![Change::Give { session: OTHER, owner: first }]).await;
        let of_client = db.read(|tx| Box::pin(named(tx, record(OTHER).client, "device 8"))).await.unwrap();
        assert_eq!(of_client, [SessionRecord { owner: Some(first), ..record(OTHER) }]);

        let bury = async |lease| db.write(move |tx| Box::pin(bury(tx, second, lease))).await.unwrap();
        assert_eq!(bury(Duration::from_secs(3_600)).await, 0, "both are alive");
        let long_ago = "UPDATE cluster_nodes SET renewed = renewed - 7200000000 WHERE id = $1";
        db.write(move |tx| Box::pin(async move { tx.execute(long_ago, db::params![first]).await })).await.unwrap();
        assert_eq!(bury(Duration::from_secs(3_600)).await, 1);
        assert!(!db.write(move |tx| Box::pin(renew(tx, first))).await.unwrap());
        assert!(db.write(move |tx| Box::pin(renew(tx, second))).await.unwrap());
        assert!(db.write(move |tx| Box::pin(hold(tx, first))).await.is_err());
        db.write(move |tx| Box::pin(hold(tx, second))).await.unwrap();
        assert!(db.write(move |tx| Box::pin(super::own(tx, second, SESSION))).await.unwrap());
        assert_eq!(db.write(move |tx| Box::pin(adopt(tx, second))).await.unwrap(), [OTHER]);
        db.write(move |tx| Box::pin(leave(tx, second))).await.unwrap();
        assert!(db.read(|tx| Box::pin(nodes(tx))).await.unwrap().is_empty());
        assert!(joined().await > second, "a number is never used again");
    }

    async fn the_rows_of_some_sessions_are_read_alone(db: TestDb) {
        with_tables(&db).await;
        let other = SubscriptionRecord { session: OTHER, ..subscription("a", 1) };
        change(&db, vec![
            Change::Attach(record(SESSION)),
            Change::Attach(record(OTHER)),
            Change::Subscribe(subscription("a", 1)),
            Change::Subscribe(other.clone()),
            Change::Hold { session: SESSION, packet_id: 1 },
            Change::Hold { session: OTHER, packet_id: 2 },
        ]).await;
        assert_eq!(db.read(|tx| Box::pin(sessions_of(tx, &[OTHER, 99]))).await.unwrap(), [record(OTHER)]);
        assert_eq!(db.read(|tx| Box::pin(subscriptions_of(tx, &[OTHER]))).await.unwrap(), [other]);
        assert_eq!(db.read(|tx| Box::pin(unreleased_of(tx, &[OTHER]))).await.unwrap(), [(OTHER, 2)]);
        assert_eq!(db.read(|tx| Box::pin(sessions_of(tx, &[]))).await.unwrap(), []);
        let retained = RetainedRecord {
            channel: channel(3),
            subtopic: "a".to_owned(),
            qos: 1,
            bytes: 100,
            contents: contents("x"),
        };
        change(&db, vec![Change::Retain(retained.clone())]).await;
        let at = async |subtopic| db.read(move |tx| Box::pin(retained_at(tx, channel(3), subtopic))).await.unwrap();
        assert_eq!(at("a").await, Some(retained));
        assert_eq!(at("b").await, None);
    }
}
