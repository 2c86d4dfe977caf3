//! The command lines that people find in the documents of SuperMQ and Magistrala work as they are written there.
//!
//! The list is `seeds.txt`. Each is run by a shell with the real curl, at the port that it names; names that stand for
//! something are filled in. One that is listed and not run fails the test.
//!
//! Left out is the document of the MQTT policy service. A password that is reset with the
//! token in the body needs a mail: the API tests of users do it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::curl::{CommandLine, Response};
use testkit::{Launch, Storage, ports};

use crate::platform::{Platform, log_in, text};

const LIST: &str = include_str!("seeds.txt");

/// The ports that the documents name, and the settings that open them.
const PORTS: [(&str, &[u16]); 9] = [
    ("AUTH", &[9001, 8189]),
    ("USERS", &[9002]),
    ("DOMAINS", &[9003]),
    ("GROUPS", &[9004]),
    ("CHANNELS", &[9005]),
    ("CLIENTS", &[9006]),
    ("CERTS", &[9010, 9019]),
    ("PROVISION", &[9016]),
    ("HTTP_ADAPTER", &[8008]),
];

/// What the shell is to run, and the status that answers it.
struct Example {
    status: u16,
    command: &'static str,
}

fn examples() -> BTreeMap<&'static str, Example> {
    let blocks = LIST.split("\n## ").skip(1).map(|block| {
        let (head, command) = block.split_once('\n').unwrap();
        let (status, name) = head.split_once(' ').unwrap();
        (name, Example { status: status.parse().unwrap(), command })
    });
    let examples: Vec<_> = blocks.collect();
    let number = examples.len();
    let examples = BTreeMap::from_iter(examples);
    assert_eq!(examples.len(), number, "a name stands for two examples");
    examples
}

/// A platform on the ports of the documents, and what has been filled in and run so far.
struct Reader {
    platform: Platform,
    admin: String,
    /// The port of the document, and the real one.
    ports: Vec<(u16, u16)>,
    variables: BTreeMap<&'static str, String>,
    examples: BTreeMap<&'static str, Example>,
    run: BTreeSet<&'static str>,
}

