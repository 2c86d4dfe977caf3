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

impl Plugin {
    fn configuration(self) -> String {
        let Self { backend, method, params_mode, response_mode } = self;
        let query = if response_mode == "text" { "?response=text" } else { "" };
        let method_option = if backend == "jwt" { "jwt_http_method" } else { "http_method" };
        let option = |name: &str, value: &str| format!("auth_opt_{backend}_{name} {value}\n");
        [
            format!("listener 1883\nauth_plugin x\nauth_opt_backends {backend}\n"),
            option("host", "policy-service"),
            option("port", "8009"),
            option("getuser_uri", &format!("/mqtt/user{query}")),
            option("aclcheck_uri", &format!("/mqtt/acl{query}")),
            option("superuser_uri", &format!("/mqtt/superuser{query}")),
            option("params_mode", params_mode),
            option("response_mode", response_mode),
            format!("auth_opt_{method_option} {method}\n"),
        ]
        .concat()
    }
}

/// `mosquitto.conf` of the CELINE documentation, without its second listener, which needs certificates.
const CELINE: &str = "\
# Listener
listener 1883
protocol mqtt

# Auth plugin
auth_plugin /usr/lib/mosquitto-go-auth.so

# HTTP backend
auth_opt_backends http
auth_opt_http_host policy-service
auth_opt_http_port 8009

# Endpoints
auth_opt_http_getuser_uri /mqtt/user
auth_opt_http_aclcheck_uri /mqtt/acl
auth_opt_http_superuser_uri /mqtt/superuser

# HTTP options
auth_opt_http_method POST
auth_opt_http_content_type application/json
auth_opt_http_timeout 5

# Pass JWT in Authorization header
auth_opt_http_params_mode form
auth_opt_http_with_tls false

# Caching (optional)
auth_opt_cache true
auth_opt_cache_type redis
auth_opt_cache_host redis
auth_opt_cache_port 6379
auth_opt_auth_cache_seconds 300
auth_opt_acl_cache_seconds 300
";

/// A broker with the plugin.
struct Broker {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Broker {
    fn start(service: &Service, asking: Plugin) -> Self {
        Self::configured(service, &asking.configuration())
    }

    /// As a configuration says, but on a free port, with our plugin, and asking `service`.
    fn configured(service: &Service, configuration: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let plugin = plugin(directory.path());
        let port = ports::free();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // Started by root it would become a user who may not read this directory.
        let mut text = "user root\nlog_dest stderr\nlog_type all\n".to_owned();
        for line in configuration.lines() {
            text += &match line.split_once(' ') {
                Some(("listener", _)) => format!("listener {port} 127.0.0.1"),
                Some(("auth_plugin", _)) => format!("auth_plugin {}", plugin.display()),
                Some((option, "policy-service")) => format!("{option} 127.0.0.1"),
                Some((option, "8009")) => format!("{option} {}", service.address.port()),
                _ => line.to_owned(),
            };
            text.push('\n');
        }
        let file = directory.path().join("mosquitto.conf");
        fs::write(&file, text).unwrap();
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
fn the_configurations_of_the_guide_and_of_the_celine_documentation_work_as_they_are_written() {
    let service = Service::start();
    let (writer, reader) = (service.service("w", "mqtt.write"), service.service("r", "mqtt.read"));
    let guide = crate::policy::guide();
    let of_guide = crate::policy::blocks(&guide, "").filter(|block| block.starts_with("listener 1883"));
    let all: Vec<&str> = of_guide.chain([CELINE]).collect();
    assert_eq!(all.len(), 3);
    for configuration in all {
        let broker = Broker::configured(&service, configuration);
        let backend = if configuration.contains("backends jwt") { "jwt" } else { "http" };
        let login = |name, token| {
            let (username, password) = credentials(backend, name, token);
            broker.login(username, password, Version::V311)
        };
        let mut dashboard = Probe::connect(Library::Paho, &login("r", &reader), &[]);
        assert_eq!(dashboard.subscribe(1, "celine/digital-twin/events/#"), "1");
        mosquitto::try_subscribe(&login("r", &reader), "celine/#", &[]).wait_for_log("128");
        let topic = "celine/digital-twin/events/pump/pump-001";
        assert_eq!(mosquitto::publish(&login("w", &writer), topic, 1, "running", &[]).code, 0);
        dashboard.message("running");
        let outcome = mosquitto::publish(&login("w", "no-token"), topic, 1, "x", &[]);
        assert_ne!(outcome.code, 0, "{}", outcome.log);
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
