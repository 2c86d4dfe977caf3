//! A message is written once and read by any protocol: each way in against each way out (reference 05 §16).

use std::path::Path;
use std::process::Command;

use testkit::mosquitto::{self, Login, Version};
use testkit::process::{Process, Stream};
use testkit::{Storage, coap, wait_until};

use crate::platform::{Device, Platform};
use crate::probe::{Library, Probe};

/// Somebody who reads.
enum Reader {
    Mosquitto(mosquitto::Subscriber),
    Library(Probe),
    Process(Process),
    Coap(coap::Observer),
}

impl Reader {
    fn log(&self) -> String {
        match self {
            Self::Mosquitto(subscriber) => subscriber.messages().join("\n"),
            Self::Library(probe) => probe.messages().join("\n"),
            Self::Process(process) => process.log(),
            Self::Coap(observer) => observer.log(),
        }
    }
}

struct Scene {
    platform: Platform,
    channel: String,
    device: Device,
}

impl Scene {
    fn topic(&self) -> String {
        self.platform.topic(&self.channel, "/room")
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/{}", self.platform.server.http(), self.topic())
    }

    fn coap(&self) -> String {
        format!("coap://{}/{}?auth={}", self.platform.server.coap(), self.topic(), self.device.secret)
    }

    fn socket(&self) -> Process {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut node = Command::new("node");
        node.arg(root.join("tests/clients/node/socket.mjs"))
            .args([self.url("ws"), format!("Client {}", self.device.secret)]);
        let socket = Process::start_with_input("socket", &mut node);
        socket.wait_for(Stream::Out, "open", |said| (said == "open").then_some(()));
        socket
    }

    fn readers(&self) -> Vec<(&'static str, Reader)> {
        let login = |version| self.platform.login(&self.device, version);
        let library = |library, login, options: &[&str]| {
            let mut probe = Probe::connect(library, &login, options);
            assert_eq!(probe.subscribe(1, &self.topic()), "1");
            Reader::Library(probe)
        };
        let over_http = Login { broker: self.platform.server.http(), ..login(Version::V5) };
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "-H", "Accept: text/event-stream", "-H"]);
        curl.args([&format!("Authorization: Client {}", self.device.secret), &self.url("http")]);
        let events = Process::start("curl", &mut curl);
        events.wait_for(Stream::Out, "the stream", |line| line.starts_with("retry:").then_some(()));
        vec![
            (
                "MQTT 3.1.1",
                Reader::Mosquitto(mosquitto::subscribe(&login(Version::V311), &self.topic(), &[])),
            ),
            ("MQTT 5", library(Library::Paho, login(Version::V5), &[])),
            ("MQTT over WebSocket", library(Library::MqttJs, over_http, &["transport=ws"])),
            ("WebSocket", Reader::Process(self.socket())),
            ("server-sent events", Reader::Process(events)),
            ("CoAP", Reader::Coap(coap::observe(coap::CLIENTS[0], &[], &self.coap()))),
        ]
    }

    fn publish(&self, way: &str, socket: &mut Process, payload: &str) {
        let login = |version| self.platform.login(&self.device, version);
        match way {
            "mqtt3" => {
                assert_eq!(mosquitto::publish(&login(Version::V311), &self.topic(), 1, payload, &[]).code, 0);
            }
            "mqtt5" => {
                assert_eq!(mosquitto::publish(&login(Version::V5), &self.topic(), 2, payload, &[]).code, 0);
            }
            "http" => assert_eq!(self.platform.publish(&self.device, &self.topic(), payload).status, 202),
            "websocket" => socket.say(payload),
            _ => drop(coap::ask(coap::CLIENTS[0], &["-m", "post", "-e", payload], &self.coap())),
        }
    }
}

#[test]
fn what_is_published_by_any_protocol_is_read_by_every_protocol() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("device", &channel);
    let scene = Scene { platform, channel, device };
    let readers = scene.readers();
    let mut socket = scene.socket();
    // An observer of CoAP has to show itself first: what comes before it has, waits.
    for way in ["mqtt3", "mqtt5", "http", "websocket", "coap"] {
        let payload = format!("by-{way}");
        scene.publish(way, &mut socket, &payload);
        for (name, reader) in &readers {
            wait_until(&format!("{payload} reaches {name}"), || reader.log().contains(&payload));
        }
    }
}
