//! Lists of a domain with very many clients: pages, filters, and a user who sees few. No peer has them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{relation, words};
use crate::Bench;
use crate::callers::latencies;
use crate::http::{Http, Request};
use crate::platform::{ADMIN, text};
use crate::population::{self, Place};
use crate::report::{Better, Cell, Figure, Row, median, number};
use crate::target::{Build, Server, Target};

/// A budget in ms for one page.
const PAGE_BUDGET_MS: f64 = 20.0;
/// A budget in µs for a check of which nothing is in memory.
const COLD_BUDGET_US: f64 = 300.0;
/// How often each page is asked for.
const REQUESTS: usize = 200;
/// A filter without an index may look at every client.
const SCANS: usize = 5;
/// The page that is late.
const LATE: usize = 1_000;

/// What is measured on one database.
pub(super) async fn rows(bench: &Bench) -> Vec<Row> {
    let mut rows = on(bench, "SQLite", None).await;
    if let Some(url) = &bench.listing_database_url {
        rows.extend(on(bench, "PostgreSQL", Some(url.clone())).await);
    }
    rows
}

async fn on(bench: &Bench, database: &str, database_url: Option<String>) -> Vec<Row> {
    let build = Build { database_url, ..bench.build.clone() };
    let mut rows = Vec::new();
    let mut table = Table { database, clients: bench.clients, rows: &mut rows };
    if let Err(error) = measure(&build, bench.clients, &mut table).await {
        table.add("Lists", "ms", None, Err(words(&error)));
    }
    rows
}

/// The rows so far.
struct Table<'a> {
    database: &'a str,
    clients: usize,
    rows: &'a mut Vec<Row>,
}

impl Table<'_> {
    fn add(&mut self, what: &str, unit: &'static str, budget: Option<f64>, cell: Cell) {
        let what = format!("{what}, {} clients, {}", number(self.clients as f64), self.database);
        let cells = vec![(Target::Trunkline.to_string(), cell)];
        self.rows.push(Row { what, unit, better: Better::Less, budget, cells });
    }
}

/// A server over a domain with many clients, and those who look.
struct Crowd {
    server: Server,
    connection: Http,
    domain: String,
    owner: String,
    viewer: String,
    checks: relation::Cold,
}

async fn measure(build: &Build, clients: usize, table: &mut Table<'_>) -> Result<()> {
    let begin = Instant::now();
    let mut crowd = Crowd::gather(build, clients).await?;
    let gathered = format!("the clients were written in {} s", number(begin.elapsed().as_secs_f64()));
    let ready = crowd.server.ready_after.as_secs_f64() * 1e3;
    table.add("Start to ready", "ms", Some(1_000.0), Ok(Figure::of(ready).noting(gathered)));
    table.add("Relation check, cold", "µs", Some(COLD_BUDGET_US), Ok(crowd.checks.figure()));
    let (owner, viewer) = (crowd.owner.clone(), crowd.viewer.clone());
    for limit in [10, 100] {
        // One in a hundred is disabled, and not in the list.
        let last = (clients / 100 * 99 / limit).saturating_sub(1);
        let late = last.min(LATE - 1) * limit;
        let walked = crowd.timed(&owner, limit, late).await?;
        let (first_us, late_us) = crowd.in_turn(&owner, limit, late).await?;
        table.add(&format!("First page of {limit}"), "ms", Some(PAGE_BUDGET_MS), Ok(page(&first_us, "")));
        table.add(
            &format!("Page {} of {limit}", late / limit + 1),
            "ms",
            Some(PAGE_BUDGET_MS),
            Ok(page(&late_us, &format!("; the first time {}", number(walked.as_secs_f64() * 1e3)))),
        );
        let half = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.5).max(1) as f64;
        let ratio = half(&late_us) / half(&first_us);
        table.add(&format!("The late page of {limit} to the first"), "×", Some(2.0), Ok(Figure::of(ratio)));
        let (seen_us, _) = crowd.in_turn(&viewer, limit, limit).await?;
        let what = format!("First page of {limit} for a user who sees 500");
        table.add(&what, "ms", Some(PAGE_BUDGET_MS), Ok(page(&seen_us, "")));
    }
    for (what, query) in [
        ("name, one found", "name=sensor-0000077"),
        ("name, nearly all found", "name=sensor"),
        ("tag, 2 % found", "tags=line-7"),
        ("metadata, 5 % found", "metadata=%7B%22model%22%3A%22m3%22%7D"),
        ("metadata, one found", "metadata=%7B%22serial%22%3A%22SN-77%22%7D"),
        ("status, 1 % found", "status=disabled"),
    ] {
        let took = crowd.filtered(&owner, query).await?;
        table.add(&format!("First page of 10 by {what}"), "ms", None, Ok(took));
    }
    Ok(())
}

