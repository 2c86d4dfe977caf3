//! A publish over HTTP arrives at MQTT subscribers, whichever path and credentials of the two generations of upstream
//! it comes with (reference 05 §3.3, §5).

use std::process::{Command, Stdio};

use serde_json::json;
use testkit::Storage;
use testkit::curl::Request;
use testkit::mosquitto::Version;

use crate::platform::{Device, Platform, text};
use crate::probe::{Library, Probe};

struct Scene {
    platform: Platform,
    channel: String,
    device: Device,
    witness: Probe,
}

impl Scene {
    fn new() -> Self {
        let platform = Platform::start(Storage::Sqlite);
        let channel =
            text(&platform.made("/{domain}/channels", &json!({"name": "boiler", "route": "boiler"})), "id");
        let device = platform.connected_device("device", &channel);
        let login = platform.login(&device, Version::V5);
        let mut witness = Probe::connect(Library::Paho, &login, &[]);
        assert_eq!(witness.subscribe(1, &platform.topic(&channel, "/#")), "1");
        Self { platform, channel, device, witness }
    }

    /// A POST to a path in which `{domain}` and `{channel}` stand for the ids.
    fn post(&self, path: &str, payload: &str) -> Request {
        let path = path.replace("{domain}", &self.platform.domain).replace("{channel}", &self.channel);
        self.platform.server.request("POST", &path).header("Content-Type", "application/json").body(payload)
    }

    fn client(&self) -> String {
        format!("Client {}", self.device.secret)
    }

    /// Sends, expects 202 without a body, and the message below the channel.
    #[track_caller]
    fn accepted(&self, request: &Request, payload: &str, subtopic: &str) {
        let answer = request.send();
        assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{payload}: {answer:?}");
        let topic = self.platform.topic(&self.channel, subtopic);
        assert_eq!(self.witness.message(payload), format!("0 0 {topic} {payload}"));
    }
}

#[test]
fn each_path_leads_to_the_same_topic() {
    let scene = Scene::new();
    for (number, (path, subtopic)) in [
        ("/m/{domain}/c/{channel}", ""),
        ("/m/{domain}/c/{channel}/room/temperature", "/room/temperature"),
        ("/m/{domain}/c/{channel}/room/", "/room"),
        ("/m/{domain}/c/{channel}/room%2Ftemperature", "/room/temperature"),
        ("/m/{domain}/c/{channel}/room?x=1", "/room"),
        ("/m/plant/c/boiler/room", "/room"),
        ("/http/m/{domain}/c/{channel}/room", "/room"),
        ("/channels/{channel}/messages", ""),
        ("/channels/{channel}/messages/room", "/room"),
    ]
    .into_iter()
    .enumerate()
    {
        let payload = format!("\"number {number} {path}\"");
        let request = scene.post(path, &payload).header("Authorization", &scene.client());
        scene.accepted(&request, &payload, subtopic);
    }
}

#[test]
fn each_form_of_credentials_is_known() {
    let scene = Scene::new();
    let (id, secret) = (&scene.device.id, &scene.device.secret);
    for (number, authorization) in [
        scene.client(),
        format!("Thing {secret}"),
        secret.clone(),
        format!("Basic {}", base64(&format!("{id}:{secret}"))),
        format!("Basic {}", base64(&format!(":{secret}"))),
        format!("Bearer {secret}"),
        format!("Bearer {}", scene.platform.token),
    ]
    .into_iter()
    .enumerate()
    {
        let payload = format!("\"credentials {number}\"");
        let request = scene.post("/m/{domain}/c/{channel}", &payload).header("Authorization", &authorization);
        scene.accepted(&request, &payload, "");
    }
}

#[test]
fn a_wrong_secret_in_each_form_is_401_and_no_credentials_too() {
    let scene = Scene::new();
    let id = &scene.device.id;
    let wrong = [
        "Client wrong".to_owned(),
        "wrong".to_owned(),
        format!("Basic {}", base64(&format!("{id}:wrong"))),
        "Basic nonsense".to_owned(),
        "Bearer wrong".to_owned(),
        "Client".to_owned(),
    ];
    for authorization in wrong {
        let answer =
            scene.post("/m/{domain}/c/{channel}", "\"x\"").header("Authorization", &authorization).send();
        assert_eq!(answer.status, 401, "{authorization}: {answer:?}");
        text(&answer.json(), "message");
    }
    let answer = scene.post("/m/{domain}/c/{channel}", "\"x\"").send();
    assert_eq!(answer.status, 401, "{answer:?}");
}

#[test]
fn the_publish_endpoint_takes_topic_and_payload_in_json() {
    let scene = Scene::new();
    let topic = scene.platform.topic(&scene.channel, "/room");
    let body =
        json!({"topic": topic, "payload": base64("from publish"), "qos": 1, "retain": false}).to_string();
    let answer = scene
        .post("/publish", &body)
        .header("X-FluxMQ-Username", &scene.platform.domain)
        .header("Authorization", &format!("Bearer {}", scene.device.secret))
        .send();
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})));
    assert_eq!(scene.witness.message("from publish"), format!("1 0 {topic} from publish"));

    for body in
        [json!({"payload": ""}), json!({"topic": topic, "payload": "%"}), json!({"topic": topic, "qos": 3})]
    {
        let answer =
            scene.post("/publish", &body.to_string()).header("Authorization", &scene.client()).send();
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        text(&answer.json(), "message");
    }
}

#[test]
fn malformed_topics_and_unknown_routes_are_refused() {
    let scene = Scene::new();
    for path in
        ["/m/{domain}/c/{channel}/a//b", "/m/{domain}/c/{channel}/%23", "/m/{domain}/c/{channel}/a%2Bb"]
    {
        let answer = scene.post(path, "\"x\"").header("Authorization", &scene.client()).send();
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        text(&answer.json(), "message");
    }
    for path in ["/m/nowhere/c/{channel}", "/m/{domain}/c/nowhere"] {
        let answer = scene.post(path, "\"x\"").header("Authorization", &scene.client()).send();
        assert!(matches!(answer.status, 400 | 401 | 403 | 404), "{path}: {answer:?}");
        text(&answer.json(), "message");
    }
}

#[test]
fn content_types_may_have_parameters() {
    let scene = Scene::new();
    for (number, kind) in [
        "application/senml+json",
        "application/senml+cbor",
        "application/octet-stream",
        "application/json; charset=utf-8",
    ]
    .into_iter()
    .enumerate()
    {
        let payload = format!("content-{number}");
        let path = format!("/{}", scene.platform.topic(&scene.channel, ""));
        let request = scene.platform.server.request("POST", &path).header("Content-Type", kind);
        let request = request.header("Authorization", &scene.client()).body(payload.as_str());
        scene.accepted(&request, &payload, "");
    }
}

/// In the alphabet of RFC 4648, by the tool of that name.
pub(crate) fn base64(text: &str) -> String {
    let script = "printf %s \"$0\" | base64 --wrap=0";
    let output = Command::new("sh").args(["-c", script, text]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
