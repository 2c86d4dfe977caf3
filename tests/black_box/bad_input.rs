//! Bad input gets a clear answer that says what to do, and nothing is lost or half done.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::curl::Response;
use testkit::mosquitto::Version;
use testkit::{Launch, PATIENCE, Server, Storage, ports, postgres, wait_until};

use crate::platform::{Platform, log_in, text};
use crate::probe::{Library, Probe};

const NOT_JSON: &str = "request body is not a valid JSON, expecting a valid JSON";

/// The one shape of errors: `message` in the contract's words, `error`, and a request id in the header.
#[track_caller]
fn assert_refused(answer: &Response, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["message"], message, "{answer:?}");
    text(&body, "error");
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{answer:?}");
    assert!(
        answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")),
        "{answer:?}"
    );
}

#[test]
fn wrong_json_and_members_of_the_wrong_type_are_400() {
    let platform = Platform::start(Storage::Sqlite);
    for kind in ["/domains", "/{domain}/clients", "/{domain}/channels"] {
        for body in [
            "",
            "{",
            "nonsense",
            "[1,",
            "\"text\"",
            "{\"name\": 7}",
            "{\"metadata\": \"text\", \"types\": 1}",
        ] {
            let request =
                platform.request("POST", kind).header("Content-Type", "application/json").body(body);
            assert_refused(&request.send(), 400, NOT_JSON);
        }
    }
    for body in ["", "{", "{\"client_ids\": \"text\"}", "{\"types\": [1]}"] {
        let request = platform.request("POST", "/{domain}/channels/connect");
        assert_refused(&request.header("Content-Type", "application/json").body(body).send(), 400, NOT_JSON);
    }
    for body in ["", "{", "{\"username\": 1}"] {
        let request = platform.server.request("POST", "/users/tokens/issue");
        assert_refused(&request.header("Content-Type", "application/json").body(body).send(), 400, NOT_JSON);
    }
    nothing_was_made(&platform);
}

#[test]
fn unknown_members_are_ignored() {
    let platform = Platform::start(Storage::Sqlite);
    platform.made("/{domain}/clients", &json!({"name": "one", "unknown": {"deep": [1, 2, 3]}}));
}

#[test]
fn missing_and_malformed_tokens_are_401() {
    let platform = Platform::start(Storage::Sqlite);
    let routes = [
        ("GET", "/users/profile".to_owned()),
        ("GET", "/domains".to_owned()),
        ("POST", "/domains".to_owned()),
        ("GET", format!("/domains/{}", platform.domain)),
        ("GET", format!("/{}/clients", platform.domain)),
        ("POST", format!("/{}/clients", platform.domain)),
        ("GET", format!("/{}/channels", platform.domain)),
        ("POST", format!("/{}/channels/connect", platform.domain)),
    ];
    for (method, path) in &routes {
        let request = platform.server.request(method, path).json(&json!({"name": "x", "route": "x"}));
        let missing = "missing or invalid bearer user token";
        assert_refused(&request.send(), 401, missing);
        for header in ["", "Bearer", "Basic YTpi", "bearer x"] {
            assert_refused(&request.clone().header("Authorization", header).send(), 401, missing);
        }
        let failed = "failed to perform authentication over the entity";
        let forged = format!("{}x", platform.token);
        for token in ["nonsense", "a.b.c", "pat_nonsense", forged.as_str()] {
            assert_refused(&request.clone().bearer(token).send(), 401, failed);
        }
    }
    nothing_was_made(&platform);
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_401() {
    let server = Server::start(Storage::Sqlite);
    for (username, password) in [("admin", "wrong-password"), ("nobody", "12345678")] {
        let body = json!({"username": username, "password": password});
        let answer = server.request("POST", "/users/tokens/issue").json(&body).send();
        assert_refused(&answer, 401, "invalid credentials");
    }
}

#[test]
fn ids_that_do_not_exist_are_404_for_those_who_may_look() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let unknown = ("00000000-0000-4000-8000-000000000000", 404, "entity not found");
        let malformed = ("no-id-at-all", 400, "invalid id format provided");
        for (id, status, message) in [unknown, malformed] {
            for kind in ["clients", "channels"] {
                let path = format!("/{{domain}}/{kind}/{id}");
                let rename = platform.request("PATCH", &path).json(&json!({"name": "x"}));
                let disable = platform.request("POST", &format!("{path}/disable"));
                for request in
                    [platform.request("GET", &path), platform.request("DELETE", &path), rename, disable]
                {
                    assert_refused(&request.send(), status, message);
                }
            }
            assert_refused(&platform.request("GET", &format!("/domains/{id}")).send(), status, message);
        }
    }
}

