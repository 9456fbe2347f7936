//! How a command answers: text for people, or one JSON object for scripts. A reader that has gone is no error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::Write as _;

/// Where answers go.
pub(super) struct Output {
    /// As JSON.
    pub(super) json: bool,
}

impl Output {
    /// One answer, in either form.
    pub(super) fn answer(&self, object: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.line(&serde_json::to_string(object).unwrap_or_default());
        } else {
            self.line(&text());
        }
    }

    /// How far a long command is, on standard error, and only if that is a terminal.
    pub(super) fn progress(&self, length: u64, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
    }

    /// A line on standard output.
    pub(super) fn line(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// Rows under their titles, each column as wide as its widest cell.
pub(super) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(titles.get(column).map(|title| title.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    std::iter::once(&titles).chain(rows).map(line).collect::<Vec<_>>().join("\n")
}
