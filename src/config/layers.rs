//! Merges the sources: default, profile, file, and single settings of the environment and of credentials.
//!
//! `config/default.toml` is the schema: an unknown key or a value of another type is a fault.

use super::keys::{DEFAULT, Key, built_in};
use super::sources::{Profile, Setting, Sources};
use super::{Fault, file};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// All sources in one table. It has exactly the keys of the default, except in tables with free keys.
pub(super) struct Layers {
    pub(super) table: Table,
    pub(super) default: Table,
    pub(super) faults: Vec<Fault>,
    /// Where the values come from whose faults must say so: values in files, and fields of items.
    pub(super) origins: BTreeMap<String, String>,
}

impl Layers {
    pub(super) fn merge(sources: &Sources) -> Self {
        let (table, default) = (DEFAULT.clone(), DEFAULT.clone());
        let mut layers = Self { table, default, faults: Vec::new(), origins: BTreeMap::new() };
        layers.overlay(built_in(profile_text(sources.profile)), &format!("profile {}", sources.profile));
        if let Some((name, text)) = &sources.file {
            let (table, faults) = file::parse(name, text);
            layers.faults.extend(faults);
            layers.overlay(table, name);
        }
        layers.faults.extend_from_slice(&sources.faults);
        // In the order of keys, and so of items. A later setting by the same variable is one of `Sources::with`.
        let mut settings: BTreeMap<&Key, &Setting> = BTreeMap::new();
        for setting in &sources.settings {
            if let Some(first) = settings.insert(&setting.key, setting).filter(|first| first.origin != setting.origin) {
                let second = setting.origin.strip_prefix("environment ").unwrap_or(&setting.origin);
                layers.faults.push(Fault(format!("`{}` ({} and {second}): is set twice", setting.key, first.origin)));
            }
        }
        for setting in settings.into_values() {
            layers.set(setting);
        }
        layers
    }

    fn overlay(&mut self, over: Table, origin: &str) {
        overlay(&mut self.table, &self.default, over, "", origin, &mut self.faults);
    }

    fn set(&mut self, Setting { key, origin, from_file, text }: &Setting) {
        if *from_file || key.item.is_some() {
            self.origins.insert(key.to_string(), origin.clone());
        }
        let fault = |says: &str| Fault(format!("`{key}` ({origin}): {says}"));
        let Some(default) = key.default() else { return };
        let value = match text {
            Ok(text) if key.is_list_of_tables() && key.item.is_none() && !text.trim().is_empty() => {
                Err("has tables as items, which are set by PORTCULLIS__SMS__FALLBACK__0__BASE_URL and so on".to_owned())
            }
            Ok(text) => typed(default, text).ok_or_else(|| format!("must be {}", type_name(default))),
            Err(says) => Err(says.clone()),
        };
        let Some(held) = self.table.get_mut(&key.section).and_then(|section| section.get_mut(&key.name)) else {
            return;
        };
        let held = match &key.item {
            None => held,
            Some((at, field)) => {
                let Some(items) = held.as_array_mut() else { return };
                if *at == items.len() {
                    items.push(Value::Table(Table::new()));
                }
                let Some(Value::Table(item)) = items.get_mut(*at) else {
                    return self
                        .faults
                        .push(fault("its number is not the next one. Items are numbered 0, 1, 2 and so on"));
                };
                item.entry(field).or_insert_with(|| default.clone())
            }
        };
        match value {
            Ok(value) => *held = value,
            Err(says) => self.faults.push(fault(&says)),
        }
    }
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
    // Line breaks for files with one item a line.
    let items = || text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
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
