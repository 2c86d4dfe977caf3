//! The program itself: how fast it starts, how much memory it needs for nothing, how large it is.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use super::words;
use crate::Bench;
use crate::report::{Better, Cell, Figure, Row, median, number};
use crate::target::Target;

/// Time to ready and memory at rest of each server, and the size of its program.
pub(super) async fn rows(bench: &Bench) -> Vec<Row> {
    let (mut ready, mut idle, mut size) = (Vec::new(), Vec::new(), Vec::new());
    for target in &bench.targets {
        let (starts, memory) = match started(target, bench).await {
            Ok((starts, memory)) => (Ok(starts), Ok(memory)),
            Err(error) => (Err(words(&error)), Err(words(&error))),
        };
        ready.push((target.to_string(), starts));
        idle.push((target.to_string(), memory));
        size.push((target.to_string(), binary_mib(target, bench).map_err(|error| words(&error))));
    }
    let row = |what: &str, unit, budget, cells: Vec<(String, Cell)>| Row {
        what: what.into(),
        unit,
        better: Better::Less,
        budget: Some(budget),
        cells,
    };
    vec![
        row("Start to ready, empty data directory", "ms", 300.0, ready),
        row("Memory idle", "MiB", 40.0, idle),
        row("Binary, stripped", "MiB", 60.0, size),
    ]
}

async fn started(target: &Target, bench: &Bench) -> Result<(Figure, Figure)> {
    const STARTS: usize = 5;
    const SETTLE: Duration = Duration::from_secs(2);
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        starts.push(target.start(&bench.build).await?.ready_after.as_secs_f64() * 1e3);
    }
    let server = target.start(&bench.build).await?;
    let process =
        server.process.filter(|_| target.program(&bench.build).is_some()).context("not started here")?;
    starts.push(server.ready_after.as_secs_f64() * 1e3);
    sleep(SETTLE).await;
    let memory = process.rss_kib()? as f64 / 1024.0;
    let slowest = starts.iter().copied().fold(0.0, f64::max);
    let note = format!("median of {STARTS}, slowest {}", number(slowest));
    let start = median(starts).context("no start")?;
    Ok((Figure::of(start).noting(note), Figure::of(memory)))
}

/// Without its debugging information, which is in no release.
fn binary_mib(target: &Target, bench: &Bench) -> Result<Figure> {
    let program = target.program(&bench.build).context("not installed")?;
    let dir = tempfile::tempdir()?;
    let copy = dir.path().join("stripped");
    let mib =
        |file: &Path| Ok::<_, std::io::Error>(std::fs::metadata(file)?.len() as f64 / (1024.0 * 1024.0));
    let status =
        Command::new("strip").arg("-o").args([&copy, &program]).status().context("`strip` is missing")?;
    ensure!(status.success(), "`strip` fails on {}", program.display());
    Ok(Figure::of(mib(&copy)?))
}
