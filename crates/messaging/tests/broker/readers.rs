//! Subscribers inside the process see what MQTT's see, within the same bounds and rights.

use std::net::IpAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use kernel::Kind;
use messaging::wire::{Publish, QoS, Text, Version};
use messaging::{Action, Credentials, Ended, Gate, Identity, Protocol, Reader, Reading, Revocation};

use crate::client::text;
use crate::{Broker, becomes, soon};

const SAFE: Reading = Reading { qos: QoS::AtLeastOnce, no_local: false, no_retained: false };

impl Broker {
    async fn identity(&self, number: usize) -> Identity {
        let id = self.plant.clients[number].to_string();
        let credentials = Credentials::Basic { id: &id, secret: "secret", domain: "" };
        self.gate.authenticate(credentials, IpAddr::from([127, 0, 0, 1])).await.unwrap()
    }

    async fn reader(&self, number: usize, below: &str, reading: Reading) -> Reader {
        let (epoch, identity) = (self.engine.epoch(), self.identity(number).await);
        let mut reader = self.engine.attach_reader(epoch, &identity, Protocol::WebSocket).unwrap().unwrap();
        reader.subscribe(&self.topic(below), reading).await.unwrap();
        reader
    }

    fn note(&self, below: &str, payload: &str, qos: QoS) -> Publish {
        let topic = Text::from(self.topic(below));
        Publish { qos, topic, payload: Bytes::from(payload.to_owned()), ..Publish::default() }
    }
}

async fn next(reader: &mut Reader) -> Publish {
    let message = soon("a message", reader.next()).await.unwrap();
    reader.acknowledge(&message);
    message
}

#[tokio::test]
async fn a_reader_gets_what_is_kept_and_then_what_comes_in_order() {
    let broker = Broker::start().await;
    let mut device = broker.client(Version::V5, 1).await;
    for place in ["/a", "/b"] {
        let kept = Publish { retain: true, ..device.message(&broker.topic(place), "kept", QoS::AtLeastOnce) };
        device.publish_message(kept).await;
    }
    let mut reader = broker.reader(0, "/#", SAFE).await;
    for number in 0..500 {
        device.publish(&broker.topic("/c"), &number.to_string(), QoS::AtLeastOnce).await;
    }
    for _ in 0..2 {
        let kept = next(&mut reader).await;
        assert!(kept.retain && text(&kept) == "kept");
    }
    for number in 0..500 {
        let message = next(&mut reader).await;
        assert_eq!(text(&message), number.to_string());
        assert_eq!(message.topic.as_str(), broker.topic("/c"));
    }
}

