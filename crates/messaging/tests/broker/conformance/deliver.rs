//! Chapter 3.3.2 and 3.3.4: a message as its subscribers get it.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};

use messaging::wire::{
    Connect, MessageProperties, MessageProperty, Packet, Publish, QoS, SubscriptionId, SubscriptionOptions,
    Text, Version,
};

use super::{BOTH, lasting, leave, options};
use crate::Broker;
use crate::client::text;

#[tokio::test]
async fn properties_arrive_unaltered_and_in_their_order() {
    let broker = Broker::start().await;
    let mut live = broker.client(Version::V5, 0).await;
    live.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    let away = lasting(&broker, Version::V5, 2);
    let mut client = broker.connect(away.clone()).await;
    client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    leave(&broker, client).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let given = MessageProperties::new([
        MessageProperty::User("b", "1"),
        MessageProperty::PayloadIsText(false),
        MessageProperty::ContentType("größe/json"),
        MessageProperty::User("a", "2"),
        MessageProperty::ResponseTopic("anything/at all"),
        MessageProperty::CorrelationData(&[0, 255, 0]),
        MessageProperty::User("b", "1"),
        MessageProperty::User("", ""),
    ]);
    let all = super::ALL_QOS;
    for qos in all {
        let message = publisher.message(&broker.topic("/a"), "x", qos);
        publisher.publish_message(Publish { properties: given.clone(), retain: true, ..message }).await;
        let delivery = live.take().await;
        assert_eq!((delivery.qos, &delivery.properties), (qos, &given));
    }
    // Out of a queue, and as a retained message.
    let mut client = broker.connect(away).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let delivery = client.take().await;
        assert_eq!((delivery.qos, &delivery.properties), (qos, &given));
    }
    client.subscribe(&broker.topic("/a"), QoS::ExactlyOnce).await;
    assert_eq!(client.take().await.properties, given);
    // MQTT 3 has no place for them.
    let mut old = broker.client(Version::V311, 3).await;
    old.subscribe(&broker.topic("/a"), QoS::ExactlyOnce).await;
    assert!(old.take().await.properties.is_empty());
}

#[tokio::test]
async fn the_time_that_a_message_waited_is_taken_from_its_expiry() {
    let broker = Broker::start().await;
    let mut client = broker.connect(lasting(&broker, Version::V5, 0)).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    leave(&broker, client).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    for (payload, message_expiry) in [("soon", Some(1)), ("later", Some(1_000)), ("never", None)] {
        let message = publisher.message(&broker.topic(""), payload, QoS::AtLeastOnce);
        publisher.publish_message(Publish { message_expiry, ..message }).await;
    }
    // Another message that expires after a second: when it is gone, the first one is.
    let mut late = publisher.message(&broker.topic("/clock"), "x", QoS::AtLeastOnce);
    late.retain = true;
    late.message_expiry = Some(1);
    publisher.publish_message(late).await;
    let mut watch = broker.client(Version::V5, 2).await;
    loop {
        watch.subscribe(&broker.topic("/clock"), QoS::AtMostOnce).await;
        watch.send(Packet::PingReq).await;
        if watch.receive().await == Packet::PingResp {
            break;
        }
        assert_eq!(watch.receive().await, Packet::PingResp);
    }
    let mut client = broker.connect(lasting(&broker, Version::V5, 0)).await;
    let later = client.take().await;
    assert_eq!(text(&later), "later");
    assert!((1..1_000).contains(&later.message_expiry.unwrap()), "{:?}", later.message_expiry);
    let never = client.take().await;
    assert_eq!((text(&never), never.message_expiry), ("never", None));
    client.has_nothing().await;
}

