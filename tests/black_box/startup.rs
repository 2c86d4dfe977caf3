//! The program starts with nothing but a directory, says where it is, and stops when it is asked to.

use std::net::TcpStream;

use serde_json::json;
use testkit::mosquitto::Version;
use testkit::{Launch, Server, Storage, ports};

use crate::platform::{Platform, log_in, text};
use crate::probe::{Library, Probe};

#[test]
fn the_help_of_serve_names_each_flag_that_scripts_rely_on() {
    let (status, help) = Launch::command(&["serve", "--help"]).run();
    assert!(status.success());
    for flag in
        ["--data-dir", "--http", "--mqtt", "--no-compat-ports", "--config", "--only", "--database-url"]
    {
        assert!(help.contains(flag), "no {flag} in:\n{help}");
    }
}

#[test]
fn health_and_metrics_answer_without_a_token() {
    for storage in Storage::ALL {
        let server = Server::start(storage);
        for path in ["/health"] {
            let health = server.request("GET", path).send();
            assert_eq!(
                (health.status, health.header("content-type")),
                (200, Some("application/health+json"))
            );
            let body = health.json();
            assert_eq!(body["status"], "pass");
            for member in ["version", "commit", "description", "build_time", "instance_id"] {
                text(&body, member);
            }
        }
        let metrics = server.request("GET", "/metrics").send();
        assert_eq!(metrics.status, 200);
        assert!(metrics.body.contains("# TYPE "), "{metrics:?}");
    }
}

#[test]
fn the_api_describes_itself() {
    let server = Server::start(Storage::Sqlite);
    let document = server.request("GET", "/openapi.json").send();
    assert_eq!(document.status, 200, "{}", document.body);
    let document = document.json();
    assert!(text(&document, "openapi").starts_with("3."));
    let paths: Vec<_> =
        document["paths"].as_object().unwrap().keys().map(|path| without_names(path)).collect();
    for path in ["/users/tokens/issue", "/domains", "/{}/clients/{}", "/{}/channels/connect", "/m/{}/c/{}"] {
        assert!(paths.iter().any(|known| known == path), "no {path} among {paths:?}");
    }
    let page = server.request("GET", "/docs").send();
    assert_eq!(page.status, 200);
    let foreign = |attribute: &str| page.body.contains(&format!("{attribute}=\"http"));
    assert!(!foreign("src") && !foreign("href=\"https://cdn"), "the page needs an outside host");
}

#[test]
fn a_password_is_generated_and_shown_at_the_first_start_only() {
    for storage in Storage::ALL {
        let launch = Launch::on(storage)
            .env("TRUNKLINE_ADMIN_USERNAME", "")
            .env("TRUNKLINE_ADMIN_EMAIL", "")
            .env("TRUNKLINE_ADMIN_PASSWORD", "");
        let mut server = launch.start();
        let password =
            password_in(&server.log()).unwrap_or_else(|| panic!("no password in:\n{}", server.log()));
        assert!(password.len() >= 12, "`{password}` is short");
        let body = json!({"username": "admin", "password": password});
        assert_eq!(server.request("POST", "/users/tokens/issue").json(&body).send().status, 201);

        server.restart();
        assert!(
            !server.log().contains(&password) && password_in(&server.log()).is_none(),
            "{}",
            server.log()
        );
        assert_eq!(server.request("POST", "/users/tokens/issue").json(&body).send().status, 201);
    }
}

#[test]
fn the_administrator_may_be_given_by_the_names_of_magistrala_and_supermq() {
    for prefix in ["MG", "SMQ"] {
        let mut launch = Launch::on(Storage::Sqlite);
        for name in ["USERNAME", "EMAIL", "PASSWORD"] {
            launch = launch.env(&format!("TRUNKLINE_ADMIN_{name}"), "");
        }
        let server = launch
            .env(&format!("{prefix}_USERS_ADMIN_USERNAME"), "chief")
            .env(&format!("{prefix}_USERS_ADMIN_EMAIL"), "chief@example.com")
            .env(&format!("{prefix}_USERS_ADMIN_PASSWORD"), "a-long-password")
            .start();
        assert!(!server.log().contains("a-long-password"), "{}", server.log());
        for name in ["chief", "chief@example.com"] {
            let body = json!({"username": name, "password": "a-long-password"});
            assert_eq!(server.request("POST", "/users/tokens/issue").json(&body).send().status, 201);
        }
    }
}

