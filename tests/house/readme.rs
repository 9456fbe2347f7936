//! The README's tables are those of the code.

use super::tree;
use portcullis::http::error::Code;
use std::collections::BTreeSet;

#[test]
fn the_error_table_is_that_of_the_code() {
    let readme = std::fs::read_to_string(tree::top().join("README.md")).expect("there is a README");
    let told: BTreeSet<(u16, String)> = readme.lines().flat_map(codes_of_row).collect();
    let held: BTreeSet<(u16, String)> =
        Code::ALL.iter().map(|code| (code.status().as_u16(), code.as_str().to_owned())).collect();
    assert_eq!(told, held, "the README's error table (left) is not that of the code (right)");
}

/// Of a row like ``| 403 | `forbidden`, `insufficient_scope` | … |`` the codes in its second cell.
fn codes_of_row(line: &str) -> Vec<(u16, String)> {
    let mut cells = line.trim().trim_start_matches('|').split('|').map(str::trim);
    let Some(status) = cells.next().and_then(|cell| cell.trim_matches('`').parse().ok()) else { return Vec::new() };
    let codes = cells.next().unwrap_or_default().split('`').skip(1).step_by(2);
    codes.map(|code| (status, code.to_owned())).collect()
}

#[test]
fn the_sections_of_the_configuration_are_all_told() {
    let readme = std::fs::read_to_string(tree::top().join("README.md")).expect("there is a README");
    let default = std::fs::read_to_string(tree::top().join("config/default.toml")).expect("there is one");
    for section in default.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')) {
        assert!(readme.contains(&format!("{section}.")), "the README does not tell of {section}.*");
    }
}

#[test]
fn every_default_has_its_reason() {
    let default = std::fs::read_to_string(tree::top().join("config/default.toml")).expect("there is one");
    let mut explained = false;
    for line in default.lines() {
        match line.trim() {
            "" => explained = false,
            line if line.starts_with('#') => explained = true,
            line if line.starts_with('[') => explained = false,
            line => assert!(explained, "{line} stands there without a reason"),
        }
    }
}
