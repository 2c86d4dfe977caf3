//! Prints what the MQTT codec costs per packet: PUBLISH with a topic of 82 bytes and a payload of 128 bytes.
//!
//! `cargo run --release -p trunkline-messaging --example codec_cost`
//!
//! Each row is the median of several rounds, single-threaded, everything in cache.

#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use messaging::wire::{
    Connect, Decoder, Delivery, MessageProperties, MessageProperty, Packet, PacketId, Publish, QoS, Text,
    Version, encode,
};

/// Packets per round, about as many as one read of 64 KiB brings.
const PACKETS: usize = 280;
const ROUNDS: usize = 2_000;
const LARGEST_PACKET: usize = 1 << 20;
const TOPIC: &str = "m/0192a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/c/0192a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/a/b1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("topic {} bytes, payload 128 bytes", TOPIC.len());
    for version in [Version::V311, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            decode_row(version, qos, &MessageProperties::default(), "")?;
        }
    }
    let properties = MessageProperties::new([
        MessageProperty::PayloadIsText(true),
        MessageProperty::ContentType("application/json"),
        MessageProperty::User("unit", "kelvin"),
    ]);
    decode_row(Version::V5, QoS::AtMostOnce, &properties, ", 3 properties")?;
    for version in [Version::V311, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            encode_rows(version, qos)?;
        }
    }
    Ok(())
}

/// A message as a client publishes it.
fn publish(qos: QoS, properties: &MessageProperties) -> Publish {
    Publish {
        qos,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        topic: Text::from(TOPIC),
        payload: Bytes::from(vec![b'x'; 128]),
        properties: properties.clone(),
        ..Publish::default()
    }
}

/// Decodes a read buffer full of PUBLISH, the way a connection does.
fn decode_row(
    version: Version,
    qos: QoS,
    properties: &MessageProperties,
    more: &str,
) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::of_client(LARGEST_PACKET);
    let mut connect = BytesMut::new();
    encode(&Packet::Connect(Box::new(Connect::new(version, "cost"))), version, &mut connect)?;
    decoder.decode(&mut connect.freeze())?;

    let mut read = BytesMut::new();
    let packet = Packet::Publish(publish(qos, properties));
    for _ in 0..PACKETS {
        encode(&packet, version, &mut read)?;
    }
    let read = read.freeze();
    let nanoseconds = median(|| {
        let mut input = read.clone();
        while let Ok(Some(packet)) = decoder.decode(&mut input) {
            black_box(&packet);
        }
    });
    row(&format!("decode PUBLISH {version:?} QoS {}{more}", qos.bits()), nanoseconds);
    Ok(())
}

/// Writes a message for many subscribers: each encoded on its own, and copied from one frame.
fn encode_rows(version: Version, qos: QoS) -> Result<(), Box<dyn Error>> {
    let publish = publish(qos, &MessageProperties::default());
    let delivery = Delivery {
        version,
        dup: false,
        qos,
        retain: false,
        topic: &[publish.topic.as_bytes()],
        payload: &publish.payload,
        topic_alias: None,
        message_expiry: None,
        subscription_ids: &[],
        properties: &publish.properties,
    };
    let mut out = BytesMut::with_capacity(LARGEST_PACKET);
    let encoded = median(|| {
        out.clear();
        for _ in 0..PACKETS {
            black_box(&delivery).append_to(publish.packet_id, &mut out).unwrap_or_default();
        }
        black_box(&out);
    });
    row(&format!("encode PUBLISH {version:?} QoS {}", qos.bits()), encoded);

    let made = median(|| {
        for _ in 0..PACKETS {
            black_box(black_box(&delivery).to_frame().ok());
        }
    });
    row(&format!("make frame     {version:?} QoS {}", qos.bits()), made);

    let frame = delivery.to_frame()?;
    let copied = median(|| {
        out.clear();
        for _ in 0..PACKETS {
            black_box(&frame).append_to(publish.packet_id, &mut out);
        }
        black_box(&out);
    });
    row(&format!("copy frame     {version:?} QoS {}", qos.bits()), copied);
    let mut vec = Vec::with_capacity(LARGEST_PACKET);
    let copied = median(|| {
        vec.clear();
        for _ in 0..PACKETS {
            black_box(&frame).append_to(publish.packet_id, &mut vec);
        }
        black_box(&vec);
    });
    row(&format!("copy to a Vec  {version:?} QoS {}", qos.bits()), copied);
    Ok(())
}

/// Nanoseconds per packet of the round in the middle.
fn median(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e9 / PACKETS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().unwrap_or_default()
}

fn row(what: &str, nanoseconds: f64) {
    println!("{what:<44} {nanoseconds:>7.1} ns");
}
