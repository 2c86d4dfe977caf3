//! Requests over HTTP: creating, viewing and listing clients. No peer has them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{cell, prepared};
use crate::Bench;
use crate::callers::{self, Outcome, latencies};
use crate::http::{Http, Request};
use crate::meter::Extent;
use crate::report::{Better, Cell, Figure, Row, number};
use crate::target::{Build, Target};

/// Callers of the creation row, as its budget says.
const CREATORS: usize = 16;
/// Connections of the view row.
const VIEWERS: usize = 32;
/// A budget in ms for one page.
const PAGE_BUDGET_MS: f64 = 20.0;
/// Entries of a page when the caller does not say (reference 03, 5.3).
const PAGE: usize = 10;

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
    let server = Rc::new(prepared(&Target::Trunkline, bench).await?);
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

/// The first and a late page of a long list.
pub(super) async fn listing_rows(bench: &Bench) -> Vec<Row> {
    let measured = listing(bench).await;
    let page = |what: String, of: fn(&Listing) -> &Histogram<u64>| Row {
        what,
        unit: "ms",
        better: Better::Less,
        budget: Some(PAGE_BUDGET_MS),
        cells: ours(cell(&measured, |listing| {
            let ms = |share| of(listing).value_at_quantile(share) as f64 / 1e3;
            Ok(Figure::of(ms(0.5)).noting(format!("half; 99 % in {} ms", number(ms(0.99)))))
        })),
    };
    let clients = number(bench.clients as f64);
    vec![
        page(format!("Listing page 1 of a domain with {clients} clients"), |listing| &listing.first_us),
        page(format!("Listing page {} of the same", late_page(bench)), |listing| &listing.late_us),
        Row {
            what: format!("Start to ready with {clients} clients, after a kill"),
            unit: "ms",
            better: Better::Less,
            budget: Some(1_000.0),
            cells: ours(cell(&measured, |listing| Ok(Figure::of(listing.restarted_in.as_secs_f64() * 1e3)))),
        },
        Row {
            what: "Listing, late page to first".into(),
            unit: "×",
            better: Better::Less,
            budget: Some(2.0),
            cells: ours(cell(&measured, |listing| {
                let half = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.5).max(1) as f64;
                let filled = listing.filled_in.as_secs_f64();
                Ok(Figure::of(half(&listing.late_us) / half(&listing.first_us))
                    .noting(format!("the clients were created in {} s", number(filled))))
            })),
        },
    ]
}

/// Page 1,000, or the last one of a domain that has fewer.
fn late_page(bench: &Bench) -> usize {
    (bench.clients / PAGE).clamp(1, 1_000)
}

struct Listing {
    first_us: Histogram<u64>,
    late_us: Histogram<u64>,
    filled_in: Duration,
    restarted_in: Duration,
}

async fn listing(bench: &Bench) -> Result<Listing> {
    const BULK: usize = 1_000;
    const REQUESTS: usize = 200;
    let server = prepared(&Target::Trunkline, bench).await?;
    let platform = server.platform()?;
    let mut connection = Http::open(platform.http).await?;
    let begin = Instant::now();
    let mut missing = bench.clients.saturating_sub(platform.clients.len());
    while missing > 0 {
        let count = missing.min(BULK);
        platform.create_clients(&mut connection, "meter", count).await?;
        missing -= count;
    }
    let filled_in = begin.elapsed();
    let page = |number: usize| {
        let path = platform.path(&format!("/clients?offset={}&limit={PAGE}", (number - 1) * PAGE));
        Request::new("GET", &path, Some(&platform.token), None)
    };
    let mut listing = Listing {
        first_us: latencies()?,
        late_us: Histogram::new(3)?,
        filled_in,
        restarted_in: Duration::ZERO,
    };
    let (first, late) = (page(1), page(late_page(bench)));
    // In turn, so that a slow moment of the machine meets both.
    for _ in 0..REQUESTS {
        listing.first_us.saturating_record(page_us(&mut connection, &first).await?);
        listing.late_us.saturating_record(page_us(&mut connection, &late).await?);
    }
    listing.restarted_in = server.restart(&bench.build).await?.ready_after;
    Ok(listing)
}

async fn page_us(connection: &mut Http, request: &Request) -> Result<u64> {
    let begin = Instant::now();
    let answer = connection.send(request).await?;
    let took = begin.elapsed();
    let page = answer.json()?;
    let entries = page.pointer("/clients").and_then(|clients| clients.as_array()).map_or(0, Vec::len);
    ensure!(entries == PAGE, "a page with {entries} clients");
    Ok(took.as_micros() as u64)
}
