//! Chapter 3.3: PUBLISH to the server, and what is answered.

use std::num::NonZeroU16;

use messaging::Action;
use messaging::wire::{Ack, Packet, Publish, QoS, ReasonCode, Text, Version};

use super::{BOTH, breach, bytes_of, packet, properties, string};
use crate::Broker;
use crate::client::text;

#[tokio::test]
async fn each_qos_has_its_answer() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.publish(&broker.topic(""), "x", QoS::AtMostOnce).await;
        client.has_nothing().await;
        let publish = client.message(&broker.topic(""), "x", QoS::AtLeastOnce);
        client.send(Packet::Publish(publish.clone())).await;
        assert_eq!(client.receive().await, Packet::PubAck(Ack::new(publish.packet_id.unwrap())));
        let publish = client.message(&broker.topic(""), "x", QoS::ExactlyOnce);
        client.send(Packet::Publish(publish.clone())).await;
        assert_eq!(client.receive().await, Packet::PubRec(Ack::new(publish.packet_id.unwrap())));
        client.has_nothing().await;
    }
}

#[tokio::test]
async fn a_topic_with_a_wildcard_or_without_a_character_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for topic in ["#", "+", "m/plant/c/boiler/#", "m/plant/c/boiler/a+b"] {
            let bytes = packet(0x30, &[string(topic), properties(version, b"")].concat());
            breach(&broker, version, &bytes, ReasonCode::TOPIC_NAME_INVALID).await;
        }
        // In MQTT 5 an alias may stand for the topic; here there is none.
        let bytes = packet(0x30, &[string(""), properties(version, b"")].concat());
        breach(&broker, version, &bytes, ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn a_response_topic_with_a_wildcard_and_a_subscription_identifier_close_the_connection() {
    let broker = Broker::start().await;
    for section in [&b"\x08\0\x01#"[..], b"\x08\0\x03a/+", b"\x0b\x01"] {
        let body = [string(broker.topic("")), properties(Version::V5, section)].concat();
        breach(&broker, Version::V5, &packet(0x30, &body), ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn what_may_not_be_published_is_refused_in_the_words_of_the_version() {
    let broker = Broker::start().await;
    broker.gate.deny(0, Action::Publish);
    let mut client = broker.client(Version::V5, 0).await;
    for (topic, reason) in [
        (broker.topic(""), ReasonCode::NOT_AUTHORIZED),
        ("nowhere".to_owned(), ReasonCode::TOPIC_NAME_INVALID),
    ] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            assert_eq!(client.publish(&topic, "x", qos).await, reason);
        }
    }
    // QoS 0 has no answer: it is dropped without a word.
    client.publish(&broker.topic(""), "x", QoS::AtMostOnce).await;
    client.has_nothing().await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = broker.client(Version::V311, 0).await;
        let publish = client.message(&broker.topic(""), "x", qos);
        client.send(Packet::Publish(publish)).await;
        assert_eq!(client.closed().await, None, "no acknowledgement: MQTT 3 closes");
    }
}

#[tokio::test]
async fn after_its_puback_an_identifier_names_a_new_message() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 0).await;
        let mut publisher = broker.client(version, 1).await;
        subscriber.subscribe(&broker.topic(""), QoS::AtLeastOnce).await;
        let publish = publisher.message(&broker.topic(""), "x", QoS::AtLeastOnce);
        for dup in [false, true, false] {
            publisher.publish_message(Publish { dup, ..publish.clone() }).await;
            let delivery = subscriber.take().await;
            assert_eq!((text(&delivery), delivery.dup), ("x", false), "DUP is not handed on");
        }
    }
}

#[tokio::test]
async fn until_its_pubrel_an_identifier_of_qos_2_names_the_same_message() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 0).await;
        let mut publisher = broker.client(version, 1).await;
        subscriber.subscribe(&broker.topic(""), QoS::ExactlyOnce).await;
        let publish = publisher.message(&broker.topic(""), "first", QoS::ExactlyOnce);
        let id = publish.packet_id.unwrap();
        for dup in [false, true, false, true] {
            publisher.send(Packet::Publish(Publish { dup, ..publish.clone() })).await;
            assert_eq!(publisher.receive().await, Packet::PubRec(Ack::new(id)));
        }
        let delivery = subscriber.take().await;
        assert_eq!((text(&delivery), delivery.dup), ("first", false));
        subscriber.has_nothing().await;
        publisher.send(Packet::PubRel(Ack::new(id))).await;
        assert_eq!(publisher.receive().await, Packet::PubComp(Ack::new(id)));
        // From here on it names another.
        let next = Publish { payload: "second".into(), ..publish };
        publisher.publish_message(next).await;
        assert_eq!(text(&subscriber.take().await), "second");
    }
}

