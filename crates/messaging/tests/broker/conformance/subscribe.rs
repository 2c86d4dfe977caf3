//! Chapters 3.8 and 3.9: SUBSCRIBE and SUBACK.

use std::num::NonZeroU32;

use messaging::Action;
use messaging::wire::{Connect, Packet, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version};

use super::{ALL_QOS, BOTH, breach, keep, options, packet, properties, string, subscribe_all};
use crate::Broker;
use crate::client::text;

#[tokio::test]
async fn a_subscribe_without_a_filter_closes_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        let body = [&b"\0\x01"[..], &properties(version, b"")].concat();
        breach(&broker, version, &packet(0x82, &body), ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn options_that_mean_nothing_close_the_connection() {
    let broker = Broker::start().await;
    let malformed = ReasonCode::MALFORMED_PACKET;
    let protocol_error = ReasonCode::PROTOCOL_ERROR;
    for (version, option, reason) in [
        (Version::V311, 0x03, protocol_error),
        (Version::V311, 0x04, malformed),
        (Version::V311, 0x80, malformed),
        (Version::V5, 0x03, protocol_error),
        (Version::V5, 0x30, protocol_error),
        (Version::V5, 0x40, malformed),
        (Version::V5, 0x80, malformed),
    ] {
        let head = [&b"\0\x01"[..], &properties(version, b"")].concat();
        let filter = string(broker.topic(""));
        // It is as wrong behind a good filter.
        for first in [&b""[..], &[&filter[..], b"\0"].concat()] {
            let body = [&head[..], first, &filter, &[option]].concat();
            breach(&broker, version, &packet(0x82, &body), reason).await;
        }
    }
}

#[tokio::test]
async fn a_subscription_identifier_of_zero_or_two_of_them_close_the_connection() {
    let broker = Broker::start().await;
    for section in [&b"\x0b\0"[..], b"\x0b\x01\x0b\x02"] {
        let body = [&b"\0\x01"[..], &properties(Version::V5, section), &string(broker.topic("")), b"\0"];
        breach(&broker, Version::V5, &packet(0x82, &body.concat()), ReasonCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn filters_with_misplaced_wildcards_close_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        let none = properties(version, b"");
        for filter in ["", "m/plant/c/boiler/a#", "m/plant/c/boiler/#/a", "##", "m/plant/c/boiler/a+", "+a"] {
            for (first, after) in [(0x82, &b"\0"[..]), (0xA2, b"")] {
                let body = [&b"\0\x01"[..], &none, &string(filter), after].concat();
                breach(&broker, version, &packet(first, &body), ReasonCode::TOPIC_FILTER_INVALID).await;
            }
        }
    }
}

#[tokio::test]
async fn a_suback_has_a_reason_for_each_filter_in_their_order() {
    let broker = Broker::start().await;
    broker.gate.deny(0, Action::Subscribe);
    let denied = broker.topic("/#");
    let filters = [
        ("m/plant/c/other/a", options(QoS::ExactlyOnce)),
        ("nowhere", options(QoS::AtMostOnce)),
        ("m/plant/c/other/b", options(QoS::AtMostOnce)),
        (denied.as_str(), options(QoS::AtLeastOnce)),
        ("m/plant/c/other/a", options(QoS::AtLeastOnce)),
        ("$SYS/#", options(QoS::AtLeastOnce)),
    ];
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let reasons = subscribe_all(&mut client, &filters).await;
        let refused = |reason: ReasonCode| if version.is_v5() { reason } else { ReasonCode(0x80) };
        let expected = [
            ReasonCode::GRANTED_QOS_2,
            refused(ReasonCode::TOPIC_FILTER_INVALID),
            ReasonCode::SUCCESS,
            refused(ReasonCode::NOT_AUTHORIZED),
            ReasonCode::GRANTED_QOS_1,
            refused(ReasonCode::NOT_AUTHORIZED),
        ];
        assert_eq!(reasons, expected);
        // As if each had come on its own: the second SUBSCRIBE to the first filter has replaced it.
        let mut publisher = broker.client(version, 1).await;
        publisher.publish("m/plant/c/other/a", "x", QoS::ExactlyOnce).await;
        assert_eq!(client.take().await.qos, QoS::AtLeastOnce);
        publisher.publish("m/plant/c/other/b", "x", QoS::ExactlyOnce).await;
        assert_eq!(client.take().await.qos, QoS::AtMostOnce);
        client.has_nothing().await;
    }
}

#[tokio::test]
async fn messages_come_with_the_lower_of_both_qos() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 0).await;
        let mut publisher = broker.client(version, 1).await;
        for granted in ALL_QOS {
            assert_eq!(subscriber.subscribe(&broker.topic("/a"), granted).await, granted.granted());
            for sent in ALL_QOS {
                publisher.publish(&broker.topic("/a"), "x", sent).await;
                assert_eq!(subscriber.take().await.qos, sent.min(granted));
                subscriber.has_nothing().await;
            }
        }
    }
}

