//! Devices that are in the field already keep their topics: an operator's map leads them to channels (docs/topic-map.md).

use serde_json::json;
use testkit::mosquitto::{self, Login, Version};
use testkit::{Launch, Storage, TempDir, wait_until};

use crate::platform::{Device, Platform, text};

/// The example of the documentation.
const EXAMPLE: &str = include_str!("../../docs/topic-map.md");

/// The rules in the block of the page that begins with this line.
fn example() -> &'static str {
    let (_, block) = EXAMPLE.split_once("```text\n# Tasmota").unwrap();
    block.split_once("```").unwrap().0
}

struct Scene {
    platform: Platform,
    place: TempDir,
    tasmota: String,
}

impl Scene {
    fn start(storage: Storage) -> Self {
        let place = TempDir::new().unwrap();
        let file = place.path().join("topics.map");
        std::fs::write(&file, format!("# Tasmota{}", example())).unwrap();
        let launch = Launch::on(storage).env("TRUNKLINE_MESSAGING_TOPIC_MAP", file.to_str().unwrap());
        let platform = Platform::start_as(launch);
        let channel = |route: &str| {
            text(&platform.made("/{domain}/channels", &json!({"name": route, "route": route})), "id")
        };
        let tasmota = channel("tasmota");
        channel("zigbee");
        Self { platform, place, tasmota }
    }

    fn device(&self) -> Device {
        self.platform.connected_device("plug", &self.tasmota)
    }
}

#[test]
fn a_plug_and_its_application_keep_their_topics_and_the_platform_sees_a_channel() {
    for storage in [Storage::Sqlite, Storage::Postgres] {
        let scene = Scene::start(storage);
        let (plug, application) = (scene.device(), scene.device());
        for version in Version::ALL {
            let (plug, application) =
                (scene.platform.login(&plug, version), scene.platform.login(&application, version));
            let own = mosquitto::subscribe(&application, "tele/+/SENSOR", &[]);
            let channel = mosquitto::subscribe(&application, "m/plant/c/tasmota/#", &[]);
            let commands = mosquitto::subscribe(&plug, "cmnd/plug 7/#", &[]);
            assert_eq!(mosquitto::publish(&plug, "tele/plug 7/SENSOR", 1, "21", &[]).code, 0);
            own.wait_for_message("tele/plug 7/SENSOR 21");
            channel.wait_for_message("m/plant/c/tasmota/plug%207/tele/SENSOR 21");
            let answer = scene.platform.publish(
                &Device { id: application.username.clone(), secret: application.password.clone() },
                "m/plant/c/tasmota/plug%25207/cmnd/POWER",
                "\"ON\"",
            );
            assert_eq!(answer.status, 202, "{answer:?}");
            commands.wait_for_message("cmnd/plug 7/POWER \"ON\"");
        }
    }
}

#[test]
fn who_is_not_connected_to_the_channel_may_not_use_its_names_and_a_changed_map_counts_without_a_restart() {
    let scene = Scene::start(Storage::Sqlite);
    let (plug, stranger) = (scene.device(), scene.platform.device("stranger"));
    let plug = scene.platform.login(&plug, Version::V5);
    let stranger = scene.platform.login(&stranger, Version::V5);
    // 135: not authorized, 144: topic name invalid.
    let publish = |login: &Login, topic: &str| mosquitto::publish(login, topic, 1, "{}", &[]).log;
    let (denied, none) = ("RC:135", "RC:144");
    assert!(publish(&plug, "tele/plug7/STATE").contains("RC:0"));
    assert!(publish(&stranger, "tele/plug7/STATE").contains(denied));
    assert!(publish(&plug, "shelly/plug7").contains(none));

    let file = scene.place.path().join("topics.map");
    std::fs::write(&file, "shelly/{rest...} m/plant/c/tasmota/shelly/{rest...}\n").unwrap();
    wait_until("the new map counts", || !publish(&plug, "shelly/plug7").contains(none));
    assert!(publish(&plug, "tele/plug7/STATE").contains(none));
}
