//! The requests: several in flight, repeated while the platform does not answer.

use std::cell::Cell;
use std::future::Future;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::{StreamExt, stream};
use kernel::{DomainId, Secret};
use sdk::{Answers, NewGateway};
use serde_json::Value;
use tokio::time::sleep;

use super::list::Row;
use super::plan::Plan;
use super::progress::Progress;
use super::results::{Results, Seed, gateway};
use crate::commands::output::harmless;
use crate::commands::session::Session;

/// The first pause before a request is repeated; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the platform may fail at one gateway.
const TRIES: usize = 5;
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Makes one gateway after the other.
pub(super) struct Maker<'a> {
    pub(super) session: &'a Session,
    pub(super) domain: DomainId,
    pub(super) plan: Plan,
    seed: Seed,
    patience: Duration,
    /// When the platform answered last.
    answered: Cell<Instant>,
}

/// A gateway that is made.
pub(super) struct Made {
    row: Row,
    key: Secret<String>,
    /// Whether it was there already, made by a request whose answer did not arrive.
    recovered: bool,
    answer: Value,
}

/// Why a gateway was not made.
pub(super) enum Failure {
    /// The others may be.
    One(String),
    /// No other will be.
    All(anyhow::Error),
}

/// How it ended.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) made: usize,
    pub(super) recovered: usize,
    pub(super) failed: usize,
    pub(super) stopped: Option<anyhow::Error>,
}

/// Makes all, and writes the results.
pub(super) async fn all(
    maker: &Maker<'_>,
    rows: Vec<Row>,
    results: Results,
    parallel: usize,
    (there, total): (usize, usize),
) -> anyhow::Result<Outcome> {
    let (lines, queue) = sync_channel(parallel * 4);
    let progress = Progress::new(there, total);
    let writer = thread::spawn(move || write(results, &queue, progress));
    let outcome = send(maker, rows, parallel, &lines).await;
    drop(lines);
    writer.join().map_err(|_| anyhow!("the results could not be written"))??;
    outcome
}

async fn send(
    maker: &Maker<'_>,
    rows: Vec<Row>,
    parallel: usize,
    lines: &SyncSender<Line>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut running = stream::iter(rows).map(|row| maker.make(row)).buffer_unordered(parallel);
    while let Some(made) = running.next().await {
        let line = match made {
            Ok(Made { row, key, recovered, answer }) => {
                if recovered {
                    outcome.recovered += 1;
                } else {
                    outcome.made += 1;
                }
                let row = (row.line, row.external_id.as_str(), row.name.as_str(), &key);
                Line::Gateway(gateway(row, recovered, &answer)?)
            }
            Err(Failure::One(why)) => {
                outcome.failed += 1;
                Line::Said(why)
            }
            Err(Failure::All(error)) => {
                outcome.stopped = Some(error);
                break;
            }
        };
        // The writer is gone where it has failed, and says why.
        if lines.send(line).is_err() {
            break;
        }
    }
    Ok(outcome)
}

/// What there is to write.
enum Line {
    /// To the results.
    Gateway(Secret<String>),
    /// To the person.
    Said(String),
}

/// Writes what has come, on a thread of its own: a disk may be slow. What is counted is on disk.
fn write(mut results: Results, queue: &Receiver<Line>, mut progress: Progress) -> anyhow::Result<()> {
    let written = (|| {
        while let Ok(first) = queue.recv() {
            let (mut lines, mut said) = (Vec::new(), 0);
            for line in std::iter::once(first).chain(queue.try_iter()) {
                match line {
                    Line::Gateway(line) => lines.push(line),
                    Line::Said(sentence) => {
                        progress.say(&sentence);
                        said += 1;
                    }
                }
            }
            results.write(&lines)?;
            progress.add(lines.len() + said);
        }
        Ok(())
    })();
    progress.end();
    written
}

impl<'a> Maker<'a> {
    pub(super) fn new(session: &'a Session, domain: DomainId, plan: Plan, seed: Seed, patience: u64) -> Self {
        let (patience, answered) = (Duration::from_secs(patience), Cell::new(Instant::now()));
        Self { session, domain, plan, seed, patience, answered }
    }

    async fn make(&self, row: Row) -> Result<Made, Failure> {
        let key = row.external_key.clone().unwrap_or_else(|| self.seed.key(&row.external_id));
        let new = NewGateway {
            name: row.name.clone(),
            external_id: row.external_id.clone(),
            external_key: Some(key.clone()),
            metadata: row.metadata.clone(),
            layout: Some(self.plan.json.clone()),
        };
        let failed = |why: String| {
            Failure::One(format!("line {}, `{}`: {}", row.line, harmless(&row.external_id), harmless(&why)))
        };
        // Each has a place of its own for the answer, which goes into the results word for word.
        let answers = Answers::default();
        let api = self.session.api.clone().kept_in(&answers);
        let made = self.answered(|| async { api.provision(self.domain).create(&new).await }).await;
        let (recovered, answer) = match made {
            Ok(_) => (false, answers.take().unwrap_or_default()),
            Err(Failed::Refused(409, taken)) => {
                let recovered = self.recover((&api, &answers), &row, &key).await;
                match recovered {
                    Ok(Some(answer)) => (true, answer),
                    Ok(None) => return Err(failed(taken)),
                    Err(Failed::Refused(_, why)) => return Err(failed(format!("{taken}; {why}"))),
                    Err(Failed::All(error)) => return Err(Failure::All(error)),
                }
            }
            Err(Failed::Refused(_, why)) => return Err(failed(why)),
            Err(Failed::All(error)) => return Err(Failure::All(error)),
        };
        Ok(Made { row, key, recovered, answer })
    }

    /// Asks until the platform answers, or the patience is at its end.
    pub(super) async fn answered<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Failed>
    where
        F: Future<Output = sdk::Result<T>>,
    {
        let (mut pause, mut failed) = (PAUSE, 0);
        loop {
            let error = match ask().await {
                Ok(answer) => {
                    self.answered.set(Instant::now());
                    return Ok(answer);
                }
                Err(error) => error,
            };
            match error {
                sdk::Error::Refused { status: 500, .. } if failed < TRIES => failed += 1,
                sdk::Error::Refused { status: 429 | 501.., .. } | sdk::Error::Unreachable { .. } => {}
                // No other request will fare better.
                sdk::Error::Refused { status: 401 | 403, .. }
                | sdk::Error::Unexpected { .. }
                | sdk::Error::Setup(_) => {
                    return Err(Failed::All(error.into()));
                }
                sdk::Error::Refused { status, message, detail, .. } => {
                    self.answered.set(Instant::now());
                    // What a conflict is needs no further words.
                    let detail = detail.filter(|detail| *detail != message && status != 409);
                    let message =
                        [Some(message), detail].into_iter().flatten().collect::<Vec<_>>().join(": ");
                    return Err(Failed::Refused(status, message));
                }
            }
            if self.answered.get().elapsed() > self.patience {
                return Err(Failed::All(error.into()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Why a request had no success.
pub(super) enum Failed {
    /// The platform says no to this one: status and message.
    Refused(u16, String),
    /// It says no to all, or nothing.
    All(anyhow::Error),
}
