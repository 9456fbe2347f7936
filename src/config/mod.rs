//! The configuration: merged from several sources, parsed into one struct per section, and checked.
//!
//! ```text
//! config/default.toml < config/{profile}.toml < the file of --config < one of
//!     PORTCULLIS__SECTION__KEY             the value
//!     PORTCULLIS__SECTION__KEY_FILE        the path of a file with the value
//!     portcullis.section.key               the same as a credential of systemd
//! ```
//!
//! A key that is set by two of the last three is a fault: nobody could see which one counts. The items of `sms.fallback`
//! are set one field at a time: `PORTCULLIS__SMS__FALLBACK__0__AUTH_TOKEN_FILE`.
//!
//! | file | holds |
//! | --- | --- |
//! | `sources.rs` | the profile, and which environment variables and credentials belong to this program |
//! | `keys.rs`, `secret_files.rs` | which key a name means, and values in files of their own |
//! | `file.rs`, `layers.rs` | syntax of a file, and how the sources are merged |
//! | `deserialize.rs` | from a table to a struct, with errors that show no value |
//! | `sections.rs`, `values.rs` | one struct per section, and the types of their values |
//! | `check.rs`, `urls.rs` | the rules that values must obey |
//!
//! All faults are reported, one line each, with the key but never with the value, which may be a secret.

mod check;
mod deserialize;
mod file;
mod keys;
mod layers;
mod secret_files;
#[cfg(test)]
mod secret_tests;
mod sections;
mod sources;
#[cfg(test)]
mod tests;
mod urls;
mod values;

pub use sections::{
    AdminConfig, CompatConfig, DatabaseConfig, LogConfig, MailConfig, MailTransport, Migrate, OtlpConfig, RedisConfig,
    SandboxConfig, SecretsConfig, ServerConfig, SmsConfig, SmsProvider, SmsTransport,
};
pub use sources::{Profile, Sources};
pub use values::{PublicUrl, Secret, SecretKey, SecretUrl};

use deserialize::ValueDeserializer;
use layers::Layers;
use portcullis_actors::account::PasswordPolicy;
use portcullis_actors::hashing::HashingPolicy;
use portcullis_actors::limits::{PasswordLimits, PhonePolicy, ResetPolicy};
use portcullis_actors::notifier::DeliveryPolicy;
use portcullis_actors::session::SessionPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// One line that says what is wrong with the configuration and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault(pub String);

impl Fault {
    /// The section of the fault. `None` if it concerns a source as a whole or an unknown section.
    fn section(&self, known: &Table) -> Option<&str> {
        let key = self.0.strip_prefix('`')?.split('`').next()?;
        key.split('.').next().filter(|section| known.contains_key(*section))
    }

    /// The same with the origin of the value, if it is one of these and is not told yet: that of the key, of the list that it
    /// is in, or of a field of the item.
    fn with_origin(self, origins: &BTreeMap<String, String>) -> Self {
        let Some((key, says)) = self.0.strip_prefix('`').and_then(|rest| rest.split_once("`: ")) else { return self };
        let list = key.split('[').next().unwrap_or_default();
        let field = || origins.iter().find(|(held, _)| key.ends_with(']') && held.starts_with(key));
        let origin = origins.get(key).or_else(|| origins.get(list)).or_else(|| Some(field()?.1));
        origin.map(|origin| Self(format!("`{key}` ({origin}): {says}"))).unwrap_or(self)
    }
}

/// All faults of the configuration, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|fault| fault.0.as_str()).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Fault>);

/// The whole configuration. `Debug` and `Serialize` show no secret.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    pub profile: Profile,
    pub server: ServerConfig,
    pub admin: AdminConfig,
    pub database: DatabaseConfig,
    pub redis: RedisConfig,
    pub secrets: SecretsConfig,
    pub mail: MailConfig,
    pub sms: SmsConfig,
    pub hashing: HashingPolicy,
    pub sessions: SessionPolicy,
    pub phone_codes: PhonePolicy,
    pub resets: ResetPolicy,
    pub passwords: PasswordPolicy,
    pub delivery: DeliveryPolicy,
    pub limits: PasswordLimits,
    pub sandbox: SandboxConfig,
    pub compat: CompatConfig,
    pub log: LogConfig,
    pub otlp: OtlpConfig,
}

impl Config {
    /// Merges the sources, parses and checks them.
    ///
    /// # Errors
    /// All faults at once: unknown keys, wrong types, invalid values, and values that the profile does not allow.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::load_sections(sources, |_| true)
    }

    /// The same for a command that uses only some sections. Faults of other sections are ignored, and their unreadable
    /// keys have default values.
    ///
    /// # Errors
    /// All faults of the used sections and of the sources as a whole.
    pub fn load_sections(sources: &Sources, used: impl Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let mut layers = Layers::merge(sources);
        let config = Self {
            profile: sources.profile,
            server: section(&mut layers, "server"),
            admin: section(&mut layers, "admin"),
            database: section(&mut layers, "database"),
            redis: section(&mut layers, "redis"),
            secrets: section(&mut layers, "secrets"),
            mail: section(&mut layers, "mail"),
            sms: section(&mut layers, "sms"),
            hashing: section(&mut layers, "hashing"),
            sessions: section(&mut layers, "sessions"),
            phone_codes: section(&mut layers, "phone_codes"),
            resets: section(&mut layers, "resets"),
            passwords: section(&mut layers, "passwords"),
            delivery: section(&mut layers, "delivery"),
            limits: section(&mut layers, "limits"),
            sandbox: section(&mut layers, "sandbox"),
            compat: section(&mut layers, "compat"),
            log: section(&mut layers, "log"),
            otlp: section(&mut layers, "otlp"),
        };
        let Layers { default, mut faults, origins, .. } = layers;
        check::check(&config, &mut faults);
        faults.retain(|fault| fault.section(&default).is_none_or(&used));
        let faults: Vec<_> = faults.into_iter().map(|fault| fault.with_origin(&origins)).collect();
        if faults.is_empty() { Ok(config) } else { Err(ConfigError(faults)) }
    }

    /// The file of the embedded token store: that of the SQLite database, or a separate one if SQL is PostgreSQL.
    pub fn token_file(&self) -> PathBuf {
        self.database.file().unwrap_or_else(|| self.data_folder().join("tokens.db"))
    }

    /// The folder for additional files: that of the SQLite file, or `data`.
    pub fn data_folder(&self) -> PathBuf {
        let file = self.database.file();
        file.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("data"), Path::to_owned)
    }
}

/// Parses a section. A key that cannot be parsed is a fault and gets its default, so that all faults are found.
#[expect(clippy::expect_used, reason = "a test parses a section in which every key has its default")]
fn section<T: DeserializeOwned>(layers: &mut Layers, name: &str) -> T {
    let default = layers.default.get(name).and_then(Value::as_table).expect("the default has every section");
    let mut section = layers.table.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    for _ in 0..=default.len() {
        let error = match serde_path_to_error::deserialize(ValueDeserializer(Value::Table(section.clone()))) {
            Ok(parsed) => return parsed,
            Err(error) => error,
        };
        let path = error.path().to_string();
        let key = path.split(['.', '[']).next().unwrap_or_default();
        // The operator chooses the keys of an open table, so they are not shown.
        let open = default.get(key).and_then(Value::as_table).is_some();
        let shown = if open { key } else { &path };
        layers.faults.push(Fault(format!("`{name}.{shown}`: {}", error.inner())));
        section.insert(key.to_owned(), default.get(key).expect("the default has every key").clone());
    }
    panic!("the default of {name} does not parse");
}
