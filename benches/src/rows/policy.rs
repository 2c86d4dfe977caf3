//! Decisions of the policy service over HTTP, as a broker asks for them. No peer has them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use testkit::oidc::{Algorithm, Issuer, Key};

use super::cell;
use crate::Bench;
use crate::callers::{self, Outcome};
use crate::http::{Http, Request};
use crate::process::Running;
use crate::report::{Better, Figure, Row, number};
use crate::target::Target;

/// Connections of a broker that keeps them open.
const CONNECTIONS: usize = 32;
/// Questions per second of the second row.
const PACE: u32 = 5_000;
/// A budget in ms for the slowest of a hundred of them.
const TAIL_BUDGET_MS: f64 = 2.0;

/// A running service and everything that a broker asks with.
struct Service {
    running: Running,
    address: SocketAddr,
    request: Request,
    // Both end with the service.
    _issuer: Issuer,
    _directory: TempDir,
}

/// Decisions per second of one core's time, and how long they take at a steady pace.
pub(super) async fn rows(bench: &Bench) -> Vec<Row> {
    let measured = flat_out(bench).await;
    let rate = |outcome: &Outcome| {
        let cost = outcome.cpu_us_each().ok_or("CPU not observed")?;
        let (rate, tail) = (number(outcome.per_second()), number(outcome.latency_ms(0.99)));
        Ok(Figure::of(1e6 / cost)
            .noting(format!("{} µs CPU each, {rate} per s, 99 % in {tail} ms", number(cost))))
    };
    let first = Row {
        what: format!("Policy decision over HTTP, token seen before, {CONNECTIONS} connections"),
        unit: "per s and core",
        better: Better::More,
        budget: Some(25_000.0),
        cells: vec![(Target::Trunkline.to_string(), cell(&measured, rate))],
    };
    let measured = paced(bench).await;
    let tail = |outcome: &Outcome| {
        let note = format!(
            "at {} per s, half in {} ms",
            number(outcome.per_second()),
            number(outcome.latency_ms(0.5))
        );
        Ok(Figure::of(outcome.latency_ms(0.99)).noting(note))
    };
    let second = Row {
        what: format!("Policy decision at {PACE} per second, slowest of a hundred"),
        unit: "ms",
        better: Better::Less,
        budget: Some(TAIL_BUDGET_MS),
        cells: vec![(Target::Trunkline.to_string(), cell(&measured, tail))],
    };
    vec![first, second]
}

async fn flat_out(bench: &Bench) -> Result<Outcome> {
    let service = Rc::new(start(bench)?);
    callers::run(CONNECTIONS, Some(service.running.process()), bench.extent, |_, tally| {
        let service = Rc::clone(&service);
        async move {
            let mut connection = Http::open(service.address).await?;
            tally.repeat(async |_| service.ask(&mut connection).await).await
        }
    })
    .await
}

async fn paced(bench: &Bench) -> Result<Outcome> {
    let service = Rc::new(start(bench)?);
    let callers = 10;
    let between = Duration::from_secs(1) * callers / PACE;
    callers::run(10, Some(service.running.process()), bench.extent, |_, tally| {
        let service = Rc::clone(&service);
        async move {
            let mut connection = Http::open(service.address).await?;
            tally.repeat_every(between, async |_| service.ask(&mut connection).await).await
        }
    })
    .await
}

impl Service {
    async fn ask(&self, connection: &mut Http) -> Result<()> {
        let answer = connection.send(&self.request).await?;
        ensure!(answer.status == 200, "status {} for a decision", answer.status);
        Ok(())
    }
}

fn start(bench: &Bench) -> Result<Service> {
    let directory = tempfile::Builder::new().prefix("trunkline-bench-").tempdir()?;
    let file = directory.path().join("rules.json");
    // Some rules that do not match before the one that does.
    let other = |number: usize| json!({"subjects": {"groups": [format!("g{number}")]}, "topics": [format!("t{number}/+/#")], "actions": "*"});
    let mut rules: Vec<_> = (0..20).map(other).collect();
    rules.push(json!({"subjects": {"types": ["service"], "scopes": ["mqtt.write"]},
                      "topics": ["celine/digital-twin/events/#"], "actions": ["publish"]}));
    std::fs::write(&file, json!({"celine": {"mqtt": {"acl": {"rules": rules}}}}).to_string())?;

    let key = Key::generate("bench", Algorithm::RS256);
    let issuer = Issuer::start([key.clone()]);
    #[expect(clippy::disallowed_methods, reason = "the token must hold by the clock of the service")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = i64::try_from(now)?;
    let token = key.sign(&issuer.claims(now, &json!({"client_id": "svc", "scope": "mqtt.write"})));
    let topic = "celine/digital-twin/events/pump/pump-001";
    let body = json!({"acc": 2, "clientid": "svc", "topic": topic});
    let request = Request::new("POST", "/mqtt/acl", Some(&token), Some(&body));

    let mut command = Command::new(&bench.build.binary);
    command.arg("policy").arg("--rules").arg(&file).args(["--address", "127.0.0.1:0", "--log-level", "warn"]);
    // All questions come from this machine: what is measured is what the service can do, not what one broker may.
    command.env("TRUNKLINE_POLICY_MAX_QUESTIONS_PER_SECOND", "1000000");
    command.args(["--issuer", &issuer.url()]).arg("--logins-file").arg(directory.path().join("logins"));
    let mut running = Running::start(&mut command, directory.path())?;
    let stdout = running.stdout().context("no standard output")?;
    let mut address = None;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(text) = line.strip_prefix("listening policy ") {
            address = Some(text.parse()?);
        }
        if line == "ready" {
            break;
        }
    }
    let address = address.context("the service does not start")?;
    Ok(Service { running, address, request, _issuer: issuer, _directory: directory })
}
