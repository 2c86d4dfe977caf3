//! A right that is taken away ends within one second, on connections that are open already.

use std::time::Duration;

use serde_json::json;
use testkit::mosquitto::Version;
use testkit::{Storage, wait_until};

use crate::platform::{Device, Platform, text};
use crate::probe::{Library, Probe};

/// The promise: "a revoked right ends within one second, also on open connections".
const GRACE: Duration = Duration::from_secs(1);

/// A channel with two devices on it, and a second channel that shows that a connection still lives.
struct Scene {
    platform: Platform,
    channel: String,
    side: String,
    device: Device,
    witness: Device,
}

impl Scene {
    fn new(storage: Storage) -> Self {
        let platform = Platform::start(storage);
        let (channel, side) = (platform.channel("boiler"), platform.channel("side"));
        let (device, witness) =
            (platform.connected_device("device", &channel), platform.connected_device("witness", &channel));
        for one in [&device, &witness] {
            platform.connect(one, &side, &["publish", "subscribe"]);
        }
        Self { platform, channel, side, device, witness }
    }

    /// The device or the witness, subscribed to both channels.
    #[track_caller]
    fn listen(&self, device: &Device, version: Version) -> Probe {
        let mut probe = Probe::connect(Library::Paho, &self.platform.login(device, version), &[]);
        for channel in [&self.channel, &self.side] {
            probe.subscribe(1, &self.platform.topic(channel, "/#"));
        }
        probe
    }

    fn topic(&self) -> String {
        self.platform.topic(&self.channel, "/x")
    }

    fn side_topic(&self) -> String {
        self.platform.topic(&self.side, "/x")
    }
}

#[test]
fn a_disconnected_subscriber_receives_nothing_more_and_keeps_its_other_channels() {
    for storage in Storage::ALL {
        for version in Version::ALL {
            let scene = Scene::new(storage);
            let subscriber = scene.listen(&scene.device, version);
            let mut witness = scene.listen(&scene.witness, Version::V5);
            witness.publish(1, &scene.topic(), "before");
            subscriber.message("before");

            scene.platform.disconnect(&scene.device, &scene.channel, &["subscribe"]);
            let_the_grace_pass();

            witness.publish(1, &scene.topic(), "after");
            witness.message("after");
            witness.publish(1, &scene.side_topic(), "marker");
            subscriber.message("marker");
            assert!(!heard(&subscriber, "after"), "{version:?}: {:?}", subscriber.messages());
        }
    }
}

#[test]
fn a_disconnected_publisher_is_refused_and_heard_again_when_the_right_comes_back() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let witness = scene.listen(&scene.witness, Version::V5);
        let mut v5 = Probe::connect(Library::Paho, &scene.platform.login(&scene.device, Version::V5), &[]);
        let mut v3 = Probe::connect(Library::Paho, &scene.platform.login(&scene.device, Version::V311), &[]);
        for (probe, payload) in [(&mut v5, "before-5"), (&mut v3, "before-3")] {
            probe.publish(1, &scene.topic(), payload);
            witness.message(payload);
        }

        scene.platform.disconnect(&scene.device, &scene.channel, &["publish"]);
        let_the_grace_pass();

        v5.publish(1, &scene.topic(), "after-5");
        v5.publish(1, &scene.side_topic(), "marker");
        witness.message("marker");
        v3.publish(1, &scene.topic(), "after-3");
        v3.event("closed");
        assert!(!heard(&witness, "after-5") && !heard(&witness, "after-3"), "{:?}", witness.messages());

        scene.platform.connect(&scene.device, &scene.channel, &["publish"]);
        let_the_grace_pass();
        v5.publish(1, &scene.topic(), "again");
        witness.message("again");
    }
}

#[test]
fn a_client_that_is_disabled_or_deleted_loses_its_open_connections() {
    for storage in Storage::ALL {
        for (method, action) in [("POST", "/disable"), ("DELETE", "")] {
            let scene = Scene::new(storage);
            let open = Version::ALL.map(|version| scene.listen(&scene.device, version));
            let mut witness = scene.listen(&scene.witness, Version::V5);

            let path = format!("/{{domain}}/clients/{}{action}", scene.device.id);
            let answer = scene.platform.request(method, &path).send();
            assert!(matches!(answer.status, 200 | 204), "{answer:?}");
            let_the_grace_pass();

            witness.publish(1, &scene.topic(), "after");
            witness.message("after");
            for probe in &open {
                probe.event("closed");
                assert!(!heard(probe, "after"), "{:?}", probe.messages());
            }
            let answer = scene.platform.publish(&scene.device, &scene.topic(), "{}");
            assert!(matches!(answer.status, 401 | 403), "{answer:?}");
        }
    }
}

