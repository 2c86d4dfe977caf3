//! The policy service alone, as the original service was started and asked, and rules that are tried without it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::oidc::{Algorithm, Issuer, Key};
use testkit::process::{Process, Stream};
use testkit::{Launch, TempDir, curl, ports};

/// The policy service alone, an issuer, and rules in a file.
pub(crate) struct Service {
    pub(crate) issuer: Issuer,
    key: Key,
    pub(crate) directory: TempDir,
    launch: Launch,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// The examples of the CELINE documentation.
fn rules() -> Value {
    json!({"celine": {"mqtt": {"acl": {"rules": [
        {"subjects": {"groups": ["admins"]}, "topics": ["#"], "actions": "*", "effect": "allow"},
        {"subjects": {"types": ["service"], "scopes": ["mqtt.write"]},
         "topics": ["celine/digital-twin/events/#"], "actions": ["publish"], "effect": "allow"},
        {"subjects": {"types": ["service"], "scopes": ["mqtt.read"]},
         "topics": ["celine/digital-twin/#"], "actions": ["subscribe", "read"]}]}}}})
}

impl Service {
    pub(crate) fn start() -> Self {
        let key = Key::generate("k", Algorithm::RS256);
        let issuer = Issuer::start([key.clone()]);
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("celine.json");
        fs::write(&file, rules().to_string()).unwrap();
        let port = ports::free();
        // As the original service was started, with its variables.
        let launch = Launch::command(&["policy", "--address", &format!("127.0.0.1:{port}")])
            .env("CELINE_DATA_DIR", file.to_str().unwrap())
            .env("CELINE_OIDC_ISSUER", &issuer.url());
        let (process, address) = Self::launched(&launch);
        Self { issuer, key, directory, launch, process, address }
    }

    fn launched(launch: &Launch) -> (Process, SocketAddr) {
        let process = launch.spawn();
        process.wait_for(Stream::Out, "it is ready", |line| (line == "ready").then_some(()));
        let address = process.wait_for(Stream::Out, "its address", |line| {
            line.strip_prefix("listening policy ")?.parse().ok()
        });
        (process, address)
    }

    pub(crate) fn restart(&mut self) {
        self.process.kill();
        (self.process, self.address) = Self::launched(&self.launch);
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        #[expect(clippy::disallowed_methods, reason = "the token must hold by the clock of the service")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.key.sign(&self.issuer.claims(i64::try_from(now).unwrap(), claims))
    }

    pub(crate) fn service(&self, id: &str, scope: &str) -> String {
        self.token(&json!({"client_id": id, "scope": scope}))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The guide.
pub(crate) fn guide() -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md");
    fs::read_to_string(file).unwrap()
}

/// The blocks of a page in one language.
pub(crate) fn blocks<'a>(page: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let parts = page.split("```").skip(1).step_by(2);
    parts
        .filter_map(|block| block.split_once('\n'))
        .filter(move |(named, _)| *named == language)
        .map(|(_, text)| text)
}

#[test]
fn the_example_of_the_guide_holds_with_a_local_issuer() {
    let guide = guide();
    let (rules, cases) = (blocks(&guide, "json").next().unwrap(), blocks(&guide, "yaml").next().unwrap());
    let service = Service::start();
    let directory = service.directory.path();
    fs::write(directory.join("celine.json"), rules).unwrap();
    fs::write(directory.join("cases.yaml"), cases).unwrap();
    let cases = directory.join("cases.yaml");
    let (status, text) = Launch::command(&["policy", "test", cases.to_str().unwrap()]).run();
    assert!(status.success() && text.contains("2 cases hold"), "{text}");

    let token = service.service("svc-dash", "mqtt.read");
    let acl = |topic: &str, acc: u8| {
        let request = curl::Request::new("POST", &service.url("/mqtt/acl"));
        let request = request.header("Authorization", &format!("Bearer {token}"));
        request.json(&json!({"topic": topic, "acc": acc})).send().status
    };
    assert_eq!(acl("celine/digital-twin/#", 4), 200);
    assert_eq!(acl("celine/#", 4), 403);
    assert_eq!(acl("celine/digital-twin/x", 2), 403);
    let metrics = curl::Request::new("GET", &service.url("/metrics")).send().body;
    for counted in ["policy_decisions_total", "policy_requests_total", "policy_cache_misses_total"] {
        assert!(metrics.contains(counted), "{counted} in {metrics}");
    }
}

#[test]
fn the_issuer_of_the_guide_is_started_and_asked_as_the_guide_says() {
    let guide = guide();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("celine.json"), blocks(&guide, "json").next().unwrap()).unwrap();
    let shell = |text: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-c", text]).current_dir(directory.path());
        let bin = testkit::program().parent().unwrap().display().to_string();
        // A reader's shell has none of the variables of a test.
        bash.env_clear().env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()));
        bash
    };
    let [issuer, service, questions] = blocks(&guide, "bash").collect::<Vec<_>>()[..] else {
        panic!("three blocks")
    };
    // What the guide says, on ports that are free.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/issuer.py");
    let command = format!("exec {} 0", issuer.trim().replace("docs/examples/issuer.py", script));
    let issuer = Process::start("the issuer", &mut shell(&command));
    let at =
        issuer.wait_for(Stream::Out, "its address", |line| Some(line.strip_prefix("issuer ")?.to_owned()));
    let here = |text: &str| text.replace("http://127.0.0.1:9099", &at);
    let command = format!("exec {} --address 127.0.0.1:0", here(service.trim()));
    let service = Process::start("the service", &mut shell(&command));
    let listens = |line: &str| Some(line.strip_prefix("listening policy ")?.to_owned());
    let policy = service.wait_for(Stream::Out, "its address", listens);
    let questions = here(questions).replace("127.0.0.1:8009", &policy);
    let output = shell(&questions).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, blocks(&guide, "text").next().unwrap(), "{}", service.log());
}

