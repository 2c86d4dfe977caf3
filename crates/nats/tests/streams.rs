//! Against a real nats-server: what arrives, in which stream, and what happens while it is away.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use bytes::Bytes;
use events::Event;
use futures_util::StreamExt as _;
use kernel::{Clock, Timestamp};
use messaging::wire::QoS;
use messaging::{IdentityKey, Observer as _, PublishedMessage};
use nats::{Bridge, Feed, Message, Nats, Settings};
use prost::Message as _;
use testkit::wait_until_async;

const ID: &str = "00000000-0000-4000-8000-00000000000";

fn settings(server: &testkit::nats::Nats) -> Settings {
    Settings {
        urls: vec![server.url().parse().unwrap()],
        credentials: None,
        ca_certs: None,
        event_prefix: "magistrala.".into(),
        instance: "node".into(),
        queue_messages: 100,
        queue_bytes: 1 << 20,
        ack_timeout: Duration::from_millis(500),
    }
}

fn publish(feed: &Feed, subtopic: &str, payload: &'static [u8]) {
    let payload = Bytes::from_static(payload);
    feed.observe(messaging::Event::Published(PublishedMessage {
        publisher: IdentityKey::Client(format!("{ID}1").parse().unwrap()),
        client_id: "device",
        protocol: messaging::Protocol::Mqtt,
        domain: format!("{ID}2").parse().unwrap(),
        channel: format!("{ID}3").parse().unwrap(),
        subtopic,
        payload: &payload,
        qos: QoS::AtLeastOnce,
        retain: false,
        created: Timestamp::from_micros(7),
    }));
}

