//! Chapter 3.3.1.3: retained messages.

use messaging::wire::{Publish, QoS, RetainHandling, SubscriptionOptions, Version};

use super::{ALL_QOS, BOTH, keep, lasting, leave, options};
use crate::Broker;
use crate::client::text;

#[tokio::test]
async fn the_last_retained_message_replaces_the_one_before_whatever_its_qos() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut publisher = broker.client(version, 1).await;
        for before in ALL_QOS {
            for after in ALL_QOS {
                keep(&mut publisher, &broker.topic("/a"), "before", before).await;
                keep(&mut publisher, &broker.topic("/a"), "after", after).await;
                publisher.has_nothing().await;
                let mut subscriber = broker.client(version, 0).await;
                subscriber.subscribe(&broker.topic("/+"), QoS::ExactlyOnce).await;
                let delivery = subscriber.take().await;
                assert_eq!((text(&delivery), delivery.qos, delivery.retain), ("after", after, true));
                subscriber.has_nothing().await;
            }
        }
    }
}

#[tokio::test]
async fn a_message_without_the_flag_leaves_the_retained_one_alone() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut publisher = broker.client(version, 1).await;
        keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
        for payload in ["another", ""] {
            publisher.publish(&broker.topic("/a"), payload, QoS::AtLeastOnce).await;
        }
        publisher.publish(&broker.topic("/b"), "not kept", QoS::AtLeastOnce).await;
        let mut subscriber = broker.client(version, 0).await;
        subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
        assert_eq!(text(&subscriber.take().await), "kept");
        subscriber.has_nothing().await;
    }
}

#[tokio::test]
async fn an_empty_retained_message_reaches_subscribers_removes_the_kept_one_and_is_not_kept() {
    let broker = Broker::start().await;
    for version in BOTH {
        for qos in ALL_QOS {
            let mut publisher = broker.client(version, 1).await;
            let mut subscriber = broker.client(version, 0).await;
            keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
            subscriber.subscribe(&broker.topic("/a"), QoS::ExactlyOnce).await;
            assert_eq!(text(&subscriber.take().await), "kept");
            keep(&mut publisher, &broker.topic("/a"), "", qos).await;
            let delivery = subscriber.take().await;
            assert_eq!((text(&delivery), delivery.qos, delivery.retain), ("", qos, false));
            subscriber.subscribe(&broker.topic("/a"), QoS::ExactlyOnce).await;
            subscriber.has_nothing().await;
        }
    }
}

#[tokio::test]
async fn retain_handling_decides_when_retained_messages_are_sent() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
    // How, and whether they come at the first, the second and, after an UNSUBSCRIBE, the third SUBSCRIBE.
    for (retain_handling, comes) in [
        (RetainHandling::Send, [true, true, true]),
        (RetainHandling::SendIfNew, [true, false, true]),
        (RetainHandling::DoNotSend, [false, false, false]),
    ] {
        let mut subscriber = broker.client(Version::V5, 0).await;
        let options = SubscriptionOptions { retain_handling, ..options(QoS::AtLeastOnce) };
        for (round, comes) in comes.into_iter().enumerate() {
            if round == 2 {
                subscriber.unsubscribe(&broker.topic("/+")).await;
            }
            subscriber.subscribe_with(&broker.topic("/+"), options, None).await;
            if comes {
                assert!(subscriber.take().await.retain, "{retain_handling:?} {round}");
            }
            subscriber.has_nothing().await;
        }
    }
    // In MQTT 3 they come every time.
    let mut subscriber = broker.client(Version::V311, 0).await;
    for _ in 0..3 {
        subscriber.subscribe(&broker.topic("/+"), QoS::AtLeastOnce).await;
        assert!(subscriber.take().await.retain);
    }
}

#[tokio::test]
async fn retain_as_published_decides_about_the_flag_of_a_message_that_is_forwarded() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    for retain_as_published in [false, true] {
        let mut subscriber = broker.client(Version::V5, 0).await;
        let options = SubscriptionOptions {
            retain_as_published,
            retain_handling: RetainHandling::DoNotSend,
            ..options(QoS::AtLeastOnce)
        };
        subscriber.subscribe_with(&broker.topic("/a"), options, None).await;
        for retain in [false, true] {
            let message = publisher.message(&broker.topic("/a"), "x", QoS::AtLeastOnce);
            publisher.publish_message(Publish { retain, ..message }).await;
            assert_eq!(subscriber.take().await.retain, retain && retain_as_published);
        }
        // What is sent because of a subscription always has it.
        let mut late = broker.client(Version::V5, 2).await;
        let again = SubscriptionOptions { retain_handling: RetainHandling::Send, ..options };
        late.subscribe_with(&broker.topic("/a"), again, None).await;
        assert!(late.take().await.retain);
    }
}

#[tokio::test]
async fn a_retained_message_outlives_the_session_that_published_it() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut publisher = broker.client(version, 1).await;
        keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
        leave(&broker, publisher).await;
        let mut subscriber = broker.client(version, 0).await;
        subscriber.subscribe(&broker.topic("/a"), QoS::AtLeastOnce).await;
        assert_eq!(text(&subscriber.take().await), "kept");
        leave(&broker, subscriber).await;
    }
}

/// A resumed session is no new subscription: what is retained is not sent again.
#[tokio::test]
async fn a_resumed_session_is_not_sent_retained_messages_again() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    keep(&mut publisher, &broker.topic("/a"), "kept", QoS::AtLeastOnce).await;
    for version in BOTH {
        let mut subscriber = broker.connect(lasting(&broker, version, 0)).await;
        subscriber.subscribe(&broker.topic("/a"), QoS::AtLeastOnce).await;
        assert_eq!(text(&subscriber.take().await), "kept");
        subscriber.has_nothing().await;
        leave(&broker, subscriber).await;
        broker.connect(lasting(&broker, version, 0)).await.has_nothing().await;
        leave(&broker, broker.client(version, 0).await).await;
    }
}

#[tokio::test]
async fn a_retained_message_comes_with_the_lower_qos() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut publisher = broker.client(version, 1).await;
        for kept in ALL_QOS {
            keep(&mut publisher, &broker.topic("/a"), "kept", kept).await;
            publisher.has_nothing().await;
            for granted in ALL_QOS {
                let mut subscriber = broker.client(version, 0).await;
                subscriber.subscribe(&broker.topic("/a"), granted).await;
                assert_eq!(subscriber.take().await.qos, kept.min(granted));
            }
        }
    }
}

#[tokio::test]
async fn a_retained_message_that_expired_is_not_sent() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let message = publisher.message(&broker.topic("/a"), "x", QoS::AtLeastOnce);
    publisher.publish_message(Publish { retain: true, message_expiry: Some(0), ..message }).await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/a"), QoS::AtLeastOnce).await;
    subscriber.has_nothing().await;
    let message = publisher.message(&broker.topic("/b"), "x", QoS::AtLeastOnce);
    publisher.publish_message(Publish { retain: true, message_expiry: Some(600), ..message }).await;
    subscriber.subscribe(&broker.topic("/b"), QoS::AtLeastOnce).await;
    let left = subscriber.take().await.message_expiry.unwrap();
    assert!((1..=600).contains(&left), "{left}");
}
