//! The text of a configuration file as a table. What is wrong with its form is said by line, and never with the parser's
//! own words, which may repeat what stands there.

use super::Fault;
use serde::Deserialize as _;
use toml::Table;
use toml::de::{DeTable, Deserializer};

/// The table and what is wrong with the text. A key that is given twice keeps its first value, so that the rest is
/// looked at too; a text that is no TOML gives an empty table.
pub(super) fn parse(name: &str, text: &str) -> (Table, Vec<Fault>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    let no_toml = |at: usize| {
        let says = "is no TOML: a line is key = value, text stands between quotes";
        vec![Fault(format!("{name}, line {}: {says}", line(at)))]
    };
    let mut faults = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        match error.message() {
            "duplicate key" => {
                let key = full_key(text, span.start, span.end);
                faults.push(Fault(format!("`{key}` ({name}, line {}): is given twice", line(span.start))));
            }
            _ => return (Table::new(), no_toml(span.start)),
        }
    }
    match Table::deserialize(Deserializer::from(table)) {
        Ok(table) => (table, faults),
        Err(error) => (Table::new(), no_toml(error.span().unwrap_or_default().start)),
    }
}

/// The key whose last part stands there, after the section that it stands in.
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