impl Reader {
    fn start(storage: Storage) -> Self {
        let mut launch = Launch::on(storage).without("--no-compat-ports");
        let mut mapped = Vec::new();
        for (service, written) in PORTS {
            let real: Vec<_> = written.iter().map(|&port| (port, ports::free())).collect();
            let value = real.iter().map(|(_, port)| port.to_string()).collect::<Vec<_>>().join(",");
            launch = launch.env(&format!("TRUNKLINE_COMPAT_PORTS_{service}"), &value);
            mapped.extend(real);
        }
        // As the documents of the provision service start it; the file that they name is not there.
        let prefix = if storage == Storage::Sqlite { "SMQ" } else { "MG" };
        for (name, value) in [
            ("BS_SVC_URL", "http://localhost:9013"),
            ("CLIENTS_LOCATION", "http://localhost:9006"),
            ("USERS_LOCATION", "http://localhost:9002"),
            ("CONFIG_FILE", "provision/configs/config.toml"),
            ("USERNAME", "owner"),
            ("PASS", "a-long-password"),
            ("BS_CONTENT", r#"{"agent":{"log":{"level":"info"}}}"#),
        ] {
            launch = launch.env(&format!("{prefix}_PROVISION_{name}"), value);
        }
        let platform = Platform::of_a_user(launch.start());
        let admin = log_in(&platform.server);
        let variables = BTreeMap::from([
            ("<domainID>", platform.domain.clone()),
            ("{{domain_id}}", platform.domain.clone()),
            ("<your_access_token>", platform.token.clone()),
            ("<access_token>", platform.token.clone()),
            ("<your_token>", platform.token.clone()),
            ("user_access_token", platform.token.clone()),
            ("<admin_token>", admin.clone()),
            ("<token|api_key>", platform.token.clone()),
            ("<SMQ_PROVISION_HTTP_PORT>", "9016".to_owned()),
            ("<MG_PROVISION_HTTP_PORT>", "9016".to_owned()),
        ]);
        let (examples, run) = (examples(), BTreeSet::new());
        Self { platform, admin, ports: mapped, variables, examples, run }
    }

    fn set(&mut self, variables: &[&'static str], value: &str) {
        for variable in variables {
            self.variables.insert(variable, value.to_owned());
        }
    }

    /// Runs an example, which must be answered with its success status.
    #[track_caller]
    fn run(&mut self, name: &'static str) -> Response {
        self.run.insert(name);
        self.run_for(name, self.examples[name].status)
    }

    /// Runs an example in a situation in which it is answered differently.
    #[track_caller]
    fn run_for(&self, name: &str, status: u16) -> Response {
        let mut command = self.examples[name].command.to_owned();
        for (variable, value) in &self.variables {
            command = command.replace(variable, value);
        }
        for left in ["{{", "<"] {
            assert!(!command.contains(left), "not everything is filled in: {command}");
        }
        let answer = CommandLine::new(&command).leading(&self.ports).run();
        assert_eq!(answer.status, status, "{name}: {answer:?}\n{command}");
        if status == 204 {
            assert_eq!(answer.body, "", "{name}");
        }
        answer
    }

    /// Every example has been run.
    #[track_caller]
    fn end(&self) {
        let left: Vec<_> = self.examples.keys().filter(|name| !self.run.contains(*name)).collect();
        assert!(left.is_empty(), "not run: {left:#?}");
    }
}

/// The answer has these members with these values, and may have more.
#[track_caller]
fn has(answer: &Value, wanted: &Value) {
    for (member, value) in wanted.as_object().unwrap() {
        assert_eq!(&answer[member], value, "`{member}` of {answer}");
    }
}

/// An RFC 3339 time in UTC.
#[track_caller]
fn time(answer: &Value, member: &str) -> String {
    let time = text(answer, member);
    assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "`{member}` is {time}");
    time
}

fn readme_of_clients(reader: &mut Reader) {
    let made = reader.run("000 create a client");
    let client = made.json();
    let shape = json!({
        "name": "clientName", "tags": ["tag1", "tag2"], "domain_id": reader.platform.domain, "status": "enabled",
        "credentials": {"identity": "clientIDentity", "secret": "bb7edb32-2eac-4aad-aebe-ed96fe073879"},
        "metadata": {"model": "example"},
    });
    has(&client, &shape);
    time(&client, "created_at");
    let id = text(&client, "id");
    assert_eq!(made.header("location"), Some(&*format!("/clients/{id}")));
    reader.run_for("000 create a client", 409);
    reader.set(&["<clientID>", "{{client_id}}"], &id);

    let listed = reader.run("000 list all clients").json();
    has(&listed, &json!({"limit": 10, "total": 1}));
    assert_eq!(listed["clients"][0]["id"], *id);
    has(&reader.run("000 view a client").json(), &shape);
    let changed = reader.run("000 update a client").json();
    has(
        &changed,
        &json!({"id": id, "name": "clientName", "tags": ["tag1", "tag2"], "metadata": {"role": "general"}}),
    );
    time(&changed, "updated_at");
    has(&reader.run("000 disable a client").json(), &json!({"id": id, "status": "disabled"}));
    reader.run_for("000 disable a client", 409);
    has(&reader.run("000 enable a client").json(), &json!({"id": id, "status": "enabled"}));
    let role = reader.run("000 create a client role").json();
    has(
        &role,
        &json!({"name": "publisher", "entity_id": id, "optional_actions": ["publish"], "optional_members": []}),
    );
    assert!(text(&role, "id").starts_with("client_"), "{role}");
    let health = reader.run("000 health of clients");
    assert_eq!(health.header("content-type"), Some("application/health+json"));
    let health = health.json();
    has(&health, &json!({"status": "pass"}));
    for member in ["version", "commit", "description", "build_time"] {
        text(&health, member);
    }
    reader.run("000 delete a client");
    reader.run_for("000 view a client", 404);
}

fn tokens_and_devices(reader: &mut Reader) {
    for (log_in, refresh) in [
        ("002 log in", "002 refresh"),
        ("011 log in with identity and secret", "011 refresh without content type"),
    ] {
        let pair = reader.run(log_in).json();
        text(&pair, "access_token");
        reader.set(&["<refresh_token>"], &text(&pair, "refresh_token"));
        let pair = reader.run(refresh).json();
        text(&pair, "access_token");
        text(&pair, "refresh_token");
    }
    let device = reader.run("002 create a device").json();
    has(
        &device,
        &json!({
            "name": "Temperature Sensor 001", "status": "enabled",
            "credentials": {"identity": "temp-sensor-001", "secret": "secret"},
        }),
    );
    time(&device, "created_at");
    reader.set(&["<clientID>", "{{client_id}}"], &text(&device, "id"));
    let client = reader.run("002 test authorization").json();
    has(&client, &json!({"name": "Test Client", "status": "enabled"}));
    text(&client["credentials"], "secret");
}

fn personal_access_tokens(reader: &mut Reader) {
    let pat = reader.run("002 create a PAT").json();
    has(&pat, &json!({"name": "CI/CD Pipeline", "description": "For automated testing and deployment"}));
    text(&pat, "user_id");
    assert!(time(&pat, "issued_at") < time(&pat, "expires_at"), "{pat}");
    let secret = text(&pat, "secret");
    assert_eq!((secret.get(..4), secret.split('_').count(), secret.len()), (Some("pat_"), 3, 149));
    reader.set(&["{{pat_id}}"], &text(&pat, "id"));
    reader.set(&["{{pat_secret}}"], &quoted(&secret));
    reader.run_for("002 create a client with a PAT", 403);
    let channel = reader.platform.channel("one");
    reader.set(&["{{channel_id}}"], &channel);
    reader.run("002 add scopes");
    let scopes = reader.run("011 list scopes").json();
    has(&scopes, &json!({"total": 3}));
    let domain = &reader.platform.domain;
    for scope in scopes["scopes"].as_array().unwrap() {
        has(scope, &json!({"domain_id": domain, "pat_id": pat["id"]}));
    }
    let client = reader.run("002 create a client with a PAT").json();
    has(&client, &json!({"name": "Automated Test Client", "status": "enabled"}));

    reader.run("002 revoke a PAT");
    reader.run_for("002 create a client with a PAT", 401);
    let reset = reader.run("002 reset a PAT").json();
    let another = text(&reset, "secret");
    assert_ne!(another, secret);
    reader.set(&["{{pat_secret}}"], &quoted(&another));
    reader.run_for("002 create a client with a PAT", 201);
    for name in ["011 a PAT for days", "011 a PAT for a week", "011 a PAT for a year"] {
        time(&reader.run(name).json(), "expires_at");
    }
    reader.run("002 revoke all PATs");
    reader.run_for("002 create a client with a PAT", 401);
    has(&reader.platform.get("/pats?status=all"), &json!({"total": 0}));
}

/// As one writes it between double quotes.
fn quoted(secret: &str) -> String {
    secret.replace('$', "\\$")
}

fn a_compromised_device(reader: &mut Reader) {
    let key = reader.platform.server.request("POST", "/keys").bearer(&reader.admin);
    let key = key.json(&json!({"type": 3, "duration": 3600})).send().json();
    reader.set(&["device_key_id"], &text(&key, "id"));
    reader.run("002 revoke an API key");
    let holder = reader.platform.server.request("GET", "/domains").bearer(&text(&key, "value")).send();
    assert_eq!(holder.status, 401, "{holder:?}");

    let group = text(&reader.platform.made("/{domain}/groups", &json!({"name": "room"})), "id");
    let client =
        reader.platform.made("/{domain}/clients", &json!({"name": "lost", "parent_group_id": group}));
    has(&client, &json!({ "parent_group_id": group }));
    let client = text(&client, "id");
    reader.set(&["{{group_id}}"], &group);
    reader.set(&["{{client_id}}"], &client);
    reader.run("002 remove a device from a group");
    let left = reader.platform.get(&format!("/{{domain}}/clients/{client}"));
    assert_eq!(left.get("parent_group_id"), None, "{left}");

    let ids = reader.run("002 ids of all devices").body;
    assert!(ids.lines().any(|id| id == client) && ids.lines().count() > 1, "{ids}");
    for id in ids.lines() {
        assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id} is no id");
    }
}