/// Once it has been sent, a message is repeated however old it is.
#[tokio::test]
async fn a_message_that_was_sent_does_not_expire_any_more() {
    let broker = Broker::start().await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = broker.connect(lasting(&broker, Version::V5, 0)).await;
        client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
        let mut publisher = broker.client(Version::V5, 1).await;
        let message = publisher.message(&broker.topic(""), "x", qos);
        publisher.publish_message(Publish { message_expiry: Some(0), ..message }).await;
        // It expires at once, but the server had begun to deliver it.
        assert_eq!(text(&client.delivery().await), "x");
        drop(client);
        let mut client = broker.connect(lasting(&broker, Version::V5, 0)).await;
        assert!(client.take().await.dup);
        leave(&broker, client).await;
        broker.client(Version::V5, 0).await;
    }
}

#[tokio::test]
async fn overlapping_subscriptions_get_one_copy_with_the_highest_qos() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, 0).await;
        let mut publisher = broker.client(version, 1).await;
        for (filter, qos) in [("/#", QoS::AtMostOnce), ("/+", QoS::ExactlyOnce), ("/a", QoS::AtLeastOnce)] {
            subscriber.subscribe(&broker.topic(filter), qos).await;
        }
        publisher.publish(&broker.topic("/a"), "x", QoS::ExactlyOnce).await;
        assert_eq!(subscriber.take().await.qos, QoS::ExactlyOnce);
        subscriber.has_nothing().await;
    }
}

#[tokio::test]
async fn a_message_names_every_subscription_that_it_is_sent_for() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let id = |number| SubscriptionId::new(number).unwrap();
    subscriber.subscribe_with(&broker.topic("/#"), options(QoS::AtLeastOnce), Some(1)).await;
    subscriber.subscribe_with(&broker.topic("/a"), options(QoS::AtLeastOnce), Some(268_435_455)).await;
    subscriber.subscribe_with(&broker.topic("/+"), options(QoS::AtLeastOnce), None).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        publisher.publish(&broker.topic("/a"), "x", qos).await;
        let mut ids = subscriber.take().await.subscription_ids;
        ids.sort_unstable();
        assert_eq!(ids, [id(1), id(268_435_455)]);
        publisher.publish(&broker.topic("/b"), "x", qos).await;
        assert_eq!(subscriber.take().await.subscription_ids, [id(1)]);
    }
    // A new SUBSCRIBE brings a new identifier, or takes it away.
    subscriber.subscribe_with(&broker.topic("/#"), options(QoS::AtLeastOnce), Some(5)).await;
    publisher.publish(&broker.topic("/b"), "x", QoS::AtLeastOnce).await;
    assert_eq!(subscriber.take().await.subscription_ids, [id(5)]);
    subscriber.subscribe_with(&broker.topic("/#"), options(QoS::AtLeastOnce), None).await;
    publisher.publish(&broker.topic("/b"), "x", QoS::AtLeastOnce).await;
    assert!(subscriber.take().await.subscription_ids.is_empty());
    // Retained messages have it too.
    super::keep(&mut publisher, "m/plant/c/other/kept", "x", QoS::AtLeastOnce).await;
    subscriber.subscribe_with("m/plant/c/other/+", options(QoS::AtLeastOnce), Some(9)).await;
    assert_eq!(subscriber.take().await.subscription_ids, [id(9)]);
}

/// Subscriptions that see a topic under different names get a copy each, with an identifier each.
#[tokio::test]
async fn copies_under_different_names_have_the_identifier_of_their_own_subscription() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe_with(&broker.topic("/a"), options(QoS::AtLeastOnce), Some(1)).await;
    subscriber.subscribe_with("m/plant/c/boiler/+", options(QoS::AtLeastOnce), Some(2)).await;
    publisher.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await;
    let mut copies = [subscriber.take().await, subscriber.take().await];
    copies.sort_by_key(|copy| copy.subscription_ids.clone());
    assert_eq!(copies[0].subscription_ids, [SubscriptionId::new(1).unwrap()]);
    assert_eq!(copies[0].topic, broker.topic("/a").as_str());
    assert_eq!(copies[1].subscription_ids, [SubscriptionId::new(2).unwrap()]);
    assert_eq!(copies[1].topic, "m/plant/c/boiler/a");
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_client_that_knows_no_aliases_is_sent_none() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 0).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for _ in 0..5 {
        // The alias of the publisher is none of the subscriber's.
        let mut message = publisher.message(&broker.topic("/a"), "x", QoS::AtLeastOnce);
        message.topic_alias = NonZeroU16::new(3);
        publisher.publish_message(message).await;
        let delivery = subscriber.take().await;
        assert_eq!((delivery.topic_alias, delivery.topic), (None, Text::from(broker.topic("/a"))));
    }
}

