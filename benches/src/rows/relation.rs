//! Relation checks: the figures of the relation crate's own example.

use std::process::Stdio;
use std::time::Duration;

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
        budget: Some(Duration::from_micros(1).as_nanos() as f64),
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
    slowest(&String::from_utf8_lossy(&output.stdout)).context("check_cost prints no `<kind> … <number> ns`")
}

/// Of lines like `group chain: 123.4 ns`, the one with the largest number.
fn slowest(text: &str) -> Option<Figure> {
    let figures = text.lines().filter_map(|line| {
        let words: Vec<_> = line.split([' ', ':', '\t', '|']).filter(|word| !word.is_empty()).collect();
        let unit = words.iter().position(|word| *word == "ns")?;
        let value = words.get(unit.checked_sub(1)?)?.replace([',', '_'], "").parse().ok()?;
        Some(Figure::of(value).noting(words.get(..unit - 1)?.join(" ")))
    });
    figures.max_by(|one, other| one.value.total_cmp(&other.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_kind_is_found_among_other_lines() {
        let text =
            "1000000 tuples, 96 bytes each\ndirect: 80.5 ns per check\ngroup chain: 1,210 ns per check\n";
        assert_eq!(slowest(text), Some(Figure::of(1210.0).noting("group chain")));
        assert_eq!(slowest("nothing"), None);
    }
}
