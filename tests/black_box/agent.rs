//! `trunkline agent`: from a box on a shelf to a device that is heard, obeys, and is cut off.

use std::process::Command;

use serde_json::{Value, json};
use testkit::mosquitto::{self, Version};
use testkit::process::Process;
use testkit::{Launch, Storage, TempDir, ports, program};

use crate::authority::Authority;
use crate::platform::{Device, Platform, text};

/// A gateway of a platform, and the one who looks after it.
struct Scene {
    authority: Authority,
    platform: Platform,
    made: Value,
    operator: Device,
    home: TempDir,
}

impl Scene {
    /// `certificates`: whether the gateway gets one, and the platform speaks TLS.
    fn start(storage: Storage, certificates: bool) -> Self {
        let authority = Authority::new();
        authority.sign("server");
        // The same addresses after a restart.
        let address = || format!("127.0.0.1:{}", ports::free());
        let mut launch = Launch::on(storage)
            .flag("--http", &address())
            .flag("--mqtt", &address())
            .env("TRUNKLINE_BOOTSTRAP_ENCRYPT_KEY", "abcdefghijklmnop");
        if certificates {
            launch = launch
                .env("TRUNKLINE_TLS_SERVER_CERT", &authority.path("server.crt"))
                .env("TRUNKLINE_TLS_SERVER_KEY", &authority.path("server.key"))
                .env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0");
        }
        let platform = Platform::start_as(launch);
        let layout = json!({
            "bootstrap": {"x509_provision": certificates},
            "clients": [{"name": "gateway", "metadata": {"external_id": "x"}}],
            "channels": [
                {"name": "control", "metadata": {"type": "control"}},
                {"name": "data", "metadata": {"type": "data"}},
            ],
        });
        let gateway = json!({
            "name": "gateway-a", "external_id": "33:52:77:99:43", "external_key": "223334fw2", "layout": layout,
        });
        let made = platform.made("/{domain}/mapping", &gateway);
        let operator = platform.device("operator");
        for channel in made["channels"].as_array().unwrap() {
            platform.connect(&operator, &text(channel, "id"), &["publish", "subscribe"]);
        }
        Self { authority, platform, made, operator, home: TempDir::new().unwrap() }
    }

    /// The simulator, with the external key in its environment.
    fn agent(&self, key: &str, options: &[&str]) -> Process {
        let mut command = Command::new(program());
        command
            .args(["agent", "--external-id", "33:52:77:99:43", "--domain", &self.platform.domain])
            .args(["--url", &self.platform.server.url("")])
            .args(options)
            .env_clear()
            .env("TRUNKLINE_AGENT_EXTERNAL_KEY", key)
            .current_dir(self.home.path());
        Process::start("agent", &mut command)
    }

    fn topic(&self, channel: usize, below: &str) -> String {
        self.platform.topic(&text(&self.made["channels"][channel], "id"), below)
    }

    fn hears(&self, channel: usize, below: &str) -> mosquitto::Subscriber {
        mosquitto::subscribe(
            &self.platform.login(&self.operator, Version::V5),
            &self.topic(channel, below),
            &[],
        )
    }

    fn command(&self, record: &Value) {
        let login = self.platform.login(&self.operator, Version::V311);
        let sent = mosquitto::publish(&login, &self.topic(0, "/req"), 1, &json!([record]).to_string(), &[]);
        assert_eq!(sent.code, 0, "{sent:?}");
    }

    fn mqtt(&self) -> String {
        self.platform.server.mqtt().to_string()
    }
}

#[test]
fn a_provisioned_device_is_heard_and_obeys_over_mtls_until_its_certificate_is_revoked() {
    for storage in Storage::ALL {
        let scene = Scene::start(storage, true);
        let client = text(&scene.made["clients"][0], "id");
        let (data, answers) = (scene.hears(1, "/#"), scene.hears(0, "/res"));
        let ca = scene.authority.path("ca.crt");
        let mqtts = scene.platform.server.mqtts().to_string();
        let mut agent = scene.agent("223334fw2", &["--ca", &ca, "--mqtt", &mqtts, "--interval", "1"]);
        agent.wait_for_line("over TLS with its certificate");
        let measured = data.wait_for_message("temperature");
        assert!(measured.contains(&client), "{measured}");
        agent.wait_for_line("measurement 1 is with the platform");

        scene.command(&json!({"bn": "u-1:", "n": "ping", "vs": ""}));
        let answer = answers.wait_for_message("pong");
        assert!(answer.contains("u-1:"), "{answer}");
        scene.command(&json!({"bn": "u-2:", "n": "exec", "vs": "reboot"}));
        answers.wait_for_message("refused: a simulated device runs nothing");
        agent.wait_for_line("command `exec`");

        let path = format!("/{{domain}}/certs/{client}/delete");
        let revoked = scene.platform.request("DELETE", &path).send();
        assert_eq!(revoked.status, 204, "{revoked:?}");
        let ended = agent.wait();
        let log = agent.log();
        assert_eq!(ended.code(), Some(1), "{log}");
        assert!(log.contains("cut off: "), "{log}");
        assert!(log.contains("the platform refuses this device: its certificate was revoked"), "{log}");
        assert!(!log.contains("223334fw2") && !log.contains("PRIVATE KEY"), "{log}");
    }
}

#[test]
fn a_device_without_a_certificate_fetches_in_secret_and_logs_in_with_its_secret() {
    let scene = Scene::start(Storage::Sqlite, false);
    let mqtt = scene.mqtt();
    let secure = ["--encrypt-key", "abcdefghijklmnop", "--mqtt", &mqtt, "--interval", "1"];
    let mut agent = scene.agent("223334fw2", &[&secure[..], &["--count", "2", "--once"]].concat());
    assert!(agent.wait().success(), "{}", agent.log());
    assert!(agent.log().contains("measurement 2 is with the platform"), "{}", agent.log());
    assert!(agent.log().contains("with its secret"), "{}", agent.log());

    // Both sides must have the same key of secure bootstrap, and the external key must be right.
    for (key, options, said) in [
        ("223334fw2", &["--encrypt-key", "ponmlkjihgfedcba"][..], "the platform refuses this device"),
        ("wrong", &[][..], "the platform refuses this device"),
        ("223334fw2", &["--encrypt-key", "short"][..], "make it 16, 24 or 32"),
    ] {
        let mut agent = scene.agent(key, &[options, &["--mqtt", &mqtt, "--once"]].concat());
        assert_eq!(agent.wait().code(), Some(1), "{}", agent.log());
        assert!(agent.log().contains(said), "{}", agent.log());
    }
}

#[test]
fn a_device_comes_back_after_the_platform_was_killed_and_takes_a_new_interval() {
    let mut scene = Scene::start(Storage::Sqlite, false);
    let mqtt = scene.mqtt();
    let agent = scene.agent("223334fw2", &["--mqtt", &mqtt, "--interval", "3600"]);
    agent.wait_for_line("measurement 1 is with the platform");
    scene.platform.server.kill9();
    agent.wait_for_line("cut off: ");
    scene.platform.restart();
    // The first of the new connection.
    agent.wait_for_line("measurement 2 is with the platform");
    scene.command(&json!({"bn": "u-1:", "n": "config", "vs": "interval,1"}));
    agent.wait_for_line("measurement 4 is with the platform");
    scene.command(&json!({"bn": "u-2:", "n": "reset", "vs": ""}));
    agent.wait_for_line("connecting anew, as I was told");
    agent.wait_for_line("measurement 6 is with the platform");
}
