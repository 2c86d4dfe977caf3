//! What the specifications of MQTT 3.1.1 and 5.0 demand, chapter by chapter and often byte by byte.
//!
//! docs/mqtt-conformance.md says which test covers which numbered statement; `table.rs` keeps that true.
mod acknowledge;
mod connack;
mod connect;
mod data;
mod deliver;
mod disconnect;
mod flow;
mod framing;
mod hostile;
mod publish;
mod retain;
mod sessions;
mod shared;
mod states;
mod subscribe;
mod table;
mod topics;
mod unsubscribe;
mod websocket;
mod wills;

use messaging::wire::{
    Ack, Connect, Disconnect, Packet, Publish, QoS, ReasonCode, Subscribe, Subscription, SubscriptionOptions,
    Text, Version, encode,
};

use crate::Broker;
use crate::client::Client;

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A fixed header with the length that fits, and the body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A string with its length in front.
fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

/// A property section, or nothing in MQTT 3.
fn properties(version: Version, section: &[u8]) -> Vec<u8> {
    if version.is_v5() { [&[u8::try_from(section.len()).unwrap()], section].concat() } else { Vec::new() }
}

/// What a packet is in bytes.
fn bytes_of(packet: &Packet, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes).unwrap();
    bytes
}

/// Sends bytes over a connection that has got its CONNACK: the server closes it, and in MQTT 5 says why.
async fn breach(broker: &Broker, version: Version, bytes: &[u8], reason: ReasonCode) {
    let mut client = broker.client(version, 3).await;
    client.send_bytes(bytes).await;
    let told = version.is_v5().then_some(reason);
    assert_eq!(client.closed().await, told, "{version:?} {bytes:02x?}");
}

/// Sends the first bytes of a connection: the server closes it; what it said before that.
async fn turned_away(broker: &Broker, version: Version, bytes: &[u8]) -> Option<ReasonCode> {
    let mut client = Client::open(broker.address, version).await;
    client.send_bytes(bytes).await;
    let said = match client.next().await {
        None => return None,
        Some(Packet::ConnAck(connack)) => {
            assert!(!connack.session_present, "no session in a refusal");
            connack.reason
        }
        Some(other) => panic!("{other:?} in answer to {bytes:02x?}"),
    };
    assert!(client.next().await.is_none(), "nothing follows a refusal");
    Some(said)
}

/// A CONNECT whose session outlives its connection.
fn lasting(broker: &Broker, version: Version, number: usize) -> Connect {
    Connect { clean_start: false, session_expiry: 60, ..broker.plant.connect(version, number) }
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

/// A SUBSCRIBE with several filters, and the reasons of its SUBACK.
async fn subscribe_all(client: &mut Client, filters: &[(&str, SubscriptionOptions)]) -> Vec<ReasonCode> {
    let packet_id = client.packet_id();
    let filters = filters
        .iter()
        .map(|(filter, options)| Subscription { filter: Text::from(*filter), options: *options })
        .collect();
    let subscribe = Subscribe { packet_id, subscription_id: None, user_properties: Vec::new(), filters };
    client.send(Packet::Subscribe(subscribe)).await;
    match client.receive().await {
        Packet::SubAck(suback) => {
            assert_eq!(suback.packet_id, packet_id);
            suback.reasons
        }
        other => panic!("expected a SUBACK: {other:?}"),
    }
}

/// Publishes a message that is to be kept.
async fn keep(publisher: &mut Client, topic: &str, payload: &str, qos: QoS) {
    let publish = Publish { retain: true, ..publisher.message(topic, payload, qos) };
    publisher.publish_message(publish).await;
}

/// Says goodbye and waits until the server has seen it.
async fn leave(broker: &Broker, client: Client) {
    let disconnects = crate::becomes(
        "the end of the connection",
        &broker.engine.stats().mqtt.connections,
        broker.engine.stats().mqtt.connections.load(std::sync::atomic::Ordering::SeqCst) - 1,
    );
    let mut client = client;
    client.send(Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS))).await;
    disconnects.await;
}

/// The next messages, each acknowledged at once all the way, however many are on their way together.
async fn take_all(client: &mut Client, count: usize) -> Vec<Publish> {
    let mut messages = Vec::new();
    let mut unreleased = 0;
    while messages.len() < count || unreleased > 0 {
        match client.receive().await {
            Packet::Publish(publish) => {
                match (publish.qos, publish.packet_id) {
                    (QoS::AtLeastOnce, Some(id)) => client.send(Packet::PubAck(Ack::new(id))).await,
                    (QoS::ExactlyOnce, Some(id)) => {
                        client.send(Packet::PubRec(Ack::new(id))).await;
                        unreleased += 1;
                    }
                    _ => {}
                }
                messages.push(publish);
            }
            Packet::PubRel(ack) => {
                client.send(Packet::PubComp(Ack::new(ack.packet_id))).await;
                unreleased -= 1;
            }
            other => panic!("expected a message: {other:?}"),
        }
    }
    messages
}
