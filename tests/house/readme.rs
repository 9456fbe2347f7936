//! The README's tables are those of the code.

use super::tree;
use portcullis::http::endpoint::{Content, Endpoint, Group, Need, Parameter};
use portcullis::http::error::Code;
use portcullis::http::shape::Shape;
use portcullis::http::{OPERATIONS, Operation};
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

/// Whoever is called by an alert finds what to do.
#[test]
fn the_runbook_has_every_alert() {
    let read = |name: &str| std::fs::read_to_string(tree::top().join(name)).expect("it is there");
    let (readme, rules) = (read("README.md"), read("config/prometheus/alerts.yml"));
    let runbook = readme.split("### Runbook\n").nth(1).and_then(|rest| rest.split("\n### ").next()).expect("a runbook");
    let row = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let told: BTreeSet<String> = runbook.lines().filter_map(row).collect();
    let held: BTreeSet<String> =
        rules.lines().filter_map(|line| Some(line.trim().strip_prefix("- alert: ")?.to_owned())).collect();
    assert_eq!(told, held, "the README's runbook (left) is not about the alerts (right)");
}

/// Of every call the path, the credential, the parameters and the answer. The failure shows the table as it should be.
#[test]
fn the_table_of_calls_is_that_of_the_declarations() {
    let readme = std::fs::read_to_string(tree::top().join("README.md")).expect("there is a README");
    let told = readme.split("<!-- calls -->\n").nth(1).and_then(|rest| rest.split("<!-- /calls -->").next());
    let mut due = "| call | credential | parameters | |\n| --- | --- | --- | --- |\n".to_owned();
    for group in Group::ALL {
        due.extend(OPERATIONS.iter().filter(|operation| operation.endpoint.group == *group).map(row));
    }
    assert!(told == Some(&due), "the README should have, between <!-- calls --> and <!-- /calls -->:\n{due}");
}

fn row(Operation { route, verb, endpoint }: &Operation) -> String {
    let path = route.pattern().trim_start_matches("/api/v1").replace('{', ":").replace('}', "");
    let (verb, access) = (verb.as_str(), endpoint.access.text());
    format!("| `{verb} {path}` | {access} | {} | {} |\n", parameters(endpoint, &path), outcome(endpoint))
}

fn parameters(endpoint: &Endpoint, path: &str) -> String {
    let sent = || endpoint.parameters.iter().filter(|parameter| !path.contains(&format!(":{}", parameter.name)));
    let name = |parameter: &Parameter| match parameter.need {
        Need::With(other) => format!("`{}` with `{other}`", parameter.name),
        Need::Unless(other) => format!("`{}` unless `{other}`", parameter.name),
        Need::Always | Need::Never => format!("`{}`", parameter.name),
    };
    let list = |optional: bool| {
        let some = sent().filter(|parameter| matches!(parameter.need, Need::Never | Need::With(_)) == optional);
        some.map(name).collect::<Vec<_>>().join(", ")
    };
    match (list(false), list(true)) {
        (required, optional) if optional.is_empty() => required,
        (required, optional) if required.is_empty() => format!("optional {optional}"),
        (required, optional) => format!("{required}; optional {optional}"),
    }
}

fn outcome(endpoint: &Endpoint) -> String {
    match &endpoint.answers[0].content {
        Content::Json(shape) => format!("{} `{}`", endpoint.summary, members(shape)),
        Content::Message(_) | Content::Nothing => endpoint.summary.to_owned(),
    }
}

/// `{id, user_info: {id}}` for an object.
fn members(shape: &Shape) -> String {
    match shape {
        Shape::Nullable(inner) => members(inner),
        Shape::List(inner) => format!("[{}]", members(inner)),
        Shape::Object(object) => {
            let member =
                |name: &str, inner: String| if inner.is_empty() { name.into() } else { format!("{name}: {inner}") };
            let all = object.members.iter().map(|it| member(it.name, members(&it.shape)));
            format!("{{{}}}", all.collect::<Vec<_>>().join(", "))
        }
        _ => String::new(),
    }
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
