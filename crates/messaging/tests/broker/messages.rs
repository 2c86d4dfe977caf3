//! Messages reach whom they are for, as they are for them.

use std::num::{NonZeroU16, NonZeroU32};

use messaging::wire::{
    MessageProperties, MessageProperty, Packet, Publish, QoS, ReasonCode, RetainHandling, SubscriptionId,
    SubscriptionOptions, Text, Version,
};

use crate::Broker;
use crate::client::text;

const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

#[tokio::test]
async fn every_version_reaches_every_version_with_the_lower_qos() {
    let broker = Broker::start().await;
    for (publishes, subscribes) in
        [(Version::V31, Version::V5), (Version::V5, Version::V311), (Version::V311, Version::V31)]
    {
        let mut subscriber = broker.client(subscribes, 0).await;
        let mut publisher = broker.client(publishes, 1).await;
        for granted in ALL_QOS {
            assert_eq!(subscriber.subscribe(&broker.topic("/#"), granted).await, granted.granted());
            for sent in ALL_QOS {
                publisher.publish(&broker.topic("/a"), "x", sent).await;
                let delivery = subscriber.take().await;
                assert_eq!((delivery.qos, text(&delivery)), (sent.min(granted), "x"));
                assert!(!delivery.retain && !delivery.dup);
            }
        }
    }
}

#[tokio::test]
async fn a_repeated_qos_2_message_is_delivered_once() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V311, 0).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    subscriber.subscribe(&broker.topic(""), QoS::ExactlyOnce).await;

    let mut publish = publisher.message(&broker.topic(""), "once", QoS::ExactlyOnce);
    publisher.send(Packet::Publish(publish.clone())).await;
    assert!(matches!(publisher.receive().await, Packet::PubRec(_)));
    publish.dup = true;
    publisher.publish_message(publish).await;

    assert_eq!(text(&subscriber.take().await), "once");
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn each_subscriber_sees_its_own_spelling_of_a_topic() {
    let broker = Broker::start().await;
    let legacy = format!("/channels/{}/messages", broker.plant.channel);
    let spellings = ["m/plant/c/boiler".to_owned(), broker.topic(""), legacy];
    let mut subscribers = Vec::new();
    for (number, spelling) in spellings.iter().enumerate() {
        let mut subscriber = broker.client(Version::V311, number).await;
        subscriber.subscribe(&format!("{spelling}/#"), QoS::AtLeastOnce).await;
        subscribers.push(subscriber);
    }
    let mut publisher = broker.client(Version::V5, 3).await;
    for published in &spellings {
        publisher.publish(&format!("{published}/a%2Fb/"), "x", QoS::AtLeastOnce).await;
        for (subscriber, spelling) in subscribers.iter_mut().zip(&spellings) {
            assert_eq!(subscriber.take().await.topic, format!("{spelling}/a/b").as_str());
        }
    }
}

#[tokio::test]
async fn a_filter_gets_what_it_matches_and_nothing_else() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V311, 0).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    subscriber.subscribe(&broker.topic("/+/temperature"), QoS::AtLeastOnce).await;
    for below in ["", "/a", "/a/pressure", "/a/b/temperature", "/a/temperature"] {
        publisher.publish(&broker.topic(below), below, QoS::AtLeastOnce).await;
    }
    publisher.publish("m/plant/c/other/a/temperature", "another channel", QoS::AtLeastOnce).await;
    assert_eq!(text(&subscriber.take().await), "/a/temperature");

    subscriber.unsubscribe(&broker.topic("/+/temperature")).await;
    publisher.publish(&broker.topic("/a/temperature"), "late", QoS::AtLeastOnce).await;
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn filters_and_topics_that_are_none_are_refused_in_the_words_of_the_version() {
    let broker = Broker::start().await;
    let mut v5 = broker.client(Version::V5, 0).await;
    let mut v3 = broker.client(Version::V311, 1).await;
    for filter in ["#", "m/+/c/boiler", "m/plant/c/boiler/*", "$SYS", "$queue/x"] {
        assert_eq!(v5.subscribe(filter, QoS::AtMostOnce).await, ReasonCode::TOPIC_FILTER_INVALID, "{filter}");
        assert_eq!(v3.subscribe(filter, QoS::AtMostOnce).await.0, 0x80, "{filter}");
    }
    assert_eq!(v5.subscribe("m/nowhere/c/boiler", QoS::AtMostOnce).await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(v5.publish("none", "x", QoS::AtLeastOnce).await, ReasonCode::TOPIC_NAME_INVALID);
    assert_eq!(
        v5.publish("m/plant/c/boiler/a//b", "x", QoS::ExactlyOnce).await,
        ReasonCode::TOPIC_NAME_INVALID
    );
    v5.publish("none", "x", QoS::AtMostOnce).await;
    assert_eq!(v5.closed().await, Some(ReasonCode::TOPIC_NAME_INVALID));
    let publish = v3.message("none", "x", QoS::AtLeastOnce);
    v3.send(Packet::Publish(publish)).await;
    assert_eq!(v3.closed().await, None);
}

#[tokio::test]
async fn a_retained_message_waits_for_subscribers_until_an_empty_one_removes_it() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let retained = |mut publish: Publish| {
        publish.retain = true;
        publish
    };
    for (below, payload) in [("/a", "old"), ("/a", "new"), ("/b", "second")] {
        let publish = publisher.message(&broker.topic(below), payload, QoS::AtLeastOnce);
        publisher.publish_message(retained(publish)).await;
    }

    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe("m/plant/c/boiler/a", QoS::AtLeastOnce).await;
    let delivery = subscriber.take().await;
    assert_eq!((text(&delivery), delivery.retain), ("new", true));
    assert_eq!(delivery.topic, "m/plant/c/boiler/a");

    // While subscribed, the flag tells nothing unless it was asked for.
    let publish = publisher.message(&broker.topic("/a"), "live", QoS::AtLeastOnce);
    publisher.publish_message(retained(publish)).await;
    assert!(!subscriber.take().await.retain);

    let publish = publisher.message(&broker.topic("/a"), "", QoS::AtLeastOnce);
    publisher.publish_message(retained(publish)).await;
    assert_eq!(text(&subscriber.take().await), "");
    let mut late = broker.client(Version::V311, 2).await;
    late.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    assert_eq!(text(&late.take().await), "second");
    late.has_nothing().await;
}

