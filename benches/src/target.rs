//! The servers that are measured: Trunkline, its peers, and any other that already runs.
//!
//! All are started here with a fresh data directory, on free loopback ports, and end with the benchmark.
//! The peers run without any authorization; Trunkline checks every connection and message.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use db::{Db, Options};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::mqtt::Party;
use crate::platform::{ADMIN, Platform};
use crate::process::{Process, Running, free_address, version_of};
use crate::transport::{Door, SERVER_NAME};

/// A server that is not ready by then has failed.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Which server to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The program of this repository.
    Trunkline,
    /// Eclipse Mosquitto, from the path or Debian's place for it.
    Mosquitto,
    /// The MQTT side of nats-server.
    Nats,
    /// An MQTT server without authorization that already runs, and its process when that may be observed.
    Address(SocketAddr, Option<u32>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trunkline => f.write_str("trunkline"),
            Self::Mosquitto => f.write_str("mosquitto"),
            Self::Nats => f.write_str("nats-server"),
            Self::Address(address, _) => address.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "trunkline" => Ok(Self::Trunkline),
            "mosquitto" => Ok(Self::Mosquitto),
            "nats" | "nats-server" => Ok(Self::Nats),
            _ => {
                let (address, pid) = match text.split_once('@') {
                    Some((address, pid)) => (address, Some(pid.parse()?)),
                    None => (text, None),
                };
                let address =
                    address.parse().context("not `trunkline`, `mosquitto`, `nats` or HOST:PORT[@PID]")?;
                Ok(Self::Address(address, pid))
            }
        }
    }
}

/// How to start Trunkline.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    /// The program.
    pub(crate) binary: PathBuf,
    /// The database to use instead of SQLite in the data directory.
    pub(crate) database_url: Option<String>,
    /// Whether it also serves MQTT over TLS, and CoAP on a port of its own choice.
    pub(crate) all_doors: bool,
}

/// How the connections of a load are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket.
    WebSocket,
}

impl Target {
    /// The program to start; `None` when it is not installed, or not ours to start.
    pub(crate) fn program(&self, build: &Build) -> Option<PathBuf> {
        match self {
            Self::Trunkline => build.binary.is_file().then(|| build.binary.clone()),
            Self::Mosquitto => installed("mosquitto"),
            Self::Nats => installed("nats-server"),
            Self::Address(..) => None,
        }
    }

