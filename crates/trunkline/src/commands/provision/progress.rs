//! How far it is: a bar at a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often the bar is drawn.
const DRAWN: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal.
const WRITTEN: Duration = Duration::from_secs(5);
/// The bar's characters.
const WIDTH: usize = 30;

/// How far it is.
pub(super) struct Progress {
    /// What was there before, and is not counted into the speed.
    before: usize,
    done: usize,
    total: usize,
    since: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(before: usize, total: usize) -> Self {
        let terminal = stderr().is_terminal();
        Self { before, done: before, total, since: Instant::now(), shown: None, terminal }
    }

    /// So many more are made and on disk, or will not be made.
    pub(super) fn add(&mut self, more: usize) {
        self.done += more;
        let now = Instant::now();
        let pause = if self.terminal { DRAWN } else { WRITTEN };
        let due = self.shown.is_none_or(|shown| now.duration_since(shown) >= pause);
        if due || self.done == self.total {
            self.shown = Some(now);
            self.show(&self.line(now.duration_since(self.since)));
        }
    }

    /// Says something besides.
    pub(super) fn say(&self, sentence: &str) {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(stderr(), "{start}{sentence}");
    }

    /// Ends the bar's line.
    pub(super) fn end(&self) {
        if self.terminal && self.shown.is_some() {
            let _ = writeln!(stderr());
        }
    }

    fn show(&self, line: &str) {
        let mut out = stderr();
        let _ = if self.terminal { write!(out, "\r{line}\x1b[K") } else { writeln!(out, "{line}") };
        let _ = out.flush();
    }

    fn line(&self, taken: Duration) -> String {
        let Self { done, total, before, .. } = *self;
        let speed = (done - before) as f64 / taken.as_secs_f64().max(0.001);
        let mut line = String::new();
        if self.terminal {
            let filled = WIDTH * done / total.max(1);
            line = format!("[{}{}] ", "#".repeat(filled), " ".repeat(WIDTH - filled));
        }
        line.push_str(&format!("{done} of {total} gateways, {speed:.0} per second"));
        if speed > 0.0 && done < total {
            line.push_str(&format!(", {:.0} s left", (total - done) as f64 / speed));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_all_and_the_speed_only_what_was_made_now() {
        let mut progress = Progress { terminal: true, ..Progress::new(1000, 4000) };
        progress.done = 2000;
        let line = progress.line(Duration::from_secs(4));
        assert_eq!(
            line,
            format!("[{}{}] 2000 of 4000 gateways, 250 per second, 8 s left", "#".repeat(15), " ".repeat(15))
        );
        progress.terminal = false;
        progress.done = 4000;
        assert_eq!(progress.line(Duration::from_secs(10)), "4000 of 4000 gateways, 300 per second");
    }
}
