//! Somebody at a shell who runs the program, with a home and a login of their own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{ADMIN, Server, Storage, TempDir, program};

/// Somebody at a shell with a home of their own.
pub(crate) struct Shell {
    home: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { home: TempDir::new().unwrap(), environment: Vec::new() }
    }

    /// A shell in which `username` has logged in.
    #[track_caller]
    pub(crate) fn logged_in(server: &Server, username: &str, password: &str) -> Self {
        let shell = Self::new();
        let url = server.url("");
        let said = shell.run_with(
            &["login", "--url", &url, "--username", username, "--password-stdin"],
            &format!("{password}\n"),
        );
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.out.contains(&url) && said.out.contains(username), "{said:?}");
        shell
    }

    /// Where it works.
    pub(crate) fn directory(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(crate) fn login_file(&self) -> PathBuf {
        self.home.path().join("config/trunkline/login.toml")
    }

    /// Runs a command with nothing on its standard input.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    #[track_caller]
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Said {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A command that is to be run here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .current_dir(self.home.path());
        command
    }

    /// Runs a command that must succeed and gives what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out
    }

    /// The same with `--json`.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {out}"))
    }

    /// The same with `--quiet`: the ids.
    #[track_caller]
    pub(crate) fn ids(&self, arguments: &[&str]) -> Vec<String> {
        self.ok(&[arguments, &["--quiet"]].concat()).lines().map(str::to_owned).collect()
    }

    /// Runs a command that must fail with this code, and gives what it said about it.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {said:?}");
        said.err
    }
}

/// A server, and its administrator with a domain that commands work in.
#[track_caller]
pub(crate) fn plant() -> (Server, Shell) {
    let server = Server::start(Storage::Sqlite);
    let admin = Shell::logged_in(&server, ADMIN.0, ADMIN.2);
    admin.ok(&["domains", "create", "My plant", "--use"]);
    (server, admin)
}
