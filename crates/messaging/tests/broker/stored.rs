//! Sessions, what waits for them and retained messages outlive the node, however it ends.

use std::collections::HashSet;
use std::num::NonZeroU16;

use db::testing::TestDb;
use messaging::Revocation;
use messaging::wire::{Ack, Connect, Packet, PacketId, Publish, QoS, ReasonCode, Text, Version, Will};

use crate::client::{Client, text};
use crate::node::Node;
use crate::{becomes, soon};

/// A CONNECT whose session outlives the connection by an hour.
fn lasting(node: &Node, number: usize) -> Connect {
    Connect { clean_start: false, session_expiry: 3_600, ..node.broker().plant.connect(Version::V5, number) }
}

async fn back(node: &Node, number: usize) -> (Client, bool) {
    let (client, connack) = Client::connect(node.broker().address, lasting(node, number)).await;
    assert!(!connack.reason.is_failure(), "{connack:?}");
    (client, connack.session_present)
}

/// The payloads of the next messages, acknowledged all the way. With QoS 2 the next message may come before the PUBREL.
async fn taken(client: &mut Client, messages: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut unreleased = 0;
    while payloads.len() < messages || unreleased > 0 {
        match client.receive().await {
            Packet::Publish(publish) => {
                let ack = Ack::new(publish.packet_id.unwrap());
                if publish.qos == QoS::ExactlyOnce {
                    unreleased += 1;
                    client.send(Packet::PubRec(ack)).await;
                } else {
                    client.send(Packet::PubAck(ack)).await;
                }
                payloads.push(text(&publish).to_owned());
            }
            Packet::PubRel(release) => {
                unreleased -= 1;
                client.send(Packet::PubComp(Ack::new(release.packet_id))).await;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    payloads
}

/// How many rows a table has.
async fn rows(node: &Node, table: &'static str) -> u64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table}");
    let count = node.db.read(move |tx| Box::pin(async move { tx.one(&sql, &[]).await?.get::<u64>("n") }));
    count.await.unwrap()
}

/// Waits until a table has so many rows.
async fn has_rows(node: &Node, table: &'static str, expected: u64) {
    soon(table, async {
        while rows(node, table).await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

db::both_databases! {
    async fn a_will_outlives_the_node_also_where_its_session_does_not(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut watcher, _) = back(&node, 1).await;
        watcher.subscribe(&node.broker().topic("/wills"), QoS::AtLeastOnce).await;
        for (number, payload) in [(0, "gone"), (2, "polite")] {
            let connect = Connect {
                will: Some(Will {
                    topic: Text::from(node.broker().topic("/wills")),
                    payload: bytes::Bytes::from_static(payload.as_bytes()),
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    delay: 60,
                    message_expiry: None,
                    properties: messaging::wire::MessageProperties::default(),
                }),
                ..node.broker().plant.connect(Version::V5, number)
            };
            let client = node.broker().connect(connect).await;
            has_rows(&node, "mqtt_sessions", 2).await;
            if payload == "polite" {
                client.disconnect(ReasonCode::SUCCESS).await;
                has_rows(&node, "mqtt_sessions", 1).await;
            } else {
                node.killed_and_back_after(1).await;
                let (back, present) = back(&node, 1).await;
                assert!(present);
                watcher = back;
                assert_eq!(text(&watcher.take().await), "gone");
                has_rows(&node, "mqtt_sessions", 1).await;
            }
        }
        node.killed_and_back_after(1).await;
        let (mut watcher, _) = back(&node, 1).await;
        watcher.has_nothing().await;
    }

    async fn subscriptions_and_acknowledged_messages_survive_a_kill(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut away, present) = back(&node, 0).await;
        assert!(!present);
        let topic = node.broker().topic("/a");
        assert_eq!(away.subscribe(&node.broker().topic("/#"), QoS::ExactlyOnce).await, ReasonCode(2));
        away.disconnect(ReasonCode::SUCCESS).await;
        let mut publisher = node.broker().client(Version::V311, 1).await;
        for (payload, qos) in [("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce)] {
            publisher.publish(&topic, payload, qos).await;
        }

        node.killed_and_back_after(1).await;
        let mut publisher = node.broker().client(Version::V311, 1).await;
        publisher.publish(&topic, "3", QoS::AtLeastOnce).await;
        let (mut away, present) = back(&node, 0).await;
        assert!(present);
        assert_eq!(taken(&mut away, 3).await, ["1", "2", "3"]);
        away.has_nothing().await;
        has_rows(&node, "mqtt_queue", 0).await;
    }

    async fn what_was_on_its_way_comes_again_with_its_identifier_and_the_mark(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut client, _) = back(&node, 0).await;
        client.subscribe(&node.broker().topic("/#"), QoS::ExactlyOnce).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        let topic = node.broker().topic("/x");
        for payload in ["a", "b", "c"] {
            publisher.publish(&topic, payload, QoS::ExactlyOnce).await;
        }
        let mut ids: Vec<PacketId> = Vec::new();
        for _ in 0..3 {
            ids.push(client.delivery().await.packet_id.unwrap());
        }
        client.send(Packet::PubRec(Ack::new(ids[1]))).await;
        assert_eq!(client.receive().await, Packet::PubRel(Ack::new(ids[1])));

        node.killed_and_back_after(1).await;
        let (mut client, present) = back(&node, 0).await;
        assert!(present);
        let mut seen = HashSet::new();
        for _ in 0..3 {
            match client.receive().await {
                Packet::Publish(again) => {
                    assert!(again.dup);
                    seen.insert((text(&again).to_owned(), again.packet_id.unwrap()));
                }
                Packet::PubRel(release) => {
                    assert_eq!(release.packet_id, ids[1]);
                    client.send(Packet::PubComp(Ack::new(ids[1]))).await;
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!(seen, HashSet::from([("a".to_owned(), ids[0]), ("c".to_owned(), ids[2])]));
    }

    async fn a_qos_2_message_that_was_received_before_the_kill_is_not_taken_twice(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut reader, _) = back(&node, 0).await;
        reader.subscribe(&node.broker().topic("/#"), QoS::ExactlyOnce).await;
        reader.disconnect(ReasonCode::SUCCESS).await;
        let (mut publisher, _) = back(&node, 1).await;
        let topic = node.broker().topic("/x");
        let message = publisher.message(&topic, "once", QoS::ExactlyOnce);
        let packet_id = message.packet_id.unwrap();
        publisher.send(Packet::Publish(message.clone())).await;
        assert_eq!(publisher.receive().await, Packet::PubRec(Ack::new(packet_id)));

        node.killed_and_back_after(1).await;
        let (mut publisher, present) = back(&node, 1).await;
        assert!(present);
        publisher.send(Packet::Publish(Publish { dup: true, ..message.clone() })).await;
        assert_eq!(publisher.receive().await, Packet::PubRec(Ack::new(packet_id)));
        publisher.send(Packet::PubRel(Ack::new(packet_id))).await;
        assert_eq!(publisher.receive().await, Packet::PubComp(Ack::new(packet_id)));

        node.killed_and_back_after(1).await;
        let (mut publisher, _) = back(&node, 1).await;
        let next = Publish { payload: "next".into(), ..message };
        assert_eq!(publisher.publish_message(next).await, ReasonCode::SUCCESS);
        let (mut reader, _) = back(&node, 0).await;
        assert_eq!(taken(&mut reader, 2).await, ["once", "next"]);
        reader.has_nothing().await;
    }

    async fn retained_messages_survive(db: TestDb) {
        let mut node = Node::start(&db).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        for (below, payload, qos) in
            [("/a", "1", QoS::AtLeastOnce), ("/b", "2", QoS::ExactlyOnce), ("/c", "3", QoS::AtLeastOnce)]
        {
            let topic = node.broker().topic(below);
            let message = Publish { retain: true, ..publisher.message(&topic, payload, qos) };
            publisher.publish_message(message).await;
        }
        let topic = node.broker().topic("/c");
        let nothing = Publish { retain: true, ..publisher.message(&topic, "", QoS::AtLeastOnce) };
        publisher.publish_message(nothing).await;

        node.killed_and_back_after(1).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        let topic = node.broker().topic("/d");
        let message = Publish { retain: true, ..publisher.message(&topic, "4", QoS::AtMostOnce) };
        publisher.send(Packet::Publish(message)).await;
        publisher.has_nothing().await;
        node.restart().await;
        let mut reader = node.broker().client(Version::V5, 0).await;
        reader.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
        let mut found = Vec::new();
        for _ in 0..3 {
            let message = reader.take().await;
            assert!(message.retain);
            found.push(text(&message).to_owned());
        }
        assert_eq!(found, ["1", "2", "4"]);
        reader.has_nothing().await;

        let channel = node.broker().plant.channel;
        node.broker().engine.revoke(Revocation::ChannelGone(channel));
        has_rows(&node, "mqtt_retained", 0).await;
    }

    async fn a_session_whose_time_ran_out_while_the_node_was_down_is_gone(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut client, _) = back(&node, 0).await;
        client.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
        client.disconnect(ReasonCode::SUCCESS).await;
        node.restart().await;
        node.killed_and_back_after(3_500).await;
        let (client, present) = back(&node, 0).await;
        assert!(present);
        client.disconnect(ReasonCode::SUCCESS).await;
        node.restart().await;
        node.killed_and_back_after(3_700).await;
        has_rows(&node, "mqtt_sessions", 0).await;
        assert_eq!(rows(&node, "mqtt_subscriptions").await, 0);
        let (_, present) = back(&node, 0).await;
        assert!(!present);
    }

    async fn a_delayed_will_is_published_after_the_node_was_down(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut reader, _) = back(&node, 0).await;
        reader.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
        reader.disconnect(ReasonCode::SUCCESS).await;
        let will = Will {
            topic: Text::from(node.broker().topic("/gone")),
            payload: "farewell".into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay: 600,
            message_expiry: None,
            properties: messaging::wire::MessageProperties::default(),
        };
        let connect = Connect { will: Some(will), ..lasting(&node, 1) };
        let (client, _) = Client::connect(node.broker().address, connect).await;
        drop(client);
        becomes("the end of the connection", &node.broker().engine.stats().mqtt.connections, 0).await;
        node.restart().await;
        let (mut reader, _) = back(&node, 0).await;
        reader.has_nothing().await;
        drop(reader);

        node.killed_and_back_after(700).await;
        let (mut reader, _) = back(&node, 0).await;
        assert_eq!(text(&reader.take().await), "farewell");
    }

    async fn a_message_that_expired_while_the_node_was_down_is_not_delivered(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut away, _) = back(&node, 0).await;
        away.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
        away.disconnect(ReasonCode::SUCCESS).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        let topic = node.broker().topic("/x");
        for (payload, message_expiry) in [("short", Some(60)), ("long", Some(6_000)), ("for ever", None)] {
            let message = Publish { message_expiry, ..publisher.message(&topic, payload, QoS::AtLeastOnce) };
            publisher.publish_message(message).await;
        }
        node.restart().await;
        node.killed_and_back_after(100).await;
        let (mut away, _) = back(&node, 0).await;
        let long = away.take().await;
        assert_eq!(text(&long), "long");
        assert!((5_800..=5_900).contains(&long.message_expiry.unwrap()), "{long:?}");
        assert_eq!(text(&away.take().await), "for ever");
        away.has_nothing().await;
        has_rows(&node, "mqtt_queue", 0).await;
    }

    async fn a_session_that_was_to_end_with_its_connection_is_not_the_one_that_is_to_last(db: TestDb) {
        for version in [Version::V311, Version::V5] {
            let mut node = Node::start(&db).await;
            let passing = Connect { clean_start: true, session_expiry: 0, ..node.broker().plant.connect(version, 0) };
            let (_half_open, _) = Client::connect(node.broker().address, passing).await;
            let staying = Connect { version, ..lasting(&node, 0) };
            let (mut client, connack) = Client::connect(node.broker().address, staying.clone()).await;
            assert!(!connack.session_present, "{version:?}");
            client.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
            client.disconnect(ReasonCode::SUCCESS).await;
            let mut publisher = node.broker().client(Version::V5, 1).await;
            publisher.publish(&node.broker().topic("/a"), "kept", QoS::AtLeastOnce).await;

            node.killed_and_back_after(1).await;
            let (mut client, connack) = Client::connect(node.broker().address, staying).await;
            assert!(connack.session_present, "{version:?}");
            assert_eq!(taken(&mut client, 1).await, ["kept"]);
            let clean = Connect { clean_start: true, session_expiry: 0, ..node.broker().plant.connect(version, 0) };
            Client::connect(node.broker().address, clean).await.0.disconnect(ReasonCode::SUCCESS).await;
        }
    }

    async fn releases_without_end_are_ended(db: TestDb) {
        let node = Node::with(&db, |limits| {
            limits.receive_maximum = NonZeroU16::MIN;
            limits.inflight = 1;
        })
        .await;
        let (mut client, _) = back(&node, 0).await;
        let flood: Vec<u8> =
            (1..=1_000_u16).flat_map(|id| [[0x62, 2], id.to_be_bytes()].concat()).collect();
        client.send_bytes(&flood).await;
        let reason = soon("the end", async {
            loop {
                match client.receive().await {
                    Packet::PubComp(_) => {}
                    Packet::Disconnect(end) => return end.reason,
                    other => panic!("unexpected: {other:?}"),
                }
            }
        })
        .await;
        assert_eq!(reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
        let mut publisher = node.broker().client(Version::V5, 1).await;
        publisher.publish(&node.broker().topic("/a"), "others go on", QoS::AtLeastOnce).await;
    }

    async fn a_clean_start_and_an_unsubscribe_leave_nothing_behind(db: TestDb) {
        let mut node = Node::start(&db).await;
        let (mut client, _) = back(&node, 0).await;
        for below in ["/a", "/b"] {
            client.subscribe(&node.broker().topic(below), QoS::AtLeastOnce).await;
        }
        client.unsubscribe(&node.broker().topic("/a")).await;
        client.disconnect(ReasonCode::SUCCESS).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        publisher.publish(&node.broker().topic("/b"), "x", QoS::AtLeastOnce).await;
        assert_eq!((rows(&node, "mqtt_subscriptions").await, rows(&node, "mqtt_queue").await), (1, 1));

        let (_, connack) = Client::connect(
            node.broker().address,
            Connect { clean_start: true, ..lasting(&node, 0) },
        )
        .await;
        assert!(!connack.session_present);
        let left = ["mqtt_subscriptions", "mqtt_queue", "mqtt_messages"];
        for table in left {
            assert_eq!(rows(&node, table).await, 0, "{table}");
        }
        node.killed_and_back_after(1).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        publisher.publish(&node.broker().topic("/b"), "y", QoS::AtLeastOnce).await;
        let (mut client, _) = back(&node, 0).await;
        client.has_nothing().await;
    }

    async fn a_long_queue_comes_in_its_order_and_in_portions(db: TestDb) {
        const MESSAGES: usize = 1_500;
        let mut node = Node::start(&db).await;
        for number in [0, 2] {
            let (mut away, _) = back(&node, number).await;
            away.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
            away.disconnect(ReasonCode::SUCCESS).await;
        }
        let mut publisher = node.broker().client(Version::V311, 1).await;
        let topic = node.broker().topic("/n");
        for number in 0..MESSAGES {
            let message = publisher.message(&topic, &number.to_string(), QoS::AtLeastOnce);
            publisher.send(Packet::Publish(message)).await;
        }
        for _ in 0..MESSAGES {
            assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        }
        assert_eq!(rows(&node, "mqtt_messages").await, MESSAGES as u64, "each is stored once for both");

        node.killed_and_back_after(1).await;
        for number in [0, 2] {
            let (mut away, _) = back(&node, number).await;
            for number in 0..MESSAGES {
                assert_eq!(text(&away.take().await), number.to_string());
            }
            away.has_nothing().await;
        }
        has_rows(&node, "mqtt_queue", 0).await;
        has_rows(&node, "mqtt_messages", 0).await;
    }

    async fn a_lost_right_and_a_deleted_client_take_their_rows_along(db: TestDb) {
        let node = Node::start(&db).await;
        for number in [0, 2] {
            let (mut away, _) = back(&node, number).await;
            away.subscribe(&node.broker().topic("/#"), QoS::AtLeastOnce).await;
            away.disconnect(ReasonCode::SUCCESS).await;
        }
        let mut publisher = node.broker().client(Version::V5, 1).await;
        publisher.publish(&node.broker().topic("/x"), "x", QoS::AtLeastOnce).await;
        assert_eq!(rows(&node, "mqtt_queue").await, 2);
        let broker = node.broker();
        broker.gate.deny(0, messaging::Action::Subscribe);
        let client = broker.plant.clients[0];
        broker.engine.revoke(Revocation::Client(client));
        has_rows(&node, "mqtt_queue", 1).await;
        has_rows(&node, "mqtt_subscriptions", 1).await;
        broker.engine.revoke(Revocation::ClientGone(broker.plant.clients[2]));
        has_rows(&node, "mqtt_sessions", 1).await;
        has_rows(&node, "mqtt_messages", 0).await;
    }

    async fn a_database_that_fails_lets_publishes_fail_and_nothing_else(db: TestDb) {
        let node = Node::start(&db).await;
        let (mut stored, _) = back(&node, 0).await;
        stored.subscribe(&node.broker().topic("/stored"), QoS::AtLeastOnce).await;
        let mut plain = node.broker().client(Version::V5, 2).await;
        plain.subscribe(&node.broker().topic("/plain"), QoS::AtLeastOnce).await;
        let mut publisher = node.broker().client(Version::V5, 1).await;
        let mut old = Client::connect(
            node.broker().address,
            Connect { client_id: Text::from("old"), ..node.broker().plant.connect(Version::V311, 3) },
        )
        .await
        .0;
        // Whoever holds the database of the node closes it: every write fails from here on.
        node.db.close().await;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let reason = publisher.publish(&node.broker().topic("/stored"), "lost", qos).await;
            assert_eq!(reason, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        }
        assert_eq!(publisher.publish(&node.broker().topic("/plain"), "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
        assert_eq!(text(&plain.take().await), "x");
        let message = old.message(&node.broker().topic("/stored"), "lost", QoS::AtLeastOnce);
        old.send(Packet::Publish(message)).await;
        assert_eq!(old.closed().await, None, "MQTT 3 has no words for it");
        let (_, connack) = Client::connect(node.broker().address, lasting(&node, 3)).await;
        assert_eq!(connack.reason, ReasonCode::SERVER_UNAVAILABLE);
        stored.has_nothing().await;
    }
}
