//! Requests over HTTP: creating and viewing clients. No peer has them.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{cell, prepared};
use crate::Bench;
use crate::callers::{self, Outcome};
use crate::http::{Http, Request};
use crate::meter::Extent;
use crate::report::{Better, Cell, Figure, Row, number};
use crate::target::{Build, Target};

/// Callers of the creation row, as its budget says.
const CREATORS: usize = 16;
/// Connections of the view row.
const VIEWERS: usize = 32;

/// The one cell of a row that no peer has.
fn ours(cell: Cell) -> Vec<(String, Cell)> {
    vec![(Target::Trunkline.to_string(), cell)]
}

/// Durable creations per second, on SQLite and on PostgreSQL when there is one.
pub(super) async fn create_rows(bench: &Bench) -> Vec<Row> {
    let mut rows = vec![create_row(bench, "SQLite", None).await];
    if bench.database_url.is_some() {
        rows.push(create_row(bench, "PostgreSQL", bench.database_url.clone()).await);
    }
    rows
}

async fn create_row(bench: &Bench, database: &str, database_url: Option<String>) -> Row {
    let build = Build { database_url, ..bench.build.clone() };
    let measured = create(&build, bench.extent).await;
    let rate = |outcome: &Outcome| {
        let cpu = outcome.cpu_us_each().unwrap_or_default();
        let note = format!("{} µs CPU each, 99 % in {} ms", number(cpu), number(outcome.latency_ms(0.99)));
        Ok(Figure::of(outcome.per_second()).noting(note))
    };
    Row {
        what: format!("Create a client, durable, {CREATORS} callers, {database}"),
        unit: "per s",
        better: Better::More,
        budget: Some(1_500.0),
        cells: ours(cell(&measured, rate)),
    }
}

async fn create(build: &Build, extent: Extent) -> Result<Outcome> {
    let mut server = Target::Trunkline.start(build).await?;
    server.prepare().await?;
    let server = Rc::new(server);
    // Waiting for the disk is part of the figure: the run goes by the clock, not by the server's CPU time.
    let extent = Extent { cpu: Duration::MAX, wall: extent.wall / 3 };
    callers::run(CREATORS, server.process, extent, |caller, tally| {
        let server = Rc::clone(&server);
        async move {
            let platform = server.platform()?;
            let mut connection = Http::open(platform.http).await?;
            let path = platform.path("/clients");
            tally
                .repeat(async |number| {
                    let client = json!({"name": format!("sensor-{caller}-{number}"), "tags": ["bench"]});
                    let request = Request::new("POST", &path, Some(&platform.token), Some(&client));
                    let answer = connection.send(&request).await?;
                    ensure!(answer.status == 201, "status {} for a creation", answer.status);
                    Ok(())
                })
                .await
        }
    })
    .await
}

/// Views per second of one core's time.
pub(super) async fn view_row(bench: &Bench) -> Row {
    let measured = view(bench).await;
    let rate = |outcome: &Outcome| {
        let cost = outcome.cpu_us_each().ok_or("CPU not observed")?;
        let (rate, tail) = (number(outcome.per_second()), number(outcome.latency_ms(0.99)));
        Ok(Figure::of(1e6 / cost)
            .noting(format!("{} µs CPU each, {rate} per s, 99 % in {tail} ms", number(cost))))
    };
    Row {
        what: format!("View a client over HTTP, {VIEWERS} connections"),
        unit: "per s and core",
        better: Better::More,
        budget: Some(15_000.0),
        cells: ours(cell(&measured, rate)),
    }
}

async fn view(bench: &Bench) -> Result<Outcome> {
    let server = Rc::new(prepared(&Target::Trunkline, &bench.build).await?);
    callers::run(VIEWERS, server.process, bench.extent, |caller, tally| {
        let server = Rc::clone(&server);
        async move {
            let platform = server.platform()?;
            let mut connection = Http::open(platform.http).await?;
            let (id, _) = platform.clients.get(caller).context("fewer clients than viewers")?;
            let request =
                Request::new("GET", &platform.path(&format!("/clients/{id}")), Some(&platform.token), None);
            tally
                .repeat(async |_| {
                    let answer = connection.send(&request).await?;
                    ensure!(answer.status == 200, "status {} for a view", answer.status);
                    Ok(())
                })
                .await
        }
    })
    .await
}