#[test]
fn connecting_what_does_not_exist_changes_nothing() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let (device, channel) = (platform.device("one"), platform.channel("one"));
        let nobody = "00000000-0000-4000-8000-000000000000";
        for (clients, channels) in [
            (vec![device.id.as_str(), nobody], vec![channel.as_str()]),
            (vec![device.id.as_str()], vec![channel.as_str(), nobody]),
        ] {
            let body = json!({"client_ids": clients, "channel_ids": channels, "types": ["publish"]});
            let answer = platform.post("/{domain}/channels/connect", &body);
            assert!(matches!(answer.status, 403 | 404), "{answer:?}");
            assert_eq!(platform.get(&format!("/{{domain}}/clients?channel={channel}"))["total"], 0);
        }
        for (body, message) in [
            (
                json!({"client_ids": [device.id], "channel_ids": [], "types": ["publish"]}),
                "missing entity id",
            ),
            (
                json!({"client_ids": [device.id], "channel_ids": [channel], "types": []}),
                "missing connection type",
            ),
        ] {
            assert_refused(&platform.post("/{domain}/channels/connect", &body), 400, message);
        }
        let body = json!({"client_ids": [device.id], "channel_ids": [channel], "types": ["both"]});
        assert_eq!(platform.post("/{domain}/channels/connect", &body).status, 400);
    }
}

#[test]
fn names_and_routes_over_their_limits_are_400() {
    let platform = Platform::start(Storage::Sqlite);
    for kind in ["clients", "channels"] {
        let path = format!("/{{domain}}/{kind}");
        assert_refused(&platform.post(&path, &json!({"name": "x".repeat(1025)})), 400, "invalid name size");
        // The limit counts bytes: 513 letters of two bytes are too many.
        assert_refused(&platform.post(&path, &json!({"name": "ü".repeat(513)})), 400, "invalid name size");
        platform.made(&path, &json!({"name": "x".repeat(1024)}));
        assert_refused(&platform.post(&path, &json!({"name": "x", "status": "gone"})), 400, "invalid status");
    }
    for route in ["1x", "a__b", "a--b", "with space", "ä", &"r".repeat(37)] {
        let body = json!({"name": "x", "route": route});
        assert_refused(&platform.post("/{domain}/channels", &body), 400, "invalid route format");
        assert_refused(&platform.post("/domains", &body), 400, "invalid route format");
    }
    assert_refused(&platform.post("/domains", &json!({"name": "x"})), 400, "missing route");
}

#[test]
fn duplicates_are_409_and_change_nothing() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let again = json!({"name": "again", "route": "plant"});
        assert_refused(&platform.post("/domains", &again), 409, "route not available");

        platform.made("/{domain}/channels", &json!({"name": "one", "route": "boiler"}));
        let again = json!({"name": "two", "route": "boiler"});
        assert_refused(&platform.post("/{domain}/channels", &again), 409, "route not available");
        let bulk = json!([{"name": "three"}, {"name": "four", "route": "boiler"}]);
        assert_refused(&platform.post("/{domain}/channels/bulk", &bulk), 409, "route not available");
        assert_eq!(platform.get("/{domain}/channels")["total"], 1);

        let client = platform.made("/{domain}/clients", &json!({"credentials": {"secret": "secret"}}));
        let again = json!({"credentials": {"secret": "secret"}});
        assert_refused(&platform.post("/{domain}/clients", &again), 409, "client key is not available");
        assert_eq!(platform.get("/{domain}/clients")["total"], 1);

        let path = format!("/{{domain}}/clients/{}/enable", text(&client, "id"));
        assert_refused(&platform.request("POST", &path).send(), 409, "status already assigned");
    }
}

#[test]
fn wrong_queries_are_400() {
    let platform = Platform::start(Storage::Sqlite);
    for kind in ["clients", "channels"] {
        for (query, message) in [
            ("limit=0", "invalid limit size"),
            ("limit=101", "invalid limit size"),
            ("limit=ten", "invalid query parameters"),
            ("offset=-1", "invalid query parameters"),
            ("name=a&name=b", "invalid query parameters"),
            ("order=secret", "invalid list order provided"),
            ("dir=up", "invalid list direction provided"),
            ("status=gone", "invalid status"),
            ("metadata=nonsense", "invalid query parameters"),
        ] {
            let answer = platform.request("GET", &format!("/{{domain}}/{kind}?{query}")).send();
            assert_refused(&answer, 400, message);
        }
    }
}

