//! Certificates of the platform's own authority: they open connections, and revoked ones open none and close what is open.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::mosquitto::{self, Login, Version};
use testkit::openbao::{self, OpenBao};
use testkit::process::{Process, Stream};
use testkit::{Launch, Storage, wait_until};

use crate::authority::Authority;
use crate::platform::{Device, Platform, text};
use crate::probe::{Library, Probe};
use crate::revocation::let_the_grace_pass;

/// A platform whose server certificate is somebody's, and whose devices have the platform's own.
struct Scene {
    authority: Authority,
    platform: Platform,
    channel: String,
    device: Device,
}

impl Scene {
    fn start(storage: Storage) -> Self {
        Self::with(Launch::on(storage))
    }

    fn with(launch: Launch) -> Self {
        let authority = Authority::new();
        authority.sign("server");
        let launch = launch
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

    /// An MQTT connection with a certificate alone, which hears everything on the channel.
    fn listens(&self, name: &str, version: Version, websocket: bool) -> Probe {
        let mut options = self.authority.trusted(Some((&self.authority, name)));
        let mut login = Login { version, ..self.login() };
        if websocket {
            options.push("transport=ws".to_owned());
            login.broker = self.platform.server.https();
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut probe = Probe::connect(Library::Paho, &login, &options);
        probe.subscribe(1, &self.platform.topic(&self.channel, "/#"));
        probe
    }

    /// A WebSocket on the channel, which reads.
    fn socket(&self, name: &str) -> Process {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut node = Command::new("node");
        let url = format!("wss://{}/{}", self.platform.server.https(), self.topic());
        node.arg(root.join("tests/clients/node/socket.mjs")).args([&url, "", &self.authority.path("ca.crt")]);
        node.args(["crt", "key"].map(|kind| self.authority.path(&format!("{name}.{kind}"))));
        Process::start_with_input("socket", &mut node)
    }

    /// Server-sent events of the channel, as a browser gets them.
    fn events(&self, name: &str) -> Process {
        let mut curl = self.curl(name, &self.topic());
        Process::start("curl", curl.args(["--no-buffer", "--header", "Accept: text/event-stream"]))
    }

    /// One HTTPS connection that stays open for several requests.
    fn kept_alive(&self, name: &str) -> Process {
        let file = |kind: &str| self.authority.path(&format!("{name}.{kind}"));
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-quiet", "-crlf", "-ign_eof", "-CAfile", &self.authority.path("ca.crt")]);
        openssl.args(["-cert", &file("crt"), "-key", &file("key"), "-cert_chain", &file("crt")]);
        openssl.args(["-connect", &self.platform.server.https().to_string()]);
        Process::start_with_input("s_client", &mut openssl)
    }

    fn curl(&self, name: &str, path: &str) -> Command {
        let file = |name: &str| self.authority.path(name);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--cacert", &file("ca.crt"), "--cert", &file(&format!("{name}.crt"))]);
        curl.args(["--key", &file(&format!("{name}.key"))]);
        curl.arg(format!("https://{}/{path}", self.platform.server.https()));
        curl
    }

    /// The status of a publish over HTTPS with the certificate; 000 where there was no connection.
    fn posts(&self, name: &str) -> String {
        let mut curl = self.curl(name, &self.topic());
        curl.args(["--output", "/dev/null", "--write-out", "%{http_code}", "--json", "{}"]);
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

/// Sends a publish on a connection that stays open, and waits for its answer.
#[track_caller]
fn post_again(connection: &mut Process, topic: &str, expected: &str) {
    for line in [
        &format!("POST /{topic} HTTP/1.1"),
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 2",
        "",
        "{}",
    ] {
        connection.say(line);
    }
    let line = format!("HTTP/1.1 {expected}");
    connection.wait_for(Stream::Out, &line, |said| said.contains(&line).then_some(()));
}

#[test]
fn every_connection_that_a_revoked_certificate_has_opened_is_over_within_a_second() {
    for storage in Storage::ALL {
        let scene = Scene::start(storage);
        let serial = scene.issue("device");
        let mqtt = Version::ALL.map(|version| scene.listens("device", version, false));
        let over_websocket = scene.listens("device", Version::V5, true);
        let (socket, events) = (scene.socket("device"), scene.events("device"));
        let mut kept_alive = scene.kept_alive("device");
        socket.wait_for(Stream::Out, "open", |line| (line == "open").then_some(()));
        events.wait_for_line("retry: 3000");
        post_again(&mut kept_alive, &scene.topic(), "202");
        over_websocket.message("{}");

        scene.revoke(&serial);
        let_the_grace_pass();
        for probe in mqtt.iter().chain([&over_websocket]) {
            assert_eq!(probe.count("closed"), 1);
        }
        assert!(socket.log().contains("closed 1008"), "{}", socket.log());
        assert!(events.log().contains("event: end"), "{}", events.log());
        post_again(&mut kept_alive, &scene.topic(), "401");
    }
}

#[test]
fn a_certificate_of_a_disabled_client_opens_nothing_until_it_is_enabled() {
    let scene = Scene::start(Storage::Sqlite);
    scene.issue("device");
    let open = scene.listens("device", Version::V5, false);
    let set = |state: &str| {
        let path = format!("/{{domain}}/clients/{}/{state}", scene.device.id);
        assert_eq!(scene.platform.post(&path, &json!({})).status, 200, "{state}");
    };
    set("disable");
    let_the_grace_pass();
    assert_eq!(open.count("closed"), 1);
    assert!(!scene.publishes("device"));
    assert_eq!(scene.posts("device"), "403");
    set("enable");
    assert!(scene.publishes("device"));
    assert_eq!(scene.posts("device"), "202");
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
    wait_until("the watch has counted", || {
        let metrics = scene.platform.server.request("GET", "/metrics").send();
        ["certs_valid 1", "certs_revoked 1", "certs_expiring 0"]
            .iter()
            .all(|line| metrics.body.contains(line))
            && metrics.body.contains("certs_authority_seconds_left 31")
    });
}

#[test]
fn an_operators_own_root_or_intermediate_is_imported_and_signs_after_the_next_start() {
    let mut scene = Scene::start(Storage::Sqlite);
    scene.issue("before");
    scene.authority.root("own");
    scene.authority.below("own", "issuing");
    let data = scene.platform.server.data_dir();
    let path = |file: &str| scene.authority.path(file);
    let import = |certificate: &str, key: &str| {
        Launch::command(&["certs", "import", "--certificate", &path(certificate)])
            .flag("--key", &path(key))
            .flag("--data-dir", data.to_str().unwrap())
            .run()
    };
    for (certificate, key, wrong) in
        [("own.crt", "own.key", "server.key"), ("issuing-chain.crt", "issuing.key", "own.key")]
    {
        scene.platform.server.terminate();
        let (status, said) = import(certificate, wrong);
        assert!(!status.success() && said.contains("the key is not that of the certificate"), "{said}");
        let (status, said) = import(certificate, key);
        assert!(status.success(), "{said}");
        scene.platform.restart();
        scene.issue(certificate);
        for name in ["before", certificate] {
            assert!(scene.publishes(name), "{name}");
        }
        let shown = text(&scene.platform.get("/certs/view-ca"), "certificate");
        let own = scene.authority.pem("own.crt");
        assert!(shown.contains(own.trim()), "{shown}");
    }
    let shown = text(&scene.platform.get("/certs/view-ca"), "certificate");
    assert!(shown.starts_with(scene.authority.pem("issuing.crt").trim()), "{shown}");
}

#[test]
fn another_master_key_ends_the_start_with_a_word_about_it() {
    let mut scene = Scene::start(Storage::Sqlite);
    scene.issue("device");
    scene.platform.server.terminate();
    fs::remove_file(scene.platform.server.data_dir().join("master.key")).unwrap();
    let (status, said) = scene.platform.server.into_launch().run();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("master key"), "{said}");
}

#[test]
fn what_openbao_signs_opens_connections_until_it_is_revoked() {
    #[expect(clippy::disallowed_methods, reason = "the program under test goes by the machine's clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let bao = OpenBao::start(now.as_secs().try_into().unwrap());
    let launch = Launch::on(Storage::Sqlite)
        .env("TRUNKLINE_CERTS_BACKEND", "openbao")
        .env("MG_CERTS_OPENBAO_HOST", &bao.url())
        .env("MG_CERTS_OPENBAO_APP_ROLE", openbao::APP_ROLE.0)
        .env("MG_CERTS_OPENBAO_APP_SECRET", openbao::APP_ROLE.1);
    let scene = Scene::with(launch);
    let serial = scene.issue("device");
    assert!(scene.publishes("device"));
    assert_eq!(scene.posts("device"), "202");
    bao.go_away(true);
    scene.revoke(&serial);
    assert!(!scene.publishes("device"), "OpenBao need not hear of it first");
    bao.go_away(false);
    wait_until("OpenBao has heard of it", || bao.serials().1 == [serial.clone()]);
}
