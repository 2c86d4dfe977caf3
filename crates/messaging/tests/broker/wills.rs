//! Wills are published when they should be, and only then.

use bytes::Bytes;
use messaging::wire::{Connect, MessageProperties, QoS, ReasonCode, Text, Version, Will};
use messaging::{Action, Revocation};

use crate::Broker;
use crate::client::{Client, text};

fn with_will(broker: &Broker, version: Version, delay: u32) -> Connect {
    let will = Will {
        topic: Text::from(broker.topic("/wills")),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay,
        message_expiry: None,
        properties: MessageProperties::default(),
    };
    Connect { will: Some(will), session_expiry: delay, ..broker.plant.connect(version, 0) }
}

async fn watcher(broker: &Broker) -> Client {
    let mut watcher = broker.client(Version::V5, 1).await;
    watcher.subscribe(&broker.topic("/wills"), QoS::AtLeastOnce).await;
    watcher
}

/// Whatever could have caused a will has happened: the sentinel that follows it is all that comes.
async fn no_will(broker: &Broker, watcher: &mut Client) {
    let mut other = broker.client(Version::V311, 2).await;
    other.publish(&broker.topic("/wills"), "sentinel", QoS::AtLeastOnce).await;
    assert_eq!(text(&watcher.take().await), "sentinel");
}

#[tokio::test]
async fn a_broken_connection_publishes_its_will() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    for version in [Version::V311, Version::V5] {
        drop(broker.connect(with_will(&broker, version, 0)).await);
        assert_eq!(text(&watcher.take().await), "gone");
    }
    let mut client = broker.connect(with_will(&broker, Version::V311, 0)).await;
    client.send_bytes(&[0xF0, 0]).await;
    assert_eq!(text(&watcher.take().await), "gone");
}

#[tokio::test]
async fn a_goodbye_drops_the_will_unless_it_asks_for_it() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    broker.connect(with_will(&broker, Version::V5, 0)).await.disconnect(ReasonCode::SUCCESS).await;
    no_will(&broker, &mut watcher).await;
    let client = broker.connect(with_will(&broker, Version::V5, 0)).await;
    client.disconnect(ReasonCode::DISCONNECT_WITH_WILL).await;
    assert_eq!(text(&watcher.take().await), "gone");
}

#[tokio::test]
async fn a_delayed_will_waits_and_is_dropped_when_the_client_returns_in_time() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let connect = with_will(&broker, Version::V5, 60);
    drop(broker.connect(connect.clone()).await);
    let returned = Connect { clean_start: false, will: None, ..connect };
    let (client, _) = Client::connect(broker.address, returned).await;
    client.disconnect(ReasonCode::DISCONNECT_WITH_WILL).await;
    no_will(&broker, &mut watcher).await;

    drop(broker.connect(with_will(&broker, Version::V5, 1)).await);
    assert_eq!(text(&watcher.take().await), "gone");
}

#[tokio::test]
async fn a_takeover_publishes_the_will_of_a_session_that_it_ends() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let mut first = broker.connect(with_will(&broker, Version::V5, 60)).await;
    let _second = broker.client(Version::V5, 0).await;
    assert_eq!(first.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
    assert_eq!(text(&watcher.take().await), "gone");
}

#[tokio::test]
async fn a_will_needs_the_right_to_publish_when_it_is_made_and_when_it_is_published() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let client = broker.connect(with_will(&broker, Version::V5, 0)).await;
    broker.gate.deny(0, Action::Publish);
    broker.engine.revoke(Revocation::Channel(broker.plant.channel));
    drop(client);
    no_will(&broker, &mut watcher).await;

    let (_, connack) = Client::connect(broker.address, with_will(&broker, Version::V5, 0)).await;
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    let (_, connack) = Client::connect(broker.address, with_will(&broker, Version::V311, 0)).await;
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
}

#[tokio::test]
async fn a_will_with_a_topic_that_is_none_is_refused() {
    let broker = Broker::start().await;
    for (version, reason) in [
        (Version::V5, ReasonCode::TOPIC_NAME_INVALID),
        (Version::V311, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
    ] {
        let mut connect = with_will(&broker, version, 0);
        if let Some(will) = &mut connect.will {
            will.topic = Text::from("anywhere");
        }
        let (_, connack) = Client::connect(broker.address, connect).await;
        assert_eq!(connack.reason, reason);
    }
}
