//! Nobody does what he may not, and a right that is taken away ends on open connections.

use std::sync::atomic::Ordering::SeqCst;

use kernel::Secret;
use messaging::wire::{Connect, Packet, QoS, ReasonCode, Text, Version};
use messaging::{Action, Revocation};

use crate::client::{Client, text};
use crate::{Broker, becomes, soon};

#[tokio::test]
async fn whoever_is_not_let_in_is_told_why() {
    let broker = Broker::start().await;
    broker.gate.disable(3);
    let good = |version, number| broker.plant.connect(version, number);
    for version in [Version::V31, Version::V311, Version::V5] {
        let wrong = Connect { password: Some(Secret::new(b"wrong".to_vec())), ..good(version, 0) };
        let unknown = Connect { user_name: Some(Text::from("nobody")), ..good(version, 0) };
        let without = Connect { password: None, ..good(version, 0) };
        for connect in [wrong, unknown, without] {
            let (mut client, connack) = Client::connect(broker.address, connect).await;
            assert_eq!(connack.reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
            assert!(client.next().await.is_none());
        }
        let (_, connack) = Client::connect(broker.address, good(version, 3)).await;
        assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    }
    broker.gate.fail();
    for version in [Version::V311, Version::V5] {
        let (_, connack) = Client::connect(broker.address, good(version, 0)).await;
        assert_eq!(connack.reason, ReasonCode::SERVER_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_message_without_the_right_reaches_nobody() {
    let broker = Broker::start().await;
    broker.gate.deny(1, Action::Publish);
    let mut subscriber = broker.client(Version::V5, 0).await;
    subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut v5 = broker.client(Version::V5, 1).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(v5.publish(&broker.topic(""), "x", qos).await, ReasonCode::NOT_AUTHORIZED);
    }
    v5.publish(&broker.topic(""), "x", QoS::AtMostOnce).await;
    v5.has_nothing().await;
    assert_eq!(broker.engine.stats().denied.load(SeqCst), 3);

    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut v3 = broker.client(Version::V311, 1).await;
        let publish = v3.message(&broker.topic(""), "x", qos);
        v3.send(Packet::Publish(publish)).await;
        assert_eq!(v3.closed().await, None);
    }
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_wrong_domain_in_a_topic_is_refused_and_does_not_shut_the_channel_for_its_owners() {
    let broker = Broker::start().await;
    let wrong = format!("m/{}/c/{}", broker.plant.foreign, broker.plant.channel);
    let mut stranger = broker.client(Version::V5, 1).await;
    let mut owner = broker.client(Version::V5, 0).await;
    for _before_and_with_the_room_open in 0..2 {
        assert_eq!(stranger.publish(&wrong, "x", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
        assert_eq!(stranger.subscribe(&wrong, QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
        let granted = owner.subscribe(&broker.topic(""), QoS::AtLeastOnce).await;
        assert_eq!(granted, ReasonCode::GRANTED_QOS_1);
        assert_eq!(owner.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    }
    owner.has_nothing().await;
}

#[tokio::test]
async fn a_domain_that_the_open_channel_is_not_in_is_refused_even_to_whom_the_gate_lets_in() {
    let broker = Broker::start().await;
    let mut owner = broker.client(Version::V5, 0).await;
    owner.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut connect = Connect::new(Version::V5, "browser");
    connect.user_name = Some(Text::default());
    connect.password = Some(Secret::new(b"token".to_vec()));
    let mut user = broker.connect(connect).await;
    let wrong = format!("m/{}/c/{}", broker.plant.foreign, broker.plant.channel);
    assert_eq!(user.publish(&wrong, "x", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(user.subscribe(&wrong, QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
    owner.has_nothing().await;
}

#[tokio::test]
async fn a_subscription_without_the_right_is_refused_filter_by_filter() {
    let broker = Broker::start().await;
    broker.gate.deny(0, Action::Subscribe);
    for (version, reason) in [(Version::V5, 0x87), (Version::V311, 0x80)] {
        let mut client = broker.client(version, 0).await;
        assert_eq!(client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await.0, reason);
        assert_eq!(client.subscribe("m/plant/c/other", QoS::AtLeastOnce).await.0, 1);
    }
}

#[tokio::test]
async fn a_decision_is_asked_for_once_and_again_after_a_revocation() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    for _ in 0..5 {
        client.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await;
    }
    assert_eq!(broker.gate.asked.load(SeqCst), 2, "before and after the room is opened");
    broker.engine.revoke(Revocation::Channel(broker.plant.other));
    client.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await;
    assert_eq!(broker.gate.asked.load(SeqCst), 2, "another channel");

    broker.gate.deny(0, Action::Publish);
    let [client_id, domain] =
        [Revocation::Client(broker.plant.clients[0]), Revocation::Domain(broker.plant.domain)];
    for revocation in [client_id, Revocation::Channel(broker.plant.channel), domain, Revocation::Everything] {
        broker.engine.revoke(revocation);
        assert_eq!(
            client.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await,
            ReasonCode::NOT_AUTHORIZED
        );
    }
}

#[tokio::test]
async fn a_revoked_subscription_ends_without_a_message_and_what_waited_is_forgotten() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V311, 1).await;
    for revocation in [
        Revocation::Client(broker.plant.clients[0]),
        Revocation::Channel(broker.plant.channel),
        Revocation::Domain(broker.plant.domain),
        Revocation::Everything,
    ] {
        let broker = Broker::start().await;
        let mut connect = broker.plant.connect(Version::V5, 0);
        connect.receive_maximum = 1.try_into().unwrap();
        let mut subscriber = broker.connect(connect).await;
        let mut publisher = broker.client(Version::V311, 1).await;
        subscriber.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
        subscriber.subscribe("m/plant/c/other/#", QoS::AtLeastOnce).await;
        publisher.publish(&broker.topic(""), "before", QoS::AtLeastOnce).await;
        publisher.publish(&broker.topic(""), "waits", QoS::AtLeastOnce).await;

        broker.gate.deny(0, Action::Subscribe);
        broker.engine.revoke(revocation);
        becomes("the end of the subscription", &broker.engine.stats().subscriptions, 1).await;
        publisher.publish(&broker.topic(""), "after", QoS::AtLeastOnce).await;
        publisher.publish("m/plant/c/other", "still allowed", QoS::AtLeastOnce).await;
        assert_eq!(text(&subscriber.take().await), "before");
        assert_eq!(text(&subscriber.take().await), "still allowed");
    }
    publisher.has_nothing().await;
}

#[tokio::test]
async fn users_lose_what_moves_out_of_their_reach_and_clients_are_not_asked_about() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let mut connect = Connect::new(Version::V5, "browser");
    connect.user_name = Some(Text::default());
    connect.password = Some(Secret::new(b"token".to_vec()));
    let mut user = broker.connect(connect).await;
    assert_eq!(user.publish(&broker.topic("/a"), "before", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
    assert_eq!(text(&client.take().await), "before");
    user.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;

    let asked = broker.gate.asked.load(SeqCst);
    broker.gate.deny_users();
    broker.engine.revoke(Revocation::UsersIn(broker.plant.foreign));
    assert_eq!(broker.engine.stats().subscriptions.load(SeqCst), 2, "another domain");
    broker.engine.revoke(Revocation::UsersIn(broker.plant.domain));
    becomes("the end of the user's subscription", &broker.engine.stats().subscriptions, 1).await;
    assert_eq!(broker.gate.asked.load(SeqCst), asked);
    let refused = user.publish(&broker.topic("/a"), "after", QoS::AtLeastOnce).await;
    assert_eq!(refused, ReasonCode::NOT_AUTHORIZED);
    client.has_nothing().await;
}

#[tokio::test]
async fn a_decision_that_a_revocation_overtakes_is_not_used_again() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    client.publish(&broker.topic("/open"), "x", QoS::AtLeastOnce).await;
    broker.gate.hold();
    let publish = client.message(&broker.topic(""), "x", QoS::AtLeastOnce);
    client.send(Packet::Publish(publish)).await;
    soon("the question", async {
        while broker.gate.waiting.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    broker.gate.deny(0, Action::Publish);
    broker.engine.revoke(Revocation::Client(broker.plant.clients[0]));
    broker.gate.let_go();
    assert!(matches!(client.receive().await, Packet::PubAck(_)));
    let refused = client.publish(&broker.topic(""), "x", QoS::AtLeastOnce).await;
    assert_eq!(refused, ReasonCode::NOT_AUTHORIZED);
}

#[tokio::test]
async fn a_subscription_does_not_slip_through_while_it_is_revoked() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    client.publish(&broker.topic("/open"), "x", QoS::AtLeastOnce).await;
    broker.gate.hold();
    let filter = broker.topic("/#");
    let subscribing = client.subscribe(&filter, QoS::AtLeastOnce);
    let revoking = async {
        soon("the question", async {
            while broker.gate.waiting.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        broker.gate.deny(0, Action::Subscribe);
        broker.engine.revoke(Revocation::Client(broker.plant.clients[0]));
        broker.gate.let_go();
    };
    let (reason, ()) = tokio::join!(subscribing, revoking);
    assert_eq!(reason, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(broker.engine.stats().subscriptions.load(SeqCst), 0);
    let mut publisher = broker.client(Version::V311, 1).await;
    publisher.publish(&broker.topic(""), "x", QoS::AtLeastOnce).await;
    client.has_nothing().await;
}

#[tokio::test]
async fn a_gate_that_cannot_answer_does_not_leave_a_doubtful_subscription() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    broker.gate.fail();
    broker.engine.revoke(Revocation::Everything);
    assert_eq!(client.closed().await, Some(ReasonCode::SERVER_BUSY));
    assert_eq!(broker.engine.stats().subscriptions.load(SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_is_gone_loses_connections_and_sessions() {
    let broker = Broker::start().await;
    let mut connect = broker.plant.connect(Version::V5, 0);
    connect.session_expiry = 60;
    let mut client = broker.connect(connect.clone()).await;
    client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    let absent = Connect { client_id: Text::from("absent"), ..connect.clone() };
    broker.connect(absent).await.disconnect(ReasonCode::SUCCESS).await;
    becomes("the absence", &broker.engine.stats().mqtt.connections, 1).await;
    broker.gate.disable(0);
    broker.engine.revoke(Revocation::ClientGone(broker.plant.clients[0]));
    assert_eq!(client.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    becomes("the end", &broker.engine.stats().mqtt.connections, 0).await;
    assert_eq!(broker.engine.stats().sessions.load(SeqCst), 0);
    assert_eq!(broker.engine.stats().subscriptions.load(SeqCst), 0);
    let (_, connack) = Client::connect(broker.address, connect).await;
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
}

#[tokio::test]
async fn a_user_is_let_in_with_a_token_and_only_until_it_ends() {
    let broker = Broker::start().await;
    let mut connect = Connect::new(Version::V5, "browser");
    connect.user_name = Some(Text::default());
    connect.password = Some(Secret::new(b"short-lived token".to_vec()));
    let mut user = broker.connect(connect).await;
    assert_eq!(user.subscribe("m/plant/c/boiler/#", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    assert_eq!(user.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
}

#[tokio::test]
async fn a_revoked_key_ends_the_idle_connections_that_were_made_with_it_and_no_others() {
    let broker = Broker::start().await;
    let with = |key: &str, client_id: &str| {
        let mut connect = Connect { session_expiry: 60, ..Connect::new(Version::V5, client_id) };
        connect.user_name = Some(Text::default());
        connect.password = Some(Secret::new(key.as_bytes().to_vec()));
        connect
    };
    let mut first = broker.connect(with("first key", "first")).await;
    let mut second = broker.connect(with("second key", "second")).await;
    let mut plain = broker.connect(with("token", "plain")).await;
    let absent = broker.connect(with("first key", "absent")).await;
    absent.disconnect(ReasonCode::SUCCESS).await;
    becomes("the absence", &broker.engine.stats().mqtt.connections, 3).await;

    let [first_key, second_key] = crate::gate::keys();
    broker.engine.revoke(Revocation::Credential(crate::gate::user(), first_key));
    assert_eq!(first.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    becomes("the end of both sessions", &broker.engine.stats().sessions, 2).await;
    let filter = broker.topic("/#");
    assert_eq!(second.subscribe(&filter, QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);

    broker.engine.revoke(Revocation::Credential(crate::gate::user(), second_key));
    assert_eq!(second.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    assert_eq!(plain.publish(&broker.topic("/a"), "x", QoS::AtLeastOnce).await, ReasonCode::SUCCESS);
}

#[tokio::test]
async fn a_new_secret_closes_the_connection_and_leaves_the_session() {
    let broker = Broker::start().await;
    let connect = Connect { session_expiry: 60, clean_start: false, ..broker.plant.connect(Version::V5, 0) };
    let mut client = broker.connect(connect.clone()).await;
    broker.engine.revoke(Revocation::ClientSecret(broker.plant.clients[0]));
    assert_eq!(client.closed().await, Some(ReasonCode::ADMINISTRATIVE_ACTION));
    let (_, connack) = Client::connect(broker.address, connect).await;
    assert!(connack.session_present);
}

#[tokio::test]
async fn a_client_that_is_gone_does_not_slip_in_with_an_earlier_answer() {
    let broker = Broker::start().await;
    for (number, revocation) in [
        Revocation::ClientGone(broker.plant.clients[0]),
        Revocation::ClientSecret(broker.plant.clients[1]),
        Revocation::Everything,
    ]
    .into_iter()
    .enumerate()
    {
        broker.gate.hold_logins();
        let connecting = Client::connect(broker.address, broker.plant.connect(Version::V5, number));
        let revoking = async {
            broker.gate.holding().await;
            broker.gate.disable(number);
            broker.engine.revoke(revocation);
            broker.gate.let_go();
        };
        let ((_client, connack), ()) = tokio::join!(connecting, revoking);
        assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED, "{revocation:?}");
    }
}