    /// What the program says about its version.
    pub(crate) fn version(&self, build: &Build) -> Option<String> {
        let program = self.program(build)?;
        let flag = if *self == Self::Mosquitto { "-h" } else { "--version" };
        version_of(program.to_str()?, flag)
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// "not installed", or what kept it from starting.
    pub(crate) async fn start(&self, build: &Build) -> Result<Server> {
        if let Self::Address(mqtt, pid) = *self {
            return Ok(Server::at(mqtt, pid.map(|pid| Process { pid })));
        }
        let program = self.program(build).context("not installed")?;
        let dir = tempfile::Builder::new().prefix("trunkline-bench-").tempdir()?;
        let started = match self {
            Self::Trunkline => self.start_trunkline(&program, build, dir).await,
            Self::Mosquitto => self.start_mosquitto(&program, dir).await,
            _ => self.start_nats(&program, dir).await,
        };
        started.with_context(|| format!("{self} does not start"))
    }

    async fn start_trunkline(&self, program: &Path, build: &Build, dir: TempDir) -> Result<Server> {
        let mut command = Command::new(program);
        command.arg("serve").arg("--data-dir").arg(dir.path().join("data"));
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--no-compat-ports"]);
        if let Some(url) = &build.database_url {
            command.arg("--database-url").arg(url);
        }
        command.envs(ADMIN);
        let certificate = if build.all_doors { Some(open_doors(&mut command, dir.path())?) } else { None };
        let begin = Instant::now();
        let mut running = Running::start(&mut command, dir.path())?;
        let announced = timeout(START_LIMIT, announcement(&mut running)).await.context("not ready in time");
        let ready_after = begin.elapsed();
        let said = announced.and_then(|inner| inner).with_context(|| stderr_of(&dir))?;
        let mut server = started(running, dir, ready_after, said.mqtt, Some(said.http));
        server.tls = said
            .mqtts
            .zip(certificate)
            .map(|(address, certificate)| Door::tls(address, certificate))
            .transpose()?;
        server.coap = said.coap;
        Ok(server)
    }

    async fn start_mosquitto(&self, program: &Path, dir: TempDir) -> Result<Server> {
        let mqtt = free_address()?;
        // A limit of 0 is none. As root it would change to a user who cannot read the configuration.
        let text = format!(
            "user root\nlistener {} {}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n\
             max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 0\nlog_dest none\n",
            mqtt.port(),
            mqtt.ip()
        );
        self.start_configured(Command::new(program).arg("-c"), &text, mqtt, dir).await
    }

    async fn start_nats(&self, program: &Path, dir: TempDir) -> Result<Server> {
        let (mqtt, core) = (free_address()?, free_address()?);
        // 65,535 is the largest that MQTT can number.
        let text = format!(
            "server_name: bench\nlisten: \"{core}\"\njetstream {{ store_dir: {:?} }}\n\
             mqtt {{ listen: \"{mqtt}\", max_ack_pending: 65535 }}\n",
            dir.path().join("store")
        );
        self.start_configured(Command::new(program).arg("-c"), &text, mqtt, dir).await
    }

    /// Starts a program whose last argument is its configuration file, and waits until its port answers.
    async fn start_configured(
        &self,
        command: &mut Command,
        text: &str,
        mqtt: SocketAddr,
        dir: TempDir,
    ) -> Result<Server> {
        let file = dir.path().join("server.conf");
        std::fs::write(&file, text)?;
        let begin = Instant::now();
        let mut running = Running::start(command.arg(file), dir.path())?;
        while TcpStream::connect(mqtt).await.is_err() {
            if running.is_over() || begin.elapsed() > START_LIMIT {
                bail!("{}", stderr_of(&dir));
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(started(running, dir, begin.elapsed(), mqtt, None))
    }
}

/// A server that was started here and is ready.
fn started(
    running: Running,
    dir: TempDir,
    ready_after: Duration,
    mqtt: SocketAddr,
    http: Option<SocketAddr>,
) -> Server {
    let process = Some(running.process());
    Server { http, process, ready_after, running: Some((running, dir)), ..Server::at(mqtt, None) }
}

/// A certificate of its own and ports of the system's choice; where the certificate is, as clients have to know it.
fn open_doors(command: &mut Command, dir: &Path) -> Result<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    let (certificate, key) = (dir.join("server.crt"), dir.join("server.key"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    command.env("TRUNKLINE_TLS_SERVER_CERT", certificate).env("TRUNKLINE_TLS_SERVER_KEY", key);
    command.env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0").env("TRUNKLINE_TLS_HTTPS", "127.0.0.1:0");
    command.env("TRUNKLINE_COAP_ADDRESS", "127.0.0.1:0");
    Ok(made.cert.der().clone())
}

/// Where a platform says that it listens.
struct Listening {
    http: SocketAddr,
    mqtt: SocketAddr,
    mqtts: Option<SocketAddr>,
    coap: Option<SocketAddr>,
}

/// Reads `listening http ADDR`, `listening mqtt ADDR`, others of their kind, and `ready` from standard output.
///
/// The rest of the output is read and dropped, so that the server never waits for a reader.
async fn announcement(running: &mut Running) -> Result<Listening> {
    let stdout = running.stdout().context("no standard output")?;
    let (sender, mut lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // After `ready` nobody listens any more.
            let _ = sender.blocking_send(line);
        }
    });
    let (mut http, mut mqtt, mut mqtts, mut coap) = (None, None, None, None);
    while let Some(line) = lines.recv().await {
        match line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            ["listening", "http", address] => http = Some(address.parse()?),
            ["listening", "mqtt", address] => mqtt = Some(address.parse()?),
            ["listening", "mqtts", address] => mqtts = Some(address.parse()?),
            ["listening", "coap", address] => coap = Some(address.parse()?),
            ["ready", ..] => {
                let (http, mqtt) = http.zip(mqtt).context("ready without the addresses of http and mqtt")?;
                return Ok(Listening { http, mqtt, mqtts, coap });
            }
            _ => {}
        }
    }
    bail!("ended before it was ready")
}

fn stderr_of(dir: &TempDir) -> String {
    let text = std::fs::read_to_string(dir.path().join("stderr.log")).unwrap_or_default();
    let last: Vec<_> = text.lines().rev().take(3).collect();
    format!("it said: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "))
}

/// A program from the path, or from the directory for daemons that is often not in it.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()))
}

/// A server that takes connections.
pub(crate) struct Server {
    /// Where MQTT listens.
    pub(crate) mqtt: SocketAddr,
    /// Its process, when it may be observed.
    pub(crate) process: Option<Process>,
    /// From the start of the process to the moment it said that it is ready, or took a connection.
    pub(crate) ready_after: Duration,
    /// Domain, clients and channel, once [prepared](Self::prepare).
    pub(crate) platform: Option<Platform>,
    http: Option<SocketAddr>,
    /// Where MQTT over TLS and CoAP listen, if they do.
    tls: Option<Door>,
    coap: Option<SocketAddr>,
    /// The process first, so that it is gone when its directory is removed.
    running: Option<(Running, TempDir)>,
}

