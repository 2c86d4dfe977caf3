//! What a NATS outside is told, and that nothing depends on it (references 05 §10 and §11, 01 §9).

use serde_json::{Value, json};
use testkit::mosquitto::{self, Version};
use testkit::nats::{Nats, Reader};
use testkit::process::{Process, Stream};
use testkit::{Launch, Storage, coap};

use crate::platform::{Platform, text};
use crate::probe::{Library, Probe};

fn platform(nats: &Nats, storage: Storage) -> Platform {
    Platform::start_as(Launch::on(storage).env("TRUNKLINE_NATS_URL", &nats.url()))
}

/// The next event of a subject.
#[track_caller]
fn event(reader: &mut Reader, subject: &str) -> Value {
    loop {
        let (found, payload) = reader.message();
        if found == subject {
            return serde_json::from_slice(&payload).unwrap();
        }
    }
}

#[test]
fn messages_and_events_reach_programs_that_read_nats() {
    for storage in Storage::ALL {
        let nats = Nats::start();
        let (mut events, mut messages) = (nats.read("events.>"), nats.read("m.>"));
        let platform = platform(&nats, storage);
        let channel = platform.channel("boiler");
        let created = event(&mut events, "events.magistrala.channel.create");
        assert_eq!(text(&created, "id"), channel);
        let device = platform.connected_device("device", &channel);

        let login = platform.login(&device, Version::V5);
        let topic = platform.topic(&channel, "/room/temperature");
        let outcome = mosquitto::publish(&login, &topic, 1, "21.5", &["-i", "thermometer"]);
        assert_eq!(outcome.code, 0, "{}", outcome.log);

        let connected = event(&mut events, "events.magistrala.mqtt.client_connect");
        assert_eq!(text(&connected, "client_id"), device.id);
        assert_eq!(text(&connected, "subscriber_id"), "thermometer");
        let published = event(&mut events, "events.magistrala.publish");
        assert_eq!(text(&published, "subtopic"), "room.temperature");
        event(&mut events, "events.magistrala.mqtt.client_disconnect");

        let (subject, body) = messages.message();
        assert_eq!(subject, format!("m.{}.c.{channel}.room.temperature", platform.domain));
        let body = String::from_utf8_lossy(&body).into_owned();
        for part in ["21.5", "mqtt", "thermometer", &device.id, &channel, &platform.domain] {
            assert!(body.contains(part), "{part} in {body:?}");
        }
        assert!(!body.contains(&device.secret));
    }
}

#[test]
fn without_its_nats_the_platform_works_and_events_are_told_afterwards() {
    let mut nats = Nats::start();
    nats.kill();
    let platform = platform(&nats, Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("device", &channel);
    let mut witness = Probe::connect(Library::Paho, &platform.login(&device, Version::V5), &[]);
    witness.subscribe(1, &platform.topic(&channel, "/#"));
    witness.publish(1, &platform.topic(&channel, "/x"), "while away");
    witness.message("while away");

    nats.restart();
    // Whoever comes later finds in the stream what was told before.
    let mut events = nats.read("events.>");
    platform.made("/{domain}/clients", &json!({ "name": "late" }));
    let late = event(&mut events, "events.magistrala.client.create");
    if text(&late, "name") != "late" {
        // The first one was still on its way when this reader came.
        assert_eq!(text(&event(&mut events, "events.magistrala.client.create"), "name"), "late");
    }
    let mut early = nats.read("m.>");
    witness.publish(1, &platform.topic(&channel, "/x"), "when back");
    while !String::from_utf8_lossy(&early.message().1).contains("when back") {}
}

/// The next message that has this payload: field 6 of `messaging.Message` follows field 5, the protocol.
#[track_caller]
fn came_by(messages: &mut Reader, protocol: &str, payload: &str) {
    let field = |number: u8, text: &str| {
        let mut field = vec![number << 3 | 2, u8::try_from(text.len()).unwrap()];
        field.extend_from_slice(text.as_bytes());
        field
    };
    let wanted = [field(5, protocol), field(6, payload)].concat();
    let is_in = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|window| window == part);
    loop {
        let (_, body) = messages.message();
        if is_in(&body, payload.as_bytes()) {
            assert!(is_in(&body, &wanted), "{payload} did not come by {protocol}: {body:?}");
            return;
        }
    }
}

#[test]
fn each_protocol_stands_in_the_envelope_and_names_its_subscriptions() {
    let nats = Nats::start();
    let platform = platform(&nats, Storage::Sqlite);
    let (mut events, mut messages) = (nats.read("events.>"), nats.read("m.>"));
    let channel = platform.channel("boiler");
    let device = platform.connected_device("device", &channel);
    let login = platform.login(&device, Version::V5);
    let topic = platform.topic(&channel, "/room");
    let subject = format!("m.{}.c.{channel}.room", platform.domain);

    mosquitto::publish(&login, &topic, 1, "\"by mqtt\"", &[]);
    came_by(&mut messages, "mqtt", "\"by mqtt\"");
    assert_eq!(platform.publish(&device, &topic, "\"by http\"").status, 202);
    came_by(&mut messages, "http", "\"by http\"");

    let mut probe = Probe::connect(Library::Paho, &login, &[&format!("will={topic},by will")]);
    probe.subscribe(1, &topic);
    let subscribed = event(&mut events, "events.magistrala.mqtt.client_subscribe");
    assert_eq!(
        (text(&subscribed, "domainID"), text(&subscribed, "subtopic")),
        (platform.domain.clone(), "room".into())
    );
    probe.die();
    came_by(&mut messages, "mqtt", "by will");

    let mut socket = socket(&platform, &topic, &device.secret);
    let subscribed = event(&mut events, "events.magistrala.subscribe");
    assert_eq!(text(&subscribed, "operation"), "messaging.client_subscribe");
    assert_eq!(
        (text(&subscribed, "client_id"), text(&subscribed, "topic")),
        (device.id.clone(), subject.clone())
    );
    socket.say("by websocket");
    came_by(&mut messages, "websocket", "by websocket");
    drop(socket);
    let ended = event(&mut events, "events.magistrala.unsubscribe");
    assert_eq!(text(&ended, "subscriber_id"), text(&subscribed, "subscriber_id"));

    let uri = format!("coap://{}/{topic}?auth={}", platform.server.coap(), device.secret);
    coap::ask(coap::CLIENTS[0], &["-m", "post", "-e", "by coap"], &uri);
    came_by(&mut messages, "coap", "by coap");
    let observer = coap::observe(coap::CLIENTS[0], &[], &uri);
    assert_eq!(text(&event(&mut events, "events.magistrala.subscribe"), "topic"), subject);
    drop(observer);
}

fn socket(platform: &Platform, topic: &str, secret: &str) -> Process {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut node = std::process::Command::new("node");
    node.arg(root.join("tests/clients/node/socket.mjs"));
    node.args([&format!("ws://{}/{topic}", platform.server.http()), &format!("Client {secret}")]);
    let socket = Process::start_with_input("socket", &mut node);
    socket.wait_for(Stream::Out, "open", |said| (said == "open").then_some(()));
    socket
}
