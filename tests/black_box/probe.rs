//! One MQTT connection of a client library in another language: Eclipse Paho or mqtt.js.
//!
//! The programs are in `tests/clients`; their commands and events are described in `python/probe.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::mosquitto::{Login, Version};
use testkit::process::{Process, Stream};
use testkit::wait_until;

/// Which library connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// Eclipse Paho for Python.
    Paho,
    /// mqtt.js for Node.
    MqttJs,
}

impl Library {
    pub(crate) const ALL: [Self; 2] = [Self::Paho, Self::MqttJs];
}

/// A running probe. Dropping it kills it, which breaks its connection off.
#[derive(Debug)]
pub(crate) struct Probe {
    process: Process,
}

impl Probe {
    /// Starts to connect; `options` as `python/probe.py` describes them.
    #[track_caller]
    pub(crate) fn start(library: Library, login: &Login, options: &[&str]) -> Self {
        let mut command = match library {
            Library::Paho => {
                let mut python = Command::new(root().join(".tools/venv/bin/python"));
                python.arg(root().join("tests/clients/python/probe.py"));
                python
            }
            Library::MqttJs => {
                let mut node = Command::new("node");
                node.arg(root().join("tests/clients/node/probe.mjs"));
                node
            }
        };
        let version = match login.version {
            Version::V311 => "3",
            Version::V5 => "5",
        };
        command
            .args([&login.broker.ip().to_string(), &login.broker.port().to_string(), version])
            .args([&login.username, &login.password])
            .args(options);
        Self { process: Process::start_with_input(&format!("{library:?}"), &mut command) }
    }

    /// Connects, and waits for the server's yes.
    #[track_caller]
    pub(crate) fn connect(library: Library, login: &Login, options: &[&str]) -> Self {
        let probe = Self::start(library, login, options);
        assert!(probe.event("connack").starts_with('0'), "refused: {}", probe.process.log());
        probe
    }

    /// Subscribes, and returns the codes of the SUBACK.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, qos: u8, filter: &str) -> String {
        self.process.say(&format!("sub {qos} {filter}"));
        self.event("suback")
    }

    /// Publishes without waiting for anything.
    #[track_caller]
    pub(crate) fn publish(&mut self, qos: u8, topic: &str, payload: &str) {
        self.process.say(&format!("pub {qos} 0 {topic} {payload}"));
    }

    /// Publishes a retained message without waiting for anything.
    #[track_caller]
    pub(crate) fn retain(&mut self, qos: u8, topic: &str, payload: &str) {
        self.process.say(&format!("pub {qos} 1 {topic} {payload}"));
    }

    /// Breaks the connection off without DISCONNECT.
    #[track_caller]
    pub(crate) fn die(mut self) {
        self.process.say("die");
        self.process.wait();
    }

    /// Disconnects as the protocol says.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.process.say("end");
        self.process.wait();
    }

    /// Reads nothing more and says nothing until [`Probe::go_on`].
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Goes on after [`Probe::pause`].
    pub(crate) fn go_on(&self) {
        self.process.signal("CONT");
    }

    /// Waits for the first event of that kind and returns what follows its name.
    #[track_caller]
    pub(crate) fn event(&self, kind: &str) -> String {
        self.process.wait_for(Stream::Out, &format!("a {kind}"), |line| {
            let (name, rest) = line.split_once(' ')?;
            (name == kind).then(|| rest.to_owned())
        })
    }

    /// Waits for as many acknowledgements of our messages, and returns their codes in the order of arrival.
    #[track_caller]
    pub(crate) fn acks(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} messages are acknowledged"), || self.count("ack") >= count);
        let lines = self.process.lines(Stream::Out);
        lines.iter().filter_map(|line| Some(line.strip_prefix("ack ")?.to_owned())).collect()
    }

    /// Waits for a message, `QOS RETAIN TOPIC PAYLOAD`, that ends in `end`.
    #[track_caller]
    pub(crate) fn message(&self, end: &str) -> String {
        self.process.wait_for(Stream::Out, &format!("a message that ends in `{end}`"), |line| {
            let message = line.strip_prefix("message ")?;
            message.ends_with(end).then(|| message.to_owned())
        })
    }

    /// What was received so far, each as `QOS RETAIN TOPIC PAYLOAD`.
    pub(crate) fn messages(&self) -> Vec<String> {
        let lines = self.process.lines(Stream::Out);
        lines.iter().filter_map(|line| Some(line.strip_prefix("message ")?.to_owned())).collect()
    }

    /// How many events of that kind there were so far.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.process.lines(Stream::Out).iter().filter(|line| line.split(' ').next() == Some(kind)).count()
    }
}

/// The root of the repository, where the tests' programs are installed.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