#[test]
fn an_unknown_content_type_is_415_and_nothing_is_published() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("one", &channel);
    let topic = platform.topic(&channel, "");
    let mut witness = Probe::connect(Library::Paho, &platform.login(&device, Version::V5), &[]);
    witness.subscribe(1, &topic);

    for kind in ["text/plain", "application/xml"] {
        for path in ["/domains", "/{domain}/clients", "/{domain}/channels"] {
            let request =
                platform.request("POST", path).header("Content-Type", kind).body("{\"name\":\"x\"}");
            assert_refused(&request.send(), 415, "unsupported content type");
        }
        let publish = platform.server.request("POST", &format!("/{topic}")).header("Content-Type", kind);
        let publish = publish.header("Authorization", &format!("Client {}", device.secret)).body("refused");
        assert_refused(&publish.send(), 415, "unsupported content type");
    }
    assert_refused(&platform.publish(&device, &topic, ""), 400, "empty message");

    witness.publish(1, &topic, "last");
    witness.message("last");
    assert_eq!(witness.messages().len(), 1, "{:?}", witness.messages());
}

#[test]
fn a_body_over_the_limit_is_413() {
    let platform = Platform::start(Storage::Sqlite);
    let body = json!({"name": "x", "metadata": {"blob": "x".repeat(6 * 1024 * 1024)}});
    let answer = platform.post("/{domain}/clients", &body);
    assert_eq!(answer.status, 413, "{answer:?}");
    text(&answer.json(), "message");
    nothing_was_made(&platform);
}

#[test]
fn unknown_paths_and_methods_are_404_and_405_in_json() {
    let platform = Platform::start(Storage::Sqlite);
    let answer = platform.request("GET", "/no/such/path/at/all").send();
    assert_eq!(answer.status, 404, "{answer:?}");
    text(&answer.json(), "message");
    let answer = platform.request("PUT", "/domains").send();
    assert_eq!(answer.status, 405, "{answer:?}");
    text(&answer.json(), "message");
}

#[test]
fn hostile_bytes_end_only_their_own_connection() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("one", &channel);
    let mut witness = Probe::connect(Library::Paho, &platform.login(&device, Version::V5), &[]);
    let topic = platform.topic(&channel, "");
    witness.subscribe(1, &topic);

    let packets: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\x00",
        b"\x30\x03\x00\x01a",                            // a message before CONNECT
        b"\x10\xff\xff\xff\xff\x7f",                     // a length of five bytes
        b"\x10\xff\xff\xff\x7f",                         // a length of 256 MiB
        b"\x10\x02\x00\x04",                             // CONNECT that ends in its protocol name
        b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00", // no such version
        b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00", // the reserved flag is set
        b"\x10\x0c\x00\x04NOPE\x04\x02\x00\x3c\x00\x00", // no such protocol
    ];
    for packet in packets {
        let mut stream = TcpStream::connect(platform.server.mqtt()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(packet).unwrap();
        let mut answer = Vec::new();
        // Closed or reset: either ends the connection. A timeout is the failure.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{packet:?} keeps its connection");
        }
        assert!(answer.is_empty() || answer[0] == 0x20, "{packet:?} is answered with {answer:?}");
    }

    witness.publish(1, &topic, "alive");
    witness.message("alive");
    log_in(&platform.server);
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    for (flag, other) in [("--http", "--mqtt"), ("--mqtt", "--http")] {
        let (_listener, port) = ports::taken();
        let launch = Launch::on(Storage::Sqlite).flag(flag, &format!("127.0.0.1:{port}"));
        let (status, log) = launch.run();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(&port.to_string()) && log.contains(flag), "{log}");
        assert!(!log.lines().any(|line| line == "ready"), "{log}");
        // The start can be repeated: nothing half done is in the way.
        launch.flag(flag, "127.0.0.1:0").flag(other, "127.0.0.1:0").start();
    }
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let launch = Launch::on(Storage::Sqlite);
    let file = launch.data_dir().with_file_name("file");
    std::fs::write(&file, "").unwrap();
    // Below a file nobody can make a directory, not even root, whom modes do not stop.
    let below = file.join("data");
    let (status, log) = launch.flag("--data-dir", below.to_str().unwrap()).run();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(below.to_str().unwrap()), "{log}");
}

