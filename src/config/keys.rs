//! The keys that can be set one by one, with the type of each: those of `config/default.toml`, and the fields of the
//! items of `sms.fallback`.

use super::sections::SmsProvider;
use std::fmt;
use std::sync::LazyLock;
use toml::{Table, Value};

/// The schema: every key has its default here.
pub(super) static DEFAULT: LazyLock<Table> = LazyLock::new(|| built_in(include_str!("../../config/default.toml")));

/// An item of `sms.fallback`. All its fields are texts.
#[expect(clippy::expect_used, reason = "a struct of texts is a table")]
static FALLBACK: LazyLock<Table> =
    LazyLock::new(|| Table::try_from(SmsProvider::default()).expect("a struct is a table"));

/// A key that exists: `section.name`, or `sms.fallback[0].from`. An order by this type is that of the items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) section: String,
    pub(super) name: String,
    /// Which item of a list of tables, from 0, and which field of it.
    pub(super) item: Option<(usize, String)>,
}

impl Key {
    /// Parses `section.name` or `sms.fallback.0.from`. `None` if there is no such key.
    pub(super) fn parse(dotted: &str) -> Option<Self> {
        let parts: Vec<&str> = dotted.split('.').collect();
        let key = |section: &str, name: &str, item| Self { section: section.to_owned(), name: name.to_owned(), item };
        let key = match parts[..] {
            [section, name] => key(section, name, None),
            [section, name, at, field] => key(section, name, Some((at.parse().ok()?, field.to_owned()))),
            _ => return None,
        };
        key.default().is_some().then_some(key)
    }

    /// Its default, which shows its type.
    pub(super) fn default(&self) -> Option<&'static Value> {
        match &self.item {
            None => DEFAULT.get(&self.section)?.get(&self.name),
            Some((_, field)) if self.is_list_of_tables() => FALLBACK.get(field),
            Some(_) => None,
        }
    }

    /// Whether its items are tables, whose fields are keys of their own.
    pub(super) fn is_list_of_tables(&self) -> bool {
        (self.section.as_str(), self.name.as_str()) == ("sms", "fallback")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)?;
        match &self.item {
            Some((at, field)) => write!(f, "[{at}].{field}"),
            None => Ok(()),
        }
    }
}

/// Parses a file of `config/`.
#[expect(clippy::expect_used, reason = "compiled in, and parsed by a test")]
pub(super) fn built_in(text: &str) -> Table {
    text.parse().expect("the built-in configuration is TOML")
}
