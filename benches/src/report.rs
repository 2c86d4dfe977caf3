//! The table: one row per budget, one column per server.

use std::fmt::Write as _;

/// Whether a smaller or a larger figure is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// A cost.
    Less,
    /// A rate.
    More,
}

/// A measured value and what else the run showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// In the unit of its row.
    pub(crate) value: f64,
    /// Behind the value in the table; may be empty.
    pub(crate) note: String,
}

impl Figure {
    /// A value without a note.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, note: String::new() }
    }

    /// Adds a note.
    pub(crate) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// A figure, or in a few words why there is none.
pub(crate) type Cell = Result<Figure, String>;

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What is measured.
    pub(crate) what: String,
    /// The unit of budget and figures.
    pub(crate) unit: &'static str,
    /// Which direction is good.
    pub(crate) better: Better,
    /// The promise; `None` for a figure that is only shown.
    pub(crate) budget: Option<f64>,
    /// One cell for each server that was measured, by its name.
    pub(crate) cells: Vec<(String, Cell)>,
}

impl Row {
    fn cell(&self, server: &str) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| name == server).map(|(_, cell)| cell)
    }

    /// Whether the first server of the run keeps the budget; `None` when one of the two is missing.
    fn kept(&self, ours: &str) -> Option<bool> {
        let (figure, budget) = (self.cell(ours)?.as_ref().ok()?, self.budget?);
        Some(match self.better {
            Better::Less => figure.value <= budget,
            Better::More => figure.value >= budget,
        })
    }

    /// The first server's figure divided by that of the best other.
    fn ratio(&self, ours: &str) -> Option<f64> {
        let figure = self.cell(ours)?.as_ref().ok()?;
        let peers = self.cells.iter().filter(|(name, _)| name != ours);
        let values = peers.filter_map(|(_, cell)| cell.as_ref().ok()).map(|figure| figure.value);
        let best = match self.better {
            Better::Less => values.reduce(f64::min),
            Better::More => values.reduce(f64::max),
        };
        best.filter(|best| *best > 0.0).map(|best| figure.value / best)
    }

    fn budget_text(&self) -> String {
        let sign = if self.better == Better::Less { "≤" } else { "≥" };
        self.budget.map_or_else(|| "–".into(), |budget| format!("{sign} {} {}", number(budget), self.unit))
    }

    fn cell_text(&self, server: &str) -> String {
        match self.cell(server) {
            None => "–".into(),
            Some(Err(reason)) => reason.replace('|', "/").replace('\n', " "),
            Some(Ok(Figure { value, note })) if note.is_empty() => {
                format!("{} {}", number(*value), self.unit)
            }
            Some(Ok(Figure { value, note })) => format!("{} {} ({note})", number(*value), self.unit),
        }
    }
}

/// The heading of a table with these servers as columns; the first one is ours.
pub(crate) fn heading(servers: &[String]) -> String {
    let mut out = "| What | Budget |".to_owned();
    for server in servers {
        let _ = write!(out, " {server} |");
    }
    out.push_str(" Ratio to best peer | Kept |\n|---|---|");
    out.push_str(&"---|".repeat(servers.len() + 2));
    out
}

/// A row under that heading.
pub(crate) fn line(row: &Row, servers: &[String]) -> String {
    let mut out = format!("| {} | {} |", row.what, row.budget_text());
    for server in servers {
        let _ = write!(out, " {} |", row.cell_text(server));
    }
    let ours = servers.first().map_or("", String::as_str);
    let ratio = row.ratio(ours).map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
    let kept = row.kept(ours).map_or("–", |kept| if kept { "yes" } else { "**no**" });
    let _ = write!(out, " {ratio} | {kept} |");
    out
}

/// Three significant digits, thousands with separators.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if digits > 0 {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let mut out = String::new();
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && (text.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The middle one; of an even number the better for a cost.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(better: Better, cells: &[(&str, Cell)]) -> Row {
        let cells = cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
        Row { what: "a thing".into(), unit: "µs", better, budget: Some(2.0), cells }
    }

    #[test]
    fn a_row_compares_the_first_server_with_the_best_other() {
        let cells = [
            ("ours", Ok(Figure::of(1.5).noting("fast"))),
            ("slow", Ok(Figure::of(12.0))),
            ("quick", Ok(Figure::of(3.0))),
            ("gone", Err("not installed".to_owned())),
        ];
        let names: Vec<String> = cells.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(
            line(&row(Better::Less, &cells), &names),
            "| a thing | ≤ 2 µs | 1.5 µs (fast) | 12 µs | 3 µs | not installed | 0.50 | yes |"
        );
        assert!(line(&row(Better::More, &cells), &names).ends_with("| 0.12 | **no** |"));
    }

    #[test]
    fn numbers_have_three_digits_or_separators() {
        let texts: Vec<_> = [0.0, 0.123, 1.0, 15.26, 999.6, 1_234_567.0].map(number).into();
        assert_eq!(texts, ["0", "0.12", "1", "15.3", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_median_of_an_even_number_is_the_lower_middle() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