fn a_leaving_employee(reader: &mut Reader) {
    let group = text(&reader.platform.made("/{domain}/groups", &json!({"name": "office"})), "id");
    reader.set(&["{{group_id}}"], &group);
    let user = json!({
        "first_name": "Eve", "last_name": "Leaves", "email": "eve@example.com",
        "credentials": {"username": "eve", "secret": "a-long-password"},
    });
    let user = reader.platform.server.request("POST", "/users").bearer(&reader.admin).json(&user).send();
    let user = text(&user.json(), "id");
    reader.set(&["{{user_id}}"], &user);
    for (thing, role) in
        [("/domains/{domain}".to_owned(), "staff"), (format!("/{{domain}}/groups/{group}"), "readers")]
    {
        let role = json!({"role_name": role, "optional_actions": ["read"], "optional_members": [user]});
        reader.platform.made(&format!("{thing}/roles"), &role);
    }
    reader.run("011 remove a user from a group");
    let members = reader.platform.get(&format!("/{{domain}}/groups/{group}/roles/members"));
    assert!(!members.to_string().contains(&user), "{members}");
    has(&reader.run("002 disable a user").json(), &json!({"id": user, "status": "disabled"}));
    has(&reader.run("011 enable a user").json(), &json!({"id": user, "status": "enabled"}));
}

