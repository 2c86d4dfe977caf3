//! Topics that an operator has mapped onto channels: devices keep their names, rights are those of the channel.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use db::testing::TestDb;
use messaging::wire::{Connect, MessageProperties, QoS, ReasonCode, Text, Version, Will};
use messaging::{Action, Revocation, TopicMap};

use crate::client::text;
use crate::node::Node;
use crate::{Broker, becomes, soon};

const MAP: &str = "
tele/{device}/LWT          m/plant/c/other/{device}
tele/{device}/{what...}    m/plant/c/boiler/{device}/tele/{what...}
cmnd/{device}/{what...}    m/{@domain}/c/boiler/{device}/cmnd/{what...}
";

impl Broker {
    async fn mapped() -> Self {
        let broker = Self::start().await;
        broker.engine.map_topics(TopicMap::parse("topics.map", MAP).unwrap());
        broker
    }
}

#[tokio::test]
async fn each_side_sees_the_names_that_it_uses() {
    let broker = Broker::mapped().await;
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut device = broker.client(version, 0).await;
        let mut application = broker.client(version, 1).await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            // Two copies of QoS 2 at once would answer in turns.
            let granted = qos.min(QoS::AtLeastOnce);
            device.subscribe("cmnd/plug 7/#", qos).await;
            application.subscribe("m/plant/c/boiler/+/tele/#", granted).await;
            application.subscribe("tele/+/SENSOR", granted).await;

            device.publish("tele/plug 7/SENSOR", "21", qos).await;
            let mut seen = [application.take().await, application.take().await].map(|message| {
                assert_eq!((text(&message), message.qos), ("21", granted));
                message.topic.as_str().to_owned()
            });
            seen.sort();
            assert_eq!(seen, ["m/plant/c/boiler/plug%207/tele/SENSOR", "tele/plug 7/SENSOR"]);

            application.publish("m/plant/c/boiler/plug%25207/cmnd/POWER", "ON", qos).await;
            assert_eq!(device.take().await.topic.as_str(), "cmnd/plug 7/POWER");
            application.publish("cmnd/plug 7/POWER", "OFF", qos).await;
            assert_eq!(device.take().await.topic.as_str(), "cmnd/plug 7/POWER");
        }
        device.disconnect(ReasonCode::SUCCESS).await;
    }
}

