//! A real Mosquitto asks the policy service, as its plugin mosquitto-go-auth does: with both of its configurations, each
//! method, form of body and response mode, for client libraries of other people, allowed and denied.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use testkit::mosquitto::{self, Login, Version};
use testkit::oidc::{Algorithm, Key};
use testkit::process::{Process, Stream};
use testkit::{TempDir, ports, wait_until};

use crate::policy::Service;
use crate::probe::{Library, Probe};

/// How the plugin is configured.
#[derive(Clone, Copy, Debug)]
struct Plugin {
    backend: &'static str,
    method: &'static str,
    params_mode: &'static str,
    response_mode: &'static str,
}

/// The configuration of the CELINE documentation.
const DOCUMENTED: Plugin =
    Plugin { backend: "http", method: "POST", params_mode: "form", response_mode: "status" };

/// A broker with the plugin.
struct Broker {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Broker {
    fn start(service: &Service, asking: Plugin) -> Self {
        let Plugin { backend, method, params_mode, response_mode } = asking;
        let directory = TempDir::new().unwrap();
        let plugin = plugin(directory.path());
        let port = ports::free();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // Started by root it would become a user who may not read this directory.
        let configuration = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous false\nlog_dest stderr\nlog_type all\nplugin {}\n\
             plugin_opt_backend {backend}\nplugin_opt_host 127.0.0.1\nplugin_opt_port {}\n\
             plugin_opt_params_mode {params_mode}\nplugin_opt_method {method}\nplugin_opt_response_mode {response_mode}\n",
            plugin.display(),
            service.address.port(),
        );
        let file = directory.path().join("mosquitto.conf");
        fs::write(&file, configuration).unwrap();
        // Debian installs it where only root's path looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("mosquitto");
        let process = Process::start("mosquitto", command.arg("-c").arg(&file).env("PATH", path));
        wait_until("the broker listens", || TcpStream::connect(address).is_ok());
        Self { process, address, _directory: directory }
    }

    fn login(&self, username: &str, password: &str, version: Version) -> Login {
        Login { broker: self.address, version, username: username.to_owned(), password: password.to_owned() }
    }
}

fn plugin(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mosquitto/go_auth.c");
    let plugin = directory.join("go_auth.so");
    let mut command = Command::new("gcc");
    let built = command.args(["-shared", "-fPIC", "-o"]).args([&plugin, &source]).status();
    assert!(built.is_ok_and(|status| status.success()), "the plugin does not build: see scripts/test-setup");
    plugin
}

/// Waits for a line of the log.
fn noted(process: &Process, part: &str) {
    process.wait_for(Stream::Err, part, |line| line.contains(part).then_some(()));
}

/// What a client shows in each of the plugin's configurations.
fn credentials<'a>(backend: &str, name: &'a str, token: &'a str) -> (&'a str, &'a str) {
    if backend == "jwt" { (token, "any") } else { (name, token) }
}

#[test]
fn clients_of_a_mosquitto_do_what_the_rules_allow_and_nothing_else() {
    let service = Service::start();
    let writer = service.service("svc-digital-twin", "mqtt.write");
    let reader = service.service("svc-dash", "mqtt.read");
    let all = [
        DOCUMENTED,
        Plugin { response_mode: "text", ..DOCUMENTED },
        Plugin { params_mode: "json", response_mode: "json", ..DOCUMENTED },
        Plugin { params_mode: "json", method: "PUT", ..DOCUMENTED },
        Plugin { params_mode: "json", method: "GET", response_mode: "text", ..DOCUMENTED },
        Plugin { backend: "jwt", params_mode: "json", ..DOCUMENTED },
        Plugin { backend: "jwt", method: "PUT", response_mode: "json", ..DOCUMENTED },
        Plugin { backend: "jwt", method: "GET", params_mode: "json", response_mode: "text" },
    ];
    for asking in all {
        let broker = Broker::start(&service, asking);
        let backend = asking.backend;
        for (library, version) in [(Library::Paho, Version::V311), (Library::MqttJs, Version::V5)] {
            let connect = |name: &str, token: &str| {
                let (username, password) = credentials(backend, name, token);
                Probe::connect(library, &broker.login(username, password, version), &[])
            };
            let mut dashboard = connect("svc-dash", &reader);
            assert_eq!(dashboard.subscribe(1, "celine/digital-twin/events/#"), "1");
            let mut twin = connect("svc-digital-twin", &writer);
            let payload = format!("{asking:?}-{library:?}").replace([' ', '"'], "");
            twin.publish(1, "celine/digital-twin/events/pump/pump-001", &payload);
            dashboard.message(&payload);
            // To read it would need another scope.
            let refused = if version == Version::V5 { "135" } else { "128" };
            assert_eq!(twin.subscribe(1, "celine/digital-twin/events/#"), refused);
            twin.end();
            dashboard.end();
        }
    }
}