fn page(us: &Histogram<u64>, more: &str) -> Figure {
    let ms = |share| us.value_at_quantile(share) as f64 / 1e3;
    Figure::of(ms(0.5)).noting(format!("half; 99 % in {} ms{more}", number(ms(0.99))))
}

impl Crowd {
    async fn gather(build: &Build, clients: usize) -> Result<Self> {
        let server = Target::Trunkline.start(build).await?;
        let http = server.http()?;
        let mut connection = Http::open(http).await?;
        let [(_, admin), (_, password), _] = ADMIN;
        let admin = log_in(&mut connection, admin, password).await?;
        let owner_id = user(&mut connection, &admin, "owner", password).await?;
        let viewer_id = user(&mut connection, &admin, "viewer", password).await?;
        let owner = log_in(&mut connection, "owner", password).await?;
        let viewer = log_in(&mut connection, "viewer", password).await?;
        let body = json!({"name": "crowd", "route": "crowd"});
        let domain = text(&connection.call("POST", "/domains", Some(&owner), Some(&body)).await?, "/id")?;
        let watchers =
            json!({"role_name": "watchers", "optional_actions": ["read"], "optional_members": [viewer_id]});
        for (path, body) in [
            (format!("/domains/{domain}/roles"), watchers),
            (format!("/{domain}/clients"), json!({"name": "first"})),
            (format!("/{domain}/groups"), json!({"name": "first"})),
        ] {
            connection.call("POST", &path, Some(&owner), Some(&body)).await?;
        }
        let place = Place { domain: domain.clone(), owner: owner_id, viewer: viewer_id };
        let mut checks = None;
        let fill = async |db: &db::Db| {
            population::fill(db, place.clone(), clients).await?;
            if let Some(url) = &build.database_url {
                // What a server that has grown to this size has done by itself.
                testkit::postgres::execute(url, "VACUUM (ANALYZE)");
            }
            checks = Some(relation::cold(db, &place).await?);
            Ok(())
        };
        let server = server.refilled(build, fill).await?;
        let connection = Http::open(server.http()?).await?;
        let checks = checks.context("no checks were measured")?;
        Ok(Self { server, connection, domain, owner, viewer, checks })
    }

    /// Latencies in µs of a first and a late page, asked for in turn: a slow moment of the machine meets both.
    async fn in_turn(
        &mut self,
        token: &str,
        limit: usize,
        offset: usize,
    ) -> Result<(Histogram<u64>, Histogram<u64>)> {
        let (mut first, mut late) = (latencies()?, latencies()?);
        for _ in 0..REQUESTS {
            for (offset, histogram) in [(0, &mut first), (offset, &mut late)] {
                let took = self.timed(token, limit, offset).await?;
                histogram.saturating_record(took.as_micros() as u64);
            }
        }
        Ok((first, late))
    }

    /// How long one page takes.
    async fn timed(&mut self, token: &str, limit: usize, offset: usize) -> Result<Duration> {
        let (took, answer) = self.list(token, &format!("offset={offset}&limit={limit}")).await?;
        let found = answer.pointer("/clients").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(found > 0 && found <= limit, "a page with {found} clients");
        Ok(took)
    }

    async fn filtered(&mut self, token: &str, query: &str) -> Result<Figure> {
        let (mut times, mut total) = (Vec::new(), 0);
        for _ in 0..SCANS {
            let (took, answer) = self.list(token, &format!("limit=10&{query}")).await?;
            total = answer.pointer("/total").and_then(Value::as_u64).context("a list without a total")?;
            times.push(took.as_secs_f64() * 1e3);
        }
        let half = median(times).context("nothing measured")?;
        Ok(Figure::of(half).noting(format!("{} found", number(total as f64))))
    }

    async fn list(&mut self, token: &str, query: &str) -> Result<(Duration, Value)> {
        let request = Request::new("GET", &format!("/{}/clients?{query}", self.domain), Some(token), None);
        let begin = Instant::now();
        let answer = self.connection.send(&request).await?;
        let took = begin.elapsed();
        Ok((took, answer.json()?))
    }
}

async fn log_in(connection: &mut Http, name: &str, password: &str) -> Result<String> {
    let login = json!({"username": name, "password": password});
    text(&connection.call("POST", "/users/tokens/issue", None, Some(&login)).await?, "/access_token")
}

async fn user(connection: &mut Http, admin: &str, name: &str, password: &str) -> Result<String> {
    let user = json!({
        "first_name": name, "last_name": "bench", "email": format!("{name}@example.com"),
        "credentials": {"username": name, "secret": password}, "status": "enabled",
    });
    text(&connection.call("POST", "/users", Some(admin), Some(&user)).await?, "/id")
}
