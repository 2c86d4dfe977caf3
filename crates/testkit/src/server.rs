//! The `trunkline` program under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::curl::Request;
use crate::postgres;
use crate::process::{Process, Stream};

/// Where the program keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A file in the data directory: the default.
    Sqlite,
    /// A fresh database of the throw-away server.
    Postgres,
}

impl Storage {
    /// Both, for tests whose promise must hold on each.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// The administrator that a [`Launch`] gives by environment.
pub const ADMIN: (&str, &str, &str) = ("admin", "admin@example.com", "12345678");

/// How to start the program. The default: free ports on 127.0.0.1, no compatibility ports, a data directory of
/// its own, the administrator [`ADMIN`], and no other setting from the environment of the test.
#[derive(Debug)]
pub struct Launch {
    data: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Launch {
    /// `serve` on `storage`.
    pub fn on(storage: Storage) -> Self {
        let data = TempDir::new().expect("no temporary directory");
        let mut arguments = vec!["serve".to_owned()];
        for argument in
            ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--coap", "127.0.0.1:0", "--no-compat-ports"]
        {
            arguments.push(argument.to_owned());
        }
        arguments.extend(["--data-dir".to_owned(), path_text(&data.path().join("data"))]);
        if storage == Storage::Postgres {
            arguments.extend(["--database-url".to_owned(), postgres::url()]);
        }
        let (username, email, password) = ADMIN;
        let environment = [("USERNAME", username), ("EMAIL", email), ("PASSWORD", password)];
        let environment =
            environment.map(|(name, value)| (format!("TRUNKLINE_ADMIN_{name}"), value.to_owned()));
        let mut environment = Vec::from(environment);
        environment.push(("TRUNKLINE_COAP_DTLS_ADDRESS".to_owned(), "127.0.0.1:0".to_owned()));
        Self { data, arguments, environment }
    }

    /// Any other command of the program, for instance `["config", "show"]`, with nothing set beside it.
    pub fn command(arguments: &[&str]) -> Self {
        let data = TempDir::new().expect("no temporary directory");
        Self {
            data,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
        }
    }

    /// Adds a flag with its value; an earlier value of that flag is replaced.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        match self.arguments.iter().position(|argument| argument == flag) {
            Some(at) => {
                self.arguments.splice(at + 1..=at + 1, [value.to_owned()]);
            }
            None => self.arguments.extend([flag.to_owned(), value.to_owned()]),
        }
        self
    }

    /// Adds a flag without value.
    #[must_use]
    pub fn switch(mut self, flag: &str) -> Self {
        self.arguments.push(flag.to_owned());
        self
    }

    /// Removes a flag without value.
    #[must_use]
    pub fn without(mut self, flag: &str) -> Self {
        self.arguments.retain(|argument| argument != flag);
        self
    }

    /// Sets an environment variable; an empty value counts as not set.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The data directory; it does not exist before the first start. Files beside it are removed with it.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Starts the program and waits until it says `ready`.
    ///
    /// # Panics
    /// With what it said, when it does not.
    #[track_caller]
    pub fn start(self) -> Server {
        let (process, listening) = self.spawn_ready();
        Server { launch: self, process, listening }
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self) -> (ExitStatus, String) {
        let mut process = self.spawn();
        let status = process.wait();
        (status, process.log())
    }

    /// Starts the program and waits for nothing.
    #[track_caller]
    pub fn spawn(&self) -> Process {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["TRUNKLINE_", "MG_", "SMQ_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name.as_ref());
            }
        }
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.args(&self.arguments).envs(environment).current_dir(self.data.path());
        Process::start("trunkline", &mut command)
    }

    #[track_caller]
    fn spawn_ready(&self) -> (Process, Listening) {
        let process = self.spawn();
        process.wait_for(Stream::Out, "it is ready", |line| (line == "ready").then_some(()));
        let lines = process.lines(Stream::Out);
        let address = |listener: &str| {
            lines.iter().find_map(|line| line.strip_prefix(&format!("listening {listener} "))?.parse().ok())
        };
        let http = address("http").unwrap_or_else(|| panic!("no `listening http` line:\n{}", process.log()));
        let listening = Listening {
            http,
            mqtt: address("mqtt"),
            https: address("https"),
            mqtts: address("mqtts"),
            coap: address("coap"),
            coaps: address("coaps"),
            grpc: address("grpc"),
        };
        (process, listening)
    }
}

