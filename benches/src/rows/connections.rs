//! Connections: what making one costs in CPU time, and keeping one in memory.

use std::cell::Cell as Counter;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{cell, prepared};
use crate::Bench;
use crate::callers::{self, Outcome};
use crate::link::Link;
use crate::process::Process;
use crate::report::{Better, Figure, Row, number};
use crate::target::{Server, Target};
use crate::transport::Door;

/// Connections that are being made at the same time.
const CALLERS: usize = 32;
/// No answer in these rows is longer than a CONNACK or SUBACK.
const BUFFER: usize = 64;

/// CPU time of each connection, and how many there can be in a second.
pub(super) async fn connect_rows(bench: &Bench) -> Vec<Row> {
    let mut measured = Vec::new();
    for target in &bench.targets {
        measured.push((target.to_string(), connect(target, bench).await));
    }
    let cost = |outcome: &Outcome| outcome.cpu_us_each().map(Figure::of).ok_or("CPU not observed".to_owned());
    let rate = |outcome: &Outcome| {
        let note = format!(
            "half in {} ms, 99 % in {} ms",
            number(outcome.latency_ms(0.5)),
            number(outcome.latency_ms(0.99))
        );
        Ok(Figure::of(outcome.per_second()).noting(note))
    };
    vec![
        Row {
            what: "Connect with a client secret, CPU each (peers check none)".into(),
            unit: "µs",
            better: Better::Less,
            budget: Some(40.0),
            cells: measured.iter().map(|(name, outcome)| (name.clone(), cell(outcome, cost))).collect(),
        },
        Row {
            what: "Connect with a client secret, cores shared with the load".into(),
            unit: "per s",
            better: Better::More,
            budget: Some(10_000.0),
            cells: measured.iter().map(|(name, outcome)| (name.clone(), cell(outcome, rate))).collect(),
        },
    ]
}

async fn connect(target: &Target, bench: &Bench) -> Result<Outcome> {
    let server = Rc::new(prepared(target, &bench.build).await?);
    callers::run(CALLERS, server.process, bench.extent, |caller, tally| {
        let server = Rc::clone(&server);
        async move {
            tally
                .repeat(async |number| {
                    let connection = caller + CALLERS * usize::try_from(number)?;
                    open(&server, connection).await?.close().await
                })
                .await
        }
    })
    .await
}

async fn open(server: &Server, number: usize) -> Result<Link> {
    Link::open(&Door::Tcp(server.mqtt), &server.party(number)?, BUFFER).await
}

/// Growth of resident memory for each of many connections that do nothing, and for a subscription each.
pub(super) async fn idle_rows(bench: &Bench) -> Vec<Row> {
    let count = if bench.quick { 2_000 } else { 5_000 };
    let mut measured = Vec::new();
    for target in &bench.targets {
        measured.push((target.to_string(), idle(target, bench, count).await));
    }
    let cells = |of: fn(&Growth) -> f64| {
        measured
            .iter()
            .map(move |(name, growth)| (name.clone(), cell(growth, |growth| Ok(Figure::of(of(growth))))))
    };
    vec![
        Row {
            what: format!("Idle MQTT connection, memory (the second {})", number(count as f64)),
            unit: "KiB",
            better: Better::Less,
            budget: Some(8.0),
            cells: cells(|growth| growth.connected).collect(),
        },
        Row {
            what: "Idle MQTT connection with a subscription to a topic of its own, memory".into(),
            unit: "KiB",
            better: Better::Less,
            budget: None,
            cells: cells(|growth| growth.subscribed).collect(),
        },
    ]
}

/// KiB for each connection.
struct Growth {
    connected: f64,
    subscribed: f64,
}

async fn idle(target: &Target, bench: &Bench, count: usize) -> Result<Growth> {
    let mut server = prepared(target, &bench.build).await?;
    if server.platform.is_some() {
        // Memory that the preparation has left free would hide what connections take.
        server = server.restart(&bench.build).await?;
    }
    let server = Rc::new(server);
    let process = server.process.context("memory not observed")?;
    // The first half takes up what the start has left free, and what any load allocates once.
    let first = open_all(&server, 0, count).await?;
    let before = settled_rss_kib(process).await?;
    let links = open_all(&server, count, count).await?;
    let connected = settled_rss_kib(process).await?;
    let mut subscribed = Vec::with_capacity(count);
    for (number, mut link) in links.into_iter().enumerate() {
        link.subscribe(&server.topic(number), 0).await?;
        subscribed.push(link);
    }
    let settled = settled_rss_kib(process).await?;
    drop((first, subscribed));
    let each = |after: u64| after.saturating_sub(before) as f64 / count as f64;
    Ok(Growth { connected: each(connected), subscribed: each(settled) })
}

async fn open_all(server: &Rc<Server>, first: usize, count: usize) -> Result<Vec<Link>> {
    let next = Rc::new(Counter::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let (server, next) = (Rc::clone(server), Rc::clone(&next));
        tasks.spawn_local(async move {
            let mut links = Vec::new();
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                links.push(open(&server, first + number).await?);
            }
            anyhow::Ok(links)
        });
    }
    let mut links = Vec::with_capacity(count);
    while let Some(opened) = tasks.join_next().await {
        links.extend(opened??);
    }
    Ok(links)
}

/// Memory once it no longer changes: servers tidy up behind a burst.
async fn settled_rss_kib(process: Process) -> Result<u64> {
    const TRIES: usize = 20;
    let mut last = process.rss_kib()?;
    for _ in 0..TRIES {
        sleep(Duration::from_millis(500)).await;
        let now = process.rss_kib()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}
