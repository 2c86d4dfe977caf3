//! Relation checks: the figures of the relation crate's own example.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::cell;
use crate::report::{Better, Figure, Row};
use crate::target::Target;

/// The slowest kind of warm check, asked for many clients in turn.
pub(super) async fn row() -> Row {
    let measured = tokio::task::spawn_blocking(check_cost).await.unwrap_or_else(|panic| Err(panic.into()));
    Row {
        what: "Relation check, warm, 1 million tuples (slowest kind, many clients in turn)".into(),
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
    slowest(&String::from_utf8_lossy(&output.stdout)).context("check_cost prints no table of nanoseconds")
}

/// The heading of the example's table of costs; behind it stand the kind of check and two numbers in each line,
/// for one client again and again, and for many clients in turn.
const HEADING: &str = "ns of processor per check";

fn slowest(text: &str) -> Option<Figure> {
    let lines = text.lines().skip_while(|line| !line.starts_with(HEADING)).skip(1);
    let figures = lines.filter_map(|line| {
        let (rest, many) = line.trim_end().rsplit_once(' ')?;
        let (kind, one) = rest.trim_end().rsplit_once(' ')?;
        Some(Figure::of(many.parse().ok()?).noting(format!("{}; one client: {one}", kind.trim_end())))
    });
    figures.max_by(|one, other| one.value.total_cmp(&other.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_kind_is_found_behind_the_heading() {
        let text = "1000000 tuples\nin memory: 35747712 bytes\n\
                    ns of processor per check          one client  all clients\n\
                    own role on the client                     96          304\n\
                    role on the group three above             368         1024\n\
                    denied                                    414          960\n";
        let figure = Figure::of(1024.0).noting("role on the group three above; one client: 368");
        assert_eq!(slowest(text), Some(figure));
        assert_eq!(slowest("nothing"), None);
    }
}
