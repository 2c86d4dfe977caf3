//! Messages: CPU time of the server for each one delivered.

use anyhow::Result;

use super::{prepared, words};
use crate::Bench;
use crate::load::{self, Outcome, Shape};
use crate::report::{Better, Cell, Figure, Row, median, number};
use crate::target::Server;

/// A row's load and promise.
pub(super) struct MessageRow {
    what: &'static str,
    budget_us: f64,
    publishers: usize,
    subscribers: usize,
    qos: u8,
    window: u64,
}

/// Ten devices that each talk to one application.
pub(super) const QOS0_PAIRS: MessageRow = MessageRow {
    what: "MQTT QoS 0, 10 → 10",
    budget_us: 1.5,
    publishers: 10,
    subscribers: 10,
    qos: 0,
    window: 512,
};
/// One device that fifty applications listen to.
pub(super) const QOS0_FAN_OUT: MessageRow = MessageRow {
    what: "MQTT QoS 0, 1 → 50",
    budget_us: 0.7,
    publishers: 1,
    subscribers: 50,
    qos: 0,
    window: 512,
};
/// As the first, with nothing lost.
pub(super) const QOS1_PAIRS: MessageRow = MessageRow {
    what: "MQTT QoS 1, 10 → 10",
    budget_us: 4.0,
    publishers: 10,
    subscribers: 10,
    qos: 1,
    window: 512,
};
/// Fifty devices that one application listens to: it is the slow part, and the server holds what waits.
pub(super) const QOS1_FAN_IN: MessageRow = MessageRow {
    what: "MQTT QoS 1, 50 → 1",
    budget_us: 4.0,
    publishers: 50,
    subscribers: 1,
    qos: 1,
    window: 128,
};

/// Measures all servers in turn, round after round.
pub(super) async fn row(bench: &Bench, wanted: &MessageRow) -> Row {
    let shape = Shape {
        publishers: wanted.publishers,
        subscribers: wanted.subscribers,
        qos: wanted.qos,
        window: wanted.window.max(bench.batch),
        batch: bench.batch.min(wanted.window),
    };
    let mut contests = Vec::new();
    for target in &bench.targets {
        contests.push((target.to_string(), prepared(target, bench).await, Vec::new()));
    }
    for _ in 0..bench.rounds {
        for (_, server, outcomes) in &mut contests {
            if let Ok(server) = server {
                outcomes.push(load::run(shape, server, bench.extent).await);
            }
        }
    }
    let cells =
        contests.into_iter().map(|(name, server, outcomes)| (name, cell(&server, outcomes, wanted.qos)));
    Row {
        what: format!("{}, CPU per delivered message", wanted.what),
        unit: "µs",
        better: Better::Less,
        budget: Some(wanted.budget_us),
        cells: cells.collect(),
    }
}

fn cell(server: &Result<Server>, outcomes: Vec<Result<Outcome>>, qos: u8) -> Cell {
    server.as_ref().map_err(words)?;
    let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<_>>().map_err(|error| words(&error))?;
    let lost: u64 = outcomes.iter().map(|outcome| outcome.lost).sum();
    let duplicates: u64 = outcomes.iter().map(|outcome| outcome.duplicates).sum();
    let rate = median(outcomes.iter().map(Outcome::per_second).collect()).unwrap_or_default();
    let peak = outcomes.iter().filter_map(|outcome| outcome.reading.peak_rss_kib).max().unwrap_or_default();
    if qos > 0 && lost + duplicates > 0 {
        return Err(format!("FAILED: {lost} lost, {duplicates} duplicates"));
    }
    let cost: Option<Vec<_>> = outcomes.iter().map(Outcome::cpu_us_each).collect();
    let note = format!("{} msg/s, {lost} lost, peak {} MiB", number(rate), peak / 1024);
    match cost.and_then(median) {
        Some(cost) => Ok(Figure::of(cost).noting(note)),
        None => Err(format!("CPU not observed ({note})")),
    }
}
