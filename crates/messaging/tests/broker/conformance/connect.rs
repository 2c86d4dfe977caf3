//! Chapter 3.1: CONNECT, what it must contain and what it does.

use kernel::Secret;
use messaging::wire::{Connect, Packet, QoS, ReasonCode, Text, Version};

use super::{BOTH, bytes_of, lasting, leave, packet, properties, string, turned_away};
use crate::Broker;
use crate::client::{Client, text};

/// A CONNECT with these flags and payload fields; everything else is as it should be.
fn connect(version: Version, flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let level = if version.is_v5() { 5 } else { 4 };
    let head = [&string("MQTT")[..], &[level, flags, 0, 0], &properties(version, b"")].concat();
    packet(0x10, &[head, fields.concat()].concat())
}

#[tokio::test]
async fn another_protocol_is_told_that_it_is_not_spoken_here() {
    let broker = Broker::start().await;
    for (name, level) in [
        ("MQTX", 4),
        ("mqtt", 5),
        ("", 4),
        ("MQTT", 0),
        ("MQTT", 3),
        ("MQTT", 6),
        ("MQTT", 0x84),
        ("MQIsdp", 4),
    ] {
        let bytes = packet(0x10, &[&string(name)[..], &[level, 2, 0, 0], &string("id")].concat());
        // Return code 1 of MQTT 3.1.1: the version that the client speaks is not known.
        let told = turned_away(&broker, Version::V311, &bytes).await;
        assert_eq!(told, Some(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION), "{name} {level}");
    }
}

#[tokio::test]
async fn a_connect_with_flags_that_contradict_each_other_is_refused() {
    let broker = Broker::start().await;
    for version in BOTH {
        let told = version.is_v5().then_some(ReasonCode::MALFORMED_PACKET);
        // The reserved flag; will QoS or will retain without a will; will QoS 3.
        for flags in [0x03, 0x0a, 0x12, 0x22, 0x1e] {
            let will = [&properties(version, b"")[..], &string("w"), &string("bye")].concat();
            let fields: &[&[u8]] = if flags == 0x1e { &[b"\0\x01i", &will] } else { &[b"\0\x01i"] };
            assert_eq!(
                turned_away(&broker, version, &connect(version, flags, fields)).await,
                told,
                "{flags:02x}"
            );
        }
    }
    // Only MQTT 5 has passwords without user names.
    let password = connect(Version::V311, 0x42, &[b"\0\x01i", b"\0\x01p"]);
    assert_eq!(turned_away(&broker, Version::V311, &password).await, None);
}

#[tokio::test]
async fn a_field_is_there_exactly_when_its_flag_says_so() {
    let broker = Broker::start().await;
    for version in BOTH {
        let told = version.is_v5().then_some(ReasonCode::MALFORMED_PACKET);
        let none = properties(version, b"");
        let will = [&none[..], &string("w"), &string("bye")].concat();
        let (id, user, password) = (string("i"), string("u"), string("p"));
        for (flags, fields) in [
            // Nothing at all, not even a client identifier.
            (0x02, vec![]),
            (0x06, vec![&id]),
            (0x06, vec![&id, &none]),
            (0x82, vec![&id]),
            (0xc2, vec![&id, &user]),
            // One field more than announced.
            (0x02, vec![&id, &user]),
            (0x02, vec![&id, &will]),
            (0x82, vec![&id, &user, &password]),
        ] {
            let fields: Vec<&[u8]> = fields.into_iter().map(Vec::as_slice).collect();
            let bytes = connect(version, flags, &fields);
            assert_eq!(turned_away(&broker, version, &bytes).await, told, "{flags:02x} {fields:02x?}");
        }
    }
}

#[tokio::test]
async fn the_fields_of_connect_come_in_their_order() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut watcher = broker.client(Version::V5, 1).await;
        watcher.subscribe(&broker.topic("/w"), QoS::AtLeastOnce).await;
        let user = string(broker.plant.clients[0].to_string());
        let will = [&properties(version, b"")[..], &string(broker.topic("/w")), &string("bye")].concat();
        let bytes = connect(version, 0xce, &[&string("i"), &will, &user, &string("secret")]);
        let mut client = Client::open(broker.address, version).await;
        client.send_bytes(&bytes).await;
        assert!(matches!(client.receive().await, Packet::ConnAck(connack) if !connack.reason.is_failure()));
        drop(client);
        assert_eq!(text(&watcher.take().await), "bye");
        // User name and password the other way round are others.
        let swapped = connect(version, 0xc2, &[&string("i"), &string("secret"), &user]);
        assert_eq!(
            turned_away(&broker, version, &swapped).await,
            Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD)
        );
    }
}

#[tokio::test]
async fn client_identifiers_of_one_to_many_characters_are_accepted() {
    let broker = Broker::start().await;
    let letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let long = "x".repeat(200);
    let ids = [&letters[..1], &letters[..23], &letters[23..46], &letters[46..], letters, &long, "größe/#+ $"];
    for version in BOTH {
        for id in ids {
            let connect = Connect { client_id: Text::from(id), ..broker.plant.connect(version, 0) };
            let mut client = broker.connect(connect).await;
            client.has_nothing().await;
        }
    }
}

