//! After kill -9 at any moment each answered change is there, and none is half there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use serde_json::{Value, json};
use testkit::process::Stream;
use testkit::{Launch, Storage, wait_until};

use crate::platform::{Platform, log_in, text};

/// How many callers write at the same time.
const WRITERS: usize = 4;
/// How many changes are answered before each kill.
const CHANGES: usize = 60;
/// How often the program is killed.
const ROUNDS: usize = 3;
/// How many clients each bulk request creates.
const BULK: usize = 3;

/// What the platform has said is done.
#[derive(Default)]
struct Answered {
    clients: Vec<Value>,
    channels: Vec<Value>,
    /// Client and channel.
    connections: Vec<(String, String)>,
}

impl Answered {
    fn count(&self) -> usize {
        self.clients.len() + self.channels.len() + self.connections.len()
    }
}

#[test]
fn each_answered_change_survives_kill_9_and_none_is_half_there() {
    for storage in Storage::ALL {
        // A user, not the administrator: who sees something only when its relations are there too.
        let mut platform = Platform::start_for_a_user(storage);
        let answered = Mutex::new(Answered::default());
        for round in 0..ROUNDS {
            write_until_killed(&mut platform, round, &answered);
            platform.restart();
            check(&platform, &answered.lock().unwrap());
        }
    }
}

#[test]
fn a_first_start_that_was_killed_is_finished_by_the_next() {
    for storage in Storage::ALL {
        for line in 0..3 {
            let launch = Launch::on(storage);
            let mut process = launch.spawn();
            wait_until("the program has printed something", || {
                process.log().lines().count() > line
                    || process.lines(Stream::Out).iter().any(|line| line == "ready")
            });
            process.kill();
            let server = launch.start();
            log_in(&server);
        }
    }
}

fn write_until_killed(platform: &mut Platform, round: usize, answered: &Mutex<Answered>) {
    let goal = answered.lock().unwrap().count() + CHANGES;
    let pid = platform.server.process().id().to_string();
    std::thread::scope(|scope| {
        let shared = &*platform;
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let numbers = 0..;
                for number in numbers {
                    if write(shared, &format!("{round}-{writer}-{number}"), answered).is_none() {
                        break;
                    }
                }
            });
        }
        wait_until("enough changes are answered", || answered.lock().unwrap().count() >= goal);
        let killed = std::process::Command::new("sh").args(["-c", "kill -s KILL \"$0\"", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
    });
    platform.server.kill9();
}

/// One client, three in one request, one channel, and a connection. `None` when the server is gone.
fn write(platform: &Platform, name: &str, answered: &Mutex<Answered>) -> Option<()> {
    let post = |path: &str, body: Value, status| {
        let answer = platform.request("POST", path).json(&body).try_send().ok()?;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        Some(answer)
    };
    let client = post("/{domain}/clients", json!({ "name": format!("single-{name}") }), 201)?.json();
    answered.lock().unwrap().clients.push(client.clone());

    let bulk: Vec<_> = (0..BULK).map(|index| json!({ "name": format!("bulk-{name}/{index}") })).collect();
    let page = post("/{domain}/clients/bulk", json!(bulk), 200)?.json();
    answered.lock().unwrap().clients.extend(page["clients"].as_array().unwrap().iter().cloned());

    let channel =
        post("/{domain}/channels", json!({ "name": name, "route": format!("r{name}") }), 201)?.json();
    answered.lock().unwrap().channels.push(channel.clone());

    let (client, channel) = (text(&client, "id"), text(&channel, "id"));
    let types = ["publish", "subscribe"];
    let body = json!({"client_ids": [client], "channel_ids": [channel], "types": types});
    post("/{domain}/channels/connect", body, 201)?;
    answered.lock().unwrap().connections.push((client, channel));
    Some(())
}

#[track_caller]
fn check(platform: &Platform, answered: &Answered) {
    for (kind, expected) in [("clients", &answered.clients), ("channels", &answered.channels)] {
        let listed = all(platform, kind, "");
        let ids: HashSet<_> = listed.iter().map(|one| text(one, "id")).collect();
        assert_eq!(ids.len(), listed.len(), "{kind} are listed twice");
        for one in expected {
            let id = text(one, "id");
            assert!(ids.contains(&id), "the answered {kind} {id} is lost");
            let viewed = platform.get(&format!("/{{domain}}/{kind}/{id}"));
            for member in ["name", "credentials", "route", "created_at"] {
                assert_eq!(viewed[member], one[member], "{member} of {kind} {id}");
            }
        }
        // What was stored without an answer can be used all the same.
        for id in &ids {
            platform.get(&format!("/{{domain}}/{kind}/{id}"));
            let renamed =
                platform.request("PATCH", &format!("/{{domain}}/{kind}/{id}")).json(&json!({"metadata": {}}));
            assert_eq!(renamed.send().status, 200, "{kind} {id} is half there");
        }
        if kind == "clients" {
            bulk_requests_are_whole(&listed);
        }
    }
    for (client, channel) in &answered.connections {
        for right in ["publish", "subscribe"] {
            let connected = all(platform, "clients", &format!("&channel={channel}&connection_type={right}"));
            let found = connected.iter().any(|one| one["id"] == client.as_str());
            assert!(found, "the connection of {client} to {channel} lacks {right}: {connected:?}");
        }
    }
}

/// Names of bulk clients are `bulk-<request>/<index>`.
#[track_caller]
fn bulk_requests_are_whole(clients: &[Value]) {
    let mut requests = BTreeMap::new();
    for client in clients {
        let name = text(client, "name");
        if let Some((request, _)) = name.split_once('/') {
            *requests.entry(request.to_owned()).or_insert(0) += 1;
        }
    }
    for (request, count) in requests {
        assert_eq!(count, BULK, "{request} is half there");
    }
}

/// All pages of a list.
#[track_caller]
fn all(platform: &Platform, kind: &str, filter: &str) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        let path =
            format!("/{{domain}}/{kind}?limit=100&order=created_at&dir=asc&offset={}{filter}", found.len());
        let page = platform.get(&path);
        let items = page[kind].as_array().map(Vec::as_slice).unwrap_or_default();
        found.extend_from_slice(items);
        if items.is_empty() || found.len() as u64 >= page["total"].as_u64().unwrap() {
            return found;
        }
    }
}