/// An alias that the server sets stays below the client's maximum, stands for one topic, and spares the client that.
#[tokio::test]
async fn a_client_is_sent_no_alias_above_its_maximum() {
    let broker = Broker::start().await;
    let connect = Connect { topic_alias_maximum: 2, ..broker.plant.connect(Version::V5, 0) };
    let mut subscriber = broker.connect(connect).await;
    let mut spared = 0;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut aliases: HashMap<NonZeroU16, Text> = HashMap::new();
    for number in 0..30 {
        let topic = broker.topic(&format!("/{}", number % 4));
        publisher.publish(&topic, &topic, [QoS::AtMostOnce, QoS::AtLeastOnce][number % 2]).await;
        let delivery = subscriber.take().await;
        let named = match (delivery.topic_alias, delivery.topic.is_empty()) {
            (None, _) => delivery.topic.clone(),
            (Some(alias), true) => {
                spared += 1;
                aliases[&alias].clone()
            }
            (Some(alias), false) => {
                aliases.insert(alias, delivery.topic.clone());
                delivery.topic.clone()
            }
        };
        assert_eq!(named, text(&delivery));
    }
    assert!(aliases.keys().all(|alias| alias.get() <= 2), "{aliases:?}");
    assert!(spared > 5, "{spared} messages came without their topic");
}

/// What the client has learned on one connection it does not know on the next.
#[tokio::test]
async fn aliases_of_the_server_begin_anew_with_every_connection() {
    let broker = Broker::start().await;
    let connect = Connect { topic_alias_maximum: 10, ..lasting(&broker, Version::V5, 0) };
    let mut publisher = broker.client(Version::V5, 1).await;
    for number in 0..3 {
        let mut subscriber = broker.connect(connect.clone()).await;
        if number == 0 {
            subscriber.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
        }
        for known in [false, true, true] {
            publisher.publish(&broker.topic("/a"), "x", QoS::AtMostOnce).await;
            let delivery = subscriber.take().await;
            assert_eq!((delivery.topic_alias, delivery.topic.is_empty()), (NonZeroU16::new(1), known));
            assert!(known || delivery.topic == broker.topic("/a").as_str());
        }
        leave(&broker, subscriber).await;
    }
}

