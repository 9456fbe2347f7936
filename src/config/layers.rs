//! Merges the sources: default, profile, file, environment.
//!
//! `config/default.toml` is the schema: an unknown key or a value of another type is a fault.

use super::sources::{PREFIX, Profile, Sources};
use super::{Fault, file};
use std::collections::BTreeMap;
use toml::{Table, Value};

const DEFAULT: &str = include_str!("../../config/default.toml");

/// All sources in one table. It has exactly the keys of the default, except in tables with free keys.
pub(super) struct Layers {
    pub(super) table: Table,
    pub(super) default: Table,
    pub(super) faults: Vec<Fault>,
}

impl Layers {
    pub(super) fn merge(sources: &Sources) -> Self {
        let default = built_in(DEFAULT);
        let mut layers = Self { table: default.clone(), default, faults: sources.faults.clone() };
        layers.overlay(built_in(profile_text(sources.profile)), &format!("profile {}", sources.profile));
        if let Some((name, text)) = &sources.file {
            let (table, faults) = file::parse(name, text);
            layers.faults.extend(faults);
            layers.overlay(table, name);
        }
        let mut set: BTreeMap<String, &str> = BTreeMap::new();
        for (name, value) in &sources.environment {
            let key = key_of(name);
            match set.insert(key.clone(), name) {
                Some(first) if first != name => {
                    layers.faults.push(Fault(format!("`{key}` (environment {first} and {name}): is set twice")));
                }
                _ => layers.set(&key, name, value),
            }
        }
        layers
    }

    fn overlay(&mut self, over: Table, origin: &str) {
        overlay(&mut self.table, &self.default, over, "", origin, &mut self.faults);
    }

    /// Sets the key that an environment variable names.
    fn set(&mut self, key: &str, name: &str, text: &str) {
        let (section, rest) = key.split_once('.').unwrap_or((key, ""));
        let held = self.table.get_mut(section).and_then(|section| section.get_mut(rest));
        let default = self.default.get(section).and_then(|section| section.get(rest));
        let (Some(held), Some(default)) = (held, default) else {
            return self.faults.push(Fault(format!("`{key}` (environment {name}): unknown key")));
        };
        match typed(default, text) {
            Some(value) => *held = value,
            None => {
                let wanted = type_name(default);
                self.faults.push(Fault(format!("`{key}` (environment {name}): must be {wanted}")));
            }
        }
    }
}

/// `PORTCULLIS__SERVER__BIND` is `server.bind`.
fn key_of(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase().replace("__", ".")
}

#[expect(clippy::expect_used, reason = "compiled in, and parsed by a test")]
fn built_in(text: &str) -> Table {
    text.parse().expect("the built-in configuration is TOML")
}

fn profile_text(profile: Profile) -> &'static str {
    match profile {
        Profile::Development => include_str!("../../config/development.toml"),
        Profile::Loadtest => include_str!("../../config/loadtest.toml"),
        Profile::Production => include_str!("../../config/production.toml"),
    }
}

/// Writes the values of `over` into `base`. A table that is empty in the default is open: operators choose its keys.
fn overlay(base: &mut Table, default: &Table, over: Table, path: &str, origin: &str, faults: &mut Vec<Fault>) {
    for (name, value) in over {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (base.get_mut(&name), default.get(&name), value) {
            (Some(Value::Table(inner)), Some(Value::Table(default)), Value::Table(value)) if !default.is_empty() => {
                overlay(inner, default, value, &key, origin, faults);
            }
            (Some(held), Some(_), value) if held.same_type(&value) => *held = value,
            (Some(held), Some(_), value) => {
                let (wanted, got) = (type_name(held), type_name(&value));
                faults.push(Fault(format!("`{key}` ({origin}): must be {wanted}, not {got}")));
            }
            _ => faults.push(Fault(format!("`{key}` ({origin}): unknown key"))),
        }
    }
}

/// Parses `text` as a value of the same type as `like`.
fn typed(like: &Value, text: &str) -> Option<Value> {
    let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    match like {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().replace('_', "").parse().ok().map(Value::Integer),
        Value::Float(_) => text.trim().parse().ok().map(Value::Float),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(held) => {
            let like = held.first().cloned().unwrap_or_else(|| Value::String(String::new()));
            items().map(|item| typed(&like, item)).collect::<Option<_>>().map(Value::Array)
        }
        Value::Table(_) => items()
            .map(|item| {
                let (name, value) = item.split_once('=')?;
                Some((name.trim().to_owned(), Value::String(value.trim().to_owned())))
            })
            .collect::<Option<_>>()
            .map(Value::Table),
        Value::Datetime(_) => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