#[test]
fn a_message_that_is_not_allowed_is_not_delivered_and_a_wider_filter_is_refused() {
    let service = Service::start();
    let broker = Broker::start(&service, DOCUMENTED);
    let (writer, reader) = (service.service("w", "mqtt.write"), service.service("r", "mqtt.read"));
    let admin = service.token(&json!({"sub": "u-1", "preferred_username": "adm", "groups": ["/admins"]}));
    // A superuser is not asked about topics: it sees what reaches the broker.
    let watcher = mosquitto::subscribe(&broker.login("adm", &admin, Version::V311), "celine/#", &[]);
    for version in Version::ALL {
        let login = broker.login("w", &writer, version);
        mosquitto::publish(&login, "celine/pipelines/status/etl", 1, "forbidden", &[]);
        let outcome = mosquitto::publish(&login, "celine/digital-twin/events/x", 1, "allowed", &[]);
        assert_eq!(outcome.code, 0, "{}", outcome.log);
    }
    watcher.wait_for_message("allowed");
    wait_until("both messages arrive", || watcher.messages().len() == 2);
    assert!(
        watcher.messages().iter().all(|message| message.ends_with("allowed")),
        "{:?}",
        watcher.messages()
    );

    for (login, filter) in [
        (broker.login("r", &reader, Version::V5), "celine/#"),
        (broker.login("r", &reader, Version::V5), "#"),
        (broker.login("r", &reader, Version::V5), "$share/g/celine/#"),
    ] {
        let subscriber = mosquitto::try_subscribe(&login, filter, &[]);
        subscriber.wait_for_log("135");
    }
    // No token, another's token, an expired one.
    let stranger = Key::generate("k", Algorithm::RS256);
    let forged = stranger.sign(&service.issuer.claims(4_000_000_000, &json!({"sub": "x"})));
    let expired = service.token(&json!({"client_id": "w", "scope": "mqtt.write", "exp": 1_000_000}));
    for password in ["secret", &forged, &expired] {
        let outcome = mosquitto::publish(&broker.login("w", password, Version::V311), "a", 0, "x", &[]);
        assert_ne!(outcome.code, 0, "{}", outcome.log);
    }
}

#[test]
fn a_restart_of_the_service_keeps_logins_and_changed_rules_count_for_connected_clients() {
    let mut service = Service::start();
    let broker = Broker::start(&service, Plugin { params_mode: "json", ..DOCUMENTED });
    let reader = service.service("r", "mqtt.read");
    let writer = service.service("w", "mqtt.write");
    let mut dashboard = Probe::connect(Library::Paho, &broker.login("r", &reader, Version::V311), &[]);
    dashboard.subscribe(1, "celine/digital-twin/events/#");
    let mut twin = Probe::connect(Library::Paho, &broker.login("w", &writer, Version::V311), &[]);
    service.restart();
    // The broker does not ask for their credentials again.
    twin.publish(1, "celine/digital-twin/events/a", "after-restart");
    dashboard.message("after-restart");

    fs::write(service.directory.path().join("celine.json"), "{}").unwrap();
    noted(&service.process, "the rules were read anew");
    twin.publish(1, "celine/digital-twin/events/a", "after-change");
    noted(&broker.process, "asked /mqtt/acl json: 403");
    let late =
        mosquitto::try_subscribe(&broker.login("r", &reader, Version::V311), "celine/digital-twin/#", &[]);
    late.wait_for_log("128");
}