/// Everything that a stream has: subjects and payloads, as soon as it has `count`.
async fn kept(server: &testkit::nats::Nats, stream: &str, count: u64) -> Vec<(String, Bytes)> {
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = jetstream::new(client);
    wait_until_async("the stream has what was published", async || match context.get_stream(stream).await {
        Ok(mut stream) => stream.info().await.is_ok_and(|info| info.state.messages >= count),
        Err(_) => false,
    })
    .await;
    let stream = context.get_stream(stream).await.unwrap();
    let ephemeral = consumer::pull::Config::default();
    let consumer = stream.create_consumer(ephemeral).await.unwrap();
    let messages = consumer.fetch().max_messages(1_000).messages().await.unwrap();
    messages
        .map(|message| {
            let message = message.unwrap();
            (message.subject.to_string(), message.payload.clone())
        })
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_kept_as_the_reference_has_it_and_an_event_tells_of_it() {
    let server = testkit::nats::Nats::start();
    let nats = Nats::open(settings(&server)).await.unwrap();
    let (bridge, feed) = Bridge::start(nats.clone(), Clock::system(), "run");
    publish(&feed, "a/b", b"hello");
    publish(&feed, "", b"bare");

    let messages = kept(&server, "m", 2).await;
    let subjects: Vec<&str> = messages.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(subjects, [format!("m.{ID}2.c.{ID}3.a.b"), format!("m.{ID}2.c.{ID}3")]);
    let message = Message::decode(messages[0].1.clone()).unwrap();
    assert_eq!((message.subtopic.as_str(), message.protocol.as_str()), ("a.b", "mqtt"));
    assert_eq!((message.payload.as_ref(), message.client_id.as_str()), (&b"hello"[..], "device"));

    let events = kept(&server, "events", 2).await;
    assert_eq!(events[0].0, "events.magistrala.publish");
    let event: serde_json::Value = serde_json::from_slice(&events[0].1).unwrap();
    assert_eq!(event["operation"], "messaging.client_publish");
    assert_eq!(event["channel_id"], format!("{ID}3"));
    bridge.stop(&feed, Duration::from_secs(5)).await;
    nats.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_nats_is_away_is_published_when_it_is_back_in_order() {
    let mut server = testkit::nats::Nats::start();
    server.kill();
    let nats = Nats::open(settings(&server)).await.unwrap();
    let (bridge, feed) = Bridge::start(nats, Clock::system(), "run");
    let levels = ["1", "2", "3", "4", "5"];
    for level in levels {
        publish(&feed, level, b"x");
    }
    server.restart();
    let messages = kept(&server, "m", 5).await;
    let seen: Vec<&str> =
        messages.iter().map(|(subject, _)| subject.rsplit('.').next().unwrap_or_default()).collect();
    assert_eq!(seen, levels);
    bridge.stop(&feed, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_what_comes_last_and_does_not_wait() {
    let mut server = testkit::nats::Nats::start();
    server.kill();
    let small = Settings { queue_messages: 10, ..settings(&server) };
    let (bridge, feed) = Bridge::start(Nats::open(small).await.unwrap(), Clock::system(), "run");
    for _ in 0..2_000 {
        publish(&feed, "a", b"x");
    }
    server.restart();
    let messages = kept(&server, "m", 1).await;
    assert!(messages.len() < 1_000, "{}", messages.len());
    bridge.stop(&feed, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_taken_when_a_stream_has_them_and_a_repetition_is_one() {
    let mut server = testkit::nats::Nats::start();
    let nats = Nats::open(settings(&server)).await.unwrap();
    let sink: Arc<dyn events::Sink> = nats.sink();
    let at = Clock::system().now();
    let events: Vec<(i64, Event)> = (1..=3)
        .map(|id| (id, Event::new("client.create", "client:a".into(), at).with("number", id)))
        .collect();
    wait_until_async("NATS takes events", async || sink.take(&events).await.is_ok()).await;
    sink.take(&events).await.unwrap();
    let seen = kept(&server, "events", 3).await;
    assert_eq!(seen.len(), 3, "the second time they are known");
    assert!(seen.iter().all(|(subject, _)| subject == "events.magistrala.client.create"));

    server.kill();
    assert!(sink.take(&events).await.is_err(), "nobody has confirmed");
    server.restart();
    wait_until_async("NATS takes events again", async || sink.take(&events).await.is_ok()).await;
    assert_eq!(kept(&server, "events", 3).await.len(), 3);
}

/// A stream that the operator has made.
async fn own_stream(server: &testkit::nats::Nats, config: jetstream::stream::Config) -> jetstream::Context {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    wait_until_async("JetStream is there", async || context.create_stream(config.clone()).await.is_ok())
        .await;
    context
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_while_a_stream_is_full() {
    let server = testkit::nats::Nats::start();
    let full = jetstream::stream::Config {
        name: "events".into(),
        subjects: vec!["events.>".into()],
        max_messages: 1,
        discard: jetstream::stream::DiscardPolicy::New,
        ..jetstream::stream::Config::default()
    };
    let context = own_stream(&server, full.clone()).await;
    let nats = Nats::open(settings(&server)).await.unwrap();
    let sink: Arc<dyn events::Sink> = nats.sink();
    let at = Clock::system().now();
    let events: Vec<(i64, Event)> = (1..=3)
        .map(|id| (id, Event::new("client.create", "client:a".into(), at).with("number", id)))
        .collect();
    assert!(sink.take(&events).await.is_err(), "two of them have no room");
    context.update_stream(jetstream::stream::Config { max_messages: -1, ..full }).await.unwrap();
    wait_until_async("NATS takes the rest", async || sink.take(&events).await.is_ok()).await;
    assert_eq!(kept(&server, "events", 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_a_stream_never_takes_does_not_hold_up_the_others() {
    let server = testkit::nats::Nats::start();
    let narrow = jetstream::stream::Config {
        name: "m".into(),
        subjects: vec!["m.>".into()],
        max_message_size: 400,
        ..jetstream::stream::Config::default()
    };
    own_stream(&server, narrow).await;
    let nats = Nats::open(settings(&server)).await.unwrap();
    let (bridge, feed) = Bridge::start(nats, Clock::system(), "run");
    publish(&feed, "large", &[0; 1_000]);
    publish(&feed, "small", b"x");
    let messages = kept(&server, "m", 1).await;
    assert!(messages[0].0.ends_with(".small"), "{messages:?}");
    bridge.stop(&feed, Duration::from_secs(5)).await;
}
