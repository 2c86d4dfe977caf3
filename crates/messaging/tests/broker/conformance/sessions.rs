//! Chapters 3.1.2.4, 4.1 and 4.4 to 4.6: sessions, repetition and order.

use messaging::wire::{Connect, Packet, QoS, Text, Version};

use super::{BOTH, lasting, leave, take_all};
use crate::client::{Client, text};
use crate::{Broker, becomes};

#[tokio::test]
async fn a_session_keeps_what_is_published_while_its_client_is_away() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
        leave(&broker, client).await;
        let mut publisher = broker.client(version, 1).await;
        for number in 0..100 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
            publisher.publish(&broker.topic("/x"), &number.to_string(), qos).await;
        }
        leave(&broker, publisher).await;
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        for (number, delivery) in take_all(&mut client, 100).await.iter().enumerate() {
            assert_eq!(text(delivery), number.to_string());
        }
        client.has_nothing().await;
        leave(&broker, client).await;
        leave(&broker, broker.client(version, 0).await).await;
    }
}

#[tokio::test]
async fn a_clean_session_keeps_nothing() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
        leave(&broker, client).await;
        becomes("the end of the session", &broker.engine.stats().sessions, 0).await;
        let mut publisher = broker.client(version, 1).await;
        publisher.publish(&broker.topic("/x"), "lost", QoS::AtLeastOnce).await;
        leave(&broker, publisher).await;
        let (mut client, connack) = Client::connect(broker.address, lasting(&broker, version, 0)).await;
        assert!(!connack.session_present);
        client.has_nothing().await;
        leave(&broker, client).await;
        leave(&broker, broker.client(version, 0).await).await;
    }
}

/// The identifier names the session, within the identity that has logged in.
#[tokio::test]
async fn a_session_belongs_to_its_client_identifier() {
    let broker = Broker::start().await;
    for version in BOTH {
        let named = |name: &str| Connect { client_id: Text::from(name), ..lasting(&broker, version, 0) };
        let mut first = broker.connect(named("a")).await;
        first.subscribe(&broker.topic("/a"), QoS::AtLeastOnce).await;
        let mut second = broker.connect(named("A")).await;
        second.subscribe(&broker.topic("/A"), QoS::AtLeastOnce).await;
        leave(&broker, first).await;
        leave(&broker, second).await;
        let mut publisher = broker.client(version, 1).await;
        publisher.publish(&broker.topic("/a"), "of a", QoS::AtLeastOnce).await;
        publisher.publish(&broker.topic("/A"), "of A", QoS::AtLeastOnce).await;
        for (name, payload) in [("a", "of a"), ("A", "of A")] {
            let (mut client, connack) = Client::connect(broker.address, named(name)).await;
            assert!(connack.session_present);
            assert_eq!(text(&client.take().await), payload);
            client.has_nothing().await;
            client.disconnect(messaging::wire::ReasonCode::SUCCESS).await;
            broker.connect(Connect { clean_start: true, session_expiry: 0, ..named(name) }).await;
        }
    }
}

/// Messages of one publisher to one topic arrive in their order, for each QoS, sent at once or out of the queue.
#[tokio::test]
async fn messages_of_one_publisher_to_one_topic_keep_their_order() {
    let broker = Broker::with(|limits| limits.inflight = 3).await;
    for version in BOTH {
        for qos in super::ALL_QOS {
            let mut subscriber = broker.client(version, 0).await;
            subscriber.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
            let mut publisher = broker.client(version, 1).await;
            for number in 0..50 {
                let publish = publisher.message(&broker.topic("/x"), &number.to_string(), qos);
                publisher.send(Packet::Publish(publish)).await;
            }
            for (number, delivery) in take_all(&mut subscriber, 50).await.iter().enumerate() {
                assert_eq!((text(delivery), delivery.qos), (number.to_string().as_str(), qos));
            }
            subscriber.has_nothing().await;
        }
    }
}

#[tokio::test]
async fn what_is_repeated_comes_first_and_in_its_order() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
        let mut publisher = broker.client(version, 1).await;
        let mut ids = Vec::new();
        for number in 0..6 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
            publisher.publish(&broker.topic("/x"), &number.to_string(), qos).await;
            ids.push(client.delivery().await.packet_id.unwrap());
        }
        drop(client);
        becomes("the absence", &broker.engine.stats().mqtt.connections, 1).await;
        publisher.publish(&broker.topic("/x"), "new", QoS::AtLeastOnce).await;
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        let deliveries = take_all(&mut client, 7).await;
        for (number, (again, id)) in deliveries.iter().zip(&ids).enumerate() {
            assert_eq!((text(again), again.dup), (number.to_string().as_str(), true));
            assert_eq!(again.packet_id, Some(*id));
        }
        assert_eq!((text(&deliveries[6]), deliveries[6].dup), ("new", false));
        client.has_nothing().await;
        leave(&broker, client).await;
        leave(&broker, publisher).await;
        leave(&broker, broker.client(version, 0).await).await;
    }
}

/// What the client has sent of a QoS 2 exchange is remembered as well.
#[tokio::test]
async fn an_unreleased_message_of_qos_2_is_not_taken_twice_on_the_next_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 1).await;
        subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        let mut publish = client.message(&broker.topic("/x"), "once", QoS::ExactlyOnce);
        client.send(Packet::Publish(publish.clone())).await;
        assert!(matches!(client.receive().await, Packet::PubRec(_)));
        drop(client);
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        publish.dup = true;
        client.publish_message(publish).await;
        assert_eq!(text(&subscriber.take().await), "once");
        subscriber.has_nothing().await;
        drop((client, subscriber));
        leave(&broker, broker.client(version, 0).await).await;
    }
}

#[tokio::test]
async fn a_session_of_mqtt_3_is_resumed_by_mqtt_5_and_the_other_way_round() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let mut client = broker.connect(lasting(&broker, Version::V311, 0)).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for version in [Version::V5, Version::V311, Version::V31, Version::V5] {
        leave(&broker, client).await;
        publisher.publish(&broker.topic("/x"), "x", QoS::AtLeastOnce).await;
        client = broker.connect(lasting(&broker, version, 0)).await;
        assert_eq!(text(&client.take().await), "x");
        client.has_nothing().await;
    }
}

/// However long it lasts: the expiry counts from the end of the connection.
#[tokio::test]
async fn a_session_does_not_end_while_its_connection_is_open() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.subscribe(&broker.topic("/x"), QoS::AtLeastOnce).await;
        // A session of another that ends after a second has ended meanwhile.
        let short = Connect { session_expiry: 1, ..lasting(&broker, Version::V5, 1) };
        drop(broker.connect(short).await);
        becomes("the end of the other", &broker.engine.stats().sessions, 1).await;
        client.publish(&broker.topic("/x"), "x", QoS::AtMostOnce).await;
        assert_eq!(text(&client.take().await), "x");
        leave(&broker, client).await;
        becomes("the end", &broker.engine.stats().sessions, 0).await;
    }
}
