//! Chapter 3.2: CONNACK.

use std::num::{NonZeroU16, NonZeroU32};

use kernel::Secret;
use messaging::wire::{Connect, Diagnostics, Packet, QoS, ReasonCode, Text, Version};

use super::{BOTH, bytes_of, lasting, leave, turned_away};
use crate::Broker;
use crate::client::{Client, text};

/// What clients of both versions are told: the reason of MQTT 5 and what MQTT 3.1.1 can say.
#[tokio::test]
async fn a_refusal_has_a_reason_and_closes_the_connection() {
    let broker = Broker::start().await;
    broker.gate.disable(2);
    for version in BOTH {
        let good = broker.plant.connect(version, 0);
        for (connect, reason) in [
            (
                Connect { password: Some(Secret::new(b"wrong".to_vec())), ..good.clone() },
                ReasonCode::BAD_USER_NAME_OR_PASSWORD,
            ),
            (
                Connect { user_name: Some(Text::from("nobody")), ..good.clone() },
                ReasonCode::BAD_USER_NAME_OR_PASSWORD,
            ),
            (broker.plant.connect(version, 2), ReasonCode::NOT_AUTHORIZED),
        ] {
            let bytes = bytes_of(&Packet::Connect(Box::new(connect)), version);
            assert_eq!(turned_away(&broker, version, &bytes).await, Some(reason), "{version:?}");
        }
    }
    broker.gate.fail();
    for version in BOTH {
        let bytes = bytes_of(&Packet::Connect(Box::new(broker.plant.connect(version, 0))), version);
        assert_eq!(turned_away(&broker, version, &bytes).await, Some(ReasonCode::SERVER_UNAVAILABLE));
    }
}

#[tokio::test]
async fn the_first_packet_of_the_server_is_its_only_connack() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    for version in BOTH {
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
        leave(&broker, client).await;
        publisher.publish(&broker.topic("/x"), "waits", QoS::AtLeastOnce).await;
        // The CONNECT comes with a packet whose answer must not overtake the CONNACK either.
        let mut client = Client::open(broker.address, version).await;
        let connect = Packet::Connect(Box::new(lasting(&broker, version, 0)));
        client.send_bytes(&[&bytes_of(&connect, version)[..], b"\xc0\0"].concat()).await;
        assert!(matches!(client.receive().await, Packet::ConnAck(connack) if connack.session_present));
        assert_eq!(text(&client.take().await), "waits");
        assert_eq!(client.receive().await, Packet::PingResp);
        client.has_nothing().await;
        drop(client);
        broker.client(version, 0).await;
    }
}

#[tokio::test]
async fn the_connack_says_what_the_server_is_able_to_do() {
    let broker = Broker::with(|limits| {
        limits.packet_bytes = 12_345;
        limits.topic_aliases = 7;
        limits.receive_maximum = NonZeroU16::new(9).unwrap();
        limits.session_expiry = 100;
        limits.keep_alive = 60;
    })
    .await;
    let connect = Connect {
        session_expiry: 101,
        keep_alive: 61,
        request_response_information: true,
        ..broker.plant.connect(Version::V5, 0)
    };
    let (_client, connack) = Client::connect(broker.address, connect).await;
    assert_eq!(connack.maximum_packet_size, NonZeroU32::new(12_345));
    assert_eq!(connack.topic_alias_maximum, 7);
    assert_eq!(connack.receive_maximum.get(), 9);
    assert_eq!(connack.session_expiry, Some(100));
    assert_eq!(connack.server_keep_alive, Some(60));
    // Everything that has a default of its own is left at it.
    assert_eq!(connack.maximum_qos, QoS::ExactlyOnce);
    assert!(connack.retain_available && connack.wildcard_subscription_available);
    assert!(connack.subscription_ids_available && connack.shared_subscription_available);
    assert_eq!((connack.assigned_client_id, connack.response_information), (None, None));
    assert_eq!((connack.server_reference, connack.diagnostics.is_empty()), (None, true));

    // What the client asked for and gets is not repeated.
    let connect = Connect { session_expiry: 100, keep_alive: 60, ..broker.plant.connect(Version::V5, 1) };
    let (_client, connack) = Client::connect(broker.address, connect).await;
    assert_eq!((connack.session_expiry, connack.server_keep_alive), (None, None));
    // No keep alive is a longer one than the longest.
    let (_client, connack) = Client::connect(broker.address, broker.plant.connect(Version::V5, 1)).await;
    assert_eq!(connack.server_keep_alive, Some(60));
}

