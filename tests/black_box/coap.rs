//! CoAP with libcoap's clients: over UDP and over DTLS, and between CoAP and MQTT (reference 05 §7).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use testkit::coap::{CLIENTS, ask, observe};
use testkit::mosquitto::Version;
use testkit::{Storage, TempDir, wait_until};

use crate::platform::{Device, Platform};
use crate::probe::{Library, Probe};

struct Scene {
    platform: Platform,
    channel: String,
    device: Device,
}

impl Scene {
    fn new(storage: Storage) -> Self {
        let platform = Platform::start(storage);
        let channel = platform.channel("boiler");
        let device = platform.connected_device("device", &channel);
        Self { platform, channel, device }
    }

    fn uri(&self, below: &str, query: &str) -> String {
        let topic = self.platform.topic(&self.channel, below);
        format!("coap://{}/{topic}{query}", self.platform.server.coap())
    }

    fn own_uri(&self, below: &str) -> String {
        self.uri(below, &format!("?auth={}", self.device.secret))
    }

    fn secured_uri(&self, below: &str) -> String {
        format!("coaps://{}/{}", self.platform.server.coaps(), self.platform.topic(&self.channel, below))
    }

    fn witness(&self) -> Probe {
        let login = self.platform.login(&self.device, Version::V5);
        let mut probe = Probe::connect(Library::Paho, &login, &[]);
        assert_eq!(probe.subscribe(1, &self.platform.topic(&self.channel, "/#")), "1");
        probe
    }
}

/// Publishes over MQTT until the observer has heard of it: only it knows when it observes.
#[track_caller]
fn heard(scene: &Scene, observer: &testkit::coap::Observer, payload: &str) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let topic = scene.platform.topic(&scene.channel, "/room");
    wait_until(payload, || {
        let payload = format!("{payload} {}", NUMBER.fetch_add(1, Relaxed));
        assert_eq!(scene.platform.publish(&scene.device, &topic, &format!("\"{payload}\"")).status, 202);
        observer.log().contains(&payload)
    });
    observer.message(payload);
}

#[test]
fn a_message_goes_from_coap_to_mqtt_whole_and_in_blocks() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let witness = scene.witness();
        let topic = scene.platform.topic(&scene.channel, "/room");
        for program in CLIENTS {
            let said = ask(program, &["-m", "post", "-t", "50", "-e", program], &scene.own_uri("/room"));
            assert!(!said.contains("4.") && !said.contains("5."), "{said}");
            assert_eq!(witness.message(program), format!("0 0 {topic} {program}"));
        }
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("body");
        let body = "0123456789".repeat(1_000);
        std::fs::write(&file, &body).unwrap();
        for size in ["64", "1024"] {
            let flags = ["-m", "put", "-b", size, "-f", file.to_str().unwrap()];
            ask(CLIENTS[0], &flags, &scene.own_uri("/large"));
            witness.message(&body);
        }
    }
}

#[test]
fn a_message_goes_from_mqtt_to_a_coap_observer_whatever_its_size() {
    let scene = Scene::new(Storage::Sqlite);
    let observer = observe(CLIENTS[0], &[], &scene.own_uri("/%23"));
    heard(&scene, &observer, "hello");
    let mut device = scene.witness();
    let large = format!("{}the end", "0123456789".repeat(500));
    device.publish(1, &scene.platform.topic(&scene.channel, "/room"), &large);
    observer.message("the end");
}

#[test]
fn an_observer_that_begins_again_is_heard_again() {
    let scene = Scene::new(Storage::Sqlite);
    for round in ["first", "second"] {
        let observer = observe(CLIENTS[1], &[], &scene.own_uri("/room"));
        heard(&scene, &observer, round);
    }
}

#[test]
fn who_may_not_is_told_by_the_code_and_a_right_that_comes_back_counts() {
    let scene = Scene::new(Storage::Sqlite);
    let post = |uri: &str| ask(CLIENTS[0], &["-m", "post", "-e", "x"], uri);
    assert!(post(&scene.uri("", "?auth=wrong")).starts_with("4.01"), "a wrong secret");
    assert!(post(&scene.uri("", "")).starts_with("4.00"), "no secret");
    let id = &scene.device.id;
    assert!(post(&scene.uri("", &format!("?username={id}&password=wrong"))).starts_with("4.01"));

    scene.platform.disconnect(&scene.device, &scene.channel, &["publish"]);
    let denied = post(&scene.own_uri(""));
    assert!(denied.starts_with("4.03"), "{denied}");
    assert!(!denied.contains(&scene.device.secret), "{denied}");
    scene.platform.connect(&scene.device, &scene.channel, &["publish"]);
    let said = post(&scene.own_uri(""));
    assert!(!said.starts_with('4'), "{said}");
}

#[test]
fn an_observer_whose_right_ends_is_told() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let other = scene.platform.connected_device("other", &scene.channel);
        let uri = scene.uri("/%23", &format!("?username={}&password={}", other.id, other.secret));
        let observer = observe(CLIENTS[0], &[], &uri);
        heard(&scene, &observer, "before");
        scene.platform.disconnect(&other, &scene.channel, &["subscribe"]);
        wait_until("the end of the observation", || observer.log().contains("4.03"));
    }
}

#[test]
fn over_dtls_a_clients_id_and_secret_are_the_key() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let witness = scene.witness();
        let (id, secret) = (scene.device.id.as_str(), scene.device.secret.as_str());
        for program in CLIENTS {
            let flags = ["-u", id, "-k", secret, "-m", "post", "-e", program];
            ask(program, &flags, &scene.secured_uri("/room"));
            witness.message(program);
        }
        let observer = observe(CLIENTS[0], &["-u", id, "-k", secret], &scene.secured_uri("/%23"));
        heard(&scene, &observer, "secured");
        let wrong = ["-u", id, "-k", "wrong", "-m", "post", "-e", "never"];
        ask(CLIENTS[0], &wrong, &scene.secured_uri("/room"));
        heard(&scene, &observer, "marker");
        assert!(!observer.log().contains("never"), "{}", observer.log());
    }
}
