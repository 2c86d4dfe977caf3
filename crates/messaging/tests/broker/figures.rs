//! `$SYS`: figures of the node, and who reads them.

use std::time::Duration;

use kernel::Secret;
use messaging::Revocation;
use messaging::wire::{Connect, QoS, ReasonCode, Text, Version};

use crate::client::{Client, text};
use crate::gate::user;
use crate::{Broker, becomes, soon};

/// Somebody whom the gate lets watch.
async fn watcher(broker: &Broker, version: Version) -> Client {
    let mut connect = Connect::new(version, "watcher");
    connect.user_name = Some(Text::default());
    connect.password = Some(Secret::new(b"token".to_vec()));
    broker.connect(connect).await
}

#[tokio::test]
async fn figures_come_at_once_and_again_when_they_have_changed() {
    let broker = Broker::with(|limits| limits.figures = Duration::from_millis(20)).await;
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut watcher = watcher(&broker, version).await;
        watcher.subscribe("$SYS/broker/clients/+", QoS::AtLeastOnce).await;
        for (name, figure) in [("connected", "1"), ("disconnected", "0"), ("total", "1")] {
            let delivery = watcher.take().await;
            assert_eq!(delivery.topic.as_str(), format!("$SYS/broker/clients/{name}"));
            assert_eq!((text(&delivery), delivery.retain, delivery.qos), (figure, true, QoS::AtMostOnce));
        }
        let _another = broker.client(Version::V5, 0).await;
        soon("the change", async {
            loop {
                let delivery = watcher.take().await;
                if (delivery.topic.as_str(), text(&delivery)) == ("$SYS/broker/clients/connected", "2") {
                    assert!(!delivery.retain);
                    return;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn every_figure_of_the_reference_is_there() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    publisher.publish(&broker.topic("/a"), "12345", QoS::AtLeastOnce).await;
    let mut watcher = watcher(&broker, Version::V5).await;
    watcher.subscribe("$SYS/#", QoS::AtMostOnce).await;
    let mut seen = Vec::new();
    while seen.len() < 17 {
        let delivery = watcher.take().await;
        seen.push((delivery.topic.as_str().to_owned(), text(&delivery).to_owned()));
    }
    let figure = |name: &str| {
        let name = format!("$SYS/broker/{name}");
        seen.iter().find(|(topic, _)| *topic == name).map(|(_, figure)| figure.as_str())
    };
    assert!(figure("version").unwrap().starts_with("trunkline "));
    for (name, expected) in [
        ("messages/received", "1"),
        ("messages/publish/received", "1"),
        ("messages/sent", "0"),
        ("messages/publish/sent", "0"),
        ("messages/publish/dropped", "0"),
        ("bytes/received", "5"),
        ("bytes/sent", "0"),
        ("clients/connected", "2"),
        ("clients/total", "2"),
        ("clients/disconnected", "0"),
        ("subscriptions/count", "0"),
        ("errors/protocol", "0"),
        ("errors/auth", "0"),
        ("errors/authz", "0"),
    ] {
        assert_eq!(figure(name), Some(expected), "{name}");
    }
    assert!(figure("uptime").is_some() && figure("retained/count").is_some());
}

#[tokio::test]
async fn figures_are_for_those_only_whom_the_gate_lets_watch_and_nobody_publishes_there() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    for filter in ["$SYS/#", "$SYS/broker/uptime", "$share/crew/$SYS/broker/+"] {
        assert_eq!(client.subscribe(filter, QoS::AtMostOnce).await, ReasonCode::NOT_AUTHORIZED, "{filter}");
    }
    let mut watcher = watcher(&broker, Version::V5).await;
    for publisher in [&mut client, &mut watcher] {
        let reason = publisher.publish("$SYS/broker/uptime", "forged", QoS::AtLeastOnce).await;
        assert_eq!(reason, ReasonCode::TOPIC_NAME_INVALID);
    }
    watcher.subscribe("$SYS/broker/uptime", QoS::AtMostOnce).await;
    assert_ne!(text(&watcher.take().await), "forged");

    for (number, revocation) in [Revocation::User(user()), Revocation::Everything].into_iter().enumerate() {
        broker.gate.deny_users();
        broker.engine.revoke(revocation);
        becomes("the end of the right", &broker.engine.stats().subscriptions_revoked, number as u64 + 1)
            .await;
        assert_eq!(watcher.subscribe("$SYS/#", QoS::AtMostOnce).await, ReasonCode::NOT_AUTHORIZED);
        broker.gate.allow_users();
        if number == 0 {
            watcher.subscribe("$SYS/broker/version", QoS::AtMostOnce).await;
            watcher.take().await;
        }
    }
}