#[tokio::test]
async fn response_information_is_given_to_nobody() {
    let broker = Broker::start().await;
    for request_response_information in [false, true] {
        let connect = Connect { request_response_information, ..broker.plant.connect(Version::V5, 0) };
        let (_client, connack) = Client::connect(broker.address, connect).await;
        assert_eq!(connack.response_information, None);
    }
}

/// A client that wants no problem information gets none, on no packet, whatever goes wrong.
#[tokio::test]
async fn reason_strings_are_not_sent_to_a_client_that_wants_none() {
    let broker = Broker::start().await;
    let connect = Connect { request_problem_information: false, ..broker.plant.connect(Version::V5, 0) };
    let (mut client, connack) = Client::connect(broker.address, connect).await;
    assert!(connack.diagnostics.is_empty());
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let refused = client.message("nowhere", "x", qos);
        client.send(Packet::Publish(refused)).await;
        match client.receive().await {
            Packet::PubAck(ack) | Packet::PubRec(ack) => {
                assert!(ack.reason.is_failure() && ack.diagnostics.is_none());
            }
            other => panic!("{other:?}"),
        }
    }
    client.send_bytes(b"\x82\x0a\0\x01\0\0\x04nope\0").await;
    assert!(matches!(client.receive().await, Packet::SubAck(suback) if suback.diagnostics.is_empty()));
    client.send_bytes(b"\xa2\x09\0\x01\0\0\x04nope").await;
    assert!(matches!(client.receive().await, Packet::UnsubAck(unsuback) if unsuback.diagnostics.is_empty()));
    client.send_bytes(b"\x62\x02\0\x09").await;
    assert!(matches!(client.receive().await, Packet::PubComp(ack) if ack.diagnostics.is_none()));
}

#[tokio::test]
async fn mqtt_3_1_has_no_session_present_flag() {
    let broker = Broker::start().await;
    for _ in 0..2 {
        let (client, connack) = Client::connect(broker.address, lasting(&broker, Version::V31, 0)).await;
        assert!(!connack.session_present);
        leave(&broker, client).await;
    }
}

/// Every refusal and every end says in words what is wrong, to a client that wants them and has room for them.
#[tokio::test]
async fn refusals_and_ends_are_explained_to_a_client_that_has_room_for_words() {
    let broker = Broker::start().await;
    let said = |diagnostics: &Diagnostics| diagnostics.reason_string.as_ref().map(ToString::to_string);
    for (size, explains) in [(None, true), (NonZeroU32::new(40), false)] {
        let connect = Connect { maximum_packet_size: size, ..broker.plant.connect(Version::V5, 0) };
        let wrong = Connect { password: Some(Secret::new(b"wrong".to_vec())), ..connect.clone() };
        let (_, connack) = Client::connect(broker.address, wrong).await;
        assert_eq!(connack.reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
        assert_eq!(said(&connack.diagnostics).is_some(), explains);
        let (mut client, connack) = Client::connect(broker.address, connect).await;
        assert_eq!(connack.reason, ReasonCode::SUCCESS);
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let refused = client.message("nowhere", "x", qos);
            client.send(Packet::Publish(refused)).await;
            match client.receive().await {
                Packet::PubAck(ack) | Packet::PubRec(ack) => {
                    assert_eq!(ack.reason, ReasonCode::TOPIC_NAME_INVALID);
                    let words = ack.diagnostics.and_then(|diagnostics| said(&diagnostics));
                    assert_eq!(words.is_some_and(|words| words.contains("m/<domain>/c/<channel>")), explains);
                }
                other => panic!("{other:?}"),
            }
        }
        client.send_bytes(b"\x82\x0a\0\x01\0\0\x04nope\0").await;
        match client.receive().await {
            Packet::SubAck(suback) => assert_eq!(said(&suback.diagnostics).is_some(), explains),
            other => panic!("{other:?}"),
        }
        client.send_bytes(b"\xc1\0").await;
        match client.receive().await {
            Packet::Disconnect(disconnect) => {
                assert_eq!(disconnect.reason, ReasonCode::MALFORMED_PACKET);
                let words = said(&disconnect.diagnostics);
                assert_eq!(words.is_some_and(|words| words.contains("[MQTT-2.1.3-1]")), explains);
            }
            other => panic!("{other:?}"),
        }
    }
}