#[test]
fn a_data_directory_in_use_is_refused_and_its_user_goes_on() {
    let server = Server::start(Storage::Sqlite);
    let second = Launch::on(Storage::Sqlite).flag("--data-dir", server.data_dir().to_str().unwrap());
    let (status, log) = second.run();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(server.data_dir().to_str().unwrap()), "{log}");
    log_in(&server);
}

#[test]
fn a_wrong_key_in_the_configuration_is_answered_with_file_line_and_the_nearest_key() {
    let launch = Launch::on(Storage::Sqlite);
    let file = launch.data_dir().with_file_name("trunkline.toml");
    std::fs::write(&file, "# the front door\nhtpp = \"127.0.0.1:0\"\n").unwrap();
    let (status, log) = launch.flag("--config", file.to_str().unwrap()).run();
    assert_eq!(status.code(), Some(1), "{log}");
    for part in [&format!("{}:2", file.display()), "htpp", "`http`"] {
        assert!(log.contains(part), "no {part} in: {log}");
    }
}

#[test]
fn a_wrong_value_and_a_missing_file_are_named() {
    let launch = Launch::on(Storage::Sqlite).env("TRUNKLINE_WEB_REQUEST_TIMEOUT", "soon");
    let (status, log) = launch.run();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("TRUNKLINE_WEB_REQUEST_TIMEOUT") && log.contains("soon"), "{log}");

    let (status, log) = Launch::on(Storage::Sqlite).flag("--config", "/no/such/file.toml").run();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("/no/such/file.toml"), "{log}");

    let (status, log) = Launch::on(Storage::Sqlite).switch("--no-such-flag").run();
    assert_eq!(status.code(), Some(2), "{log}");
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let url = format!("postgres://trunkline:hidden-word@127.0.0.1:{}/none", ports::free());
    let (status, log) = Launch::on(Storage::Sqlite).flag("--database-url", &url).run();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("127.0.0.1") && !log.contains("hidden-word"), "{log}");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    const NEWER: &str =
        "INSERT INTO schema_migrations (id, checksum, applied_at) VALUES ('clients/9999', 'x', 0)";
    let database = postgres::url();
    for storage in Storage::ALL {
        let launch = Launch::on(storage);
        let launch = match storage {
            Storage::Sqlite => launch,
            Storage::Postgres => launch.flag("--database-url", &database),
        };
        let launch = launch.start().into_launch();
        match storage {
            Storage::Sqlite => sqlite(&launch.data_dir().join("trunkline.db"), NEWER),
            Storage::Postgres => postgres::execute(&database, NEWER),
        }
        let (status, log) = launch.run();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("newer") && log.contains("clients/9999"), "{log}");
    }
}

/// Runs a statement on a database file with Python's own SQLite.
fn sqlite(file: &Path, statement: &str) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    let status = Command::new("python3").args(["-c", script]).arg(file).arg(statement).status();
    assert!(status.is_ok_and(|status| status.success()), "{statement} on {}", file.display());
}

#[track_caller]
fn nothing_was_made(platform: &Platform) {
    for (path, expected) in
        [("/domains", 1), ("/{domain}/clients?status=all", 0), ("/{domain}/channels?status=all", 0)]
    {
        assert_eq!(platform.get(path)["total"], Value::from(expected), "{path}");
    }
}

#[test]
fn a_secret_never_reaches_the_log() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("one", &channel);
    platform.publish(&device, &platform.topic(&channel, ""), "\"payload-word\"");
    let mut probe = Probe::connect(Library::Paho, &platform.login(&device, Version::V5), &[]);
    probe.publish(1, &platform.topic(&channel, ""), "payload-word");
    probe.event("ack");
    let answer = platform.request("GET", "/no/such/path").send();
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    assert!(!id.is_empty());
    wait_until("the platform has logged something", || !platform.server.log().is_empty());
    let log = platform.server.log();
    for secret in [device.secret.as_str(), platform.token.as_str(), "payload-word", testkit::ADMIN.2] {
        assert!(!log.contains(secret), "`{secret}` is in the log:\n{log}");
    }
}
