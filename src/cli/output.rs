//! The output of a command: text for people, or one JSON object for scripts. A closed standard output is not an error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write as _;

pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Writes an answer in one of the two forms.
    pub(super) fn answer(&self, object: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.line(&serde_json::to_string(object).unwrap_or_default());
        } else {
            self.line(&text());
        }
    }

    /// Writes a list: an object with one member `name`, or a table.
    pub(super) fn list<T>(
        &self,
        name: &str,
        items: &[T],
        object: impl Fn(&T) -> Value,
        titles: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) {
        let objects: Vec<_> = items.iter().map(object).collect();
        self.answer(&json!({ name: objects }), || table(titles, items, row));
    }

    /// The progress of a long command, on standard error and only if that is a terminal.
    pub(super) fn progress(&self, length: u64, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
    }

    /// Writes a line to standard output.
    pub(super) fn line(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// A table with titles. Each column is as wide as its widest cell.
pub(super) fn table<T>(titles: &[&str], items: &[T], row: impl Fn(&T) -> Vec<String>) -> String {
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(items.iter().map(row)).collect();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