#[tokio::test]
async fn retained_messages_wills_and_shared_subscriptions_know_the_names_too() {
    let broker = Broker::mapped().await;
    let will = Will {
        topic: Text::from("tele/plug7/LWT"),
        payload: Bytes::from_static(b"Offline"),
        qos: QoS::AtLeastOnce,
        retain: true,
        delay: 0,
        message_expiry: None,
        properties: MessageProperties::default(),
    };
    let connect = Connect { will: Some(will), ..broker.plant.connect(Version::V311, 0) };
    let mut device = broker.connect(connect).await;
    let mut retained = device.message("tele/plug7/LWT", "Online", QoS::AtLeastOnce);
    retained.retain = true;
    device.publish_message(retained).await;

    let mut application = broker.client(Version::V5, 1).await;
    application.subscribe("$share/crew/tele/+/STATE", QoS::AtLeastOnce).await;
    application.subscribe("tele/+/LWT", QoS::AtLeastOnce).await;
    let online = application.take().await;
    assert_eq!((online.topic.as_str(), text(&online), online.retain), ("tele/plug7/LWT", "Online", true));
    device.publish("tele/plug7/STATE", "{}", QoS::AtLeastOnce).await;
    assert_eq!(application.take().await.topic.as_str(), "tele/plug7/STATE");
    drop(device);
    let offline = application.take().await;
    assert_eq!((offline.topic.as_str(), text(&offline)), ("tele/plug7/LWT", "Offline"));

    application.unsubscribe("$share/crew/tele/+/STATE").await;
    application.unsubscribe("tele/+/LWT").await;
    assert_eq!(broker.engine.stats().subscriptions.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_mapped_name_has_the_rights_of_its_channel_and_loses_them_with_it() {
    let broker = Broker::mapped().await;
    let mut device = broker.client(Version::V5, 0).await;
    let mut watcher = broker.client(Version::V5, 1).await;
    watcher.subscribe("tele/+/SENSOR", QoS::AtLeastOnce).await;
    assert_eq!(device.publish("tele/plug7/SENSOR", "1", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    watcher.take().await;

    broker.gate.deny(0, Action::Publish);
    broker.gate.deny(1, Action::Subscribe);
    broker.engine.revoke(Revocation::Channel(broker.plant.channel));
    assert_eq!(device.publish("tele/plug7/SENSOR", "2", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(
        device.publish("tele/plug7/LWT", "3", QoS::AtLeastOnce).await,
        ReasonCode::SUCCESS,
        "another channel"
    );
    becomes("the end of the subscription", &broker.engine.stats().subscriptions_revoked, 1).await;
    assert_eq!(watcher.subscribe("tele/+/SENSOR", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(
        watcher.subscribe("$share/crew/tele/#", QoS::AtLeastOnce).await,
        ReasonCode::TOPIC_FILTER_INVALID
    );
    let foreign =
        TopicMap::parse("topics.map", &format!("x/{{a}} m/{}/c/boiler/{{a}}", broker.plant.foreign));
    broker.engine.map_topics(foreign.unwrap());
    assert_eq!(device.publish("x/1", "4", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
}

#[tokio::test]
async fn a_will_needs_the_right_to_the_channel_that_its_name_leads_to() {
    let broker = Broker::mapped().await;
    broker.gate.deny(0, Action::Publish);
    for (topic, reason) in [
        ("tele/plug7/STATE", ReasonCode::NOT_AUTHORIZED),
        ("elsewhere/plug7", ReasonCode::TOPIC_NAME_INVALID),
    ] {
        let mut connect = broker.plant.connect(Version::V5, 0);
        connect.will = Some(Will {
            topic: Text::from(topic),
            payload: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay: 0,
            message_expiry: None,
            properties: MessageProperties::default(),
        });
        let (_, connack) = crate::client::Client::connect(broker.address, connect).await;
        assert_eq!(connack.reason, reason, "{topic}");
    }
}

#[tokio::test]
async fn a_filter_that_could_mean_several_channels_is_refused() {
    let broker = Broker::mapped().await;
    let mut client = broker.client(Version::V5, 0).await;
    for filter in ["tele/#", "tele/+/+", "#", "+/plug7/STATE", "elsewhere/#"] {
        assert_eq!(
            client.subscribe(filter, QoS::AtMostOnce).await,
            ReasonCode::TOPIC_FILTER_INVALID,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn another_map_counts_at_once_for_topics_that_a_connection_knows() {
    let broker = Broker::mapped().await;
    let mut device = broker.client(Version::V5, 0).await;
    let mut watcher = broker.client(Version::V5, 1).await;
    watcher.subscribe("m/plant/c/boiler/#", QoS::AtLeastOnce).await;
    watcher.subscribe("m/plant/c/other/#", QoS::AtLeastOnce).await;
    watcher.subscribe("tele/+/SENSOR", QoS::AtLeastOnce).await;
    device.publish("tele/plug7/SENSOR", "1", QoS::AtLeastOnce).await;
    for _ in 0..2 {
        watcher.take().await;
    }
    let other = TopicMap::parse("topics.map", "tele/{device}/{what...} m/plant/c/other/{device}/{what...}");
    broker.engine.map_topics(other.unwrap());
    device.publish("tele/plug7/SENSOR", "2", QoS::AtLeastOnce).await;
    assert_eq!(watcher.take().await.topic.as_str(), "m/plant/c/other/plug7/SENSOR");
    // A subscription means what it meant when it was made.
    device.publish("m/plant/c/boiler/plug7/tele/SENSOR", "3", QoS::AtLeastOnce).await;
    let mut seen =
        [watcher.take().await, watcher.take().await].map(|message| message.topic.as_str().to_owned());
    seen.sort();
    assert_eq!(seen, ["m/plant/c/boiler/plug7/tele/SENSOR", "tele/plug7/SENSOR"]);

    broker.engine.map_topics(TopicMap::default());
    assert_eq!(
        device.publish("tele/plug7/SENSOR", "4", QoS::AtLeastOnce).await,
        ReasonCode::TOPIC_NAME_INVALID
    );
}

#[tokio::test]
async fn a_file_is_followed_and_a_broken_one_changes_nothing() {
    let broker = Broker::start().await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("topics.map");
    assert!(broker.engine.follow_topic_map(&file).await.unwrap_err().to_string().contains("topics.map: "));
    std::fs::write(&file, "tele/{x...} m/plant/c/boiler/{x}").unwrap();
    let fault = broker.engine.follow_topic_map(&file).await.unwrap_err().to_string();
    assert!(
        fault.ends_with("topics.map:1:30: write `x` as in the pattern, with or without `...`"),
        "{fault}"
    );
    std::fs::write(&file, "tele/{x...} m/plant/c/boiler/{x...}").unwrap();
    broker.engine.follow_topic_map(&file).await.unwrap();

    let mut device = broker.client(Version::V5, 0).await;
    assert_eq!(device.publish("tele/a", "1", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    let outdated = &broker.engine.stats().topic_map_outdated;
    std::fs::write(&file, "tele/{x...}").unwrap();
    becomes("the look at the broken file", outdated, 1).await;
    assert_eq!(device.publish("tele/a", "2", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "stat/{x...} m/plant/c/boiler/{x...}").unwrap();
    becomes("the look at the good file", outdated, 0).await;
    assert_eq!(device.publish("tele/a", "3", QoS::AtLeastOnce).await, ReasonCode::TOPIC_NAME_INVALID);
    assert_eq!(device.publish("stat/a", "4", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
}

db::both_databases! {
    async fn a_stored_subscription_keeps_its_names_over_a_restart(db: TestDb) {
        let mut node = Node::start(&db).await;
        let connect = |node: &Node| Connect {
            clean_start: false,
            session_expiry: 3_600,
            ..node.broker().plant.connect(Version::V5, 1)
        };
        node.broker().engine.map_topics(TopicMap::parse("topics.map", MAP).unwrap());
        let mut watcher = node.broker().connect(connect(&node)).await;
        watcher.subscribe("tele/+/SENSOR", QoS::AtLeastOnce).await;
        node.killed_and_back_after(1).await;

        let mut device = node.broker().client(Version::V5, 0).await;
        device.publish("m/plant/c/boiler/plug7/tele/SENSOR", "21", QoS::AtLeastOnce).await;
        let mut watcher = node.broker().connect(connect(&node)).await;
        assert_eq!(watcher.take().await.topic.as_str(), "tele/plug7/SENSOR");
    }
}

#[tokio::test]
async fn http_takes_mapped_names_alone_and_in_batches() {
    let broker = Broker::mapped().await;
    let mut watcher = broker.client(Version::V5, 1).await;
    watcher.subscribe("tele/+/SENSOR", QoS::AtLeastOnce).await;
    let id = broker.plant.clients[0].to_string();
    let message =
        |topic: &str| format!(r#"{{"topic":"{topic}","payload":"{}","qos":1}}"#, STANDARD.encode("x"));
    let (one, none) = (message("tele/plug7/SENSOR"), message("elsewhere/plug7"));
    let (status, answer) = broker.publish_as(&id, "/publish", &one).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(watcher.take().await.topic.as_str(), "tele/plug7/SENSOR");
    let (status, answer) = broker.publish_as(&id, "/publish", &none).await;
    assert_eq!((status, answer.contains("failed to publish : malformed topic")), (400, true), "{answer}");
    let (status, answer) = broker.publish_as(&id, "/publish/batch", &format!("[{one},{none}]")).await;
    assert_eq!((status, answer.contains(r#""accepted":1,"refused":1"#)), (200, true), "{answer}");
    assert_eq!(soon("the message", watcher.take()).await.topic.as_str(), "tele/plug7/SENSOR");
}
