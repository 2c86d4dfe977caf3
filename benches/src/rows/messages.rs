//! Messages: CPU time of the server for each one delivered.

use anyhow::Result;

use super::{prepared, words};
use crate::Bench;
use crate::callers;
use crate::coap::Device;
use crate::load::{self, Outcome, Shape};
use crate::report::{Better, Cell, Figure, Row, median, number};
use crate::target::{Build, Over, Server, Target};

/// A row's load and promise.
pub(super) struct MessageRow {
    what: &'static str,
    /// CPU in µs; `None` where none was promised.
    budget_us: Option<f64>,
    publishers: usize,
    subscribers: usize,
    qos: u8,
    window: u64,
    over: Over,
    durable: bool,
    /// Peers are not set up for it here.
    ours_alone: bool,
}

impl MessageRow {
    const fn pairs(what: &'static str, qos: u8, budget_us: Option<f64>) -> Self {
        let (publishers, subscribers, window) = (10, 10, 512);
        let (over, durable, ours_alone) = (Over::Tcp, false, false);
        Self { what, budget_us, publishers, subscribers, qos, window, over, durable, ours_alone }
    }
}

/// Ten devices that each talk to one application.
pub(super) const QOS0_PAIRS: MessageRow = MessageRow::pairs("MQTT QoS 0, 10 → 10", 0, Some(1.5));
/// One device that fifty applications listen to.
pub(super) const QOS0_FAN_OUT: MessageRow =
    MessageRow { publishers: 1, subscribers: 50, ..MessageRow::pairs("MQTT QoS 0, 1 → 50", 0, Some(0.7)) };
/// As the first, with nothing lost.
pub(super) const QOS1_PAIRS: MessageRow = MessageRow::pairs("MQTT QoS 1, 10 → 10", 1, Some(4.0));
/// Fifty devices that one application listens to: it is the slow part, and the server holds what waits.
pub(super) const QOS1_FAN_IN: MessageRow = MessageRow {
    publishers: 50,
    subscribers: 1,
    window: 128,
    ..MessageRow::pairs("MQTT QoS 1, 50 → 1", 1, Some(4.0))
};
/// Sessions that outlive their connections: each message is on disk before it is acknowledged. What peers do with such
/// sessions here stays in memory.
pub(super) const QOS1_DURABLE: MessageRow = MessageRow {
    durable: true,
    ours_alone: true,
    ..MessageRow::pairs("MQTT QoS 1 to stored sessions, 10 → 10", 1, None)
};
/// The first row with encryption.
pub(super) const TLS_PAIRS: MessageRow = MessageRow {
    over: Over::Tls,
    ours_alone: true,
    ..MessageRow::pairs("MQTT over TLS QoS 0, 10 → 10", 0, None)
};
/// The first row as a browser would do it.
pub(super) const WEBSOCKET_PAIRS: MessageRow = MessageRow {
    over: Over::WebSocket,
    ours_alone: true,
    ..MessageRow::pairs("MQTT over WebSocket QoS 0, 10 → 10", 0, None)
};

/// Messages in a second while latency is measured, and how many come in one write of a publisher.
const STEADY: u64 = 20_000;
const STEADY_BATCH: u64 = 2;

/// Latency at a steady pace below what the servers can do.
pub(super) async fn latency_rows(bench: &Bench) -> Vec<Row> {
    let mut rows = Vec::new();
    for qos in [0, 1] {
        let mut cells = Vec::new();
        for target in &bench.targets {
            let outcome = latency(target, bench, qos).await;
            let figure = super::cell(&outcome, |outcome: &Outcome| {
                let (half, most) = (outcome.latency_ms(0.5), outcome.latency_ms(0.999));
                let rate = outcome.per_second();
                let note = format!(
                    "half in {} ms, 99.9 % in {} ms, {} msg/s",
                    number(half),
                    number(most),
                    number(rate)
                );
                if rate < 0.95 * STEADY as f64 {
                    return Err(format!("not steady: {note}"));
                }
                Ok(Figure::of(outcome.latency_ms(0.99)).noting(note))
            });
            cells.push((target.to_string(), figure));
        }
        rows.push(Row {
            what: format!("MQTT QoS {qos} at 20,000 messages a second, 99 % delivered within"),
            unit: "ms",
            better: Better::Less,
            budget: Some(5.0),
            cells,
        });
    }
    rows
}

async fn latency(target: &Target, bench: &Bench, qos: u8) -> Result<Outcome> {
    let shape = Shape {
        publishers: 10,
        subscribers: 10,
        qos,
        window: STEADY,
        batch: STEADY_BATCH,
        over: Over::Tcp,
        durable: false,
        pace: Some(STEADY),
    };
    load::run(shape, &prepared(target, &bench.build).await?, bench.extent).await
}

/// Devices that publish over CoAP, one message at a time.
pub(super) async fn coap_row(bench: &Bench) -> Row {
    const DEVICES: usize = 32;
    let outcome = async {
        let build = Build { all_doors: true, ..bench.build.clone() };
        let server = prepared(&Target::Trunkline, &build).await?;
        let (coap, topic) = (server.coap()?, server.topic(0));
        let secrets: Vec<String> =
            server.platform()?.clients.iter().map(|(_, secret)| secret.clone()).collect();
        callers::run(DEVICES, server.process, bench.extent, |device, tally| {
            let (topic, secret) = (topic.clone(), secrets.get(device % secrets.len().max(1)).cloned());
            async move {
                let secret = secret.unwrap_or_default();
                let mut device = Device::new(coap, &topic, &secret, load::PAYLOAD).await?;
                tally.repeat(async |number| device.publish(number).await).await
            }
        })
        .await
    }
    .await;
    let figure = super::cell(&outcome, |outcome: &callers::Outcome| {
        let cost = outcome.cpu_us_each().ok_or("CPU not observed")?;
        Ok(Figure::of(cost).noting(format!("{} per s", number(outcome.per_second()))))
    });
    Row {
        what: "CoAP POST, confirmable, CPU each".into(),
        unit: "µs",
        better: Better::Less,
        budget: None,
        cells: vec![(Target::Trunkline.to_string(), figure)],
    }
}

/// Measures all servers in turn, round after round.
pub(super) async fn row(bench: &Bench, wanted: &MessageRow) -> Row {
    let shape = Shape {
        publishers: wanted.publishers,
        subscribers: wanted.subscribers,
        qos: wanted.qos,
        window: wanted.window.max(bench.batch),
        batch: bench.batch.min(wanted.window),
        over: wanted.over,
        durable: wanted.durable,
        pace: None,
    };
    let build = Build { all_doors: wanted.over == Over::Tls, ..bench.build.clone() };
    let mut contests = Vec::new();
    for target in bench.targets.iter().filter(|target| !wanted.ours_alone || **target == Target::Trunkline) {
        contests.push((target.to_string(), prepared(target, &build).await, Vec::new()));
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
        budget: wanted.budget_us,
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
