//! Parses the text of a configuration file. Syntax errors name the line. They do not contain the parser's message, which may
//! quote a secret.

use super::Fault;
use serde::Deserialize as _;
use toml::Table;
use toml::de::{DeTable, Deserializer};

/// The table and the faults of the text. A duplicate key keeps its first value, so that the rest is checked too. A text
/// that is not TOML gives an empty table.
pub(super) fn parse(name: &str, text: &str) -> (Table, Vec<Fault>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    let not_toml = |at: usize| {
        let says = "is not TOML. Write lines as key = value, and text in quotes";
        vec![Fault(format!("{name}, line {}: {says}", line(at)))]
    };
    let mut faults = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        match error.message() {
            "duplicate key" => {
                let key = full_key(text, span.start, span.end);
                faults.push(Fault(format!("`{key}` ({name}, line {}): is set twice", line(span.start))));
            }
            _ => return (Table::new(), not_toml(span.start)),
        }
    }
    match Table::deserialize(Deserializer::from(table)) {
        Ok(table) => (table, faults),
        Err(error) => (Table::new(), not_toml(error.span().unwrap_or_default().start)),
    }
}

/// The full key, with its section, whose last part is at this position.
fn full_key(text: &str, start: usize, end: usize) -> String {
    let before = text.get(..start).unwrap_or_default();
    let dotted = |c: char| c.is_ascii_alphanumeric() || "_-.\"'".contains(c);
    let begins = before.trim_end_matches(dotted).len();
    let key = text.get(begins..end).unwrap_or_default();
    let (above, line) = before.rsplit_once('\n').unwrap_or(("", before));
    let header = |line: &str| {
        let inner = line.trim().strip_prefix('[')?.split(']').next()?;
        Some(inner.trim_start_matches('[').trim().to_owned())
    };
    if line.trim_start().starts_with('[') {
        return key.to_owned();
    }
    match above.lines().rev().find_map(header) {
        Some(section) => format!("{section}.{key}"),
        None => key.to_owned(),
    }
}
