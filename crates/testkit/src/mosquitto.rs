//! MQTT with the clients of the Mosquitto project.

use std::net::SocketAddr;
use std::process::Command;

use crate::process::{Process, Stream};

/// The protocol version that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

impl Version {
    /// Both that matter today.
    pub const ALL: [Self; 2] = [Self::V311, Self::V5];

    fn flag(self) -> &'static str {
        match self {
            Self::V311 => "mqttv311",
            Self::V5 => "mqttv5",
        }
    }
}

/// Who connects, and where.
#[derive(Clone, Debug)]
pub struct Login {
    /// The broker.
    pub broker: SocketAddr,
    /// The protocol version.
    pub version: Version,
    /// The user name: a client's id.
    pub username: String,
    /// The password: the client's secret.
    pub password: String,
}

/// How a client run to its end has ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code: 0, or for a refused connection the CONNACK code.
    pub code: i32,
    /// Both outputs.
    pub log: String,
}

/// Runs `mosquitto_pub` to its end: one message of `payload` to `topic` with debug output, then `more` flags.
///
/// With QoS 1 or 2 the end comes after the broker has acknowledged.
#[track_caller]
pub fn publish(login: &Login, topic: &str, qos: u8, payload: &str, more: &[&str]) -> Outcome {
    let mut command = client("mosquitto_pub", login);
    command.args(["-t", topic, "-q", &qos.to_string(), "-m", payload]).args(more);
    finish(Process::start("mosquitto_pub", &mut command))
}

/// Starts `mosquitto_sub` with QoS 1 and waits for the end of its handshake; it prints `<topic> <payload>` lines.
///
/// # Panics
/// When the broker refuses the connection or the subscription.
#[track_caller]
pub fn subscribe(login: &Login, filter: &str, more: &[&str]) -> Subscriber {
    let subscriber = try_subscribe(login, filter, more);
    subscriber.process.wait_for(Stream::Out, "its subscription is granted", |line| {
        line.starts_with("Subscribed (mid: ").then(|| {
            let codes = line.rsplit(": ").next().unwrap_or_default();
            let granted = codes.split(", ").all(|code| matches!(code.trim(), "0" | "1" | "2"));
            assert!(granted, "the broker refuses to subscribe to {filter}: {line}");
        })
    });
    subscriber
}

/// Starts `mosquitto_sub` and waits for nothing.
#[track_caller]
pub fn try_subscribe(login: &Login, filter: &str, more: &[&str]) -> Subscriber {
    let mut command = client("mosquitto_sub", login);
    command.args(["-t", filter, "-q", "1", "-v"]).args(more);
    Subscriber { process: Process::start("mosquitto_sub", &mut command) }
}

/// A running `mosquitto_sub`. Dropping it kills it.
#[derive(Debug)]
pub struct Subscriber {
    process: Process,
}

impl Subscriber {
    /// The received messages, each as `<topic> <payload>`.
    pub fn messages(&self) -> Vec<String> {
        self.process.lines(Stream::Out).into_iter().filter(|line| is_message(line)).collect()
    }

    /// Waits for a message, `<topic> <payload>`, that contains `part`.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn wait_for_message(&self, part: &str) -> String {
        self.process.wait_for(Stream::Out, &format!("a message with `{part}`"), |line| {
            (is_message(line) && line.contains(part)).then(|| line.to_owned())
        })
    }

    /// Waits for a line of the client's debug output that contains `part`.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn wait_for_log(&self, part: &str) -> String {
        self.process.wait_for_line(part)
    }

    /// Waits for the end of the client.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        finish(self.process)
    }

    /// The client itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Debug output names the client first or begins with one of a few words; a message begins with its topic.
fn is_message(line: &str) -> bool {
    !(line.starts_with("Client ")
        || line.starts_with("Subscribed ")
        || line.starts_with("Connection ")
        || line.starts_with("Warning: "))
}

fn client(program: &str, login: &Login) -> Command {
    // Line buffering: mosquitto's clients flush their output only when it is a terminal or a buffer is full.
    let mut command = Command::new("stdbuf");
    command
        .args(["--output=L", program, "-d", "-V", login.version.flag()])
        .args(["-h", &login.broker.ip().to_string(), "-p", &login.broker.port().to_string()])
        .args(["-u", &login.username, "-P", &login.password]);
    command
}

#[track_caller]
fn finish(mut process: Process) -> Outcome {
    let status = process.wait();
    Outcome { code: status.code().unwrap_or(-1), log: process.log() }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::{ports, wait_until};

    /// Mosquitto's own broker, which lets in everyone who comes from this machine.
    fn broker() -> (Process, SocketAddr) {
        let port = ports::free();
        // Debian installs it where only root's path looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("mosquitto");
        let process = Process::start("mosquitto", command.args(["-p", &port.to_string()]).env("PATH", path));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("the broker listens", || TcpStream::connect(address).is_ok());
        (process, address)
    }

    #[test]
    fn a_message_goes_from_publisher_to_subscriber() {
        let (_broker, address) = broker();
        for version in Version::ALL {
            let login = Login { broker: address, version, username: "u".into(), password: "p".into() };
            let subscriber = subscribe(&login, "a/#", &[]);
            let outcome = publish(&login, "a/b", 1, "hello", &[]);
            assert_eq!(outcome.code, 0, "{}", outcome.log);
            assert_eq!(subscriber.wait_for_message("hello"), "a/b hello");
            assert_eq!(subscriber.messages(), ["a/b hello"]);
        }
    }

    #[test]
    fn a_broker_that_is_gone_ends_the_client_with_a_code() {
        let (mut broker, address) = broker();
        broker.kill();
        let login =
            Login { broker: address, version: Version::V5, username: "u".into(), password: "p".into() };
        let outcome = publish(&login, "a/b", 1, "hello", &[]);
        assert_ne!(outcome.code, 0, "{}", outcome.log);
    }
}
