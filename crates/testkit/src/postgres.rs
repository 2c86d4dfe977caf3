//! A PostgreSQL server that lives as long as the test process, and a fresh database for each caller.
//!
//! The server starts at the first [`url`]. A shell (`postgres.sh`) is its parent: it makes a data directory,
//! starts the server and waits for the end of its standard input, which this process holds open and never
//! writes to. However the process ends, the kernel closes that pipe, and the shell stops the server and removes
//! the directory.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

use crate::ports;

/// The superuser of the throw-away server. It needs no password: the server listens on 127.0.0.1 only.
const USER: &str = "trunkline";

/// Another process may take the chosen port before the server does; nobody is that unlucky this often.
const ATTEMPTS: usize = 5;

/// Makes an empty database and returns its URL, `postgres://trunkline@127.0.0.1:<port>/<database>`.
///
/// The first call of a process starts the server, which takes about a second; later calls take some 30 ms.
/// May be called inside and outside of an asynchronous runtime.
///
/// # Panics
/// When PostgreSQL is not installed or does not start.
pub fn url() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = server_url();
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&format!("{server}/postgres"), &format!("CREATE DATABASE {name} TEMPLATE template0"));
    format!("{server}/{name}")
}

/// Runs SQL statements, separated by semicolons, on the database at `url`: for a test that has to look past the
/// program.
///
/// # Panics
/// When the database refuses them.
pub fn execute(url: &str, statements: &str) {
    let (url, statements) = (url.to_owned(), statements.to_owned());
    // A thread of its own, because the caller's may already belong to a runtime.
    let work = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&url, NoTls).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let connection = tokio::spawn(connection);
            let outcome = client.batch_execute(&statements).await;
            drop(client);
            connection.await.unwrap().ok();
            outcome.unwrap_or_else(|error| panic!("`{statements}` on {url}: {error:?}"));
        });
    });
    if let Err(cause) = work.join() {
        std::panic::resume_unwind(cause);
    }
}

fn server_url() -> &'static str {
    static SERVER: OnceLock<Result<String, String>> = OnceLock::new();
    match SERVER.get_or_init(start) {
        Ok(url) => url,
        Err(message) => panic!("{message}"),
    }
}

fn start() -> Result<String, String> {
    let binaries = binaries().ok_or(
        "this test needs a PostgreSQL server, and neither /usr/lib/postgresql/*/bin nor PATH has one: \
         `make test` installs it, or set TRUNKLINE_TEST_POSTGRES_BIN to the directory with `initdb`",
    )?;
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        let port = ports::free();
        match start_on(&binaries, port) {
            Ok(()) => return Ok(format!("postgres://{USER}@127.0.0.1:{port}")),
            Err(message) => failure = message,
        }
    }
    Err(format!("PostgreSQL ({}) does not start: {failure}", binaries.display()))
}

/// Starts the shell that keeps the server, and returns when the server answers.
fn start_on(binaries: &Path, port: u16) -> Result<(), String> {
    let mut shell = unprivileged_shell()
        .args(["-c", include_str!("postgres.sh"), "testkit-postgres"])
        .arg(binaries)
        .arg(port.to_string())
        .arg(USER)
        .current_dir("/")
        .env_remove("PGDATA")
        .env_remove("PGPORT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start a shell: {error}"))?;
    let output = BufReader::new(shell.stdout.take().expect("stdout is piped"));
    let mut said = Vec::new();
    for line in output.lines() {
        let line = line.map_err(|error| error.to_string())?;
        if line == "ready" {
            // The open pipe is what keeps the server alive; the end of the process closes it.
            std::mem::forget(shell.stdin.take());
            return Ok(());
        }
        said.push(line);
    }
    shell.wait().map_err(|error| error.to_string())?;
    Err(said.join("\n"))
}

/// A shell, as a user whom PostgreSQL accepts: it refuses to run as root, so root becomes `postgres`, the user that
/// the Debian package makes.
fn unprivileged_shell() -> Command {
    if !is_root() {
        return Command::new("sh");
    }
    let mut become_postgres = Command::new("setpriv");
    become_postgres.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
    become_postgres
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The newest server that Debian's packages installed, else one on the path.
fn binaries() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("TRUNKLINE_TEST_POSTGRES_BIN") {
        return Some(given.into());
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, directory)| directory.join("initdb").exists())
        .max();
    newest.map(|(_, directory)| directory).or_else(|| {
        let path = std::env::var_os("PATH")?;
        let on_path = std::env::split_paths(&path).find(|directory| directory.join("initdb").exists())?;
        // Follow the link, because the other programs are beside the real file.
        Some(std::fs::canonicalize(on_path.join("initdb")).ok()?.parent()?.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_gets_an_empty_database_of_its_own() {
        let (one, other) = (url(), url());
        assert_ne!(one, other);
        execute(&one, "CREATE TABLE only_here (id text); INSERT INTO only_here VALUES ('a')");
        execute(&other, "CREATE TABLE only_here (id text)");
    }

    #[tokio::test]
    async fn a_database_is_there_inside_a_runtime_too() {
        let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
        drop(client);
        connection.await.unwrap().unwrap();
    }
}
