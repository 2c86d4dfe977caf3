//! Nothing that was acknowledged is lost, and nothing grows without a bound.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use messaging::wire::{Ack, Connect, Packet, PacketId, QoS, ReasonCode, Version};

use crate::client::{Client, text};
use crate::{Broker, becomes, soon};

/// Publishes `count` messages without waiting for their acknowledgements, then collects those.
async fn publish_many(mut client: Client, topic: String, name: usize, count: usize) {
    let mut sent = 0;
    let mut acknowledged = 0;
    while acknowledged < count {
        while sent < count && sent < acknowledged + 100 {
            let publish = client.message(&topic, &format!("{name} {sent}"), QoS::AtLeastOnce);
            client.send(Packet::Publish(publish)).await;
            sent += 1;
        }
        assert!(matches!(client.receive().await, Packet::PubAck(ack) if !ack.reason.is_failure()));
        acknowledged += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_subscriber_slows_its_publishers_and_loses_nothing() {
    const EACH: usize = 2_000;
    let broker = Broker::with(|limits| {
        limits.queue_messages = 50;
        limits.inflight = 10;
    })
    .await;
    let mut subscriber = broker.client(Version::V311, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut publishers = tokio::task::JoinSet::new();
    for number in 1..4 {
        let client = broker.client(Version::V311, number).await;
        publishers.spawn(publish_many(client, broker.topic(&format!("/{number}")), number, EACH));
    }
    // The subscriber acknowledges nothing: publishers come to a stand, with no more taken than the bounds allow.
    becomes("a stand", &broker.engine.stats().stalls, 3).await;
    let taken: u64 = broker.engine.stats().mqtt.received[1].load(SeqCst);
    assert!(taken <= 10 + 50 + 3, "{taken} messages were taken");

    let mut next = [0; 4];
    for _ in 0..3 * EACH {
        let delivery = subscriber.take().await;
        let (name, number) = text(&delivery).split_once(' ').unwrap();
        let name: usize = name.parse().unwrap();
        assert_eq!(number.parse::<usize>().unwrap(), next[name], "in order and complete");
        next[name] += 1;
    }
    publishers.join_all().await;
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn two_clients_that_fill_each_others_queues_go_on() {
    let broker = Broker::with(|limits| {
        limits.queue_messages = 4;
        limits.inflight = 2;
    })
    .await;
    let mut clients = Vec::new();
    for (number, listens) in [(0, "/b"), (1, "/a")] {
        let mut client = broker.client(Version::V311, number).await;
        client.subscribe(&broker.topic(listens), QoS::AtLeastOnce).await;
        clients.push(client);
    }
    // Both publish everything before they read anything; their acknowledgements stand behind it.
    for (client, speaks) in clients.iter_mut().zip(["/a", "/b"]) {
        for number in 0..200 {
            let publish = client.message(&broker.topic(speaks), &number.to_string(), QoS::AtLeastOnce);
            client.send(Packet::Publish(publish)).await;
        }
    }
    let [first, second] = &mut clients[..] else { panic!("two clients") };
    let finish = async |client: &mut Client| {
        let (mut acknowledged, mut received) = (0, 0);
        while acknowledged < 200 || received < 200 {
            match client.receive().await {
                Packet::PubAck(_) => acknowledged += 1,
                Packet::Publish(publish) => {
                    assert_eq!(text(&publish), received.to_string());
                    received += 1;
                    client.send(Packet::PubAck(Ack::new(publish.packet_id.unwrap()))).await;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(finish(first), finish(second));
    assert_eq!(broker.engine.stats().slow_closed.load(SeqCst), 0);
}

#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_closed_and_its_publishers_go_on() {
    let broker = Broker::with(|limits| {
        limits.queue_messages = 2;
        limits.inflight = 1;
        limits.slow_subscriber = Duration::from_millis(50);
    })
    .await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let publisher = broker.client(Version::V311, 1).await;
    publish_many(publisher, broker.topic(""), 1, 20).await;
    assert_eq!(subscriber.closed().await, Some(ReasonCode::QUOTA_EXCEEDED));
}

#[tokio::test]
async fn a_subscriber_that_reads_and_never_acknowledges_is_closed_too() {
    let broker = Broker::with(|limits| {
        limits.queue_messages = 2;
        limits.inflight = 1;
        limits.slow_subscriber = Duration::from_millis(100);
    })
    .await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut chatty = broker.client(Version::V311, 2).await;
    let topic = broker.topic("/chat");
    let chat = tokio::spawn(async move {
        loop {
            chatty.publish(&topic, "x", QoS::AtMostOnce).await;
            chatty.has_nothing().await;
        }
    });
    let publisher = broker.client(Version::V311, 1).await;
    let publishing = publish_many(publisher, broker.topic(""), 1, 20);
    let (reason, ()) = tokio::join!(subscriber.closed(), publishing);
    assert_eq!(reason, Some(ReasonCode::QUOTA_EXCEEDED));
    chat.abort();
}

/// A session of client `number` that has subscribed to `filter` and gone away.
async fn absent(broker: &Broker, number: usize, filter: &str) -> Connect {
    let connect =
        Connect { session_expiry: 60, clean_start: false, ..broker.plant.connect(Version::V5, number) };
    let connections = broker.engine.stats().mqtt.connections.load(SeqCst);
    let mut client = broker.connect(connect.clone()).await;
    client.subscribe(filter, QoS::AtLeastOnce).await;
    client.disconnect(ReasonCode::SUCCESS).await;
    becomes("the absence", &broker.engine.stats().mqtt.connections, connections).await;
    connect
}

#[tokio::test]
async fn an_absent_session_over_its_bound_ends_and_its_publishers_go_on() {
    let broker = Broker::with(|limits| limits.queue_messages = 2).await;
    let left = absent(&broker, 0, &broker.topic("/#")).await;
    let mut present = broker.client(Version::V5, 1).await;
    present.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut publisher = broker.client(Version::V5, 2).await;
    let stats = broker.engine.stats();
    for (payload, overflowed) in [("a", 0), ("b", 0), ("c", 1), ("d", 1)] {
        let reason = publisher.publish(&broker.topic(""), payload, QoS::AtLeastOnce).await;
        assert_eq!(reason, ReasonCode::SUCCESS);
        assert_eq!(text(&present.take().await), payload);
        assert_eq!(stats.sessions_overflowed.load(SeqCst), overflowed);
    }
    assert_eq!(stats.sessions.load(SeqCst), 2);
    assert_eq!(stats.subscriptions.load(SeqCst), 1);
    let (mut back, connack) = Client::connect(broker.address, left).await;
    assert!(!connack.session_present);
    back.has_nothing().await;
}

#[tokio::test]
async fn a_group_of_absent_members_is_no_way_around_the_bounds() {
    let broker = Broker::with(|limits| limits.queue_messages = 2).await;
    let share = format!("$share/g/{}", broker.topic("/#"));
    for number in 0..2 {
        absent(&broker, number, &share).await;
    }
    let mut publisher = broker.client(Version::V5, 2).await;
    let stats = broker.engine.stats();
    for sent in 1..=5 {
        publisher.publish(&broker.topic(""), "x", QoS::AtLeastOnce).await;
        let ended = if sent == 5 { 2 } else { 0 };
        assert_eq!(stats.sessions_overflowed.load(SeqCst), ended, "after {sent} messages");
    }
    assert_eq!(stats.sessions.load(SeqCst), 1);
}

#[tokio::test]
async fn only_qos_0_is_dropped_at_a_full_output_and_it_is_counted() {
    let broker = Broker::with(|limits| limits.output_bytes = 10_000).await;
    let mut subscriber = broker.client(Version::V311, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    let payload = "x".repeat(100_000);
    let dropped = &broker.engine.stats().dropped_slow;
    soon("a drop", async {
        while dropped.load(SeqCst) == 0 {
            publisher.publish(&broker.topic(""), &payload, QoS::AtMostOnce).await;
            publisher.has_nothing().await;
        }
    })
    .await;
    publisher.publish(&broker.topic(""), "kept", QoS::AtLeastOnce).await;
    while text(&subscriber.take().await) != "kept" {}
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_not_read_either() {
    let broker = Broker::with(|limits| limits.output_bytes = 10_000).await;
    let (stream, _) = Client::connect(broker.address, broker.plant.connect(Version::V311, 0)).await;
    let mut stream = stream.into_stream();
    let pings = [0xC0, 0].repeat(32 << 10);
    // The sockets of both directions fill up; then the writes must stop being taken.
    let stuck = soon("a stand", async {
        loop {
            let write = tokio::io::AsyncWriteExt::write_all(&mut stream, &pings);
            if tokio::time::timeout(Duration::from_millis(300), write).await.is_err() {
                return true;
            }
        }
    })
    .await;
    assert!(stuck);
}

#[tokio::test]
async fn hostile_bytes_close_only_their_connection() {
    let broker = Broker::with(|limits| limits.packet_bytes = 1_000).await;
    let mut bystander = broker.client(Version::V311, 0).await;
    let cases: [(&[u8], Option<ReasonCode>); 5] = [
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], Some(ReasonCode::PACKET_TOO_LARGE)),
        (&[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f], Some(ReasonCode::MALFORMED_PACKET)),
        (&[0x10, 0x00], Some(ReasonCode::PROTOCOL_ERROR)),
        (&[0xff, 0x00], Some(ReasonCode::MALFORMED_PACKET)),
        (&[0xf0, 0x00], Some(ReasonCode::PROTOCOL_ERROR)),
    ];
    for (bytes, reason) in cases {
        let mut hostile = broker.client(Version::V5, 1).await;
        hostile.send_bytes(bytes).await;
        assert_eq!(hostile.closed().await, reason, "{bytes:x?}");
    }
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0xff, 0xff, 0xff, 0x7f], &[0xC0, 0]] {
        let mut hostile = Client::open(broker.address, Version::V311).await;
        hostile.send_bytes(bytes).await;
        while hostile.next().await.is_some() {}
    }
    bystander.has_nothing().await;
}

#[tokio::test]
async fn a_connection_over_the_bound_is_closed_at_once() {
    let broker = Broker::with(|limits| limits.connections = 1).await;
    let first = broker.client(Version::V311, 0).await;
    let mut second = Client::open(broker.address, Version::V311).await;
    assert!(second.next().await.is_none());
    first.disconnect(ReasonCode::SUCCESS).await;
    becomes("the disconnect", &broker.engine.stats().mqtt.connections, 0).await;
    soon("room", async {
        loop {
            let mut third = Client::open(broker.address, Version::V311).await;
            third.send(Packet::Connect(Box::new(broker.plant.connect(Version::V311, 0)))).await;
            if matches!(third.next().await, Some(Packet::ConnAck(_))) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn more_unreleased_qos_2_messages_than_allowed_are_a_breach() {
    let broker = Broker::with(|limits| limits.receive_maximum = 2.try_into().unwrap()).await;
    let (mut client, connack) = Client::connect(broker.address, broker.plant.connect(Version::V5, 0)).await;
    assert_eq!(connack.receive_maximum.get(), 2);
    for _ in 0..2 {
        let publish = client.message(&broker.topic(""), "x", QoS::ExactlyOnce);
        client.send(Packet::Publish(publish)).await;
        assert!(matches!(client.receive().await, Packet::PubRec(_)));
    }
    let publish = client.message(&broker.topic(""), "x", QoS::ExactlyOnce);
    client.send(Packet::Publish(publish)).await;
    assert_eq!(client.closed().await, Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
    let mut client = broker.client(Version::V5, 1).await;
    let unknown = PacketId::new(9).unwrap();
    client.send(Packet::PubRel(Ack::new(unknown))).await;
    let not_found = Ack::with_reason(unknown, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
    assert_eq!(client.receive().await, Packet::PubComp(not_found));
}

#[tokio::test]
async fn shutdown_lets_the_last_messages_out_and_says_goodbye() {
    let broker = Broker::start().await;
    let mut v5 = broker.client(Version::V5, 0).await;
    let mut v3 = broker.client(Version::V311, 1).await;
    v5.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
    for number in 0..100 {
        v3.publish(&broker.topic(""), &number.to_string(), QoS::AtMostOnce).await;
    }
    v3.has_nothing().await;
    broker.stop.cancel();
    soon("the shutdown", broker.engine.shutdown()).await;
    for number in 0..100 {
        assert_eq!(text(&v5.take().await), number.to_string());
    }
    assert_eq!(v5.closed().await, Some(ReasonCode::SERVER_SHUTTING_DOWN));
    assert_eq!(v3.closed().await, None);
}
