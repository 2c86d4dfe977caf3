//! The same messages over every transport: TLS, certificates of clients, WebSockets, server-sent events; with clients
//! that others wrote (reference 05 §3.3, §4.3, §5, §6, §12).

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::mosquitto::{self, Login, Version};
use testkit::process::{Process, Stream};
use testkit::{Launch, Storage, wait_until};

use crate::authority::Authority;
use crate::platform::{Device, Platform, text};
use crate::probe::{Library, Probe};

/// A platform with certificates, one channel, and a device that may do everything on it.
struct Scene {
    authority: Authority,
    platform: Platform,
    channel: String,
    device: Device,
}

impl Scene {
    fn start(client_certs: &str) -> Self {
        Self::with(client_certs, "id")
    }

    fn with(client_certs: &str, common_name: &str) -> Self {
        Self::of(client_certs, "optional", common_name)
    }

    fn of(client_certs: &str, https_client_certs: &str, common_name: &str) -> Self {
        let authority = Authority::new();
        authority.sign("server");
        let launch = Launch::on(Storage::Sqlite)
            .env("TRUNKLINE_TLS_SERVER_CERT", &authority.path("server.crt"))
            .env("TRUNKLINE_TLS_SERVER_KEY", &authority.path("server.key"))
            .env("TRUNKLINE_TLS_CLIENT_CA_CERTS", &authority.path("ca.crt"))
            .env("TRUNKLINE_TLS_CLIENT_CERTS", client_certs)
            .env("TRUNKLINE_TLS_HTTPS_CLIENT_CERTS", https_client_certs)
            .env("TRUNKLINE_TLS_COMMON_NAME", common_name)
            .env("TRUNKLINE_TLS_HTTPS", "127.0.0.1:0")
            .env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0");
        let platform = Platform::start_as(launch);
        let channel = platform.channel("boiler");
        let device = platform.connected_device("device", &channel);
        authority.sign_as("device", &device.id, "DNS:device.example");
        Self { authority, platform, channel, device }
    }

    fn topic(&self) -> String {
        self.platform.topic(&self.channel, "/room")
    }

    /// The device over TLS.
    fn login(&self, version: Version) -> Login {
        Login { broker: self.platform.server.mqtts(), ..self.platform.login(&self.device, version) }
    }

    /// Flags of Mosquitto's clients: whom to trust, and what to show.
    fn flags(&self, shown: Option<&str>) -> Vec<String> {
        let mut flags = vec!["--cafile".to_owned(), self.authority.path("ca.crt")];
        if let Some(name) = shown {
            flags.extend(["--cert".to_owned(), self.authority.path(&format!("{name}.crt"))]);
            flags.extend(["--key".to_owned(), self.authority.path(&format!("{name}.key"))]);
        }
        flags
    }

    /// A publish with Mosquitto's client; its exit code.
    fn mosquitto(&self, login: &Login, shown: Option<&str>) -> i32 {
        let flags = self.flags(shown);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        mosquitto::publish(login, &self.topic(), 1, "hello", &flags).code
    }

    fn curl(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--no-buffer", "--cacert", &self.authority.path("ca.crt")]);
        Process::start("curl", command.args(arguments))
    }

    fn socket(&self, url: &str, authorization: &str) -> Process {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut node = Command::new("node");
        node.arg(root.join("tests/clients/node/socket.mjs")).args([url, authorization]);
        node.arg(self.authority.path("ca.crt"));
        Process::start_with_input("socket", &mut node)
    }

    fn ws(&self, path: &str) -> String {
        let path = path.replace("{topic}", &self.topic());
        format!("ws://{}{path}", self.platform.server.http())
    }
}

#[track_caller]
fn says(process: &Process, line: &str) {
    process.wait_for(Stream::Out, line, |said| (said == line).then_some(()));
}

#[test]
fn mosquitto_and_libraries_speak_mqtt_over_tls_and_a_certificate_is_demanded() {
    let scene = Scene::start("required");
    let topic = scene.topic();
    for version in Version::ALL {
        let login = scene.login(version);
        assert_eq!(scene.mosquitto(&login, Some("device")), 0);
        assert_ne!(scene.mosquitto(&login, None), 0, "no certificate");
        for library in Library::ALL {
            let options = scene.authority.trusted(Some((&scene.authority, "device")));
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let mut probe = Probe::connect(library, &login, &options);
            probe.subscribe(2, &topic);
            for qos in 0..=2 {
                probe.publish(qos, &topic, &format!("{library:?} {qos}"));
                probe.message(&format!("{library:?} {qos}"));
            }
            probe.end();
        }
    }
}