fn readme_of_channels(reader: &mut Reader) {
    let channel = reader.run("010 create a channel").json();
    has(
        &channel,
        &json!({"name": "boiler", "route": "sensor-data", "tags": ["sensor"], "metadata": {"floor": 1}}),
    );
    let (channel, device) = (text(&channel, "id"), reader.platform.device("burner"));
    reader.set(&["<chanID>"], &channel);
    reader.set(&["<clientID>"], &device.id);
    let topic = reader.platform.topic(&channel, "");
    reader.run("010 connect");
    assert_eq!(reader.platform.publish(&device, &topic, "1").status, 202);
    reader.run("010 disconnect");
    assert_eq!(reader.platform.publish(&device, &topic, "2").status, 403);
    has(&reader.run("010 health of channels").json(), &json!({"status": "pass"}));
}

fn certificates(reader: &mut Reader) {
    let device = reader.platform.device("certified").id;
    reader.set(&["{{client_id}}", "compromised_device_id"], &device);
    let certificates = format!("/{{domain}}/certs?entity_id={device}");
    for name in ["002 create a certificate for a client", "002 issue a certificate for a device"] {
        let issued = reader.run(name).json();
        for (member, begin) in
            [("certificate", "-----BEGIN CERTIFICATE-----"), ("key", "-----BEGIN PRIVATE KEY-----")]
        {
            assert!(text(&issued, member).starts_with(begin), "{name}: {member}");
        }
    }
    let port = reader.run("011 issue a certificate on the port of the separate service").json();
    text(&port, "serial_number");
    assert_eq!(reader.platform.get(&certificates)["total"], 3);
    for name in ["002 revoke a certificate", "002 revoke the certificate of a compromised device"] {
        time(&reader.run(name).json(), "revocation_time");
        reader.platform.made("/{domain}/certs", &json!({"client_id": device, "ttl": "8760h"}));
    }
    // Nobody waits for the devices here.
    reader.set(&["sleep 300"], "sleep 0");
    reader.run("002 rotate the certificates of all devices");
    for client in reader.platform.get("/{domain}/clients")["clients"].as_array().unwrap() {
        let client = text(client, "id");
        let of_client = reader.platform.get(&format!("/{{domain}}/certs?entity_id={client}"));
        let rows = of_client["certificates"].as_array().unwrap();
        assert!(!rows.is_empty() && rows.iter().all(|row| row["revoked"] == true), "{client}: {of_client}");
    }
}

fn readmes_of_provision(reader: &mut Reader) {
    reader.set(&["<external_key>"], "a-key");
    for (without, with, read, id) in [
        (
            "001 provision a gateway without a token",
            "001 provision a gateway with a token",
            "001 read the bootstrap mapping",
            "44:01",
        ),
        (
            "004 provision a gateway without a token",
            "004 provision a gateway with a token",
            "004 read the bootstrap mapping",
            "44:04",
        ),
    ] {
        reader.set(&["<external_id>"], id);
        for (name, external_id) in [(without, "33:52:77:99:43"), (with, id)] {
            let made = reader.run(name).json();
            let (client, channels) = (&made["clients"][0], &made["channels"]);
            assert_eq!(client["metadata"]["external_id"], external_id);
            let types = [0, 1].map(|index| &channels[index]["metadata"]["type"]);
            assert_eq!(types, [&json!("control"), &json!("data")]);
            let (client, _) = (text(client, "id"), text(client, "key"));
            assert_eq!(made["whitelisted"], json!({ &*client: true }));
            // The name is taken while the configuration is there.
            reader.run_for(name, 409);
            let path = format!("/{{domain}}/clients/configs/{client}");
            assert_eq!(reader.platform.request("DELETE", &path).send().status, 204);
        }
        assert_eq!(reader.run(read).json(), json!({"agent": {"log": {"level": "info"}}}));
    }
}

#[test]
fn the_command_lines_of_the_documents_work() {
    for storage in Storage::ALL {
        let mut reader = Reader::start(storage);
        readme_of_clients(&mut reader);
        tokens_and_devices(&mut reader);
        personal_access_tokens(&mut reader);
        a_compromised_device(&mut reader);
        a_leaving_employee(&mut reader);
        readme_of_channels(&mut reader);
        certificates(&mut reader);
        readmes_of_provision(&mut reader);
        reader.end();
    }
}

#[test]
fn a_domain_without_devices_has_an_empty_list_of_them() {
    let mut reader = Reader::start(Storage::Sqlite);
    assert_eq!(reader.run("002 ids of all devices").body, "");
}
