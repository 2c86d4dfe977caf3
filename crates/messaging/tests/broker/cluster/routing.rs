//! Who gets what, with all nodes there.

use std::collections::HashMap;

use bytes::Bytes;
use db::testing::TestDb;
use messaging::wire::{Ack, Packet, Publish, QoS, ReasonCode};

use super::{Cluster, everything, taken};
use crate::client::text;

const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

db::both_databases! {
    async fn a_message_reaches_the_subscribers_of_every_node_once(db: TestDb) {
        let cluster = Cluster::start(&db, 3).await;
        let filter = cluster.topic("/#");
        let mut live = Vec::new();
        for node in 0..3 {
            let mut client = cluster.client(node, node).await;
            client.subscribe(&filter, QoS::ExactlyOnce).await;
            live.push(client);
        }
        let (mut lasting, _) = cluster.lasting(1, 3).await;
        lasting.subscribe(&filter, QoS::ExactlyOnce).await;
        for node in 0..3 {
            for qos in ALL_QOS {
                let payload = format!("{node} {qos:?}");
                live[node].send(Packet::Publish(Publish { retain: false, ..publish(&cluster, &payload, qos) })).await;
                // Its own copy and what belongs to the exchange come in any order.
                let mut came = 0;
                let mut open = match qos { QoS::AtMostOnce => 0, QoS::AtLeastOnce => 1, QoS::ExactlyOnce => 2 };
                let mut unreleased = 0;
                while came < 1 || open > 0 || unreleased > 0 {
                    match live[node].receive().await {
                        Packet::Publish(publish) => {
                            assert_eq!(text(&publish), payload);
                            came += 1;
                            match publish.qos {
                                QoS::AtMostOnce => {}
                                QoS::AtLeastOnce => {
                                    live[node].send(Packet::PubAck(Ack::new(publish.packet_id.unwrap()))).await;
                                }
                                QoS::ExactlyOnce => {
                                    unreleased += 1;
                                    live[node].send(Packet::PubRec(Ack::new(publish.packet_id.unwrap()))).await;
                                }
                            }
                        }
                        Packet::PubRel(release) => {
                            unreleased -= 1;
                            live[node].send(Packet::PubComp(Ack::new(release.packet_id))).await;
                        }
                        Packet::PubAck(ack) => { assert_eq!(ack.reason, ReasonCode::SUCCESS); open -= 1 }
                        Packet::PubRec(ack) => {
                            assert_eq!(ack.reason, ReasonCode::SUCCESS);
                            open -= 1;
                            live[node].send(Packet::PubRel(Ack::new(ack.packet_id))).await;
                        }
                        Packet::PubComp(_) => open -= 1,
                        other => panic!("unexpected: {other:?}"),
                    }
                }
                for other in (0..3).filter(|other| *other != node) {
                    assert_eq!(taken(&mut live[other], 1).await, [payload.as_str()]);
                }
                assert_eq!(taken(&mut lasting, 1).await, [payload]);
            }
        }
        for client in &mut live {
            client.has_nothing().await;
        }
        lasting.has_nothing().await;
    }

    async fn a_lasting_session_moves_to_where_its_client_comes_with_what_waits_for_it(db: TestDb) {
        let cluster = Cluster::start(&db, 3).await;
        let (mut away, present) = cluster.lasting(0, 0).await;
        assert!(!present);
        away.subscribe(&cluster.topic("/#"), QoS::ExactlyOnce).await;
        away.disconnect(ReasonCode::SUCCESS).await;
        let mut expected = Vec::new();
        for node in [0, 1, 2] {
            let mut publisher = cluster.client(node, 1).await;
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let payload = format!("{node} {qos:?}");
                assert_eq!(publisher.publish(&cluster.topic("/x"), &payload, qos).await, ReasonCode::SUCCESS);
                expected.push(payload);
            }
        }
        let (mut back, present) = cluster.lasting(2, 0).await;
        assert!(present);
        let mut came = taken(&mut back, expected.len()).await;
        came.sort_unstable();
        assert_eq!(came, expected);
        let mut publisher = cluster.client(1, 1).await;
        publisher.publish(&cluster.topic("/x"), "later", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut back, 1).await, ["later"]);
        back.has_nothing().await;
    }

    async fn a_client_that_comes_to_another_node_takes_its_session_over(db: TestDb) {
        let cluster = Cluster::start(&db, 2).await;
        let (mut first, _) = cluster.lasting(0, 0).await;
        first.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let (mut second, present) = cluster.lasting(1, 0).await;
        assert!(present);
        assert_eq!(first.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        let mut publisher = cluster.client(0, 1).await;
        publisher.publish(&cluster.topic("/x"), "here", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut second, 1).await, ["here"]);

        // Sessions that end with their connection are no different, but that nothing of them is left.
        let mut clean = cluster.client(1, 2).await;
        clean.subscribe(&cluster.topic("/#"), QoS::AtLeastOnce).await;
        let mut other = cluster.client(0, 2).await;
        assert_eq!(clean.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        publisher.publish(&cluster.topic("/x"), "again", QoS::AtLeastOnce).await;
        assert_eq!(taken(&mut second, 1).await, ["again"]);
        other.has_nothing().await;

        // A client that starts anew ends its session wherever it is.
        let mut anew = cluster.client(0, 0).await;
        assert_eq!(second.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
        publisher.publish(&cluster.topic("/x"), "nobody", QoS::AtLeastOnce).await;
        anew.has_nothing().await;
        anew.disconnect(ReasonCode::SUCCESS).await;
        let (_, present) = cluster.lasting(1, 0).await;
        assert!(!present);
    }

    async fn one_member_of_a_group_gets_a_message_wherever_it_is(db: TestDb) {
        let cluster = Cluster::start(&db, 3).await;
        let filter = format!("$share/group/{}", cluster.topic("/#"));
        let mut members = Vec::new();
        for node in 0..3 {
            let mut client = cluster.client(node, node).await;
            client.subscribe(&filter, QoS::AtLeastOnce).await;
            members.push(client);
        }
        let mut publisher = cluster.client(1, 3).await;
        const MESSAGES: usize = 12;
        for number in 0..MESSAGES {
            publisher.publish(&cluster.topic("/x"), &number.to_string(), QoS::AtLeastOnce).await;
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        for member in &mut members {
            for payload in taken(member, MESSAGES / 3).await {
                *seen.entry(payload).or_default() += 1;
            }
            member.has_nothing().await;
        }
        assert_eq!(seen.len(), MESSAGES, "{seen:?}");
        // One that has left gets nothing more.
        members.pop().unwrap().disconnect(ReasonCode::SUCCESS).await;
        for number in 0..MESSAGES {
            publisher.publish(&cluster.topic("/x"), &number.to_string(), QoS::AtLeastOnce).await;
        }
        let mut came = Vec::new();
        for member in &mut members {
            came.extend(everything(member).await);
        }
        came.sort_unstable_by_key(|payload| payload.parse::<usize>().unwrap());
        assert_eq!(came, (0..MESSAGES).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    async fn a_retained_message_is_found_at_every_node(db: TestDb) {
        let cluster = Cluster::start(&db, 2).await;
        let topic = cluster.topic("/x");
        // Both nodes know the retained messages of the channel before there is one.
        let mut publishers = [cluster.client(0, 0).await, cluster.client(1, 1).await];
        for publisher in &mut publishers {
            publisher.publish(&topic, "seen", QoS::AtLeastOnce).await;
        }
        for (node, payload) in [(0, "first"), (1, "second"), (0, "")] {
            let publisher = &mut publishers[node];
            let message = publisher.message(&topic, payload, QoS::AtLeastOnce);
            publisher.publish_message(Publish { retain: true, ..message }).await;
            for node in 0..2 {
                let mut subscriber = cluster.client(node, 2).await;
                subscriber.subscribe(&topic, QoS::AtLeastOnce).await;
                if !payload.is_empty() {
                    let retained = subscriber.take().await;
                    assert!(retained.retain);
                    assert_eq!(text(&retained), payload);
                }
                subscriber.has_nothing().await;
                subscriber.disconnect(ReasonCode::SUCCESS).await;
            }
        }
    }
}

fn publish(cluster: &Cluster, payload: &str, qos: QoS) -> Publish {
    Publish {
        qos,
        packet_id: (qos > QoS::AtMostOnce).then(|| 7.try_into().unwrap()),
        topic: cluster.topic("/x").as_str().into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        ..Publish::default()
    }
}