#[test]
fn a_certificate_is_a_client_and_whatever_comes_with_it_must_be_of_the_same() {
    let scene = Scene::start("optional");
    let other = scene.platform.connected_device("other", &scene.channel);
    scene.authority.sign_as("named", "gateway", &format!("URI:urn:uuid:{}", scene.device.id));
    scene.authority.sign_as("secret", &scene.device.secret, "DNS:device.example");
    scene.authority.sign_as("nobody", "nobody-in-particular", "DNS:nobody.example");
    let right = scene.login(Version::V5);
    let alone = Login { username: String::new(), password: String::new(), ..right.clone() };
    let another = Login { username: other.id.clone(), password: other.secret.clone(), ..right.clone() };
    let id_only = Login { password: String::new(), ..right.clone() };
    for (login, shown, let_in) in [
        (&right, None, true),
        (&alone, None, false),
        (&alone, Some("device"), true),
        (&alone, Some("named"), true),
        (&right, Some("device"), true),
        (&id_only, Some("device"), true),
        (&another, Some("device"), false),
        (&right, Some("secret"), false),
        (&id_only, Some("secret"), false),
        (&right, Some("nobody"), false),
    ] {
        let code = scene.mosquitto(login, shown);
        assert_eq!(code == 0, let_in, "{shown:?} with `{}`/`{}`: {code}", login.username, login.password);
    }
    let answer = scene.platform.post(&format!("/{{domain}}/clients/{}/disable", scene.device.id), &json!({}));
    assert_eq!(answer.status, 200);
    assert_ne!(scene.mosquitto(&alone, Some("device")), 0, "disabled");
}

#[test]
fn a_common_name_that_is_a_secret_never_names_the_client_that_has_it_as_its_id() {
    let scene = Scene::with("optional", "secret");
    let other = scene.platform.connected_device("other", &scene.channel);
    // A tenant chooses what a certificate of its own client says.
    let body = json!({"name": "eve", "credentials": {"secret": scene.device.id}});
    let eve = Device {
        id: text(&scene.platform.made("/{domain}/clients", &body), "id"),
        secret: scene.device.id.clone(),
    };
    scene.authority.sign_as("named", "gateway", &format!("URI:urn:uuid:{}", scene.device.id));
    scene.authority.sign_as("secret", &scene.device.secret, "DNS:device.example");
    scene.authority.sign_as("eve", &eve.secret, "DNS:eve.example");
    let right = scene.login(Version::V5);
    let alone = Login { username: String::new(), password: String::new(), ..right.clone() };
    let id_only = Login { password: String::new(), ..right.clone() };
    let another = Login { username: other.id, password: other.secret, ..right.clone() };
    for (login, shown, let_in) in [
        (&right, "secret", true),
        (&id_only, "secret", true),
        (&another, "secret", false),
        (&alone, "secret", false),
        (&alone, "named", true),
        (&alone, "eve", false),
        (&id_only, "eve", false),
        (&right, "eve", false),
    ] {
        let code = scene.mosquitto(login, Some(shown));
        assert_eq!(code == 0, let_in, "{shown} with `{}`/`{}`: {code}", login.username, login.password);
    }
}

#[test]
fn https_has_its_own_port_and_the_front_door_speaks_both() {
    let scene = Scene::start("required");
    let server = &scene.platform.server;
    for (scheme, address) in [("https", server.https()), ("https", server.http()), ("http", server.http())] {
        let mut curl = scene.curl(&["--fail", &format!("{scheme}://{address}/health")]);
        assert!(curl.wait().success(), "{scheme} {address}: {}", curl.log());
        assert!(curl.log().contains("\"pass\""));
    }
    let mut plain = scene.curl(&["--fail", &format!("http://{}/health", server.https())]);
    assert!(!plain.wait().success());
    // A certificate alone is enough to publish.
    let url = format!("https://{}/{}", server.https(), scene.topic());
    let (cert, key) = (scene.authority.path("device.crt"), scene.authority.path("device.key"));
    let shown = ["--cert", &cert, "--key", &key];
    let message = ["--write-out", "%{http_code}", "--json", "{}", &url];
    let mut publish = scene.curl(&[&shown[..], &message[..]].concat());
    publish.wait();
    assert_eq!(publish.log().trim(), "202");
    let mut nobody = scene.curl(&message);
    nobody.wait();
    assert!(nobody.log().trim().ends_with("401"), "{}", nobody.log());
}

#[test]
fn https_asks_for_a_certificate_where_the_operator_wants_it() {
    let scene = Scene::of("optional", "required", "id");
    let url = format!("https://{}/health", scene.platform.server.https());
    let (cert, key) = (scene.authority.path("device.crt"), scene.authority.path("device.key"));
    assert!(scene.curl(&["--fail", "--cert", &cert, "--key", &key, &url]).wait().success());
    assert!(!scene.curl(&["--fail", &url]).wait().success());
    // The port of MQTT has a setting of its own.
    assert_eq!(scene.mosquitto(&scene.login(Version::V311), None), 0);
}

