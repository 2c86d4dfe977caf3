//! Server processes: started here, observed through `/proc`, and ended with the benchmark.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A child that is killed and reaped when the benchmark is done with it, however that ends.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command` with standard output to read from and standard error in a file of `dir`.
    ///
    /// # Errors
    /// When there is no such program.
    pub(crate) fn start(command: &mut Command, dir: &Path) -> Result<Self> {
        let log = std::fs::File::create(dir.join("stderr.log"))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        Ok(Self(child))
    }

    /// What to observe it by.
    pub(crate) fn process(&self) -> Process {
        Process { pid: self.0.id() }
    }

    /// Its standard output; `None` the second time.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Process id.
    pub(crate) pid: u32,
}

impl Process {
    /// User and system CPU time of all its threads so far; the kernel counts it in ticks of 10 ms.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("the server is gone")?;
        cpu_of_stat(&stat).context("/proc/<pid>/stat without utime and stime")
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn rss_kib(self) -> Result<u64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the server is gone")?;
        rss_of_status(&status).context("/proc/<pid>/status without VmRSS")
    }
}

/// utime and stime are fields 14 and 15 of proc_pid_stat(5). The second one, the program's name, may hold
/// spaces, so counting starts behind its closing parenthesis. USER_HZ is 100 on every Linux platform that
/// Rust supports.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    const MS_PER_TICK: u64 = 10;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * MS_PER_TICK))
}

fn rss_of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// A loopback address with a port that was free a moment ago, for programs that cannot choose one themselves.
///
/// # Errors
/// When the machine has no free port.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The first line that `program` prints about itself, for the heading of the table.
pub(crate) fn version_of(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 5 6 7";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("42 (short) S 1"), None);
    }

    #[test]
    fn resident_memory_is_the_line_of_that_name() {
        let status = "Name:\tx\nVmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(rss_of_status(status), Some(1234));
        assert_eq!(rss_of_status("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_memory_and_a_cpu_time() {
        let me = Process { pid: std::process::id() };
        assert!(me.rss_kib().unwrap() > 0);
        me.cpu().unwrap();
    }
}