#[tokio::test]
async fn an_assigned_identifier_is_unique_and_as_good_as_one_that_was_given() {
    let broker = Broker::start().await;
    let nameless = Connect { client_id: Text::default(), ..lasting(&broker, Version::V5, 0) };
    let (mut first, connack) = Client::connect(broker.address, nameless.clone()).await;
    let assigned = connack.assigned_client_id.unwrap();
    let (_second, other) = Client::connect(broker.address, nameless.clone()).await;
    assert_ne!(other.assigned_client_id.unwrap(), assigned);
    first.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    drop(first);
    let named = Connect { client_id: assigned, ..nameless };
    let (_back, connack) = Client::connect(broker.address, named).await;
    assert!(connack.session_present);
    assert_eq!(connack.assigned_client_id, None);
}

#[tokio::test]
async fn clean_start_decides_between_the_old_session_and_a_new_one() {
    let broker = Broker::start().await;
    for version in BOTH {
        let clean = |clean_start| Connect { clean_start, ..lasting(&broker, version, 0) };
        // Whether it begins anew, and whether the server then says that it had a session.
        for (clean_start, present) in [(true, false), (false, version.is_v5()), (false, true), (true, false)]
        {
            let (mut client, connack) = Client::connect(broker.address, clean(clean_start)).await;
            assert_eq!(connack.session_present, present, "{version:?} clean {clean_start}");
            assert_eq!(connack.reason, ReasonCode::SUCCESS);
            if present {
                client.publish(&broker.topic("/kept"), "x", QoS::AtLeastOnce).await;
            }
            client.has_nothing().await;
            leave(&broker, client).await;
        }
    }
}

/// What was subscribed in a session is there again, and is gone after a clean start.
#[tokio::test]
async fn a_resumed_session_has_its_subscriptions_and_a_clean_one_has_none() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        client.subscribe(&broker.topic("/kept"), QoS::AtLeastOnce).await;
        leave(&broker, client).await;
        let mut client = broker.connect(lasting(&broker, version, 0)).await;
        let kept = client.message(&broker.topic("/kept"), "x", QoS::AtMostOnce);
        client.send(Packet::Publish(kept.clone())).await;
        assert_eq!(text(&client.take().await), "x");
        leave(&broker, client).await;
        let mut client = broker.connect(Connect { clean_start: true, ..lasting(&broker, version, 0) }).await;
        client.send(Packet::Publish(kept)).await;
        client.has_nothing().await;
        leave(&broker, client).await;
        broker.client(version, 0).await.has_nothing().await;
    }
}

#[tokio::test]
async fn what_follows_a_refused_connect_is_not_carried_out() {
    let broker = Broker::start().await;
    let mut witness = broker.client(Version::V5, 1).await;
    witness.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for version in BOTH {
        let mut client = Client::open(broker.address, version).await;
        let wrong =
            Connect { password: Some(Secret::new(b"wrong".to_vec())), ..broker.plant.connect(version, 0) };
        let publish = client.message(&broker.topic("/x"), "x", QoS::AtMostOnce);
        let bytes = [
            bytes_of(&Packet::Connect(Box::new(wrong)), version),
            bytes_of(&Packet::Publish(publish), version),
        ];
        let told = turned_away(&broker, version, &bytes.concat()).await;
        assert_eq!(told, Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD));
    }
    witness.has_nothing().await;
}

#[tokio::test]
async fn an_authentication_method_is_refused_and_no_auth_is_ever_sent() {
    let broker = Broker::start().await;
    let with_method = Connect {
        authentication_method: Some(Text::from("SCRAM-SHA-256")),
        ..broker.plant.connect(Version::V5, 0)
    };
    let bytes = bytes_of(&Packet::Connect(Box::new(with_method)), Version::V5);
    let told = turned_away(&broker, Version::V5, &bytes).await;
    assert_eq!(told, Some(ReasonCode::BAD_AUTHENTICATION_METHOD));
    let (_client, connack) = Client::connect(broker.address, broker.plant.connect(Version::V5, 0)).await;
    assert_eq!(connack.authentication_method, None);
    // Data of a method without the method.
    let data = [&b"\x16"[..], &string("d")].concat();
    let body = [&string("MQTT")[..], b"\x05\x02\0\0", &properties(Version::V5, &data), &string("i")].concat();
    let told = turned_away(&broker, Version::V5, &packet(0x10, &body)).await;
    assert_eq!(told, Some(ReasonCode::PROTOCOL_ERROR));
}

#[tokio::test]
async fn numbers_of_connect_that_may_not_be_zero_are_refused_when_they_are() {
    let broker = Broker::start().await;
    for (section, reason) in [
        (&b"\x21\0\0"[..], ReasonCode::PROTOCOL_ERROR),
        (b"\x27\0\0\0\0", ReasonCode::PROTOCOL_ERROR),
        (b"\x17\x02", ReasonCode::PROTOCOL_ERROR),
        (b"\x19\x02", ReasonCode::PROTOCOL_ERROR),
    ] {
        let section = properties(Version::V5, section);
        let body = [&string("MQTT")[..], b"\x05\x02\0\0", &section, &string("i")].concat();
        assert_eq!(
            turned_away(&broker, Version::V5, &packet(0x10, &body)).await,
            Some(reason),
            "{section:02x?}"
        );
    }
}