#[test]
fn openssl_finds_both_versions_of_tls_and_new_files_are_used_without_a_restart() {
    let scene = Scene::start("optional");
    let address = scene.platform.server.mqtts().to_string();
    let ca = scene.authority.path("ca.crt");
    let serial = |version: &str| {
        let arguments =
            ["s_client", version, "-connect", &address, "-CAfile", &ca, "-verify_return_error", "-brief"];
        let mut client = Process::start("openssl", Command::new("openssl").args(arguments));
        client.wait();
        client.log()
    };
    assert!(serial("-tls1_2").contains("Protocol version: TLSv1.2"));
    assert!(serial("-tls1_3").contains("Protocol version: TLSv1.3"));
    assert!(!serial("-tls1_1").contains("Protocol version"));
    scene.authority.sign_as("server", "renewed", "IP:127.0.0.1");
    wait_until("the new certificate", || serial("-tls1_3").contains("CN = renewed"));
}

#[test]
fn libraries_speak_mqtt_over_websockets_with_and_without_tls() {
    let scene = Scene::start("required");
    let topic = scene.topic();
    for (address, encrypted) in [(scene.platform.server.http(), false), (scene.platform.server.https(), true)]
    {
        for library in Library::ALL {
            for version in Version::ALL {
                let login = Login { broker: address, ..scene.platform.login(&scene.device, version) };
                let mut options = vec!["transport=ws".to_owned()];
                if encrypted {
                    options.extend(scene.authority.trusted(None));
                }
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                let mut probe = Probe::connect(library, &login, &options);
                probe.subscribe(1, &topic);
                let long = format!("{library:?} {version:?} {}", "x".repeat(300_000));
                probe.publish(1, &topic, &long);
                probe.message(&long);
                probe.end();
                let wrong = Login { password: "wrong".to_owned(), ..login };
                assert!(!Probe::start(library, &wrong, &options).event("connack").starts_with('0'));
            }
        }
    }
}