#[test]
fn the_whole_api_answers_on_each_port_of_the_separate_services() {
    let services = ["AUTH", "USERS", "DOMAINS", "GROUPS", "CHANNELS", "CLIENTS", "HTTP_ADAPTER"];
    let chosen = services.map(|service| (service, ports::free()));
    let mut launch = Launch::on(Storage::Sqlite).without("--no-compat-ports");
    for (service, port) in chosen {
        launch = launch.env(&format!("TRUNKLINE_COMPAT_PORTS_{service}"), &port.to_string());
    }
    let server = launch.start();
    let token = log_in(&server);
    for (service, port) in chosen {
        let at = |path: &str| testkit::curl::Request::new("GET", &format!("http://127.0.0.1:{port}{path}"));
        let health = at("/health").send();
        assert_eq!(health.status, 200, "{service}: {health:?}");
        assert_eq!(at("/domains").bearer(&token).send().status, 200, "{service}");
    }
}

#[test]
fn a_taken_port_of_a_separate_service_is_only_a_warning() {
    let (_listener, port) = ports::taken();
    let mut launch = Launch::on(Storage::Sqlite).without("--no-compat-ports");
    for service in ["AUTH", "USERS", "DOMAINS", "GROUPS", "CHANNELS", "CLIENTS", "HTTP_ADAPTER"] {
        let port = if service == "USERS" { port } else { ports::free() };
        launch = launch.env(&format!("TRUNKLINE_COMPAT_PORTS_{service}"), &port.to_string());
    }
    let server = launch.start();
    assert!(server.log().contains(&port.to_string()), "{}", server.log());
    log_in(&server);
}

#[test]
fn a_node_serves_only_what_it_is_told_to() {
    let launch = Launch::on(Storage::Sqlite).flag("--only", "users,domains");
    let server = launch.start();
    let token = log_in(&server);
    assert_eq!(server.request("GET", "/domains").bearer(&token).send().status, 200);
    assert!(!server.log().contains("listening mqtt"), "{}", server.log());
    let clients =
        server.request("GET", "/00000000-0000-4000-8000-000000000000/clients").bearer(&token).send();
    assert_eq!(clients.status, 404, "{clients:?}");
}

#[test]
fn sigterm_ends_the_program_in_order_and_all_is_there_afterwards() {
    for storage in Storage::ALL {
        let mut platform = Platform::start(storage);
        let channel = platform.channel("boiler");
        let device = platform.connected_device("one", &channel);
        let v5 = Probe::connect(Library::MqttJs, &platform.login(&device, Version::V5), &[]);
        let v3 = Probe::connect(Library::MqttJs, &platform.login(&device, Version::V311), &[]);

        let status = platform.server.terminate();
        assert_eq!(status.code(), Some(0), "{}", platform.server.log());
        assert_eq!(v5.event("closed"), "139", "DISCONNECT with `server shutting down` (MQTT 5, 3.14.2.1)");
        v3.event("closed");
        assert!(TcpStream::connect(platform.server.http()).is_err());

        platform.restart();
        assert_eq!(platform.get(&format!("/{{domain}}/clients/{}", device.id))["name"], "one");
    }
}

/// The generated password: the word after `Password`.
fn password_in(log: &str) -> Option<String> {
    let (_, after) = log.split_once("Password ")?;
    after.split_whitespace().next().map(ToOwned::to_owned)
}

/// A path of the document with `{}` for each of its parameters, whatever they are called.
fn without_names(path: &str) -> String {
    let parts: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    parts.join("/")
}