#[test]
fn policies_in_rego_are_tried_without_a_service() {
    let guide = guide();
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    write("acl.rego", blocks(&guide, "rego").next().unwrap());
    write(
        "data.json",
        r#"{"celine": {"topics": [{"scope": "mqtt.read", "actions": ["subscribe"], "topic": "celine/digital-twin/#"}]}}"#,
    );
    let cases = blocks(&guide, "yaml").next().unwrap();
    write("cases.yaml", &cases.replace("rules: celine.json", "rules: data.json\npolicies: acl.rego"));
    let (status, text) = Launch::command(&["policy", "test", &path("cases.yaml")]).run();
    assert!(status.success() && text.contains("2 cases hold"), "{text}");
    let (acl, data) = (path("acl.rego"), path("data.json"));
    let explain = ["policy", "explain", "--policies", &acl, "--rules", &data, "--service", "svc-dash"];
    for (topic, expected) in
        [("celine/#", "deny: no scope for this topic"), ("celine/digital-twin/+", "allow: authorized")]
    {
        let command = [&explain[..], &["--scope", "mqtt.read", "subscribe", topic]].concat();
        let (status, text) = Launch::command(&command).run();
        assert!(status.success() && text.contains(expected), "{text}");
    }
    write("acl.rego", "package celine.mqtt.acl\n\nallow if {\n");
    let (status, text) = Launch::command(&["policy", "test", &path("cases.yaml")]).run();
    assert!(!status.success() && text.contains("acl.rego:"), "{text}");
}

#[test]
fn the_commands_of_the_document_work_as_they_are_written() {
    let service = Service::start();
    let token = service.service("svc-digital-twin", "mqtt.write");
    let bearer = format!("Bearer {token}");
    let user = curl::Request::new("POST", &service.url("/mqtt/user"))
        .header("Authorization", &bearer)
        .header("Content-Type", "application/json")
        .send();
    assert_eq!(user.status, 200, "{user:?}");
    assert_eq!(user.json(), json!({"ok": true, "reason": "authenticated"}));
    let acl = |acc: u8| {
        curl::Request::new("POST", &service.url("/mqtt/acl"))
            .header("Authorization", &bearer)
            .json(&json!({"topic": "celine/digital-twin/events/pump/1", "acc": acc}))
            .send()
    };
    assert_eq!((acl(2).status, acl(4).status), (200, 403));
    for path in ["/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(curl::Request::new("GET", &service.url(path)).send().status, 200, "{path}");
    }
}

#[test]
fn rules_are_tried_without_a_service() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rules_file = write("celine.json", &rules().to_string());
    let good = write(
        "cases.yaml",
        "rules: celine.json\nsubjects:\n  twin: {type: service, id: t, scopes: [mqtt.write]}\ncases:\n\
         - {subject: twin, action: publish, topic: celine/digital-twin/events/1, expect: allow}\n\
         - {subject: twin, action: subscribe, topic: 'celine/#', expect: deny}\n",
    );
    let (status, text) = Launch::command(&["policy", "test", &good]).run();
    assert!(status.success() && text.contains("2 cases hold"), "{text}");
    let bad = write(
        "bad.yaml",
        "cases:\n- {subject: {type: user, id: u}, action: read, topic: x, expect: allow}\n",
    );
    let (status, text) = Launch::command(&["policy", "test", &bad, "--rules", &rules_file]).run();
    assert!(!status.success() && text.contains("FAILED u read x"), "{text}");

    let explain = |arguments: &[&str]| {
        let all = [&["policy", "explain", "--rules", &rules_file], arguments].concat();
        Launch::command(&all).run().1
    };
    let text = explain(&["--service", "d", "--scope", "mqtt.read", "subscribe", "celine/digital-twin/#"]);
    assert!(text.contains("allow: allowed by rule 3"), "{text}");
    let text = explain(&["--user", "u", "--group", "viewers", "publish", "x"]);
    assert!(text.contains("deny: missing capability publish"), "{text}");

    let broken = write("broken.json", "{\"celine\":\n {\"mqtt\": 1}}");
    let (status, text) = Launch::command(&["policy", "--rules", &broken, "--address", "127.0.0.1:0"]).run();
    assert!(!status.success() && text.contains("broken.json:2:"), "{text}");
}
