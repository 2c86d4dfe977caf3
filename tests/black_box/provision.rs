//! `trunkline provision`: many gateways from a list, none missing and none double, whatever is killed in between.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::process::Process;
use testkit::{ADMIN, Launch, Server, Storage, ports, wait_until};

use crate::platform::text;
use crate::shell::Shell;

const LAYOUT: &str = r#"
[bootstrap]
x509_provision = true
[bootstrap.content.agent.log]
level = "info"
[[clients]]
name = "gateway"
[clients.metadata]
external_id = "xxxxxx"
[[clients]]
name = "meter"
[[channels]]
name = "control"
[channels.metadata]
type = "control"
[[channels]]
name = "data"
[channels.metadata]
type = "data"
[cert]
ttl = "48h"
"#;

const COMMAND: [&str; 5] = ["provision", "--layout", "layout.toml", "--from", "gateways.csv"];

/// A platform that keeps its address over restarts, and somebody at a shell with both files.
struct Scene {
    server: Server,
    shell: Shell,
}

impl Scene {
    fn start(storage: Storage, gateways: usize) -> Self {
        let address = format!("127.0.0.1:{}", ports::free());
        let server = Launch::on(storage).flag("--http", &address).start();
        let shell = Shell::logged_in(&server, ADMIN.0, ADMIN.2);
        shell.ok(&["domains", "create", "My plant", "--use"]);
        let scene = Self { server, shell };
        scene.write("layout.toml", LAYOUT);
        let rows: String = (0..gateways).map(|n| format!("33:52:{n},gateway {n},{}\n", n % 7)).collect();
        scene.write("gateways.csv", &format!("external_id,name,floor\n{rows}"));
        scene
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shell.directory().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    /// The lines of the results below the first, as far as they are whole.
    fn results(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file("gateways.results.jsonl")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).skip(1);
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The command, until so many are made.
    fn run_until(&self, made: usize) -> Process {
        let process = Process::start("provision", &mut self.shell.command(&COMMAND));
        wait_until("enough gateways are made", || self.results().len() >= made);
        process
    }

    /// How many there are of a kind.
    fn total(&self, noun: &[&str]) -> u64 {
        self.shell.json(&[noun, &["--limit", "1"]].concat())["total"].as_u64().unwrap()
    }

    fn device(&self, row: &Value) -> Value {
        let path = format!("/clients/bootstrap/{}", text(row, "external_id"));
        let key = format!("Client {}", text(row, "external_key"));
        let answer = self.server.request("GET", &path).header("Authorization", &key).send();
        assert_eq!(answer.status, 200, "{row}: {answer:?}");
        answer.json()
    }

    /// Each gateway of the list is there once, whole, and its line says all that it takes to be it.
    #[track_caller]
    fn all_are_there_once(&self, gateways: usize) {
        let results = self.results();
        let ids: HashSet<_> = results.iter().map(|row| text(row, "external_id")).collect();
        assert_eq!((results.len(), ids.len()), (gateways, gateways));
        assert_eq!(self.total(&["clients", "list"]), 2 * gateways as u64);
        assert_eq!(self.total(&["channels", "list"]), 2 * gateways as u64);
        for row in &results {
            let made = &row["gateway"];
            let clients = made["clients"].as_array().unwrap();
            assert_eq!((clients.len(), made["channels"].as_array().unwrap().len()), (2, 2), "{row}");
            assert_eq!(clients[0]["name"], row["name"]);
            for client in clients {
                let id = text(client, "id");
                text(client, "key");
                assert!(text(&made["client_cert"], &id).contains("BEGIN CERTIFICATE"), "{row}");
                assert!(text(&made["client_key"], &id).contains("PRIVATE KEY"), "{row}");
                assert_eq!(made["whitelisted"][&id], true, "{row}");
            }
        }
        // Asking all of them would take long, and they are alike.
        for row in results.iter().step_by(results.len() / 5 + 1) {
            let (device, made) = (self.device(row), &row["gateway"]);
            let id = text(&device, "client_id");
            assert_eq!(device["client_id"], made["clients"][0]["id"]);
            assert_eq!(device["client_secret"], made["clients"][0]["key"]);
            assert_eq!(device["client_key"], made["client_key"][&id]);
        }
    }
}

#[test]
fn a_killed_command_and_a_killed_platform_leave_no_gateway_missing_or_double() {
    const GATEWAYS: usize = 300;
    for storage in Storage::ALL {
        let mut scene = Scene::start(storage, GATEWAYS);
        let mut command = scene.run_until(60);
        command.kill();
        let before = scene.results().len();
        assert!((60..GATEWAYS).contains(&before), "it was killed in the middle: {before}");

        let mut command = scene.run_until(before + 60);
        scene.server.kill9();
        let made = scene.results().len();
        assert!(made < GATEWAYS, "the platform was killed in the middle: {made}");
        scene.server.restart();
        assert!(command.wait().success(), "{}", command.log());
        assert!(command.log().contains(&format!("{before} there before")), "{}", command.log());
        scene.all_are_there_once(GATEWAYS);

        let again = scene.shell.json(&COMMAND);
        assert_eq!((&again["made"], &again["there_before"]), (&0.into(), &GATEWAYS.into()));
    }
}

#[test]
fn a_gateway_whose_answer_was_lost_is_found_and_its_clients_get_keys() {
    for storage in Storage::ALL {
        let scene = Scene::start(storage, 5);
        scene.shell.ok(&COMMAND);
        let first: BTreeMap<_, _> =
            scene.results().into_iter().map(|row| (text(&row, "external_id"), row)).collect();
        let path = scene.file("gateways.results.jsonl");
        let lines = fs::read_to_string(&path).unwrap();
        let kept: String = lines.split_inclusive('\n').take(3).collect();
        fs::write(&path, format!("{kept}{{\"line\":4,\"exter")).unwrap();

        let told = scene.shell.json(&COMMAND);
        assert_eq!(
            (&told["made"], &told["recovered"], &told["there_before"]),
            (&0.into(), &3.into(), &2.into())
        );
        scene.all_are_there_once(5);
        for row in scene.results() {
            let (was, is) = (&first[&text(&row, "external_id")]["gateway"], &row["gateway"]);
            let [gateway, meter] = [0, 1].map(|index| text(&is["clients"][index], "id"));
            for member in ["clients", "channels"] {
                for (was, is) in was[member].as_array().unwrap().iter().zip(is[member].as_array().unwrap()) {
                    assert_eq!((&was["id"], &was["name"], &was["key"]), (&is["id"], &is["name"], &is["key"]));
                }
            }
            // The gateway's key is in its configuration; the other's went with the answer.
            assert_eq!(was["client_key"][&gateway], is["client_key"][&gateway]);
            assert_eq!(was["client_key"][&meter] == is["client_key"][&meter], row["recovered"] == false);
            certificate_is_that_of_the_key(&scene, is, &meter);
        }
    }
}

/// OpenSSL finds the same public key in both.
#[track_caller]
fn certificate_is_that_of_the_key(scene: &Scene, made: &Value, client: &str) {
    let public = |file: &str, pem: &Value, arguments: &[&str]| {
        scene.write(file, pem.as_str().unwrap());
        let path = scene.file(file);
        let output = Command::new("openssl").args(arguments).arg("-in").arg(path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let of_certificate = public("c.pem", &made["client_cert"][client], &["x509", "-pubkey", "-noout"]);
    assert_eq!(of_certificate, public("k.pem", &made["client_key"][client], &["pkey", "-pubout"]));
}

#[test]
fn what_is_taken_by_somebody_else_is_said_and_the_others_are_made() {
    let scene = Scene::start(Storage::Sqlite, 3);
    scene.shell.ok(&COMMAND);
    let list = "external_id,external_key,name\n33:52:0,other,gateway 0\n33:52:1,k,elsewhere\n55,k,gateway 2\n66,k,new\n";
    scene.write("gateways.csv", list);
    let said = scene.shell.run(&[&COMMAND[..], &["--results", "other.jsonl"]].concat());
    assert_eq!(said.code, 1, "{said:?}");
    for told in [
        "line 2, `33:52:0`: entity already exists: the external id is taken; it has another external key",
        "line 3, `33:52:1`: entity already exists: the external id is taken; it is that of `gateway 1`",
        "line 4, `55`:",
        "3 of 4 gateways were not made",
    ] {
        assert!(said.err.contains(told), "{told} is not in {}", said.err);
    }
    assert!(said.out.starts_with("1 gateways made, 0 found made, 0 there before, 3 failed"), "{said:?}");
    assert_eq!(scene.total(&["clients", "list"]), 8);
}

#[test]
fn wrong_files_are_told_with_their_lines_before_anything_is_asked() {
    let shell = Shell::new();
    let write = |name: &str, text: &str| fs::write(shell.directory().join(name), text).unwrap();
    // No platform runs here, and nobody is logged in.
    let check = [&COMMAND[..], &["--dry-run"]].concat();
    write("layout.toml", LAYOUT);
    write("gateways.csv", "external_id,name\n1,a\n2,b\n");
    let said = shell.ok(&check);
    assert_eq!(
        said,
        "both files are right: 2 gateways, each with 2 clients, 2 channels, certificates for 48h\n"
    );
    write("gateways.csv", "external_id,name\n1,a\n2,b,c\n1,d\n");
    let said = shell.fails(1, &check);
    assert!(said.contains("gateways.csv") && said.contains("line 3: 3 fields"), "{said}");
    assert!(said.contains("line 4: the external_id `1` stands in line 2, too"), "{said}");
    for (wrong, told) in [
        ("[bootstrap]\nx509_provison = true\n", "line 2, column 1: unknown key `bootstrap.x509_provison`"),
        ("[[clients]]\nname = 7\n", "line 2, column 8"),
        ("[cert]\nttl = \"soon\"\n", "line 2, column 7"),
        ("[[clients\n", "line 1, column 10"),
    ] {
        write("layout.toml", wrong);
        let said = shell.fails(1, &check);
        assert!(said.contains("layout.toml") && said.contains(told), "{said}");
    }
}