/// A new alias makes the packet larger; where the client would not accept that, it comes without one.
#[tokio::test]
async fn an_alias_does_not_make_a_packet_too_large() {
    let broker = Broker::start().await;
    let topic = broker.topic("/a");
    // Type, length, topic, no properties, payload; an alias has three bytes more.
    let size = u32::try_from(2 + 2 + topic.len() + 1 + 20).unwrap();
    let connect = Connect {
        topic_alias_maximum: 10,
        maximum_packet_size: NonZeroU32::new(size),
        ..broker.plant.connect(Version::V5, 0)
    };
    let mut subscriber = broker.connect(connect).await;
    let mut publisher = broker.client(Version::V5, 1).await;
    subscriber.subscribe(&topic, QoS::AtMostOnce).await;
    for (payload, alias, named) in
        [(20, None, true), (17, NonZeroU16::new(1), true), (90, NonZeroU16::new(1), false)]
    {
        publisher.publish(&topic, &"x".repeat(payload), QoS::AtMostOnce).await;
        let delivery = subscriber.take().await;
        assert_eq!((delivery.payload.len(), delivery.topic_alias), (payload, alias));
        assert_eq!(!delivery.topic.is_empty(), named);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_for_a_client_counts_as_delivered() {
    let broker = Broker::start().await;
    for qos in super::ALL_QOS {
        let small = Connect { maximum_packet_size: NonZeroU32::new(200), ..lasting(&broker, Version::V5, 0) };
        let mut client = broker.connect(small.clone()).await;
        client.subscribe(&broker.topic("/#"), qos).await;
        let mut publisher = broker.client(Version::V5, 1).await;
        let large = "x".repeat(200);
        publisher.publish(&broker.topic(""), &large, qos).await;
        publisher.publish(&broker.topic(""), "fits", qos).await;
        assert_eq!(text(&client.take().await), "fits");
        client.has_nothing().await;
        leave(&broker, client).await;
        // The same out of the queue.
        publisher.publish(&broker.topic(""), &large, qos).await;
        publisher.publish(&broker.topic(""), "fits", qos).await;
        let mut client = broker.connect(small).await;
        if qos > QoS::AtMostOnce {
            assert_eq!(text(&client.take().await), "fits");
        }
        client.has_nothing().await;
        drop(client);
        broker.client(Version::V5, 0).await;
    }
}

/// The next connection of a session may accept less than the one that a message was sent on.
#[tokio::test]
async fn what_is_repeated_is_no_larger_than_the_new_connection_accepts() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    let mut client = broker.connect(lasting(&broker, Version::V5, 0)).await;
    client.subscribe(&broker.topic("/#"), QoS::ExactlyOnce).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for payload in ["x".repeat(200), "fits".to_owned()] {
            publisher.publish(&broker.topic(""), &payload, qos).await;
            client.delivery().await;
        }
    }
    drop(client);
    let small = Connect { maximum_packet_size: NonZeroU32::new(200), ..lasting(&broker, Version::V5, 0) };
    let mut client = broker.connect(small).await;
    for again in super::take_all(&mut client, 2).await {
        assert_eq!((text(&again), again.dup), ("fits", true));
    }
    client.has_nothing().await;
    // What was too large is done with.
    drop(client);
    broker.connect(lasting(&broker, Version::V5, 0)).await.has_nothing().await;
}

#[tokio::test]
async fn a_client_gets_its_own_messages_unless_it_wants_none() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let mut other = broker.client(Version::V5, 1).await;
    let no_local = SubscriptionOptions { no_local: true, ..options(QoS::AtLeastOnce) };
    for (options, own) in [(options(QoS::AtLeastOnce), true), (no_local, false)] {
        client.subscribe_with(&broker.topic("/a"), options, None).await;
        let publish = client.message(&broker.topic("/a"), "own", QoS::AtMostOnce);
        client.send(Packet::Publish(publish)).await;
        if own {
            assert_eq!(text(&client.take().await), "own");
        }
        other.publish(&broker.topic("/a"), "other", QoS::AtLeastOnce).await;
        assert_eq!(text(&client.take().await), "other");
    }
    // A second subscription that wants them gets them as itself alone would.
    client.subscribe_with(&broker.topic("/+"), options(QoS::AtMostOnce), Some(2)).await;
    client.subscribe_with(&broker.topic("/a"), no_local, Some(1)).await;
    let publish = client.message(&broker.topic("/a"), "own", QoS::AtLeastOnce);
    client.send(Packet::Publish(publish)).await;
    let mut own = None;
    for _ in 0..2 {
        match client.receive().await {
            Packet::Publish(publish) => own = Some(publish),
            Packet::PubAck(_) => {}
            unexpected => panic!("{unexpected:?}"),
        }
    }
    let own = own.unwrap();
    assert_eq!((own.qos, own.subscription_ids), (QoS::AtMostOnce, vec![SubscriptionId::new(2).unwrap()]));
    client.has_nothing().await;
    other.publish(&broker.topic("/a"), "other", QoS::AtLeastOnce).await;
    let others = client.take().await;
    assert_eq!((others.qos, others.subscription_ids.len()), (QoS::AtLeastOnce, 2));
    client.has_nothing().await;
}