#[tokio::test]
async fn subscription_options_decide_about_retained_and_own_messages() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let mut kept = client.message(&broker.topic("/a"), "kept", QoS::AtLeastOnce);
    kept.retain = true;
    client.publish_message(kept.clone()).await;

    let filter = broker.topic("/a");
    let never =
        SubscriptionOptions { retain_handling: RetainHandling::DoNotSend, ..options(QoS::AtLeastOnce) };
    client.subscribe_with(&filter, never, None).await;
    client.has_nothing().await;
    let if_new =
        SubscriptionOptions { retain_handling: RetainHandling::SendIfNew, ..options(QoS::AtLeastOnce) };
    client.subscribe_with(&filter, if_new, None).await;
    client.has_nothing().await;
    client.unsubscribe(&filter).await;
    client.subscribe_with(&filter, if_new, None).await;
    assert_eq!(text(&client.take().await), "kept");

    let as_published = SubscriptionOptions {
        retain_as_published: true,
        no_local: true,
        retain_handling: RetainHandling::DoNotSend,
        ..options(QoS::AtLeastOnce)
    };
    client.subscribe_with(&filter, as_published, None).await;
    kept.packet_id = Some(client.packet_id());
    client.publish_message(kept.clone()).await;
    client.has_nothing().await;
    let mut other = broker.client(Version::V5, 1).await;
    other.publish_message(kept).await;
    assert!(client.take().await.retain);
}

#[tokio::test]
async fn overlapping_subscriptions_deliver_once_with_all_identifiers() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V311, 1).await;
    subscriber.subscribe_with(&broker.topic("/#"), options(QoS::AtMostOnce), Some(1)).await;
    subscriber.subscribe_with(&broker.topic("/a"), options(QoS::AtLeastOnce), Some(2)).await;
    publisher.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await;
    let delivery = subscriber.take().await;
    let mut ids = delivery.subscription_ids.clone();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2].map(|id| SubscriptionId::new(id).unwrap()));
    assert_eq!(delivery.qos, QoS::AtLeastOnce);
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_group_shares_messages_among_its_connected_members() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 0).await;
    let mut first = broker.client(Version::V5, 1).await;
    let mut second = broker.client(Version::V311, 2).await;
    let mut alone = broker.client(Version::V5, 3).await;
    let share = |group: &str| format!("$share/{group}/{}", broker.topic("/#"));
    first.subscribe(&share("g"), QoS::AtLeastOnce).await;
    second.subscribe(&share("g"), QoS::AtLeastOnce).await;
    alone.subscribe(&share("h"), QoS::AtLeastOnce).await;
    for number in 0..4 {
        publisher.publish(&broker.topic("/a"), &number.to_string(), QoS::AtLeastOnce).await;
        assert_eq!(text(&alone.take().await), number.to_string());
    }
    for member in [&mut first, &mut second] {
        member.take().await;
        member.take().await;
        member.has_nothing().await;
    }
    first.disconnect(ReasonCode::SUCCESS).await;
    for _ in 0..2 {
        publisher.publish(&broker.topic("/a"), "left", QoS::AtLeastOnce).await;
        second.take().await;
    }
}

