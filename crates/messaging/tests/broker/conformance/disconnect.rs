//! Chapters 3.12 to 3.14 and 4.13: PINGREQ, DISCONNECT and the end of connections.

use std::sync::atomic::Ordering::SeqCst;

use messaging::wire::{Connect, Disconnect, Packet, QoS, ReasonCode, Version};

use super::{BOTH, lasting, leave};
use crate::client::{Client, text};
use crate::{Broker, becomes, soon};

#[tokio::test]
async fn every_pingreq_has_its_pingresp() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        client.send_bytes(&b"\xc0\0".repeat(100)).await;
        for _ in 0..100 {
            assert_eq!(client.receive().await, Packet::PingResp);
        }
    }
}

#[tokio::test]
async fn the_server_closes_after_a_disconnect_and_says_nothing_more() {
    let broker = Broker::start().await;
    for version in BOTH {
        let client = broker.client(version, 0).await;
        client.disconnect(ReasonCode::SUCCESS).await;
    }
    becomes("the end of both", &broker.engine.stats().mqtt.connections, 0).await;
}

#[tokio::test]
async fn a_disconnect_may_shorten_and_lengthen_a_session_that_lasts() {
    let broker = Broker::with(|limits| limits.session_expiry = 1_000).await;
    let ends = |seconds| Disconnect { session_expiry: Some(seconds), ..Disconnect::new(ReasonCode::SUCCESS) };
    for (seconds, kept) in [(0, false), (1, true), (900, true), (u32::MAX, true)] {
        let mut client = broker.connect(lasting(&broker, Version::V5, 0)).await;
        client.send(Packet::Disconnect(ends(seconds))).await;
        assert_eq!(client.closed().await, None);
        becomes("the end", &broker.engine.stats().mqtt.connections, 0).await;
        let (client, connack) = Client::connect(broker.address, lasting(&broker, Version::V5, 0)).await;
        assert_eq!(connack.session_present, kept, "{seconds}");
        leave(&broker, client).await;
        leave(&broker, broker.client(Version::V5, 0).await).await;
    }
}

/// The DISCONNECT of a server is its last packet, also for a client that is slow to take it.
#[tokio::test]
async fn nothing_follows_the_disconnect_of_the_server() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(Version::V5, 1).await;
    for round in 0..30 {
        let mut client = broker.client(Version::V5, 0).await;
        client.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
        // A flow of messages to a client that breaks a rule in the middle of it.
        let flow = async {
            for _ in 0..40 {
                publisher.publish(&broker.topic("/x"), "x", QoS::AtLeastOnce).await;
            }
        };
        let breaking = async {
            for _ in 0..round {
                client.delivery().await;
            }
            client.send_bytes(b"\xc1\0").await;
            let mut said = None;
            while let Some(packet) = client.next().await {
                assert_eq!(said, None, "{packet:?} after a DISCONNECT");
                if let Packet::Disconnect(disconnect) = packet {
                    said = Some(disconnect.reason);
                }
            }
            said
        };
        let ((), said) = soon("the end", async { tokio::join!(flow, breaking) }).await;
        assert_eq!(said, Some(ReasonCode::MALFORMED_PACKET));
    }
}

#[tokio::test]
async fn a_server_that_shuts_down_says_so_without_a_session_expiry() {
    let broker = Broker::start().await;
    let mut client = broker.client(Version::V5, 0).await;
    let mut old = broker.client(Version::V311, 1).await;
    broker.engine.shutdown().await;
    match client.receive().await {
        Packet::Disconnect(disconnect) => {
            assert_eq!(disconnect.reason, ReasonCode::SERVER_SHUTTING_DOWN);
            assert_eq!((disconnect.session_expiry, disconnect.server_reference), (None, None));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.closed().await, None);
    assert_eq!(old.closed().await, None);
}

#[tokio::test]
async fn a_takeover_tells_the_first_connection_in_the_words_of_its_version() {
    let broker = Broker::start().await;
    for version in BOTH {
        for clean_start in [false, true] {
            let connect = Connect { clean_start, ..lasting(&broker, version, 0) };
            let mut first = broker.connect(connect.clone()).await;
            let mut second = broker.connect(connect).await;
            let told = version.is_v5().then_some(ReasonCode::SESSION_TAKEN_OVER);
            assert_eq!(first.closed().await, told);
            second.has_nothing().await;
            leave(&broker, second).await;
        }
    }
    assert_eq!(broker.engine.stats().mqtt.connections.load(SeqCst), 0);
}

/// Connections that lose their session the moment they get it: whatever they are told, CONNACK comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connack_comes_before_a_disconnect_however_soon_a_session_is_taken_over() {
    let broker = Broker::start().await;
    for _ in 0..20 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let connect = lasting(&broker, Version::V5, 0);
            let address = broker.address;
            tasks.spawn(async move {
                let mut client = Client::open(address, Version::V5).await;
                client.send(Packet::Connect(Box::new(connect))).await;
                match client.next().await {
                    None | Some(Packet::ConnAck(_)) => client,
                    Some(other) => panic!("{other:?} before a CONNACK"),
                }
            });
        }
        drop(tasks.join_all().await);
    }
}

/// A breach by one is nothing to another, nor to the messages that were sent before it.
#[tokio::test]
async fn a_breach_closes_its_own_connection_and_no_other() {
    let broker = Broker::start().await;
    let mut bystander = broker.client(Version::V5, 1).await;
    bystander.subscribe(&broker.topic("/#"), QoS::AtLeastOnce).await;
    for version in BOTH {
        let mut client = broker.client(version, 0).await;
        let publish = client.message(&broker.topic("/x"), "before", QoS::AtLeastOnce);
        let bytes = super::bytes_of(&Packet::Publish(publish), version);
        client.send_bytes(&[&bytes[..], b"\xf1\0"].concat()).await;
        assert!(matches!(client.receive().await, Packet::PubAck(_)));
        assert_eq!(client.closed().await.is_some(), version.is_v5());
        assert_eq!(text(&bystander.take().await), "before");
        bystander.has_nothing().await;
    }
}

/// Nobody can say whether the message may go there: MQTT 3 has no words for that, MQTT 5 has.
#[tokio::test]
async fn a_passing_trouble_closes_a_connection_of_mqtt_3() {
    let broker = Broker::start().await;
    let mut new = broker.client(Version::V5, 0).await;
    let mut old = broker.client(Version::V311, 1).await;
    broker.gate.fail();
    let reason = new.publish(&broker.topic("/x"), "x", QoS::AtLeastOnce).await;
    assert_eq!(reason, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
    new.has_nothing().await;
    let publish = old.message(&broker.topic("/x"), "x", QoS::AtLeastOnce);
    old.send(Packet::Publish(publish)).await;
    assert_eq!(old.closed().await, None, "without an acknowledgement");
}
