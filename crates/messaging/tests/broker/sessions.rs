//! Sessions outlive connections, and belong to one at a time.

use messaging::wire::{
    Ack, Connect, Disconnect, Packet, PacketId, Publish, QoS, ReasonCode, Text, Version, encode,
};

use crate::client::{Client, text};
use crate::{Broker, becomes, soon};

/// A CONNECT whose session outlives the connection by `expiry` seconds.
fn lasting(broker: &Broker, version: Version, number: usize, expiry: u32) -> Connect {
    Connect { clean_start: false, session_expiry: expiry, ..broker.plant.connect(version, number) }
}

#[tokio::test]
async fn a_session_keeps_subscriptions_and_messages_while_its_client_is_away() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V311, 1).await;
    for version in [Version::V311, Version::V5] {
        let connect = Connect { client_id: Text::from("away"), ..lasting(&broker, version, 0, 60) };
        let (mut client, connack) = Client::connect(broker.address, connect.clone()).await;
        assert_eq!(connack.session_present, version == Version::V5, "the session of the earlier round");
        client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
        client.disconnect(ReasonCode::SUCCESS).await;
        becomes("the disconnect", &broker.engine.stats().mqtt.connections, 1).await;

        for (payload, qos) in [("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce)] {
            publisher.publish(&broker.topic("/a"), payload, qos).await;
        }
        let (mut client, connack) = Client::connect(broker.address, connect).await;
        assert!(connack.session_present);
        assert_eq!(text(&client.take().await), "1");
        assert_eq!(text(&client.take().await), "2");
        client.has_nothing().await;
        client.disconnect(ReasonCode::SUCCESS).await;
        becomes("the disconnect", &broker.engine.stats().mqtt.connections, 1).await;
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_in_order_and_marked() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V311, 1).await;
    let connect = lasting(&broker, Version::V5, 0, 60);
    let mut client = broker.connect(connect.clone()).await;
    client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    for payload in ["a", "b", "c"] {
        publisher.publish(&broker.topic(""), payload, QoS::ExactlyOnce).await;
    }
    let ids: Vec<PacketId> = [client.delivery().await, client.delivery().await, client.delivery().await]
        .iter()
        .map(|delivery| delivery.packet_id.unwrap())
        .collect();
    client.send(Packet::PubRec(Ack::new(ids[1]))).await;
    assert_eq!(client.receive().await, Packet::PubRel(Ack::new(ids[1])));
    drop(client);

    let mut client = broker.connect(connect).await;
    let again = client.delivery().await;
    assert_eq!((text(&again), again.dup, again.packet_id), ("a", true, Some(ids[0])));
    assert_eq!(client.receive().await, Packet::PubRel(Ack::new(ids[1])));
    let again = client.delivery().await;
    assert_eq!((text(&again), again.dup, again.packet_id), ("c", true, Some(ids[2])));
}

#[tokio::test]
async fn a_client_is_not_sent_more_than_its_receive_maximum() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V311, 1).await;
    let mut connect = broker.plant.connect(Version::V5, 0);
    connect.receive_maximum = 2.try_into().unwrap();
    let mut client = broker.connect(connect).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for payload in ["a", "b", "c"] {
        publisher.publish(&broker.topic(""), payload, QoS::AtLeastOnce).await;
    }
    let first = client.delivery().await;
    client.delivery().await;
    client.has_nothing().await;
    client.send(Packet::PubAck(Ack::new(first.packet_id.unwrap()))).await;
    assert_eq!(text(&client.delivery().await), "c");
}

#[tokio::test]
async fn a_second_connection_takes_the_session_and_the_first_is_told() {
    let broker = Broker::start().await;
    let connect = lasting(&broker, Version::V5, 0, 60);
    let mut first = broker.connect(connect.clone()).await;
    first.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let (mut second, connack) = Client::connect(broker.address, connect).await;
    assert!(connack.session_present);
    assert_eq!(first.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
    let mut publisher = broker.client(Version::V311, 1).await;
    publisher.publish(&broker.topic(""), "x", QoS::AtLeastOnce).await;
    assert_eq!(text(&second.take().await), "x");
}

#[tokio::test]
async fn of_many_connections_at_once_exactly_one_keeps_the_session() {
    let broker = Broker::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let mut connect = lasting(&broker, Version::V5, 0, 60);
        connect.clean_start = number % 3 == 0;
        tasks.spawn(Client::connect(broker.address, connect));
    }
    let mut clients = tasks.join_all().await;
    becomes("all losers gone", &broker.engine.stats().mqtt.connections, 1).await;
    assert_eq!(broker.engine.stats().sessions.load(std::sync::atomic::Ordering::SeqCst), 1);

    let mut alive = 0;
    for (client, _) in &mut clients {
        client.send_bytes(&[0xC0, 0]).await;
        while let Some(packet) = client.next().await {
            if packet == Packet::PingResp {
                alive += 1;
                break;
            }
        }
    }
    assert_eq!(alive, 1);
}

#[tokio::test]
async fn two_clients_with_the_same_identifier_do_not_meet() {
    let broker = Broker::start().await;
    let same =
        |number| Connect { client_id: Text::from("same"), ..broker.plant.connect(Version::V5, number) };
    let mut first = broker.connect(same(0)).await;
    let mut second = broker.connect(same(1)).await;
    first.has_nothing().await;
    second.has_nothing().await;
}