#[tokio::test]
async fn an_identifier_whose_message_was_refused_names_a_new_one() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic(""), QoS::ExactlyOnce).await;
    let refused = publisher.message("nowhere", "x", QoS::ExactlyOnce);
    assert_eq!(publisher.publish_message(refused.clone()).await, ReasonCode::TOPIC_NAME_INVALID);
    let accepted = Publish { topic: Text::from(broker.topic("")), ..refused };
    assert_eq!(publisher.publish_message(accepted).await, ReasonCode::SUCCESS);
    assert_eq!(text(&subscriber.take().await), "x");
}

#[tokio::test]
async fn a_message_of_qos_2_that_expired_is_acknowledged_to_the_end() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let expired =
        Publish { message_expiry: Some(0), ..publisher.message(&broker.topic(""), "x", QoS::ExactlyOnce) };
    // PUBREC, PUBREL and PUBCOMP are checked on the way.
    assert_eq!(publisher.publish_message(expired).await, ReasonCode::SUCCESS);
}

#[tokio::test]
async fn every_alias_up_to_the_maximum_is_accepted_and_none_above() {
    let broker = Broker::with(|limits| limits.topic_aliases = 5).await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    // Backwards, so that an alias does not depend on smaller ones.
    for alias in (1..=5).rev() {
        let topic = broker.topic(&format!("/{alias}"));
        let set = Publish {
            topic_alias: NonZeroU16::new(alias),
            ..publisher.message(&topic, "set", QoS::AtLeastOnce)
        };
        publisher.publish_message(set.clone()).await;
        publisher.publish_message(Publish { topic: Text::default(), ..set }).await;
        for _ in 0..2 {
            let delivery = subscriber.take().await;
            assert_eq!(delivery.topic, topic.as_str());
        }
    }
    // An alias may be set anew.
    let other = broker.topic("/other");
    let renewed =
        Publish { topic_alias: NonZeroU16::new(1), ..publisher.message(&other, "x", QoS::AtLeastOnce) };
    publisher.publish_message(renewed.clone()).await;
    publisher.publish_message(Publish { topic: Text::default(), ..renewed }).await;
    for _ in 0..2 {
        assert_eq!(subscriber.take().await.topic, other.as_str());
    }
    for (alias, reason) in [
        (0, ReasonCode::TOPIC_ALIAS_INVALID),
        (6, ReasonCode::TOPIC_ALIAS_INVALID),
        (u16::MAX, ReasonCode::TOPIC_ALIAS_INVALID),
    ] {
        let section = [&[0x23][..], &alias.to_be_bytes()].concat();
        let body = [string(&other), properties(Version::V5, &section)].concat();
        breach(&broker, Version::V5, &packet(0x30, &body), reason).await;
    }
}

#[tokio::test]
async fn an_alias_does_not_outlive_its_connection() {
    let broker = Broker::start().await;
    let connect = super::lasting(&broker, Version::V5, 1);
    let mut publisher = broker.connect(connect.clone()).await;
    let set = Publish {
        topic_alias: NonZeroU16::new(1),
        ..publisher.message(&broker.topic(""), "x", QoS::AtLeastOnce)
    };
    publisher.publish_message(set.clone()).await;
    drop(publisher);
    let (mut publisher, connack) = crate::client::Client::connect(broker.address, connect).await;
    assert!(connack.session_present);
    let used = Packet::Publish(Publish { topic: Text::default(), ..set });
    publisher.send_bytes(&bytes_of(&used, Version::V5)).await;
    assert_eq!(publisher.closed().await, Some(ReasonCode::PROTOCOL_ERROR));
}

#[tokio::test]
async fn a_packet_larger_than_the_server_accepts_closes_the_connection() {
    let broker = Broker::with(|limits| limits.packet_bytes = 1_000).await;
    for version in BOTH {
        let topic = broker.topic("");
        let head = [string(&topic), properties(version, b"")].concat();
        let fits = packet(0x30, &[&head[..], &vec![b'x'; 1_000 - 3 - head.len()]].concat());
        assert_eq!(fits.len(), 1_000);
        let mut client = broker.client(version, 0).await;
        client.send_bytes(&fits).await;
        client.has_nothing().await;
        // The announcement is enough: nothing of it is waited for.
        breach(&broker, version, b"\x30\xe6\x07", ReasonCode::PACKET_TOO_LARGE).await;
    }
}