/// Nobody connects or disconnects here: the states of a bootstrap configuration do (reference 04 §3.1).
#[test]
fn a_bootstrap_configuration_gives_and_takes_rights_on_open_connections() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let (platform, boot) = (&scene.platform, scene.platform.channel("boot"));
        platform.connect(&scene.witness, &boot, &["publish", "subscribe"]);
        let config = platform.made(
            "/{domain}/clients/configs",
            &json!({"external_id": "box", "external_key": "key", "client_id": scene.device.id, "channels": [boot]}),
        );
        let path = format!("/{{domain}}/clients/configs/{}", text(&config, "id"));
        let topic = platform.topic(&boot, "/x");

        assert_eq!(platform.request("POST", &format!("{path}/enable")).send().status, 200);
        let mut subscriber = scene.listen(&scene.device, Version::V5);
        subscriber.subscribe(1, &platform.topic(&boot, "/#"));
        let mut witness = scene.listen(&scene.witness, Version::V5);
        witness.publish(1, &topic, "before");
        subscriber.message("before");

        assert_eq!(platform.request("POST", &format!("{path}/disable")).send().status, 200);
        let_the_grace_pass();
        witness.publish(1, &topic, "after");
        witness.publish(1, &scene.side_topic(), "marker");
        subscriber.message("marker");
        assert!(!heard(&subscriber, "after"), "{:?}", subscriber.messages());
    }
}

#[test]
fn a_disabled_channel_passes_no_message() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let witness = scene.listen(&scene.witness, Version::V5);
        let mut device =
            Probe::connect(Library::Paho, &scene.platform.login(&scene.device, Version::V5), &[]);
        device.publish(1, &scene.topic(), "before");
        witness.message("before");

        let answer =
            scene.platform.request("POST", &format!("/{{domain}}/channels/{}/disable", scene.channel)).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        let_the_grace_pass();

        device.publish(1, &scene.topic(), "after");
        device.publish(1, &scene.side_topic(), "marker");
        assert_eq!(device.acks(3), ["0", "135", "0"], "MQTT 5 has a code for it");
        witness.message("marker");
        assert!(!heard(&witness, "after"), "{:?}", witness.messages());
    }
}

#[test]
fn a_route_leads_open_connections_to_the_channel_that_has_it_now() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let made = || {
            let channel = json!({"name": "kiln", "route": "kiln"});
            let channel = text(&scene.platform.made("/{domain}/channels", &channel), "id");
            for one in [&scene.device, &scene.witness] {
                scene.platform.connect(one, &channel, &["publish", "subscribe"]);
            }
            channel
        };
        let first = made();
        let topic = scene.platform.topic("kiln", "/x");
        let mut device =
            Probe::connect(Library::Paho, &scene.platform.login(&scene.device, Version::V5), &[]);
        let mut witness =
            Probe::connect(Library::Paho, &scene.platform.login(&scene.witness, Version::V5), &[]);
        witness.subscribe(1, &topic);
        device.publish(1, &topic, "to-the-first");
        witness.message("to-the-first");

        let answer = scene.platform.request("DELETE", &format!("/{{domain}}/channels/{first}")).send();
        assert_eq!(answer.status, 204, "{answer:?}");
        let second = made();
        let_the_grace_pass();
        let mut by_id =
            Probe::connect(Library::Paho, &scene.platform.login(&scene.witness, Version::V311), &[]);
        by_id.subscribe(1, &scene.platform.topic(&second, "/x"));
        device.publish(1, &topic, "to-the-second");
        by_id.message("to-the-second");
        // What was subscribed to has gone; whoever subscribes again hears the second.
        assert!(!heard(&witness, "to-the-second"), "{:?}", witness.messages());
        assert_eq!(witness.subscribe(1, &topic), "1");
        wait_until("the second subscription stands", || witness.count("suback") == 2);
        device.publish(1, &topic, "again");
        witness.message("again");
    }
}

#[test]
fn a_disabled_domain_passes_no_message() {
    let scene = Scene::new(Storage::Sqlite);
    let witness = scene.listen(&scene.witness, Version::V5);
    let mut device = Probe::connect(Library::Paho, &scene.platform.login(&scene.device, Version::V5), &[]);
    device.publish(1, &scene.topic(), "before");
    witness.message("before");

    let answer = scene.platform.request("POST", "/domains/{domain}/disable").send();
    assert_eq!(answer.status, 200, "{answer:?}");
    let_the_grace_pass();
    let answer = scene.platform.publish(&scene.device, &scene.topic(), "\"after\"");
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    assert!(!heard(&witness, "after"), "{:?}", witness.messages());
}

fn heard(probe: &Probe, payload: &str) -> bool {
    probe.messages().iter().any(|message| message.ends_with(payload))
}

/// The platform may take this long, and no longer. A slow machine only gives it more.
pub(crate) fn let_the_grace_pass() {
    #[expect(clippy::disallowed_methods, reason = "the promise itself is a length of time")]
    std::thread::sleep(GRACE);
}
