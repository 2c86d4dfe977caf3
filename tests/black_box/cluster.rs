//! Three nodes over one PostgreSQL and one NATS are one platform, and what kills one of them or cuts them off from each
//! other loses nothing that was acknowledged.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use testkit::coap::{CLIENTS, ask, observe};
use testkit::mosquitto::{self, Login, Version};
use testkit::nats::Nats;
use testkit::process::{Process, Stream};
use testkit::{Launch, Server, Storage, wait_until};

use crate::platform::{Device, Platform};
use crate::probe::{Library, Probe};
use crate::revocation::let_the_grace_pass;

/// Publishers at the same time, and what each sends.
const PUBLISHERS: usize = 3;
const MESSAGES: usize = 200;
/// So many messages are acknowledged before something happens.
const BEFORE: usize = 120;

/// A session that outlives its connection.
const LASTS: [&str; 2] = ["clean=false", "id=recorder"];

/// A cluster. The first node is the platform, the others stand beside it.
struct Cluster {
    nats: Nats,
    database: String,
    platform: Platform,
    others: Vec<Server>,
    channel: String,
}

impl Cluster {
    fn start(nodes: usize) -> Self {
        let nats = Nats::start();
        let database = testkit::postgres::url();
        let platform = Platform::start_as(node(&nats, &database));
        let channel = platform.channel("boiler");
        let mut cluster = Self { nats, database, platform, others: Vec::new(), channel };
        while cluster.others.len() + 1 < nodes {
            cluster.join();
        }
        cluster
    }

    /// One node more.
    fn join(&mut self) {
        self.others.push(node(&self.nats, &self.database).start());
    }

    fn server(&mut self, number: usize) -> &mut Server {
        match number.checked_sub(1) {
            None => &mut self.platform.server,
            Some(other) => &mut self.others[other],
        }
    }

    fn server_at(&self, number: usize) -> &Server {
        number.checked_sub(1).map_or(&self.platform.server, |other| &self.others[other])
    }

    fn device(&self, name: &str) -> Device {
        self.platform.connected_device(name, &self.channel)
    }

    fn topic(&self, below: &str) -> String {
        self.platform.topic(&self.channel, below)
    }

    fn login(&self, number: usize, device: &Device, version: Version) -> Login {
        Login { broker: self.server_at(number).mqtt(), ..self.platform.login(device, version) }
    }

    /// A session that outlives its connection, at that node. It may have to wait until the node before it is known to be dead.
    #[track_caller]
    fn recorder(&self, number: usize, device: &Device) -> Probe {
        let login = self.login(number, device, Version::V5);
        let mut probe = Probe::start(Library::Paho, &login, &LASTS);
        while !probe.event("connack").starts_with('0') {
            probe = Probe::start(Library::Paho, &login, &LASTS);
        }
        probe
    }
}

fn node(nats: &Nats, database: &str) -> Launch {
    Launch::on(Storage::Sqlite)
        .flag("--database-url", database)
        .env("TRUNKLINE_CLUSTER_ENABLED", "true")
        .env("TRUNKLINE_CLUSTER_LEASE", "3s")
        .env("TRUNKLINE_NATS_URL", &nats.url())
        .env("TRUNKLINE_NATS_PUBLISH", "false")
        .env("TRUNKLINE_MASTER_KEY", &"5a".repeat(32))
}

/// Publishers under load, each with its own topic.
struct Load {
    publishers: Vec<Probe>,
}

impl Load {
    fn begin(cluster: &Cluster, number: usize, device: &Device, qos: u8) -> Self {
        let login = cluster.login(number, device, Version::V5);
        let mut publishers: Vec<Probe> =
            (0..PUBLISHERS).map(|_| Probe::connect(Library::Paho, &login, &[])).collect();
        for message in 0..MESSAGES {
            for (number, publisher) in publishers.iter_mut().enumerate() {
                let topic = cluster.topic(&format!("/{number}"));
                publisher.publish(qos, &topic, &format!("{number}-{message}"));
            }
        }
        let load = Self { publishers };
        wait_until("enough messages are acknowledged", || load.acknowledged() >= BEFORE);
        load
    }