#[tokio::test]
async fn a_reader_without_the_right_or_with_a_bad_filter_is_refused() {
    let broker = Broker::start().await;
    broker.gate.deny(0, Action::Subscribe);
    let (epoch, identity) = (broker.engine.epoch(), broker.identity(0).await);
    let mut reader = broker.engine.attach_reader(epoch, &identity, Protocol::WebSocket).unwrap().unwrap();
    let denied = reader.subscribe(&broker.topic("/#"), SAFE).await.unwrap_err();
    assert_eq!(denied.kind(), Kind::Denied);
    let invalid = reader.subscribe("m/+/c/x", SAFE).await.unwrap_err();
    assert_eq!(invalid.kind(), Kind::Invalid);
    broker.gate.fail();
    let unavailable = reader.subscribe(&broker.topic("/#"), SAFE).await.unwrap_err();
    assert_eq!(unavailable.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_reader_ends_with_its_right() {
    let broker = Broker::start().await;
    let mut reader = broker.reader(0, "/#", SAFE).await;
    let mut other = broker.reader(1, "/#", SAFE).await;
    broker.gate.deny(0, Action::Subscribe);
    broker.engine.revoke(Revocation::Channel(broker.plant.channel));
    assert_eq!(soon("the end", reader.next()).await.unwrap_err(), Ended::Revoked);
    broker
        .engine
        .publish(&broker.identity(1).await, Protocol::Http, &broker.note("", "x", QoS::AtMostOnce))
        .await
        .unwrap();
    assert_eq!(text(&next(&mut other).await), "x");
    drop(reader);
    for revocation in [
        Revocation::ClientSecret(broker.plant.clients[1]),
        Revocation::ClientGone(broker.plant.clients[1]),
        Revocation::ChannelGone(broker.plant.channel),
    ] {
        let mut reader = broker.reader(1, "/#", SAFE).await;
        broker.engine.revoke(revocation);
        assert_eq!(soon("the end", reader.next()).await.unwrap_err(), Ended::Revoked, "{revocation:?}");
    }
}

#[tokio::test]
async fn a_reader_whose_credentials_were_revoked_while_it_came_in_must_show_them_again() {
    let broker = Broker::start().await;
    let (epoch, identity) = (broker.engine.epoch(), broker.identity(0).await);
    broker.engine.revoke(Revocation::ClientSecret(broker.plant.clients[0]));
    assert!(broker.engine.attach_reader(epoch, &identity, Protocol::WebSocket).unwrap().is_none());
}

#[tokio::test]
async fn a_reader_ends_with_its_token() {
    let broker = Broker::start().await;
    let credentials = Credentials::Password { user_name: "", password: b"short-lived token" };
    let epoch = broker.engine.epoch();
    let identity = broker.gate.authenticate(credentials, IpAddr::from([127, 0, 0, 1])).await.unwrap();
    let mut reader = broker.engine.attach_reader(epoch, &identity, Protocol::WebSocket).unwrap().unwrap();
    reader.subscribe(&broker.topic(""), SAFE).await.unwrap();
    assert_eq!(soon("the end", reader.next()).await.unwrap_err(), Ended::Expired);
}

#[tokio::test]
async fn what_a_slow_reader_has_no_room_for_is_dropped_at_qos_0() {
    let broker = Broker::with(|limits| limits.output_bytes = 10_000).await;
    let mut reader = broker.reader(0, "/#", Reading::default()).await;
    let identity = broker.identity(1).await;
    for _ in 0..100 {
        let note = broker.note("", &"x".repeat(1_000), QoS::AtLeastOnce);
        broker.engine.publish(&identity, Protocol::Http, &note).await.unwrap();
    }
    let dropped = broker.engine.stats().dropped_slow.load(SeqCst);
    assert!((85..=95).contains(&dropped), "{dropped}");
    for _ in 0..100 - dropped {
        next(&mut reader).await;
    }
    broker
        .engine
        .publish(&identity, Protocol::Http, &broker.note("", "last", QoS::AtMostOnce))
        .await
        .unwrap();
    assert_eq!(text(&next(&mut reader).await), "last");
}

#[tokio::test]
async fn publishers_wait_for_a_reader_at_qos_1_and_nothing_is_lost() {
    let broker = Broker::with(|limits| limits.queue_messages = 50).await;
    let mut reader = broker.reader(0, "/#", SAFE).await;
    let (engine, identity) = (broker.engine.clone(), broker.identity(1).await);
    let notes: Vec<_> =
        (0..2_000).map(|number| broker.note("", &number.to_string(), QoS::AtLeastOnce)).collect();
    let publishing = tokio::spawn(async move {
        for note in notes {
            engine.publish(&identity, Protocol::Http, &note).await.unwrap();
        }
    });
    for number in 0..2_000 {
        assert_eq!(text(&next(&mut reader).await), number.to_string());
    }
    soon("the last publish", publishing).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_told_and_its_publishers_go_on() {
    let broker = Broker::with(|limits| {
        limits.queue_messages = 10;
        limits.slow_subscriber = Duration::from_millis(100);
    })
    .await;
    let mut reader = broker.reader(0, "/#", SAFE).await;
    let identity = broker.identity(1).await;
    // The window, the queue and one above it.
    for _ in 0..75 {
        let note = broker.note("", "x", QoS::AtLeastOnce);
        soon("a publish", broker.engine.publish(&identity, Protocol::Http, &note)).await.unwrap();
    }
    let ended = soon("the end", async {
        loop {
            match reader.next().await {
                Ok(_) => {}
                Err(ended) => return ended,
            }
        }
    });
    assert_eq!(ended.await, Ended::TooSlow);
    assert!(broker.engine.stats().slow_closed.load(SeqCst) >= 1);
}

#[tokio::test]
async fn a_publisher_beside_a_reader_keeps_its_rights_and_its_own_messages_to_itself() {
    let broker = Broker::start().await;
    let quiet = Reading { no_local: true, ..SAFE };
    let mut reader = broker.reader(0, "/#", quiet).await;
    let mut device = broker.client(Version::V5, 1).await;
    device.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut publisher = reader.publisher();
    let asked = broker.gate.asked.load(SeqCst);
    for number in 0..10 {
        publisher.publish(&broker.note("/a", &number.to_string(), QoS::AtLeastOnce)).await.unwrap();
        assert_eq!(text(&device.take().await), number.to_string());
    }
    assert!(broker.gate.asked.load(SeqCst) - asked <= 1, "the decision is remembered");
    let other = broker.identity(2).await;
    let outside = broker.note("", "from outside", QoS::AtLeastOnce);
    broker.engine.publish(&other, Protocol::Http, &outside).await.unwrap();
    assert_eq!(text(&next(&mut reader).await), "from outside");
    broker.gate.deny(0, Action::Publish);
    broker.engine.revoke(Revocation::Client(broker.plant.clients[0]));
    let denied = publisher.publish(&broker.note("/a", "x", QoS::AtLeastOnce)).await.unwrap_err();
    assert_eq!(denied.kind(), Kind::Denied);
}

#[tokio::test]
async fn nothing_is_left_of_a_reader_that_is_gone_and_the_node_waits_for_those_that_are_there() {
    let broker = Broker::start().await;
    let stats = broker.engine.stats();
    drop(broker.reader(0, "/#", SAFE).await);
    for gauge in [&stats.websocket.connections, &stats.sessions, &stats.subscriptions] {
        becomes("the end of the reader", gauge, 0).await;
    }
    let mut reader = broker.reader(0, "/#", SAFE).await;
    let engine = broker.engine.clone();
    let down = tokio::spawn(async move { engine.shutdown().await });
    assert_eq!(soon("the end", reader.next()).await.unwrap_err(), Ended::ShuttingDown);
    assert!(!down.is_finished());
    drop(reader);
    soon("the end of the node", down).await.unwrap();
    let late =
        broker.engine.attach_reader(broker.engine.epoch(), &broker.identity(0).await, Protocol::WebSocket);
    assert_eq!(late.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn readers_take_no_place_of_the_sessions_of_their_identity() {
    let broker = Broker::with(|limits| limits.sessions_per_identity = 1).await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(broker.reader(0, "", SAFE).await);
    }
    let device = broker.client(Version::V5, 0).await;
    readers.push(broker.reader(0, "", SAFE).await);
    let second =
        messaging::wire::Connect { client_id: Text::from("second"), ..broker.plant.connect(Version::V5, 0) };
    let (_refused, connack) = crate::client::Client::connect(broker.address, second).await;
    assert_eq!(connack.reason, messaging::wire::ReasonCode::QUOTA_EXCEEDED);
    drop(device);
}
