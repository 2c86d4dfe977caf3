//! The benchmark behind the budgets: `scripts/bench`, or `make bench`.
//!
//! It starts Trunkline and, for the rows that they have too, Mosquitto and nats-server, puts the same load
//! on each in turn, several rounds, and prints one Markdown row per budget with the median of the rounds.
//! Machines are shared and noisy: read the ratios and the CPU per operation, not the wall time.
//!
//! - [`target`] starts the servers, [`platform`] creates domain, clients and channel over HTTP,
//!   [`population`] a million clients in the database, [`tuples`] a million tuples in memory;
//! - [`load`] is the message load over [`link`], [`mqtt`] and [`transport`], [`coap`] that of CoAP, [`callers`] the request load over [`http`];
//! - [`meter`] and [`process`] observe the server, [`rows`] turn that into figures, [`report`] into a table.
//!
//! The generator is one thread, and only the server's CPU is counted.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tokio::task::LocalSet;

use crate::meter::Extent;
use crate::rows::RowName;
use crate::target::{Build, Target};

mod callers;
mod coap;
mod http;
mod link;
mod load;
mod meter;
mod mqtt;
mod platform;
mod population;
mod process;
mod report;
mod rows;
mod target;
mod transport;
mod tuples;

/// Measures the budgets side by side with Mosquitto and nats-server, and prints a Markdown table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Servers to measure; the first one is compared with the others. An MQTT server that already runs is
    /// HOST:PORT, or HOST:PORT@PID to have its CPU and memory observed.
    #[arg(long = "target", value_delimiter = ',', default_values = ["trunkline", "mosquitto", "nats"])]
    targets: Vec<Target>,
    /// Rows to measure [default: all].
    #[arg(long, value_delimiter = ',')]
    only: Vec<RowName>,
    /// One short round each: to see that everything works, not for figures to quote.
    #[arg(long)]
    quick: bool,
    /// Rounds of each message row; the table has the median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Messages in one write of a publisher: 1 is a device, more a gateway that has collected some.
    #[arg(long, default_value_t = 8)]
    batch: u64,
    /// Clients in the domain of the listing rows.
    #[arg(long, default_value_t = 1_000_000)]
    clients: usize,
    /// A PostgreSQL database without tables, for a second row of creations.
    #[arg(long)]
    database_url: Option<String>,
    /// Another one, for the listing rows.
    #[arg(long)]
    listing_database_url: Option<String>,
    /// The Trunkline program.
    #[arg(long, default_value = "target/release/trunkline")]
    binary: PathBuf,
    /// Where to write the table, besides standard output.
    #[arg(long, default_value = "target/bench/table.md")]
    output: PathBuf,
}

/// What all rows need to know.
struct Bench {
    targets: Vec<Target>,
    build: Build,
    database_url: Option<String>,
    listing_database_url: Option<String>,
    /// Of each message or request load.
    extent: Extent,
    rounds: usize,
    batch: u64,
    clients: usize,
    quick: bool,
}

#[expect(clippy::print_stderr, reason = "a program says why it fails")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .context("start the runtime")
        .and_then(|runtime| LocalSet::new().block_on(&runtime, until_stopped(measure(arguments))));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` to its end, or to a signal to stop; then everything that it started is dropped.
async fn until_stopped(work: impl Future<Output = Result<()>>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => bail!("stopped by Ctrl-C"),
        _ = terminate.recv() => bail!("stopped by a signal"),
    }
}

async fn measure(arguments: Arguments) -> Result<()> {
    let seconds = |normal, quick| Duration::from_secs(if arguments.quick { quick } else { normal });
    let bench = Bench {
        targets: arguments.targets,
        build: Build { binary: arguments.binary, database_url: None, all_doors: false },
        database_url: arguments.database_url,
        listing_database_url: arguments.listing_database_url,
        extent: Extent { cpu: seconds(3, 1), wall: seconds(20, 4) },
        rounds: if arguments.quick { 1 } else { arguments.rounds.max(1) },
        batch: arguments.batch.max(1),
        clients: if arguments.quick { arguments.clients.min(20_000) } else { arguments.clients },
        quick: arguments.quick,
    };
    let servers: Vec<_> = bench.targets.iter().map(ToString::to_string).collect();
    let mut table = Table::new(arguments.output)?;
    table.add(&preamble(&bench))?;
    table.add(&report::heading(&servers))?;
    let names = if arguments.only.is_empty() { RowName::ALL.to_vec() } else { arguments.only };
    for name in names {
        for row in rows::measure(name, &bench).await {
            table.add(&report::line(&row, &servers))?;
        }
    }
    Ok(())
}

/// What the figures depend on: machine, versions, kind of run.
fn preamble(bench: &Bench) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let versions = bench
        .targets
        .iter()
        .map(|target| target.version(&bench.build).unwrap_or_else(|| format!("{target} (version unknown)")));
    format!(
        "{} cores; {}; {} rounds{}.\n",
        cores,
        versions.collect::<Vec<_>>().join(", "),
        bench.rounds,
        if bench.quick { "; quick run, not for quoting" } else { "" }
    )
}

/// Lines go out as they are measured, so that a run that is stopped has its first rows.
struct Table {
    path: PathBuf,
    text: String,
}

impl Table {
    fn new(path: PathBuf) -> Result<Self> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        }
        Ok(Self { path, text: String::new() })
    }

    #[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
    fn add(&mut self, line: &str) -> Result<()> {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
        std::fs::write(&self.path, &self.text).with_context(|| format!("write {}", self.path.display()))
    }
}
