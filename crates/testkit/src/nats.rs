//! A throw-away nats-server with JetStream, and a plain reader of its subjects.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;
use crate::wait::PATIENCE;
use crate::{ports, wait_until};

/// A running nats-server. Dropping it kills it and removes what it stored.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    address: SocketAddr,
    dir: TempDir,
}

impl Nats {
    /// Starts one on a free port of 127.0.0.1 and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not start, most likely because it is not installed.
    #[track_caller]
    pub fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let dir = TempDir::new().expect("no temporary directory");
        let process = spawn(address, &dir);
        Self { process, address, dir }
    }

    /// Where it listens, as a setting.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, at the same address and with what it stored.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.address, &self.dir);
    }

    /// Listens to a subject from now on.
    ///
    /// # Panics
    /// When the server does not answer.
    #[track_caller]
    pub fn read(&self, subject: &str) -> Reader {
        let mut stream = TcpStream::connect(self.address).expect("nats-server is not reached");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a time limit");
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n");
        stream.write_all(hello.as_bytes()).expect("nats-server closed the connection");
        let mut reader = Reader { stream: BufReader::new(stream) };
        // The answer to PING comes after the subscription has been made.
        while reader.line() != "PONG" {}
        reader
    }
}

#[track_caller]
fn spawn(address: SocketAddr, dir: &TempDir) -> Process {
    // Debian installs it where only root's path looks.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("nats-server");
    command.args(["-js", "-sd"]).arg(dir.path()).args(["-a", "127.0.0.1", "-p", &address.port().to_string()]);
    let process = Process::start("nats-server", command.env("PATH", path));
    wait_until("nats-server listens", || TcpStream::connect(address).is_ok());
    process
}

/// Reads what is published, in the protocol's own words.
#[derive(Debug)]
pub struct Reader {
    stream: BufReader<TcpStream>,
}

impl Reader {
    /// Waits for the next message: its subject and its payload, without headers.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn message(&mut self) -> (String, Vec<u8>) {
        loop {
            let line = self.line();
            // MSG <subject> <sid> [reply] <bytes>, HMSG <subject> <sid> [reply] <header bytes> <all bytes>.
            let mut words = line.split(' ');
            let kind = words.next().unwrap_or_default();
            let subject = words.next().unwrap_or_default();
            let mut numbers = words.rev().map_while(|word| word.parse::<usize>().ok());
            let headers = match kind {
                "MSG" => 0,
                "HMSG" => numbers.by_ref().nth(1).unwrap_or_default(),
                "PING" => {
                    self.stream.get_mut().write_all(b"PONG\r\n").expect("nats-server is gone");
                    continue;
                }
                _ => continue,
            };
            let all = line.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0_usize);
            let mut body = vec![0; all + 2];
            self.stream.read_exact(&mut body).expect("nats-server is gone");
            body.truncate(all);
            return (subject.to_owned(), body.split_off(headers));
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("nothing came from nats-server");
        assert!(!line.is_empty(), "nats-server is gone");
        line.trim_end().to_owned()
    }
}