    fn acknowledged(&self) -> usize {
        self.publishers.iter().map(|one| one.count("ack")).sum()
    }

    /// How many of its messages each publisher was promised. Acknowledgements keep the order of the messages.
    fn promised(&self) -> Vec<usize> {
        self.publishers.iter().map(|one| one.count("ack")).collect()
    }

    /// Waits until all is acknowledged.
    fn end(self) -> Vec<usize> {
        wait_until("all messages are acknowledged", || self.acknowledged() >= PUBLISHERS * MESSAGES);
        self.promised()
    }
}

/// Everything that was promised has come, and with QoS 2 nothing more than once.
#[track_caller]
fn kept(promised: &[usize], qos: u8, subscriber: &Probe) {
    for (number, &count) in promised.iter().enumerate() {
        if let Some(last) = count.checked_sub(1) {
            subscriber.message(&format!(" {number}-{last}"));
        }
    }
    let mut times: HashMap<String, usize> = HashMap::new();
    for message in subscriber.messages() {
        *times.entry(message.rsplit(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    for (number, &count) in promised.iter().enumerate() {
        for message in 0..count {
            let payload = format!("{number}-{message}");
            assert!(times.contains_key(&payload), "QoS {qos}: {payload} is lost");
        }
    }
    if qos == 2 {
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "came more than once: {twice:?}");
    }
}

#[test]
fn a_message_of_any_protocol_at_one_node_reaches_every_protocol_at_the_others() {
    let cluster = Cluster::start(3);
    let device = cluster.device("device");
    let topic = cluster.topic("/room");
    let filter = cluster.topic("/#");
    let mut paho = Probe::connect(Library::Paho, &cluster.login(1, &device, Version::V5), &["id=p"]);
    paho.subscribe(2, &filter);
    let mut js = Probe::connect(Library::MqttJs, &cluster.login(2, &device, Version::V311), &["id=j"]);
    js.subscribe(1, &filter);
    let uri =
        |number: usize| format!("coap://{}/{topic}?auth={}", cluster.server_at(number).coap(), device.secret);
    let observer = observe(CLIENTS[0], &[], &uri(2));
    let socket = |number: usize, path: &str| {
        let mut socket = Command::new("node");
        socket.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/node/socket.mjs"));
        socket.arg(format!("ws://{}/{path}", cluster.server_at(number).http()));
        socket.arg(format!("Client {}", device.secret));
        let socket = Process::start_with_input("socket", &mut socket);
        socket.wait_for(Stream::Out, "open", |line| (line == "open").then_some(()));
        socket
    };
    let reader = socket(1, &filter.replace('#', "%23"));
    let mut speaker = socket(0, &topic);
    // Only it knows when it observes.
    wait_until("CoAP observes", || {
        assert_eq!(cluster.platform.publish(&device, &topic, "\"begin\"").status, 202);
        observer.log().contains("begin")
    });

    let heard = |payload: &str| {
        paho.message(payload);
        js.message(payload);
        observer.message(payload);
        reader.wait_for(Stream::Out, payload, |line| line.contains(payload).then_some(()));
    };
    for version in Version::ALL {
        for qos in 0..=2 {
            let payload = format!("mqtt-{version:?}-{qos}");
            let login = cluster.login(0, &device, version);
            let outcome = mosquitto::publish(&login, &topic, qos, &payload, &["-i", "publisher"]);
            assert_eq!(outcome.code, 0, "{}", outcome.log);
            heard(&payload);
        }
    }
    assert_eq!(cluster.platform.publish(&device, &topic, "\"over-http\"").status, 202);
    heard("over-http\"");
    let said = ask(CLIENTS[0], &["-m", "post", "-t", "50", "-e", "over-coap"], &uri(0));
    assert!(!said.contains("4.") && !said.contains("5."), "{said}");
    heard("over-coap");
    speaker.say("over-websocket");
    heard("over-websocket");
}

#[test]
fn a_right_that_is_revoked_at_one_node_ends_at_another_within_a_second() {
    let cluster = Cluster::start(2);
    let (device, witness) = (cluster.device("device"), cluster.device("witness"));
    let login = cluster.login(1, &device, Version::V5);
    let mut subscriber = Probe::connect(Library::Paho, &login, &[]);
    subscriber.subscribe(1, &cluster.topic("/#"));
    let login = cluster.login(1, &witness, Version::V5);
    let mut other = Probe::connect(Library::Paho, &login, &[]);
    other.subscribe(1, &cluster.topic("/#"));
    other.publish(1, &cluster.topic("/x"), "before");
    subscriber.message("before");

    cluster.platform.disconnect(&device, &cluster.channel, &["subscribe"]);
    let_the_grace_pass();
    other.publish(1, &cluster.topic("/x"), "after");
    other.message("after");
    other.acks(2);
    assert!(!subscriber.messages().iter().any(|message| message.ends_with("after")));

    // Whose client is disabled loses the connection.
    let answer =
        cluster.platform.post(&format!("/{{domain}}/clients/{}/disable", device.id), &serde_json::json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    subscriber.event("closed");
}

#[test]
fn a_session_follows_its_client_and_one_connection_takes_over_from_another() {
    let cluster = Cluster::start(3);
    let (device, publisher) = (cluster.device("recorder"), cluster.device("publisher"));
    let mut first = cluster.recorder(1, &device);
    first.subscribe(2, &cluster.topic("/#"));
    let login = cluster.login(0, &publisher, Version::V5);
    let publish = |payload: &str| {
        let outcome = mosquitto::publish(&login, &cluster.topic("/x"), 2, payload, &[]);
        assert_eq!(outcome.code, 0, "{}", outcome.log);
    };
    publish("connected");
    first.message("connected");
    let second = cluster.recorder(2, &device);
    first.event("closed");
    publish("taken-over");
    second.message("taken-over");
    second.die();
    publish("away");
    let third = cluster.recorder(0, &device);
    third.message("away");
    assert_eq!(third.messages().len(), 1, "{:?}", third.messages());
}

#[test]
fn a_node_that_is_killed_under_load_loses_nothing_that_it_acknowledged() {
    for qos in [1, 2] {
        let mut cluster = Cluster::start(3);
        let (device, publisher) = (cluster.device("recorder"), cluster.device("publisher"));
        let mut away = cluster.recorder(2, &device);
        away.subscribe(qos, &cluster.topic("/#"));
        away.die();
        let load = Load::begin(&cluster, 1, &publisher, qos);
        cluster.server(1).kill9();
        let promised = load.promised();
        drop(load);
        kept(&promised, qos, &cluster.recorder(0, &device));
    }
}

#[test]
fn the_sessions_of_a_node_that_is_killed_under_load_lose_nothing() {
    for qos in [1, 2] {
        let mut cluster = Cluster::start(3);
        let (device, publisher) = (cluster.device("recorder"), cluster.device("publisher"));
        let mut away = cluster.recorder(2, &device);
        away.subscribe(qos, &cluster.topic("/#"));
        away.die();
        let load = Load::begin(&cluster, 1, &publisher, qos);
        cluster.server(2).kill9();
        let promised = load.end();
        kept(&promised, qos, &cluster.recorder(0, &device));
    }
}

#[test]
fn a_nats_that_is_killed_under_load_and_a_newcomer_lose_nothing() {
    for qos in [1, 2] {
        let mut cluster = Cluster::start(2);
        let (device, publisher) = (cluster.device("recorder"), cluster.device("publisher"));
        let mut lasting = cluster.recorder(1, &device);
        lasting.subscribe(qos, &cluster.topic("/#"));
        let witness = cluster.device("witness");
        let login = cluster.login(1, &witness, Version::V5);
        let mut live = Probe::connect(Library::Paho, &login, &[]);
        live.subscribe(qos, &cluster.topic("/#"));
        let load = Load::begin(&cluster, 0, &publisher, qos);
        cluster.nats.kill();
        cluster.nats.restart();
        cluster.join();
        let promised = load.end();
        kept(&promised, qos, &lasting);
        kept(&promised, qos, &live);
        let late = cluster.recorder(2, &device);
        lasting.event("closed");
        let login = cluster.login(1, &publisher, Version::V311);
        let outcome = mosquitto::publish(&login, &cluster.topic("/late"), qos, "to-the-newcomer", &[]);
        assert_eq!(outcome.code, 0, "{}", outcome.log);
        late.message("to-the-newcomer");
    }
}

#[test]
fn a_node_that_stood_still_finds_that_it_may_write_nothing_and_ends() {
    let mut cluster = Cluster::start(2);
    let (device, publisher) = (cluster.device("recorder"), cluster.device("publisher"));
    let mut first = cluster.recorder(1, &device);
    first.subscribe(1, &cluster.topic("/#"));
    let login = cluster.login(1, &publisher, Version::V5);
    let mut late = Probe::connect(Library::Paho, &login, &[]);
    cluster.server(1).process().signal("STOP");
    late.publish(1, &cluster.topic("/x"), "too-late");
    wait_until("the other node takes its place", || {
        cluster.platform.server.log().contains("took the sessions of a node that has gone")
    });
    let second = cluster.recorder(0, &device);
    cluster.server(1).process().signal("CONT");
    let status = cluster.server(1).process().wait();
    assert!(!status.success());
    assert!(cluster.others[0].log().contains("lost its place in the cluster"), "{}", cluster.others[0].log());
    let answered = late.count("ack");
    assert!(
        late.acks(answered).iter().all(|code| code != "0"),
        "what could not be written is not acknowledged"
    );
    let login = cluster.login(0, &publisher, Version::V5);
    let outcome = mosquitto::publish(&login, &cluster.topic("/x"), 1, "in-time", &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.log);
    second.message("in-time");
    assert_eq!(second.messages().len(), 1, "{:?}", second.messages());
}

#[test]
fn a_node_that_is_stopped_leaves_its_sessions_to_the_others_at_once() {
    let mut cluster = Cluster::start(2);
    let (device, publisher) = (cluster.device("recorder"), cluster.device("publisher"));
    let mut first = cluster.recorder(1, &device);
    first.subscribe(1, &cluster.topic("/#"));
    assert!(cluster.server(1).terminate().success());
    first.event("closed");
    let login = cluster.login(0, &publisher, Version::V5);
    let outcome = mosquitto::publish(&login, &cluster.topic("/x"), 1, "meanwhile", &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.log);
    cluster.recorder(0, &device).message("meanwhile");
}

#[test]
fn groups_and_retained_messages_are_those_of_all_nodes() {
    const SHARED: usize = 10;
    let cluster = Cluster::start(3);
    let device = cluster.device("device");
    let group = format!("$share/group/{}", cluster.topic("/shared"));
    let mut members: Vec<Probe> = Vec::new();
    for (number, library) in Library::ALL.into_iter().enumerate() {
        let id = format!("id=member-{number}");
        let login = cluster.login(number + 1, &device, Version::V5);
        let mut member = Probe::connect(library, &login, &[&id]);
        member.subscribe(1, &group);
        members.push(member);
    }
    let login = cluster.login(0, &device, Version::V5);
    let mut publisher = Probe::connect(Library::Paho, &login, &["id=publisher"]);
    publisher.retain(1, &cluster.topic("/kept"), "kept");
    for number in 0..SHARED {
        publisher.publish(1, &cluster.topic("/shared"), &format!("shared-{number}"));
    }
    publisher.acks(SHARED + 1);
    let came = || members.iter().map(|member| member.messages().len()).sum::<usize>();
    wait_until("each message has reached a member", || came() >= SHARED);
    assert_eq!(came(), SHARED);
    assert!(members.iter().all(|member| !member.messages().is_empty()), "they take turns");

    let mut late = Probe::connect(Library::Paho, &cluster.login(2, &device, Version::V311), &["id=late"]);
    late.subscribe(1, &cluster.topic("/kept"));
    assert!(late.message("kept").starts_with("1 1 "));
}
