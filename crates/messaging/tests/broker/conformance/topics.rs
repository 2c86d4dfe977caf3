//! Chapter 4.7: topic names, topic filters and what matches.
//!
//! A topic here begins with the channel (`m/<domain>/c/<channel>`); wildcards stand below it.

use messaging::wire::{QoS, ReasonCode};

use super::BOTH;
use crate::Broker;
use crate::client::text;

/// Filter, topics below the channel that it matches, and topics that it does not.
const MATCHES: [(&str, &[&str], &[&str]); 9] = [
    ("", &[""], &["/a"]),
    ("/#", &["", "/a", "/a/b/c", "/$a"], &[]),
    ("/+", &["/a", "/$a", "/ä"], &["", "/a/b"]),
    ("/a/#", &["/a", "/a/b", "/a/b/c"], &["", "/b", "/aa", "/A"]),
    ("/a/+", &["/a/b"], &["/a", "/a/b/c", "/b/b"]),
    ("/+/b", &["/a/b", "/b/b"], &["/b", "/a/b/c", "/a/B"]),
    ("/+/+", &["/a/b"], &["/a", "/a/b/c"]),
    ("/+/b/#", &["/a/b", "/a/b/c/d"], &["/b", "/a/c"]),
    ("/Straße", &["/Straße"], &["/strasse", "/STRASSE", "/Strasse"]),
];

#[tokio::test]
async fn a_filter_matches_level_by_level_and_character_by_character() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 0).await;
        let mut publisher = broker.client(version, 1).await;
        for (filter, matching, others) in MATCHES {
            subscriber.subscribe(&broker.topic(filter), QoS::AtLeastOnce).await;
            for below in matching.iter().chain(others) {
                publisher.publish(&broker.topic(below), below, QoS::AtLeastOnce).await;
            }
            for below in matching {
                let delivery = subscriber.take().await;
                assert_eq!(
                    (text(&delivery), &delivery.topic),
                    (*below, &broker.topic(below).as_str().into())
                );
            }
            subscriber.has_nothing().await;
            subscriber.unsubscribe(&broker.topic(filter)).await;
        }
    }
}

/// The same letter in two ways of writing it is two letters.
#[tokio::test]
async fn characters_are_not_normalized() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let [composed, decomposed] = ["/\u{e9}", "/e\u{301}"].map(|below| broker.topic(below));
        client.subscribe(&composed, QoS::AtMostOnce).await;
        client.publish(&decomposed, "another", QoS::AtMostOnce).await;
        client.publish(&composed, "the same", QoS::AtMostOnce).await;
        let delivery = client.take().await;
        assert_eq!((text(&delivery), &delivery.topic), ("the same", &composed.as_str().into()));
        client.has_nothing().await;
    }
}

/// A filter that begins with a wildcard is granted to nobody, so nothing with a `$` can be seen through it.
#[tokio::test]
async fn a_filter_that_begins_with_a_wildcard_or_a_dollar_is_refused() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        for filter in ["#", "+", "+/#", "+/plant/c/boiler", "$SYS", "$x", "$x/#"] {
            let reason = client.subscribe(filter, QoS::AtMostOnce).await;
            let refused = if version.is_v5() { ReasonCode::TOPIC_FILTER_INVALID } else { ReasonCode(0x80) };
            assert_eq!(reason, refused, "{filter}");
        }
        for filter in ["$SYS/#", "$SYS/broker/clients/total"] {
            let reason = client.subscribe(filter, QoS::AtMostOnce).await;
            let refused = if version.is_v5() { ReasonCode::NOT_AUTHORIZED } else { ReasonCode(0x80) };
            assert_eq!(reason, refused, "{filter}");
        }
    }
}

#[tokio::test]
async fn a_message_comes_under_a_name_that_its_subscription_matches() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut publisher = broker.client(version, 1).await;
        for spelling in ["m/plant/c/boiler".to_owned(), broker.topic(""), format!("/{}", broker.topic(""))] {
            let mut subscriber = broker.client(version, 0).await;
            for (filter, name) in [("/#", "/a/b"), ("/a/+", "/a/b"), ("/a/b", "/a/b")] {
                subscriber.subscribe(&format!("{spelling}{filter}"), QoS::AtMostOnce).await;
                publisher.publish(&broker.topic("/a/b"), "x", QoS::AtMostOnce).await;
                assert_eq!(subscriber.take().await.topic, format!("{spelling}{name}").as_str());
                subscriber.unsubscribe(&format!("{spelling}{filter}")).await;
            }
        }
    }
}