#[tokio::test]
async fn the_same_filter_replaces_the_subscription_and_loses_no_message() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 0).await;
        let mut publisher = broker.client(version, 1).await;
        keep(&mut publisher, &broker.topic("/kept"), "kept", QoS::AtLeastOnce).await;
        subscriber.subscribe(&broker.topic("/+"), QoS::AtLeastOnce).await;
        assert_eq!(text(&subscriber.take().await), "kept");
        let topic = broker.topic("/live");
        let publishing = tokio::spawn(async move {
            for number in 0..200 {
                publisher.publish(&topic, &number.to_string(), QoS::AtLeastOnce).await;
            }
        });
        let (mut next, mut kept, mut renewed) = (0, 0, 0);
        while next < 200 {
            // Renewed now and then, in the middle of the flow.
            if next == renewed * 40 && renewed < 5 {
                renewed += 1;
                let id = subscriber.packet_id().get().to_be_bytes();
                let body = [&id[..], &properties(version, b""), &string(broker.topic("/+")), b"\x01"];
                subscriber.send_bytes(&packet(0x82, &body.concat())).await;
            }
            match subscriber.receive().await {
                Packet::SubAck(_) => {}
                Packet::Publish(publish) => {
                    let ack = messaging::wire::Ack::new(publish.packet_id.unwrap());
                    subscriber.send(Packet::PubAck(ack)).await;
                    if publish.retain {
                        kept += 1;
                    } else {
                        assert_eq!(text(&publish), next.to_string());
                        next += 1;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        publishing.await.unwrap();
        while kept < renewed {
            match subscriber.receive().await {
                Packet::Publish(publish) if publish.retain => kept += 1,
                Packet::SubAck(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn no_local_on_a_shared_subscription_closes_the_connection() {
    let broker = Broker::start().await;
    let filter = string(format!("$share/g/{}", broker.topic("/#")));
    let body = [&b"\0\x01\0"[..], &filter, b"\x04"].concat();
    breach(&broker, Version::V5, &packet(0x82, &body), ReasonCode::PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn a_subscribe_whose_answer_the_client_would_not_accept_changes_nothing() {
    let broker = Broker::start().await;
    let small =
        Connect { maximum_packet_size: NonZeroU32::new(30), ..super::lasting(&broker, Version::V5, 0) };
    // 25 reasons fit into 30 bytes with what stands in front of them, 26 do not.
    for (count, fits) in [(25, true), (26, false)] {
        let mut client = broker.connect(small.clone()).await;
        let topics: Vec<String> =
            (0..count).map(|number| broker.topic(&format!("/{count}/{number}"))).collect();
        let body = |subscribes: bool| {
            let mut body = b"\0\x01\0".to_vec();
            for topic in &topics {
                body.extend(string(topic));
                body.extend(subscribes.then_some(0));
            }
            body
        };
        for (first, subscribes) in [(0x82, true), (0xA2, false)] {
            client.send_bytes(&packet(first, &body(subscribes))).await;
            if fits {
                assert!(matches!(client.receive().await, Packet::SubAck(_) | Packet::UnsubAck(_)));
            } else {
                assert_eq!(client.closed().await, Some(ReasonCode::PACKET_TOO_LARGE));
                client = broker.connect(small.clone()).await;
            }
        }
        client.has_nothing().await;
        assert_eq!(broker.engine.stats().subscriptions.load(std::sync::atomic::Ordering::SeqCst), 0);
        drop(client);
    }
}

#[tokio::test]
async fn a_subscription_that_is_refused_ends_the_one_that_it_would_have_replaced() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let filter = broker.topic("/#");
    let never =
        SubscriptionOptions { retain_handling: RetainHandling::DoNotSend, ..options(QoS::AtLeastOnce) };
    assert_eq!(subscribe_all(&mut client, &[(&filter, never)]).await, [ReasonCode::GRANTED_QOS_1]);
    broker.gate.deny(0, Action::Subscribe);
    assert_eq!(subscribe_all(&mut client, &[(&filter, never)]).await, [ReasonCode::NOT_AUTHORIZED]);
    let mut publisher = broker.client(Version::V5, 1).await;
    publisher.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await;
    client.has_nothing().await;
}
