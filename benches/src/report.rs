//! The report: bounds with a verdict, and the numbers behind them.

use std::fmt::Write;

/// What was measured, in the order it was.
#[derive(Debug, Default)]
pub(crate) struct Report {
    bounds: Vec<Bound>,
    tables: Vec<Table>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Bound {
    what: String,
    measured: String,
    bound: String,
    holds: Option<bool>,
}

/// A table of numbers.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl Report {
    /// A measured bound.
    pub(crate) fn bound(
        &mut self,
        what: impl Into<String>,
        measured: String,
        bound: impl Into<String>,
        holds: bool,
    ) {
        self.bounds.push(Bound { what: what.into(), measured, bound: bound.into(), holds: Some(holds) });
    }

    /// A bound that could not be measured, and why.
    pub(crate) fn open(&mut self, what: impl Into<String>, bound: impl Into<String>, why: &str) {
        let measured = format!("not measured: {why}");
        self.bounds.push(Bound { what: what.into(), measured, bound: bound.into(), holds: None });
    }

    pub(crate) fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut out = String::new();
        let columns = ["what", "measured", "bound", ""];
        let rows = self.bounds.iter().map(|bound| {
            let mark = match bound.holds {
                Some(true) => "holds",
                Some(false) => "**missed**",
                None => "open",
            };
            vec![bound.what.clone(), bound.measured.clone(), bound.bound.clone(), mark.to_owned()]
        });
        write_table(&mut out, "Bounds", &columns, &rows.collect::<Vec<_>>());
        for table in &self.tables {
            write_table(&mut out, &table.title, &table.columns, &table.rows);
        }
        for note in &self.notes {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "- {note}");
        }
        out
    }
}

fn write_table(out: &mut String, title: &str, columns: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let rule = vec!["---"; columns.len()].join(" | ");
    let _ = writeln!(out, "## {title}\n\n| {} |\n| {rule} |", columns.join(" | "));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
}

/// The middle of some numbers; `NaN` of none.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => numbers[len / 2],
        len => f64::midpoint(numbers[len / 2 - 1], numbers[len / 2]),
    }
}

/// A share as per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_what_holds_what_is_missed_and_what_is_open() {
        let mut report = Report::default();
        report.bound("a", "1".into(), "under 2", true);
        report.bound("b", "3".into(), "under 2", false);
        report.open("c", "under 2", "no nginx");
        let mut table = Table::new("Numbers", &["x", "y"]);
        table.row(["1".into(), "2".into()]);
        report.table(table);
        let text = report.to_markdown();
        for piece in
            ["| a | 1 | under 2 | holds |", "**missed**", "not measured: no nginx", "## Numbers", "| 1 | 2 |"]
        {
            assert!(text.contains(piece), "{text}");
        }
    }

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