#[tokio::test]
async fn a_topic_alias_stands_for_the_topic_it_was_set_with() {
    let broker = Broker::with(|limits| limits.topic_aliases = 2).await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
    let mut publish = publisher.message(&broker.topic("/a"), "set", QoS::AtLeastOnce);
    publish.topic_alias = NonZeroU16::new(2);
    publisher.publish_message(publish.clone()).await;
    publish.topic = Text::default();
    publisher.publish_message(publish.clone()).await;
    for _ in 0..2 {
        assert_eq!(subscriber.take().await.topic, broker.topic("/a").as_str());
    }
    publish.topic_alias = NonZeroU16::new(3);
    publisher.send(Packet::Publish(publish)).await;
    assert_eq!(publisher.closed().await, Some(ReasonCode::TOPIC_ALIAS_INVALID));
}

/// Topic and alias of the next message, with its payload.
async fn named(client: &mut crate::client::Client) -> (bool, Option<u16>, String) {
    let delivery = client.take().await;
    (delivery.topic.is_empty(), delivery.topic_alias.map(NonZeroU16::get), text(&delivery).to_owned())
}

#[tokio::test]
async fn aliases_of_the_server_stand_for_topics_of_every_qos_also_of_messages_that_had_to_wait() {
    let broker = Broker::start().await;
    let mut connect = broker.plant.connect(Version::V5, 0);
    connect.topic_alias_maximum = 2;
    // One at a time: the others wait.
    connect.receive_maximum = NonZeroU16::MIN;
    (connect.clean_start, connect.session_expiry) = (false, 60);
    let mut subscriber = broker.connect(connect.clone()).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    for (below, payload, qos) in [
        ("/a", "1", QoS::AtLeastOnce),
        ("/a", "2", QoS::AtLeastOnce),
        ("/b", "3", QoS::ExactlyOnce),
        ("/b", "4", QoS::AtLeastOnce),
        ("/c", "5", QoS::AtLeastOnce),
        ("/a", "6", QoS::ExactlyOnce),
    ] {
        publisher.publish(&broker.topic(below), payload, qos).await;
    }
    for (is_known, alias, payload) in [
        (false, Some(1), "1"),
        (true, Some(1), "2"),
        (false, Some(2), "3"),
        (true, Some(2), "4"),
        (false, None, "5"),
    ] {
        assert_eq!(named(&mut subscriber).await, (is_known, alias, payload.to_owned()));
    }
    // What is sent again on another connection has its topic.
    assert!(subscriber.delivery().await.topic.is_empty());
    let (mut subscriber, _) = crate::client::Client::connect(broker.address, connect).await;
    let again = subscriber.take().await;
    assert_eq!((again.topic.as_str(), text(&again), again.dup), (broker.topic("/a").as_str(), "6", true));
}

#[tokio::test]
async fn properties_are_forwarded_and_a_packet_too_large_for_a_subscriber_is_left_out() {
    let broker = Broker::start().await;
    let mut connect = broker.plant.connect(Version::V5, 0);
    connect.maximum_packet_size = NonZeroU32::new(300);
    let mut small = broker.connect(connect).await;
    let mut large = broker.client(Version::V5, 2).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        small.subscribe(&broker.topic("/#"), qos).await;
        large.subscribe(&broker.topic("/#"), qos).await;
        publisher.publish(&broker.topic("/a"), &"x".repeat(300), QoS::AtLeastOnce).await;
        let mut publish = publisher.message(&broker.topic("/a"), "fits", QoS::AtLeastOnce);
        publish.message_expiry = Some(60);
        publish.properties = MessageProperties::new([
            MessageProperty::ContentType("text/plain"),
            MessageProperty::User("a", "1"),
        ]);
        publisher.publish_message(publish.clone()).await;

        let delivery = small.take().await;
        assert_eq!((text(&delivery), &delivery.properties), ("fits", &publish.properties));
        assert_eq!(delivery.message_expiry, Some(60));
        small.has_nothing().await;
        assert_eq!(large.take().await.payload.len(), 300);
        assert_eq!(text(&large.take().await), "fits");
    }
}

#[tokio::test]
async fn the_health_topic_answers_its_own_domain_and_reaches_nobody() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let own = format!("hc/{}", broker.plant.domain);
    assert_eq!(client.subscribe(&own, QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    assert_eq!(client.publish(&own, "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    client.has_nothing().await;
    let foreign = format!("hc/{}", broker.plant.channel);
    assert_eq!(client.publish(&foreign, "x", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(client.subscribe(&foreign, QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
}
