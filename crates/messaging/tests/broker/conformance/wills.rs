//! Chapters 3.1.2.5 to 3.1.2.7 and 3.1.3.2: the will, as it is stored and as it is published.

use bytes::Bytes;
use messaging::wire::{
    Connect, Disconnect, MessageProperties, MessageProperty, Packet, QoS, ReasonCode, Text, Version, Will,
};

use super::{ALL_QOS, BOTH};
use crate::Broker;
use crate::client::{Client, text};

fn will(broker: &Broker, payload: &'static str, qos: QoS, retain: bool) -> Will {
    Will {
        topic: Text::from(broker.topic("/will")),
        payload: Bytes::from_static(payload.as_bytes()),
        qos,
        retain,
        delay: 0,
        message_expiry: None,
        properties: MessageProperties::default(),
    }
}

async fn watcher(broker: &Broker, number: usize) -> Client {
    let mut watcher = broker.client(Version::V5, number).await;
    watcher.subscribe(&broker.topic("/will"), QoS::ExactlyOnce).await;
    watcher
}

#[tokio::test]
async fn a_will_is_published_with_its_qos_and_kept_if_it_asks_for_it() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    for version in BOTH {
        for qos in ALL_QOS {
            for retain in [false, true] {
                let will = Some(will(&broker, "gone", qos, retain));
                drop(broker.connect(Connect { will, ..broker.plant.connect(version, 0) }).await);
                let delivery = watching.take().await;
                assert_eq!((text(&delivery), delivery.qos, delivery.retain), ("gone", qos, false));
                let mut late = watcher(&broker, 2).await;
                if retain {
                    let kept = late.take().await;
                    assert_eq!((text(&kept), kept.qos, kept.retain), ("gone", qos, true));
                    super::keep(&mut late, &broker.topic("/will"), "", QoS::AtMostOnce).await;
                    assert_eq!(text(&late.take().await), "");
                    assert_eq!(text(&watching.take().await), "");
                }
                late.has_nothing().await;
            }
        }
    }
}

#[tokio::test]
async fn a_will_is_published_once_and_belongs_to_its_connection() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    for version in BOTH {
        let lasting = Connect { clean_start: false, session_expiry: 60, ..broker.plant.connect(version, 0) };
        let with_will =
            Connect { will: Some(will(&broker, "gone", QoS::AtLeastOnce, false)), ..lasting.clone() };
        drop(broker.connect(with_will).await);
        assert_eq!(text(&watching.take().await), "gone");
        // The session is resumed without a will: there is none any more.
        drop(broker.connect(lasting.clone()).await);
        let replaced = Connect { will: Some(will(&broker, "newer", QoS::AtLeastOnce, false)), ..lasting };
        drop(broker.connect(replaced).await);
        assert_eq!(text(&watching.take().await), "newer");
        watching.has_nothing().await;
    }
}

/// Every end that is not a normal DISCONNECT publishes the will.
#[tokio::test]
async fn only_a_normal_disconnect_drops_the_will() {
    let broker = Broker::with(|limits| limits.keep_alive = 1).await;
    // In MQTT 3 the server cannot ask for a shorter silence, so this one may wait.
    let mut watching = broker.client(Version::V311, 1).await;
    watching.subscribe(&broker.topic("/will"), QoS::AtLeastOnce).await;
    let with_will = || Connect {
        will: Some(will(&broker, "gone", QoS::AtLeastOnce, false)),
        ..broker.plant.connect(Version::V5, 0)
    };
    let reasons = [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for reason in reasons.map(ReasonCode) {
        let client = broker.connect(with_will()).await;
        client.disconnect(reason).await;
        assert_eq!(text(&watching.take().await), "gone", "{reason}");
        watching.has_nothing().await;
    }
    // A breach of the protocol, and silence.
    let mut hostile = broker.connect(with_will()).await;
    hostile.send_bytes(b"\xff\0").await;
    assert_eq!(text(&watching.take().await), "gone");
    watching.has_nothing().await;
    let mut silent = broker.connect(with_will()).await;
    assert_eq!(silent.closed().await, Some(ReasonCode::KEEP_ALIVE_TIMEOUT));
    assert_eq!(text(&watching.take().await), "gone");
    watching.has_nothing().await;
}

#[tokio::test]
async fn a_will_carries_its_properties_in_their_order() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    let given = MessageProperties::new([
        MessageProperty::User("b", "1"),
        MessageProperty::PayloadIsText(true),
        MessageProperty::ContentType("text/plain"),
        MessageProperty::User("a", "2"),
        MessageProperty::ResponseTopic("answers"),
        MessageProperty::CorrelationData(&[0, 1]),
        MessageProperty::User("b", "3"),
    ]);
    let will = Will {
        properties: given.clone(),
        message_expiry: Some(90),
        ..will(&broker, "gone", QoS::AtLeastOnce, false)
    };
    drop(broker.connect(Connect { will: Some(will), ..broker.plant.connect(Version::V5, 0) }).await);
    let delivery = watching.take().await;
    assert_eq!((&delivery.properties, delivery.message_expiry), (&given, Some(90)));
}