#[tokio::test]
async fn a_clean_start_ends_the_earlier_session() {
    let broker = Broker::start().await;
    let mut client = broker.connect(lasting(&broker, Version::V311, 0, 60)).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    client.disconnect(ReasonCode::SUCCESS).await;
    let mut client = broker.client(Version::V311, 0).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    publisher.publish(&broker.topic(""), "x", QoS::AtLeastOnce).await;
    client.has_nothing().await;
    assert_eq!(broker.engine.stats().subscriptions.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let broker = Broker::with(|limits| limits.session_expiry = 1).await;
    let (client, connack) = Client::connect(broker.address, lasting(&broker, Version::V5, 0, 100)).await;
    assert_eq!(connack.session_expiry, Some(1), "the server's bound is told");
    client.disconnect(ReasonCode::SUCCESS).await;
    becomes("the end of the session", &broker.engine.stats().sessions, 0).await;
    let (_, connack) = Client::connect(broker.address, lasting(&broker, Version::V5, 0, 1)).await;
    assert!(!connack.session_present);
}

#[tokio::test]
async fn a_message_that_expired_in_the_queue_is_not_delivered() {
    let broker = Broker::start().await;
    let connect = lasting(&broker, Version::V5, 0, 60);
    let mut client = broker.connect(connect.clone()).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    client.disconnect(ReasonCode::SUCCESS).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    becomes("the disconnect", &broker.engine.stats().mqtt.connections, 1).await;
    for (payload, expiry) in [("never", Some(0)), ("always", None)] {
        let mut publish = publisher.message(&broker.topic(""), payload, QoS::AtLeastOnce);
        publish.message_expiry = expiry;
        publisher.publish_message(publish).await;
    }
    let mut client = broker.connect(connect).await;
    assert_eq!(text(&client.take().await), "always");
    client.has_nothing().await;
}

#[tokio::test]
async fn a_client_without_an_identifier_is_given_one() {
    let broker = Broker::start().await;
    let nameless = |version| Connect { client_id: Text::default(), ..broker.plant.connect(version, 0) };
    let (_, connack) = Client::connect(broker.address, nameless(Version::V5)).await;
    let assigned = connack.assigned_client_id.unwrap();
    assert!(assigned.as_str().starts_with("auto-") && assigned.len() == 21, "{assigned}");
    let (_, connack) = Client::connect(broker.address, nameless(Version::V311)).await;
    assert!(!connack.reason.is_failure());
    let lasting = Connect { clean_start: false, ..nameless(Version::V311) };
    let (mut refused, connack) = Client::connect(broker.address, lasting).await;
    assert_eq!(connack.reason, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    assert!(refused.next().await.is_none());
}

#[tokio::test]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let broker = Broker::with(|limits| limits.keep_alive = 1).await;
    let (mut client, connack) = Client::connect(broker.address, broker.plant.connect(Version::V5, 0)).await;
    assert_eq!(connack.server_keep_alive, Some(1));
    assert_eq!(client.closed().await, Some(ReasonCode::KEEP_ALIVE_TIMEOUT));
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_is_closed() {
    let broker = Broker::with(|limits| limits.handshake = std::time::Duration::from_millis(50)).await;
    let mut silent = Client::open(broker.address, Version::V311).await;
    assert!(soon("the end of the handshake", silent.next()).await.is_none());
}

#[tokio::test]
async fn a_connection_that_lost_its_session_releases_no_messages_of_it() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/once"), QoS::AtLeastOnce).await;
    let connect = Connect { session_expiry: 60, clean_start: false, ..broker.plant.connect(Version::V5, 0) };
    let mut old = broker.connect(connect.clone()).await;
    let once = old.message(&broker.topic("/once"), "x", QoS::ExactlyOnce);
    old.send(Packet::Publish(once.clone())).await;
    assert!(matches!(old.receive().await, Packet::PubRec(_)));
    assert_eq!(text(&subscriber.take().await), "x");

    // The old connection waits at the gate while its session goes, with a PUBREL behind.
    broker.gate.hold();
    let held = old.message(&broker.topic("/held"), "x", QoS::AtMostOnce);
    let mut bytes = Vec::new();
    encode(&Packet::Publish(held), Version::V5, &mut bytes).unwrap();
    encode(&Packet::PubRel(Ack::new(once.packet_id.unwrap())), Version::V5, &mut bytes).unwrap();
    old.send_bytes(&bytes).await;
    broker.gate.holding().await;
    let mut new = broker.connect(connect).await;
    broker.gate.let_go();
    becomes("the end of the old connection", &broker.engine.stats().mqtt.connections, 2).await;

    new.send(Packet::Publish(Publish { dup: true, ..once })).await;
    assert!(matches!(new.receive().await, Packet::PubRec(_)));
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_session_that_ends_with_its_connection_cannot_be_kept_by_a_disconnect() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let kept = Disconnect { session_expiry: Some(60), ..Disconnect::new(ReasonCode::SUCCESS) };
    client.send(Packet::Disconnect(kept)).await;
    assert_eq!(client.closed().await, Some(ReasonCode::PROTOCOL_ERROR));
    becomes("the end of the session", &broker.engine.stats().sessions, 0).await;
}
