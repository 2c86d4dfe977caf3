//! Relation checks: the figures of the relation crate's own example.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::cell;
use crate::report::{Better, Figure, Row};
use crate::target::Target;

/// The slowest kind of warm check.
pub(super) async fn row() -> Row {
    let measured = tokio::task::spawn_blocking(check_cost).await.unwrap_or_else(|panic| Err(panic.into()));
    Row {
        what: "Relation check, warm, 1 million tuples (slowest kind)".into(),
        unit: "ns",
        better: Better::Less,
        budget: Some(1_000.0),
        cells: vec![(Target::Trunkline.to_string(), cell(&measured, |figure| Ok(figure.clone())))],
    }
}

fn check_cost() -> Result<Figure> {
    let output = std::process::Command::new("cargo")
        .args(["run", "--quiet", "--release", "--example", "check_cost", "-p", "trunkline-relation"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "the example check_cost fails");
    slowest(&String::from_utf8_lossy(&output.stdout)).context("check_cost prints no line with ns")
}

/// Of the example's lines `<kind of check>: <number> ns` the one with the largest number.
fn slowest(text: &str) -> Option<Figure> {
    let figures = text.lines().filter_map(|line| {
        let (kind, cost) = line.rsplit_once(": ")?;
        Some(Figure::of(cost.strip_suffix(" ns")?.parse().ok()?).noting(kind))
    });
    figures.max_by(|one, other| one.value.total_cmp(&other.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_kind_is_found_among_other_lines() {
        let text = "1010016 tuples\nin memory: 41142528 bytes by our account, 41 per tuple\n\
                    processor time of a check, everything in memory:\n\
                    own role on the client, one client: 65 ns\n\
                    denied, all clients: 980 ns\n\
                    role on the domain, all clients: 562 ns\n";
        assert_eq!(slowest(text), Some(Figure::of(980.0).noting("denied, all clients")));
        assert_eq!(slowest("nothing"), None);
    }
}