#[test]
fn a_websocket_reads_and_publishes_with_each_form_of_credentials() {
    let scene = Scene::start("required");
    let secret = &scene.device.secret;
    let login = scene.platform.login(&scene.device, Version::V5);
    let mut witness = Probe::connect(Library::Paho, &login, &[]);
    witness.subscribe(1, &scene.platform.topic(&scene.channel, "/#"));
    for (number, (path, authorization)) in [
        ("/{topic}", format!("Client {secret}")),
        ("/{topic}", secret.clone()),
        ("/ws/{topic}", format!("Bearer {}", scene.platform.token)),
        (&*format!("/{{topic}}?authorization={secret}&content-type=application/senml+json"), String::new()),
        (&*format!("/ws/{{topic}}?authorization=Client%20{secret}"), String::new()),
        (&*format!("/channels/{}/messages/room?authorization={secret}", scene.channel), String::new()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut socket = scene.socket(&scene.ws(path), &authorization);
        says(&socket, "open");
        for round in 0..2 {
            let payload = format!("from the socket {number} {round}");
            socket.say(&payload);
            witness.message(&payload);
        }
        let payload = format!("to the socket {number}");
        witness.publish(1, &scene.topic(), &payload);
        says(&socket, &format!("message {payload}"));
        assert!(!socket.log().contains("message from the socket"), "its own messages come back");
    }
    let wss = format!("wss://{}/{}", scene.platform.server.https(), scene.topic());
    says(&scene.socket(&wss, &format!("Client {secret}")), "open");
}

#[test]
fn a_websocket_without_a_right_is_refused_and_ends_with_its_right() {
    let scene = Scene::start("required");
    let client = format!("Client {}", scene.device.secret);
    says(&scene.socket(&scene.ws("/{topic}"), ""), "refused 401");
    says(&scene.socket(&scene.ws("/{topic}"), "Client wrong"), "refused 401");
    says(&scene.socket(&scene.ws("/m/x/c/"), &client), "refused 404");
    let stranger = scene.platform.device("stranger");
    says(&scene.socket(&scene.ws("/{topic}"), &format!("Client {}", stranger.secret)), "refused 403");

    let mut wildcard =
        scene.socket(&scene.ws(&format!("/m/{}/c/{}/%23", scene.platform.domain, scene.channel)), &client);
    says(&wildcard, "open");
    scene.platform.publish(&scene.device, &scene.topic(), "\"below\"");
    says(&wildcard, "message \"below\"");
    wildcard.say("this goes nowhere");
    says(&wildcard, "closed 1000 client closed");

    let socket = scene.socket(&scene.ws("/{topic}"), &client);
    says(&socket, "open");
    scene.platform.disconnect(&scene.device, &scene.channel, &["subscribe"]);
    says(&socket, "closed 1008 the right to read here has ended");
}

#[test]
fn a_browser_that_only_reads_gets_events() {
    let scene = Scene::start("required");
    let filter = format!("/m/{}/c/{}/%23", scene.platform.domain, scene.channel);
    let url = |query: &str| {
        scene.platform.server.url(&format!("{filter}?authorization={}{query}", scene.device.secret))
    };
    let accept = ["--header", "Accept: text/event-stream"];
    let events = scene.curl(&[&accept[..], &["--include", &url("&qos=1")]].concat());
    events.wait_for_line("retry: 3000");
    assert!(
        events.log().contains("text/event-stream") && events.log().contains("access-control-allow-origin: *")
    );
    for number in 0..200 {
        scene.platform.publish(&scene.device, &scene.topic(), &format!("{{\"number\":{number}}}"));
    }
    events.wait_for_line("number\\\":199");
    let data: Vec<Value> = events
        .lines(Stream::Out)
        .iter()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    for (number, event) in data.iter().enumerate() {
        let expected =
            json!({"topic": scene.topic(), "payload": format!("{{\"number\":{number}}}"), "retained": false});
        assert_eq!(*event, expected);
    }
    assert_eq!(data.len(), 200);
    scene.platform.disconnect(&scene.device, &scene.channel, &["subscribe"]);
    events.wait_for_line("event: end");
    let mut refused = scene.curl(&[&accept[..], &["--write-out", "%{http_code}", &url("")]].concat());
    refused.wait();
    assert!(refused.log().trim().ends_with("403"), "{}", refused.log());
}

#[test]
fn a_batch_publishes_what_is_good_and_says_what_was_not() {
    let scene = Scene::start("required");
    let login = scene.platform.login(&scene.device, Version::V5);
    let mut witness = Probe::connect(Library::MqttJs, &login, &[]);
    witness.subscribe(1, &scene.platform.topic(&scene.channel, "/#"));
    let foreign = scene.platform.channel("foreign");
    let line = |topic: String, payload: &str| json!({"topic": topic, "payload": payload});
    let lines = [
        line(scene.topic(), "b25l"),
        line(scene.platform.topic(&foreign, ""), "dHdv"),
        line("nonsense".to_owned(), "dHdv"),
        line(scene.topic(), "not base64!"),
        line(scene.topic(), "dGhyZWU="),
    ];
    let ndjson: Vec<String> = lines.iter().map(Value::to_string).collect();
    for (kind, body) in
        [("application/json", json!(lines).to_string()), ("application/x-ndjson", ndjson.join("\n"))]
    {
        let answer = scene
            .platform
            .server
            .request("POST", "/publish/batch")
            .header("Authorization", &format!("Client {}", scene.device.secret))
            .header("Content-Type", kind)
            .body(body)
            .send();
        assert_eq!(answer.status, 200, "{answer:?}");
        let results = answer.json();
        let statuses: Vec<_> = (0..5).map(|at| results["results"][at]["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [202, 403, 400, 400, 202], "{results}");
        assert_eq!((&results["accepted"], &results["refused"]), (&json!(2), &json!(3)));
    }
    let topic = scene.topic();
    wait_until("four messages", || witness.messages().len() == 4);
    let expected = [format!("0 0 {topic} one"), format!("0 0 {topic} three")];
    assert_eq!(witness.messages(), [expected.clone(), expected].concat());
}

/// The status of the answer to a WebSocket that a page of this origin asks for.
fn asked_by(platform: &Platform, path: &str, origin: Option<&str>) -> u16 {
    let mut request = platform.server.request("GET", path);
    for (name, value) in [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "mqtt"),
    ] {
        request = request.header(name, value);
    }
    if let Some(origin) = origin {
        request = request.header("Origin", origin);
    }
    // An upgrade leaves curl waiting for more than its patience; the status has come by then.
    request.header("Authorization", "Client wrong").send().status
}

#[test]
fn a_page_of_another_host_opens_no_websocket_unless_its_origin_is_named() {
    let launch =
        Launch::on(Storage::Sqlite).env("TRUNKLINE_WEB_WEBSOCKET_ORIGINS", "https://console.example");
    let platform = Platform::start_as(launch);
    let topic = format!("/{}", platform.topic(&platform.channel("boiler"), "/room"));
    let own = format!("http://{}", platform.server.http().ip());
    for path in [topic.as_str(), &format!("/ws{topic}")] {
        assert_eq!(asked_by(&platform, path, Some("https://evil.example")), 403, "{path}");
        for origin in [None, Some(own.as_str()), Some("https://console.example")] {
            assert_eq!(
                asked_by(&platform, path, origin),
                401,
                "{path} {origin:?}: the credentials come next"
            );
        }
    }
    assert_eq!(asked_by(&platform, "/mqtt", Some("null")), 403);
}
