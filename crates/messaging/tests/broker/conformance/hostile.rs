//! Damaged packets over sockets: whatever one connection sends, it is answered by the rules or closed, and nobody else
//! notices.

use std::sync::atomic::Ordering::SeqCst;

use messaging::wire::{Packet, QoS, ReasonCode, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{bytes_of, packet, properties, string};
use crate::client::Client;
use crate::{Broker, becomes, soon};

/// One change to a byte stream; positions wrap around.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<usize>().prop_map(Damage::Remove),
        (any::<usize>(), 1..20_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

fn apply(damage: &Damage, stream: &mut Vec<u8>) {
    let place = |at: usize| at % stream.len().max(1);
    match *damage {
        Damage::Insert(at, byte) => stream.insert(place(at), byte),
        _ if stream.is_empty() => {}
        Damage::Set(at, byte) => {
            let at = place(at);
            stream[at] = byte;
        }
        Damage::Flip(at, bit) => {
            let at = place(at);
            stream[at] ^= 1 << bit;
        }
        Damage::Remove(at) => drop(stream.remove(place(at))),
        Damage::Repeat(at, length) => {
            let at = place(at);
            let piece = stream[at..].iter().take(length).copied().collect::<Vec<_>>();
            stream.splice(at..at, piece);
        }
    }
}

/// The packets of a lively connection, CONNECT first.
fn conversation(broker: &Broker, version: Version) -> Vec<Vec<u8>> {
    let none = properties(version, b"");
    let topic = string(broker.topic("/hostile"));
    let filter = string(broker.topic("/#"));
    let message = |first: u8, id: &[u8]| packet(first, &[&topic[..], id, &none, b"payload"].concat());
    vec![
        bytes_of(&Packet::Connect(Box::new(broker.plant.connect(version, 0))), version),
        packet(0x82, &[&b"\0\x01"[..], &none, &filter, b"\x02"].concat()),
        message(0x30, b""),
        message(0x33, b"\0\x02"),
        message(0x34, b"\0\x03"),
        packet(0x62, b"\0\x03"),
        packet(0x40, b"\0\x01"),
        packet(0x50, b"\0\x02"),
        packet(0x70, b"\0\x02"),
        packet(0xC0, b""),
        packet(0xA2, &[&b"\0\x04"[..], &none, &filter].concat()),
        packet(0xE0, b""),
    ]
}

/// Sends a stream and reads whatever comes until the server closes.
async fn say(broker: &Broker, bytes: &[u8]) {
    let mut stream = TcpStream::connect(broker.address).await.unwrap();
    // The server may close at any byte.
    let _written = stream.write_all(bytes).await;
    let _half_closed = stream.shutdown().await;
    let mut answers = Vec::new();
    let _read = soon("the end of the connection", stream.read_to_end(&mut answers)).await;
}

/// The bystander is there and in working order; it may have got messages of the hostile one.
async fn is_well(bystander: &mut Client) {
    bystander.send(Packet::PingReq).await;
    while bystander.receive().await != Packet::PingResp {}
}

#[test]
fn damaged_streams_harm_nobody_and_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (broker, bystander) = runtime.block_on(async {
        let broker = Broker::start().await;
        let mut bystander = broker.client(Version::V5, 1).await;
        bystander.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
        (broker, bystander)
    });
    let bystander = tokio::sync::Mutex::new(bystander);
    let conversations =
        [Version::V31, Version::V311, Version::V5].map(|version| conversation(&broker, version));
    // Which version, which packets after the CONNECT, and the damage to CONNECT and to the rest.
    let hostile = (0..conversations.len(), vec(1..12_usize, 0..12), vec(damage(), 0..2), vec(damage(), 0..6));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(300) });
    let outcome = runner.run(&hostile, |(version, packets, to_connect, to_rest)| {
        let conversation = &conversations[version];
        let mut connect = conversation[0].clone();
        let mut rest: Vec<u8> = packets.iter().flat_map(|at| conversation[*at].clone()).collect();
        to_connect.iter().for_each(|damage| apply(damage, &mut connect));
        to_rest.iter().for_each(|damage| apply(damage, &mut rest));
        runtime.block_on(async {
            say(&broker, &[connect, rest].concat()).await;
            is_well(&mut *bystander.lock().await).await;
        });
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        let stats = broker.engine.stats();
        becomes("the end of all others", &stats.mqtt.connections, 1).await;
        // Sessions that are not clean may be left: a damaged flag asks for that. They end with their names.
        bystander.into_inner().disconnect(ReasonCode::SUCCESS).await;
        becomes("the end of the bystander", &stats.mqtt.connections, 0).await;
        assert!(stats.violations.load(SeqCst) > 0, "something was damaged");
    });
}
