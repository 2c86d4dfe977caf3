//! The request load: a number of callers, each with one request open at a time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::meter::{Extent, Meter, Reading};
use crate::process::Process;

/// What counts only from here on; connections and caches have warmed up.
const WARM_UP: Duration = Duration::from_millis(300);

/// An empty record of latencies in µs, up to a minute, to three digits.
///
/// # Errors
/// Never for these bounds.
pub(crate) fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(60_000_000, 3)?)
}

/// What all callers of a run did.
pub(crate) struct Outcome {
    /// Requests answered while measuring.
    pub(crate) count: u64,
    /// The server's use.
    pub(crate) reading: Reading,
    latencies_us: Histogram<u64>,
}

impl Outcome {
    /// Requests per second of wall time.
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.reading.wall.as_secs_f64()
    }

    /// CPU time of the server for each request, in µs; `None` when it cannot be observed.
    pub(crate) fn cpu_us_each(&self) -> Option<f64> {
        self.reading.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.count as f64)
    }

    /// The latency that this share of requests (0 to 1) kept, in ms.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        self.latencies_us.value_at_quantile(share) as f64 / 1e3
    }
}

/// Shared by the callers of a run.
pub(crate) struct Tally {
    count: Cell<u64>,
    stop: Cell<bool>,
    latencies_us: RefCell<Histogram<u64>>,
}

impl Tally {
    /// Counts and times `request` again and again until the run is over; each gets its number.
    ///
    /// # Errors
    /// That of the first request to fail.
    pub(crate) async fn repeat(&self, mut request: impl AsyncFnMut(u64) -> Result<()>) -> Result<()> {
        let mut number = 0;
        while !self.stop.get() {
            let begin = Instant::now();
            request(number).await?;
            number += 1;
            self.count.set(self.count.get() + 1);
            self.latencies_us.borrow_mut().saturating_record(begin.elapsed().as_micros() as u64);
        }
        Ok(())
    }
}

impl Tally {
    /// The same at a steady pace: a request begins every `between`, however long the one before took.
    ///
    /// # Errors
    /// That of the first request to fail.
    pub(crate) async fn repeat_every(
        &self,
        between: Duration,
        mut request: impl AsyncFnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let (mut number, mut due) = (0, Instant::now());
        while !self.stop.get() {
            due += between;
            tokio::time::sleep_until(due).await;
            // From when it was due: a slow answer makes those behind it late.
            request(number).await?;
            number += 1;
            self.count.set(self.count.get() + 1);
            self.latencies_us.borrow_mut().saturating_record(due.elapsed().as_micros() as u64);
        }
        Ok(())
    }
}

/// Runs `callers` at once, each as the future that `caller` makes for its number.
///
/// # Errors
/// When a caller fails, or the server is gone.
pub(crate) async fn run<F>(
    callers: usize,
    process: Option<Process>,
    extent: Extent,
    caller: impl Fn(usize, Rc<Tally>) -> F,
) -> Result<Outcome>
where
    F: Future<Output = Result<()>> + 'static,
{
    let tally = Rc::new(Tally {
        count: Cell::new(0),
        stop: Cell::new(false),
        latencies_us: RefCell::new(latencies()?),
    });
    let mut tasks = JoinSet::new();
    for index in 0..callers {
        tasks.spawn_local(caller(index, Rc::clone(&tally)));
    }
    let measured = async {
        sleep(WARM_UP).await;
        let before = tally.count.get();
        tally.latencies_us.borrow_mut().reset();
        let mut meter = Meter::start(process)?;
        meter.wait(extent).await?;
        anyhow::Ok((tally.count.get() - before, meter.read()?, tally.latencies_us.borrow().clone()))
    };
    let (count, reading, latencies_us) = tokio::select! {
        measured = measured => measured?,
        error = first_failure(&mut tasks) => return Err(error),
    };
    tally.stop.set(true);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    ensure!(count > 0, "no request was answered in {:.1} s", reading.wall.as_secs_f64());
    Ok(Outcome { count, reading, latencies_us })
}

/// Ends when a task does so with an error; tasks that have done their work are no event.
pub(crate) async fn first_failure(tasks: &mut JoinSet<Result<()>>) -> anyhow::Error {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended.unwrap_or_else(|panic| Err(panic.into())) {
            return error;
        }
    }
    std::future::pending().await
}
