//! How long a run lasts, and what the server used meanwhile.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;

use crate::process::Process;

/// How often CPU and memory are looked at.
const SAMPLE: Duration = Duration::from_millis(50);

/// When a run is long enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// CPU time of the server to measure over; the kernel's clock for it has steps of 10 ms.
    pub(crate) cpu: Duration,
    /// At most so long, whatever CPU time has been used.
    pub(crate) wall: Duration,
}

/// What has been used since the meter was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The server's CPU time; `None` for a server that is not ours to observe.
    pub(crate) cpu: Option<Duration>,
    /// Time gone by.
    pub(crate) wall: Duration,
    /// Largest resident memory seen, KiB.
    pub(crate) peak_rss_kib: Option<u64>,
}

/// A running measurement of one server.
pub(crate) struct Meter {
    process: Option<Process>,
    started: Instant,
    cpu_before: Option<Duration>,
    peak_rss_kib: Option<u64>,
}

impl Meter {
    /// Starts now.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) fn start(process: Option<Process>) -> Result<Self> {
        let cpu_before = process.map(Process::cpu).transpose()?;
        Ok(Self { process, started: Instant::now(), cpu_before, peak_rss_kib: None })
    }

    /// Waits until the run has lasted for `extent`.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) async fn wait(&mut self, extent: Extent) -> Result<()> {
        loop {
            let reading = self.read()?;
            if reading.wall >= extent.wall || reading.cpu.is_some_and(|cpu| cpu >= extent.cpu) {
                return Ok(());
            }
            sleep(SAMPLE).await;
        }
    }

    /// What has been used so far.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) fn read(&mut self) -> Result<Reading> {
        let cpu = self.process.map(Process::cpu).transpose()?;
        self.peak_rss_kib = self.peak_rss_kib.max(self.process.map(Process::rss_kib).transpose()?);
        Ok(Reading {
            cpu: cpu.zip(self.cpu_before).map(|(now, before)| now.saturating_sub(before)),
            wall: self.started.elapsed(),
            peak_rss_kib: self.peak_rss_kib,
        })
    }
}
