//! Child processes with a captured transcript, which never outlive the test process.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Instant;

use crate::wait::{PATIENCE, wait_until};

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    transcript: Arc<Transcript>,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a process has printed so far.
#[derive(Debug, Default)]
struct Transcript {
    printed: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Printed {
    lines: Vec<(Stream, String)>,
    ended: usize,
}

impl Process {
    /// Starts `command`, captures both outputs and closes its input. `name` is for messages.
    ///
    /// # Panics
    /// When the program cannot be started, naming it: most likely it is not installed.
    #[track_caller]
    pub fn start(name: &str, command: &mut Command) -> Self {
        Self::spawn(name, command.stdin(Stdio::null()))
    }

    /// As [`Process::start`], with an input that [`Process::say`] writes to.
    ///
    /// # Panics
    /// As [`Process::start`].
    #[track_caller]
    pub fn start_with_input(name: &str, command: &mut Command) -> Self {
        Self::spawn(name, command.stdin(Stdio::piped()))
    }

    #[track_caller]
    fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                let program = command.get_program().display();
                panic!("cannot start `{program}` for {name}: {error}; `make test` installs what tests need")
            });
        tell_reaper("add", child.id());
        let transcript = Arc::<Transcript>::default();
        capture(&transcript, Stream::Out, child.stdout.take().expect("stdout is piped"));
        capture(&transcript, Stream::Err, child.stderr.take().expect("stderr is piped"));
        Self { name: name.to_owned(), child, transcript }
    }

    /// Writes a line to the input of a process that was started with one.
    ///
    /// # Panics
    /// When the process has no input, or has closed it.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap_or_else(|| panic!("{} has no input", self.name));
        writeln!(input, "{line}")
            .unwrap_or_else(|error| panic!("{}: {error}; it said:\n{}", self.name, self.log()));
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines that the process has printed to `stream` so far.
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        let printed = self.transcript.printed.lock().unwrap();
        printed.lines.iter().filter(|(from, _)| *from == stream).map(|(_, line)| line.clone()).collect()
    }

    /// All that the process has printed so far, both streams in the order of arrival.
    pub fn log(&self) -> String {
        let printed = self.transcript.printed.lock().unwrap();
        printed.lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Waits for the first line of `stream`, printed already or later, for which `found` gives a value.
    ///
    /// # Panics
    /// With the transcript, when the process ends or [`PATIENCE`] runs out before.
    #[track_caller]
    pub fn wait_for<T>(&self, stream: Stream, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut printed = self.transcript.printed.lock().unwrap();
        loop {
            let fresh = printed.lines.get(seen..).unwrap_or_default();
            let hit = fresh.iter().filter(|(from, _)| *from == stream).find_map(|(_, line)| found(line));
            if let Some(value) = hit {
                return value;
            }
            seen = printed.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = printed.ended == 2;
            if ended || left.is_zero() {
                drop(printed);
                let why = if ended { "ended" } else { "kept silent" };
                panic!("{} {why} before {what}; it said:\n{}", self.name, self.log());
            }
            printed = self.transcript.changed.wait_timeout(printed, left).unwrap().0;
        }
    }

    /// Waits for a line of standard output that contains `part`.
    ///
    /// # Panics
    /// As [`Process::wait_for`].
    #[track_caller]
    pub fn wait_for_line(&self, part: &str) -> String {
        self.wait_for(Stream::Out, &format!("a line with `{part}`"), |line| {
            line.contains(part).then(|| line.to_owned())
        })
    }

    /// Sends a signal by its name without `SIG`, as `kill -s` knows it.
    ///
    /// # Panics
    /// When the process is gone already.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} is not there to get SIG{name}", self.name);
    }

    /// Waits until the process has ended and all its output is read.
    ///
    /// # Panics
    /// With the transcript, when it does not end within [`PATIENCE`].
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        let started = Instant::now();
        wait_until(&format!("{} ends", self.name), || {
            status = self.child.try_wait().expect("the child is ours");
            assert!(
                status.is_some() || started.elapsed() < PATIENCE,
                "{} does not end; it said:\n{}",
                self.name,
                self.log()
            );
            status.is_some()
        });
        tell_reaper("drop", self.id());
        let mut printed = self.transcript.printed.lock().unwrap();
        while printed.ended < 2 && started.elapsed() < PATIENCE {
            printed = self.transcript.changed.wait_timeout(printed, PATIENCE).unwrap().0;
        }
        status.expect("waited for it")
    }

    /// Ends the process as a power failure would: it gets no chance to do anything more.
    pub fn kill(&mut self) -> ExitStatus {
        // An error means that it has ended by itself; `wait` says how.
        self.child.kill().ok();
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        tell_reaper("drop", self.id());
    }
}

fn capture(transcript: &Arc<Transcript>, stream: Stream, output: impl Read + Send + 'static) {
    let transcript = Arc::clone(transcript);
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            transcript.printed.lock().unwrap().lines.push((stream, line));
            transcript.changed.notify_all();
        }
        transcript.printed.lock().unwrap().ended += 1;
        transcript.changed.notify_all();
    });
}

/// Writes to the shell that kills our children when we are gone (`reaper.sh`).
fn tell_reaper(verb: &str, pid: u32) {
    static REAPER: OnceLock<Mutex<Child>> = OnceLock::new();
    let reaper = REAPER.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", include_str!("reaper.sh"), "testkit-reaper"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Mutex::new(shell.expect("cannot start a shell"))
    });
    let mut reaper = reaper.lock().unwrap();
    let input = reaper.stdin.as_mut().expect("stdin is piped");
    writeln!(input, "{verb} {pid}").expect("the reaper has ended");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("a shell", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn both_outputs_and_the_exit_code_are_captured() {
        let mut process = shell("echo one; echo two >&2; exit 3");
        assert_eq!(process.wait().code(), Some(3));
        assert_eq!(
            (process.lines(Stream::Out), process.lines(Stream::Err)),
            (vec!["one".into()], vec!["two".into()])
        );
    }

    #[test]
    fn a_line_is_awaited_and_a_signal_ends_the_process() {
        let mut process = shell("trap 'echo caught; exit 0' TERM; echo up; while :; do sleep 0.01; done");
        assert_eq!(process.wait_for_line("up"), "up");
        process.signal("TERM");
        assert_eq!(process.wait_for_line("caught"), "caught");
        assert!(process.wait().success());
    }

    #[test]
    fn what_is_said_to_a_process_arrives_line_by_line() {
        let mut process = Process::start_with_input("cat", &mut Command::new("cat"));
        process.say("one");
        process.wait_for_line("one");
        process.say("two");
        process.wait_for_line("two");
    }

    #[test]
    #[should_panic(expected = "ended before a line with `never`")]
    fn waiting_for_a_line_fails_as_soon_as_the_process_ends() {
        shell("echo something else").wait_for_line("never");
    }

    #[test]
    fn the_reaper_kills_what_is_left_when_its_input_ends() {
        let mut left = shell("echo up; exec sleep 600");
        let mut dropped = shell("echo up; exec sleep 600");
        left.wait_for_line("up");
        dropped.wait_for_line("up");
        let script =
            format!("printf 'add {0}\\nadd {1}\\ndrop {1}\\n' | sh -c \"$0\"", left.id(), dropped.id());
        let status = Command::new("sh").args(["-c", &script, include_str!("reaper.sh")]).status();
        drop(status);
        assert_eq!(left.wait().code(), None);
        assert!(dropped.child.try_wait().unwrap().is_none());
    }
}