/// The session's end comes before the will's delay is over: the will does not wait any longer.
#[tokio::test]
async fn a_delayed_will_comes_with_the_end_of_its_session_at_the_latest() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    let delayed = |expiry| Connect {
        will: Some(Will { delay: 600, ..will(&broker, "gone", QoS::AtLeastOnce, false) }),
        session_expiry: expiry,
        ..broker.plant.connect(Version::V5, 0)
    };
    drop(broker.connect(delayed(0)).await);
    assert_eq!(text(&watching.take().await), "gone");
    drop(broker.connect(delayed(1)).await);
    assert_eq!(text(&watching.take().await), "gone");
    // DISCONNECT ends the session at once, and asks for the will.
    let mut client = broker.connect(delayed(600)).await;
    let ends = Disconnect { session_expiry: Some(0), ..Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL) };
    client.send(Packet::Disconnect(ends)).await;
    assert_eq!(text(&watching.take().await), "gone");
    // A clean start ends the session that waits for its client.
    drop(broker.connect(delayed(600)).await);
    let _new = broker.client(Version::V5, 0).await;
    assert_eq!(text(&watching.take().await), "gone");
    watching.has_nothing().await;
}

#[tokio::test]
async fn a_client_without_a_will_leaves_none() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    for version in BOTH {
        drop(broker.client(version, 0).await);
        crate::becomes("the end", &broker.engine.stats().mqtt.connections, 1).await;
    }
    watching.has_nothing().await;
}

#[tokio::test]
async fn a_will_topic_with_a_wildcard_or_without_a_character_is_refused() {
    let broker = Broker::start().await;
    for version in BOTH {
        for topic in ["", "m/plant/c/boiler/#", "m/plant/c/boiler/+", "+"] {
            let will = Will { topic: Text::from(topic), ..will(&broker, "gone", QoS::AtMostOnce, false) };
            let connect = Connect { will: Some(will), ..broker.plant.connect(version, 0) };
            let bytes = super::bytes_of(&Packet::Connect(Box::new(connect)), version);
            let told = super::turned_away(&broker, version, &bytes).await;
            let expected = match version {
                Version::V5 => Some(ReasonCode::TOPIC_NAME_INVALID),
                _ => Some(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
            };
            assert_eq!(told, expected, "{topic}");
        }
    }
}

#[tokio::test]
async fn a_client_silent_for_longer_than_its_own_keep_alive_is_closed_and_leaves_its_will() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    for version in BOTH {
        let connect = Connect {
            keep_alive: 1,
            will: Some(will(&broker, "gone", QoS::AtLeastOnce, false)),
            ..broker.plant.connect(version, 0)
        };
        let (mut silent, connack) = Client::connect(broker.address, connect).await;
        assert_eq!(connack.server_keep_alive, None);
        let told = version.is_v5().then_some(ReasonCode::KEEP_ALIVE_TIMEOUT);
        assert_eq!(silent.closed().await, told);
        assert_eq!(text(&watching.take().await), "gone");
    }
}

#[tokio::test]
async fn a_disconnect_of_mqtt_3_drops_the_will() {
    let broker = Broker::start().await;
    let mut watching = watcher(&broker, 1).await;
    let will = Some(will(&broker, "gone", QoS::AtLeastOnce, false));
    let client = broker.connect(Connect { will, ..broker.plant.connect(Version::V311, 0) }).await;
    super::leave(&broker, client).await;
    watching.has_nothing().await;
}