impl Server {
    /// One that already runs.
    pub(crate) fn at(mqtt: SocketAddr, process: Option<Process>) -> Self {
        let (http, tls, coap) = (None, None, None);
        Self { mqtt, process, ready_after: Duration::ZERO, platform: None, http, tls, coap, running: None }
    }

    /// Where connections of that kind begin.
    ///
    /// # Errors
    /// When the server has no such port.
    pub(crate) fn door(&self, over: Over) -> Result<Door> {
        match over {
            Over::Tcp => Ok(Door::Tcp(self.mqtt)),
            Over::Tls => self.tls.clone().context("no port for TLS"),
            Over::WebSocket => Ok(Door::WebSocket(self.http()?)),
        }
    }

    /// Where CoAP listens.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn coap(&self) -> Result<SocketAddr> {
        self.coap.context("no port for CoAP")
    }

    /// Creates what loads need on a server that checks who may do what.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn prepare(&mut self) -> Result<()> {
        if let (Some(http), None) = (self.http, &self.platform) {
            self.platform = Some(Platform::prepare(http).await.context("prepare domain and clients")?);
        }
        Ok(())
    }

    /// The platform of a [prepared](Self::prepare) Trunkline.
    ///
    /// # Errors
    /// For peers, which have none.
    pub(crate) fn platform(&self) -> Result<&Platform> {
        self.platform.as_ref().context("not a platform")
    }

    /// Kills Trunkline in the middle of whatever it does, and starts it again on the same data.
    ///
    /// # Errors
    /// When it does not start any more.
    pub(crate) async fn restart(self, build: &Build) -> Result<Self> {
        let (Some(mut platform), Some((running, dir))) = (self.platform, self.running) else {
            bail!("only a platform that was started here can be started again");
        };
        drop(running);
        let mut server =
            Target::Trunkline.start_trunkline(&build.binary, build, dir).await.context("restart")?;
        platform.http = server.http.context("restart without HTTP")?;
        server.platform = Some(platform);
        Ok(server)
    }

    /// Where HTTP listens.
    ///
    /// # Errors
    /// For peers, which have none.
    pub(crate) fn http(&self) -> Result<SocketAddr> {
        self.http.context("not a platform")
    }

    /// Ends Trunkline, does `work` on its database, and starts it again.
    ///
    /// # Errors
    /// What kept the work, or the start, from being done.
    pub(crate) async fn refilled(
        self,
        build: &Build,
        work: impl AsyncFnOnce(&Db) -> Result<()>,
    ) -> Result<Self> {
        let (running, dir) = self.running.context("only what was started here can be started again")?;
        drop(running);
        let file = dir.path().join("data/trunkline.db");
        let url = build.database_url.clone().unwrap_or_else(|| format!("sqlite:{}", file.display()));
        let db = Db::open(&url, Options { statement_timeout: START_LIMIT, ..Options::default() }).await?;
        let done = work(&db).await;
        db.close().await;
        done?;
        Target::Trunkline.start_trunkline(&build.binary, build, dir).await.context("restart")
    }

    /// A topic of the load. Peers get one of the same form and length, which costs them as much to match.
    pub(crate) fn topic(&self, index: usize) -> String {
        let nobody = "00000000-0000-4000-8000-000000000000";
        let (domain, channel) =
            self.platform.as_ref().map_or((nobody, nobody), |platform| (&platform.domain, &platform.channel));
        format!("m/{domain}/c/{channel}/pair{index}")
    }

    /// The connection number `number` of a load; platform clients are shared by several when they are few.
    ///
    /// # Errors
    /// When the platform has no clients.
    pub(crate) fn party(&self, number: usize) -> Result<Party> {
        let id = format!("bench-{number}");
        let Some(platform) = &self.platform else {
            return Ok(Party { id, username: "bench".into(), password: "bench".into(), lasting: false });
        };
        let clients = &platform.clients;
        let (username, password) = clients.get(number % clients.len().max(1)).context("no clients")?.clone();
        Ok(Party { id, username, password, lasting: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_names_or_addresses_with_a_process() {
        assert_eq!("nats".parse::<Target>().unwrap(), Target::Nats);
        let address = "127.0.0.1:1883".parse().unwrap();
        assert_eq!("127.0.0.1:1883".parse::<Target>().unwrap(), Target::Address(address, None));
        assert_eq!("127.0.0.1:1883@42".parse::<Target>().unwrap(), Target::Address(address, Some(42)));
        assert!("localhost".parse::<Target>().is_err());
    }
}
