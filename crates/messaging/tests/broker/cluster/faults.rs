//! Nodes die, join and are cut off, and subscribers take nothing.

use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use db::testing::TestDb;
use messaging::Limits;
use messaging::wire::{Ack, Connect, MessageProperties, Packet, Publish, QoS, ReasonCode, Text, Will};

use super::{Cluster, taken};
use crate::client::{Client, text};
use crate::soon;

db::both_databases! {
    async fn the_sessions_of_a_dead_node_go_on_elsewhere_with_all_that_was_acknowledged(db: TestDb) {
        let mut cluster = Cluster::start(&db, 3).await;
        let (mut connected, _) = cluster.lasting(0, 0).await;
        connected.subscribe(&cluster.topic("/#"), QoS::ExactlyOnce).await;
        let mut publisher = cluster.client(1, 1).await;
        for payload in ["1", "2"] {
            publisher.publish(&cluster.topic("/x"), payload, QoS::ExactlyOnce).await;
        }
        assert_eq!(text(&connected.delivery().await), "1");
        cluster.kill(0);
        publisher.publish(&cluster.topic("/x"), "3", QoS::ExactlyOnce).await;
        let mut back = cluster.again(2, 0).await;
        assert_eq!(taken(&mut back, 3).await, ["1", "2", "3"]);
        back.has_nothing().await;
    }

    async fn a_cut_between_the_nodes_holds_acknowledgements_back_and_loses_nothing(db: TestDb) {
        let mut cluster = Cluster::start(&db, 2).await;
        let mut subscriber = cluster.client(0, 0).await;
        subscriber.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let mut publisher = cluster.client(1, 1).await;
        cluster.wires.cut.store(true, SeqCst);
        let message = publisher.message(&cluster.topic("/x"), "text", QoS::AtLeastOnce);
        publisher.send(Packet::Publish(message)).await;
        publisher.has_nothing().await;
        cluster.wires.cut.store(false, SeqCst);
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        assert_eq!(taken(&mut subscriber, 1).await, ["text"]);

        // Whoever waits for a node that dies waits no longer than its lease.
        cluster.kill(0);
        assert_eq!(publisher.publish(&cluster.topic("/x"), "gone", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    }

    async fn a_qos_2_message_is_not_taken_twice_though_its_node_dies_before_the_release(db: TestDb) {
        let mut cluster = Cluster::start(&db, 3).await;
        let (mut reader, _) = cluster.lasting(2, 0).await;
        reader.subscribe(&cluster.topic("/#"), QoS::ExactlyOnce).await;
        let (mut publisher, _) = cluster.lasting(0, 1).await;
        let message = publisher.message(&cluster.topic("/x"), "once", QoS::ExactlyOnce);
        let packet_id = message.packet_id.unwrap();
        publisher.send(Packet::Publish(message.clone())).await;
        assert_eq!(publisher.receive().await, Packet::PubRec(Ack::new(packet_id)));
        cluster.kill(0);
        let mut publisher = cluster.again(1, 1).await;
        publisher.send(Packet::Publish(Publish { dup: true, ..message })).await;
        assert_eq!(publisher.receive().await, Packet::PubRec(Ack::new(packet_id)));
        publisher.send(Packet::PubRel(Ack::new(packet_id))).await;
        assert_eq!(publisher.receive().await, Packet::PubComp(Ack::new(packet_id)));
        publisher.publish(&cluster.topic("/x"), "next", QoS::ExactlyOnce).await;
        assert_eq!(taken(&mut reader, 2).await, ["once", "next"]);
    }

    async fn the_will_of_a_session_is_published_though_its_node_dies(db: TestDb) {
        let mut cluster = Cluster::start(&db, 2).await;
        let mut reader = cluster.client(1, 1).await;
        reader.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let will = Will {
            topic: Text::from(cluster.topic("/will")),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay: 0,
            message_expiry: None,
            properties: MessageProperties::default(),
        };
        let connect = Connect { will: Some(will), ..cluster.connect(0) };
        let (_client, connack) = Client::connect(cluster.node(0).address, connect).await;
        assert!(!connack.reason.is_failure(), "{connack:?}");
        cluster.kill(0);
        assert_eq!(taken(&mut reader, 1).await, ["gone"]);
    }

    async fn a_slow_subscriber_slows_down_publishers_at_other_nodes(db: TestDb) {
        const MESSAGES: usize = 2_000;
        let limits = Limits { queue_messages: 8, inflight: 2, ..Limits::default() };
        let cluster = Cluster::with(&db, 2, limits).await;
        let (mut slow, _) = cluster.lasting(0, 0).await;
        slow.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let mut publisher = cluster.client(1, 1).await;
        let stats = cluster.node(1).engine.stats();
        let mut published = 0;
        while stats.stalls.load(SeqCst) == 0 {
            assert!(published < MESSAGES, "nobody was made to wait");
            let payload = published.to_string();
            let topic = cluster.topic("/x");
            assert_eq!(publisher.publish(&topic, &payload, QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
            published += 1;
            // Whether it must wait is decided behind its acknowledgement, before anything else is done for it.
            publisher.has_nothing().await;
        }
        let message = publisher.message(&cluster.topic("/x"), "last", QoS::AtLeastOnce);
        publisher.send(Packet::Publish(message)).await;
        let came = taken(&mut slow, published + 1).await;
        assert_eq!(came.last().map(String::as_str), Some("last"));
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
    }

    async fn an_absent_session_ends_when_other_nodes_store_too_much_for_it(db: TestDb) {
        let limits = Limits { stored_messages: 5, ..Limits::default() };
        let cluster = Cluster::with(&db, 2, limits).await;
        let (mut away, _) = cluster.lasting(0, 0).await;
        away.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        away.disconnect(ReasonCode::SUCCESS).await;
        let mut publisher = cluster.client(1, 1).await;
        let stats = cluster.node(0).engine.stats();
        soon("the session is over its bound", async {
            while stats.sessions_overflowed.load(SeqCst) == 0 {
                publisher.publish(&cluster.topic("/x"), "more", QoS::AtLeastOnce).await;
            }
        })
        .await;
        let (mut back, present) = cluster.lasting(1, 0).await;
        assert!(!present);
        back.has_nothing().await;
    }

    async fn a_newcomer_that_cannot_be_heard_holds_up_nobody(db: TestDb) {
        let cluster = Cluster::start(&db, 2).await;
        let before = cluster.wires.tried.lock().unwrap().len();
        let (stranger, joining) = cluster.joining([8; 32]);
        soon("others try to reach the newcomer", async {
            while cluster.wires.tried.lock().unwrap().len() == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut subscriber = cluster.client(0, 0).await;
        subscriber.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let mut publisher = cluster.client(1, 1).await;
        publisher.publish(&cluster.topic("/x"), "text", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut subscriber, 1).await, ["text"]);
        assert!(!joining.is_finished(), "it has not the key");
        stranger.shutdown_background();
    }

    async fn a_newcomer_knows_what_others_read_and_keep(db: TestDb) {
        let mut cluster = Cluster::start(&db, 1).await;
        let mut live = cluster.client(0, 0).await;
        live.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let (mut away, _) = cluster.lasting(0, 1).await;
        away.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        away.disconnect(ReasonCode::SUCCESS).await;
        cluster.join().await;
        let mut publisher = cluster.client(1, 2).await;
        publisher.publish(&cluster.topic("/x"), "text", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut live, 1).await, ["text"]);
        let (mut back, present) = cluster.lasting(1, 1).await;
        assert!(present);
        assert_eq!(taken(&mut back, 1).await, ["text"]);
    }
}