/// A running `trunkline serve`. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    process: Process,
    listening: Listening,
}

/// Where the program says that it listens; of several listeners of one kind the first.
#[derive(Debug)]
struct Listening {
    http: SocketAddr,
    mqtt: Option<SocketAddr>,
    coap: Option<SocketAddr>,
    https: Option<SocketAddr>,
    mqtts: Option<SocketAddr>,
    coaps: Option<SocketAddr>,
    grpc: Option<SocketAddr>,
}

impl Server {
    /// Starts the program as [`Launch::on`] describes and waits until it is ready.
    #[track_caller]
    pub fn start(storage: Storage) -> Self {
        Launch::on(storage).start()
    }

    /// A request to the front door; `path` begins with a slash.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &self.url(path))
    }

    /// The URL of `path` at the front door.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listening.http)
    }

    /// The address of the front door.
    pub fn http(&self) -> SocketAddr {
        self.listening.http
    }

    /// The address of the MQTT listener.
    ///
    /// # Panics
    /// When the program has announced none.
    #[track_caller]
    pub fn mqtt(&self) -> SocketAddr {
        self.listening.mqtt.unwrap_or_else(|| panic!("no `listening mqtt` line:\n{}", self.log()))
    }

    /// The address of the CoAP listener.
    ///
    /// # Panics
    /// When the program has announced none.
    #[track_caller]
    pub fn coap(&self) -> SocketAddr {
        self.listening.coap.unwrap_or_else(|| panic!("no `listening coap` line:\n{}", self.log()))
    }

    /// The address of the listener for CoAP over DTLS.
    ///
    /// # Panics
    /// When the program has announced none.
    #[track_caller]
    pub fn coaps(&self) -> SocketAddr {
        self.listening.coaps.unwrap_or_else(|| panic!("no `listening coaps` line:\n{}", self.log()))
    }

    /// The address of the HTTPS listener.
    ///
    /// # Panics
    /// When the program has announced none.
    #[track_caller]
    pub fn https(&self) -> SocketAddr {
        self.listening.https.unwrap_or_else(|| panic!("no `listening https` line:\n{}", self.log()))
    }

    /// The address of the listener of MQTT over TLS.
    ///
    /// # Panics
    /// When the program has announced none.
    #[track_caller]
    pub fn mqtts(&self) -> SocketAddr {
        self.listening.mqtts.unwrap_or_else(|| panic!("no `listening mqtts` line:\n{}", self.log()))
    }

    /// The address of the first gRPC listener.
    ///
    /// # Panics
    /// When the program has announced none.
    #[track_caller]
    pub fn grpc(&self) -> SocketAddr {
        self.listening.grpc.unwrap_or_else(|| panic!("no `listening grpc` line:\n{}", self.log()))
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.launch.data_dir()
    }

    /// What the program has printed since its last start, both streams.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the program as a power failure would.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Asks the program to end (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait()
    }

    /// Ends the program, if it runs, and starts it again with the same arguments and data. A listener on port 0
    /// gets a new port.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        (self.process, self.listening) = self.launch.spawn_ready();
    }

    /// Ends the program and gives back how it was started, with its data: to start it differently.
    #[must_use]
    pub fn into_launch(mut self) -> Launch {
        self.process.kill();
        self.launch
    }
}

/// The program to test: `TRUNKLINE_TEST_PROGRAM` if that is set, else built by cargo, once per test process, with
/// the profile and target directory of the test itself.
///
/// # Panics
/// When it cannot be built.
pub fn program() -> &'static Path {
    // The failure is kept too, so that not each test tries again.
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program =
        PROGRAM.get_or_init(|| std::env::var_os("TRUNKLINE_TEST_PROGRAM").map(PathBuf::from).or_else(build));
    program.as_deref().expect("cargo could not build the program under test, see its errors above")
}

fn build() -> Option<PathBuf> {
    // <target>/<profile>/deps/<test>
    let test = std::env::current_exe().expect("a test has a path");
    let output = test.parent().and_then(Path::parent).expect("cargo puts tests into <target>/<profile>/deps");
    let profile = match output.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = output.parent().expect("the profile's directory is in the target directory");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "trunkline", "--bin", "trunkline", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status();
    status.is_ok_and(|status| status.success()).then(|| output.join("trunkline"))
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("temporary paths are plain text").to_owned()
}
