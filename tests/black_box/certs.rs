//! Certificates of the platform's own authority: they open connections, and revoked ones open none and close what is open.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::mosquitto::{self, Login, Version};
use testkit::process::Process;
use testkit::{Launch, Storage, wait_until};

use crate::authority::Authority;
use crate::platform::{Device, Platform, text};
use crate::probe::{Library, Probe};

/// A platform whose server certificate is somebody's, and whose devices have the platform's own.
struct Scene {
    authority: Authority,
    platform: Platform,
    channel: String,
    device: Device,
}

impl Scene {
    fn start(storage: Storage) -> Self {
        let authority = Authority::new();
        authority.sign("server");
        let launch = Launch::on(storage)
            .env("TRUNKLINE_TLS_SERVER_CERT", &authority.path("server.crt"))
            .env("TRUNKLINE_TLS_SERVER_KEY", &authority.path("server.key"))
            .env("TRUNKLINE_TLS_HTTPS", "127.0.0.1:0")
            .env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0");
        let platform = Platform::start_as(launch);
        let channel = platform.channel("boiler");
        let device = platform.connected_device("device", &channel);
        Self { authority, platform, channel, device }
    }

    /// A certificate for the device, in files of this name; its serial number.
    fn issue(&self, name: &str) -> String {
        let wish = json!({"client_id": self.device.id, "ttl": "8760h"});
        let made: Value = self.platform.made("/{domain}/certs", &wish);
        let chain = made["ca_chain"].as_array().unwrap().iter().map(|pem| pem.as_str().unwrap());
        let whole: String = std::iter::once(made["certificate"].as_str().unwrap()).chain(chain).collect();
        fs::write(self.authority.path(&format!("{name}.crt")), whole).unwrap();
        fs::write(self.authority.path(&format!("{name}.key")), text(&made, "key")).unwrap();
        text(&made, "serial_number")
    }

    fn revoke(&self, serial: &str) {
        let answer = self.platform.request("PATCH", &format!("/{{domain}}/certs/{serial}/revoke")).send();
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The device over TLS, without its secret.
    fn login(&self) -> Login {
        let login = self.platform.login(&self.device, Version::V5);
        Login {
            broker: self.platform.server.mqtts(),
            username: String::new(),
            password: String::new(),
            ..login
        }
    }

    fn topic(&self) -> String {
        self.platform.topic(&self.channel, "/x")
    }

    /// Whether a publish with Mosquitto's client goes through.
    fn publishes(&self, name: &str) -> bool {
        let [ca, cert, key] = [("ca", "crt"), (name, "crt"), (name, "key")]
            .map(|(name, kind)| self.authority.path(&format!("{name}.{kind}")));
        let flags = ["--cafile", &ca, "--cert", &cert, "--key", &key];
        mosquitto::publish(&self.login(), &self.topic(), 1, "hello", &flags).code == 0
    }

    /// The status of a publish over HTTPS with the certificate; 000 where there was no connection.
    fn posts(&self, name: &str) -> String {
        let file = |name: &str| self.authority.path(name);
        let url = format!("https://{}/{}", self.platform.server.https(), self.topic());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--json", "{}"]);
        curl.args(["--cacert", &file("ca.crt"), "--cert", &file(&format!("{name}.crt"))]);
        curl.args(["--key", &file(&format!("{name}.key")), &url]);
        let mut curl = Process::start("curl", &mut curl);
        curl.wait();
        curl.log().trim().to_owned()
    }
}

#[test]
fn a_certificate_of_the_platform_opens_connections_until_it_is_revoked() {
    for storage in Storage::ALL {
        let scene = Scene::start(storage);
        let serial = scene.issue("device");
        scene.issue("second");
        assert!(scene.publishes("device"));
        assert_eq!(scene.posts("device"), "202");

        let options = scene.authority.trusted(Some((&scene.authority, "device")));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut open = Probe::connect(Library::Paho, &scene.login(), &options);
        open.subscribe(1, &scene.topic());

        scene.revoke(&serial);
        // From the answer on, no handshake.
        assert!(!scene.publishes("device"), "MQTT over TLS");
        assert_ne!(scene.posts("device"), "202", "HTTPS");
        wait_until("the open connection has ended", || open.count("closed") > 0);
        assert!(scene.publishes("second"), "the device's other certificate stays good");
    }
}

#[test]
fn what_was_revoked_stays_so_after_a_restart() {
    let mut scene = Scene::start(Storage::Sqlite);
    let serial = scene.issue("device");
    scene.issue("second");
    scene.revoke(&serial);
    scene.platform.restart();
    assert!(!scene.publishes("device"));
    assert!(scene.publishes("second"), "the same authority signs and is trusted");
}

#[test]
fn an_operators_own_root_is_imported_and_signs_after_the_next_start() {
    let scene = Scene::start(Storage::Sqlite);
    scene.issue("before");
    scene.authority.root("own");
    let Scene { authority, mut platform, channel, device } = scene;
    platform.server.terminate();
    let data = platform.server.data_dir();
    let import = |key: &str| {
        Launch::command(&["certs", "import", "--certificate", &authority.path("own.crt")])
            .flag("--key", &authority.path(key))
            .flag("--data-dir", data.to_str().unwrap())
            .run()
    };
    let (status, said) = import("server.key");
    assert!(!status.success() && said.contains("the key is not that of the certificate"), "{said}");
    let (status, said) = import("own.key");
    assert!(status.success(), "{said}");
    platform.restart();
    let scene = Scene { authority, platform, channel, device };
    scene.issue("after");
    for name in ["before", "after"] {
        assert!(scene.publishes(name), "{name}");
    }
    let shown = scene.platform.get("/certs/view-ca");
    let own = scene.authority.pem("own.crt");
    assert!(text(&shown, "certificate").contains(own.trim()), "{shown}");
}
