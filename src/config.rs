//! The configuration: layered, parsed into one struct a section, checked as a whole. No global, nothing is started.
//!
//! ```text
//! config/default.toml < config/{profile}.toml < the file of --config < PORTCULLIS__SECTION__KEY
//! ```
//!
//! Every fault is reported, one line each, by the name of its key and never with its value: values may be secrets.

mod check;
mod file;
mod layers;
mod reading;
mod sections;
#[cfg(test)]
mod tests;
mod urls;
mod values;
mod variables;

pub use sections::{
    CompatConfig, DatabaseConfig, LogConfig, MailConfig, MailTransport, RedisConfig, SandboxConfig, SecretsConfig,
    ServerConfig, SmsConfig, SmsProvider, SmsTransport,
};
pub use values::{PublicUrl, Secret, SecretKey, SecretUrl};

use layers::Layers;
use portcullis_actors::account::PasswordPolicy;
use portcullis_actors::hashing::HashingPolicy;
use portcullis_actors::limits::{PasswordLimits, PhonePolicy, ResetPolicy};
use portcullis_actors::notifier::DeliveryPolicy;
use portcullis_actors::session::SessionPolicy;
use reading::Held;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use variables::Kind;

/// What a server is for; decides what it may do without being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Trying it out on one machine.
    Development,
    /// Measuring it.
    Loadtest,
    /// Serving people.
    Production,
}

impl Profile {
    /// As the environment writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Loadtest => "loadtest",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line that says what is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault(pub String);

impl Fault {
    /// The section that it is about; `None` if it is about the sources or a section that there is not.
    fn section(&self, known: &Table) -> Option<&str> {
        let key = self.0.strip_prefix('`')?.split('`').next()?;
        key.split('.').next().filter(|section| known.contains_key(*section))
    }
}

/// All that is wrong with the configuration; one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|fault| fault.0.as_str()).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Fault>);

/// Where a configuration comes from, besides what is compiled in.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The profile.
    pub profile: Profile,
    /// The name and the text of a file.
    pub file: Option<(String, String)>,
    /// Variables named `PORTCULLIS__SECTION__KEY`, and their values.
    pub environment: Vec<(String, String)>,
    /// What was wrong with the sources themselves; found together with all else.
    faults: Vec<Fault>,
}

impl Sources {
    /// A profile and nothing else.
    pub fn of(profile: Profile) -> Self {
        Self { profile, file: None, environment: Vec::new(), faults: Vec::new() }
    }

    /// Adds what an environment variable would set: `("server.bind", "127.0.0.1:0")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        let name = format!("PORTCULLIS__{}", key.to_uppercase().replace('.', "__"));
        self.environment.push((name, value.into()));
        self
    }

    /// From a process's environment and the file of `--config`.
    ///
    /// # Errors
    /// When the profile is none: what else would be wrong depends on it. Unknown variables and a file that cannot be
    /// read are told by [`Config::load`].
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Self::of(Profile::Development);
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            match variables::kind(name, value.to_str()) {
                Kind::Profile => sources.profile = variables::profile(value.to_str())?,
                Kind::Foreign => {}
                Kind::Key(value) => sources.environment.push((name.to_owned(), value.to_owned())),
                Kind::Wrong(fault) => sources.faults.push(fault),
            }
        }
        sources.environment.sort();
        sources.faults.sort();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => sources.file = Some((path.display().to_string(), text)),
                Err(error) => {
                    sources.faults.push(Fault(format!("{}: cannot be read ({})", path.display(), error.kind())))
                }
            }
        }
        Ok(sources)
    }
}

/// The whole configuration. `Debug` and `Serialize` show no secret.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// What the server is for.
    pub profile: Profile,
    /// `server.*`
    pub server: ServerConfig,
    /// `database.*`
    pub database: DatabaseConfig,
    /// `redis.*`
    pub redis: RedisConfig,
    /// `secrets.*`
    pub secrets: SecretsConfig,
    /// `mail.*`
    pub mail: MailConfig,
    /// `sms.*`
    pub sms: SmsConfig,
    /// `hashing.*`
    pub hashing: HashingPolicy,
    /// `sessions.*`
    pub sessions: SessionPolicy,
    /// `phone_codes.*`
    pub phone_codes: PhonePolicy,
    /// `resets.*`
    pub resets: ResetPolicy,
    /// `passwords.*`
    pub passwords: PasswordPolicy,
    /// `delivery.*`
    pub delivery: DeliveryPolicy,
    /// `limits.*`
    pub limits: PasswordLimits,
    /// `sandbox.*`
    pub sandbox: SandboxConfig,
    /// `compat.*`
    pub compat: CompatConfig,
    /// `log.*`
    pub log: LogConfig,
}

impl Config {
    /// Lays the sources over each other, parses and checks.
    ///
    /// # Errors
    /// All faults at once: unknown keys, wrong types, values that cannot be, and what the profile does not allow.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::load_sections(sources, |_| true)
    }

    /// The same for a command that uses these sections and no others: what is wrong with the others is no matter, and
    /// they hold defaults where they could not be read.
    ///
    /// # Errors
    /// All faults of these sections, and of the sources as such.
    pub fn load_sections(sources: &Sources, used: impl Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let mut layers = Layers::merge(sources);
        let config = Self {
            profile: sources.profile,
            server: section(&mut layers, "server"),
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
        };
        let (sections, mut faults) = (layers.default, layers.faults);
        check::whole(&config, &mut faults);
        faults.retain(|fault| fault.section(&sections).is_none_or(&used));
        if faults.is_empty() { Ok(config) } else { Err(ConfigError(faults)) }
    }

    /// The file of the embedded token store: the database's, or one of its own beside PostgreSQL.
    pub fn token_file(&self) -> PathBuf {
        self.database.file().unwrap_or_else(|| self.data_folder().join("tokens.db"))
    }

    /// Where files beside the database go: the folder of the SQLite file, or `data`.
    pub fn data_folder(&self) -> PathBuf {
        let file = self.database.file();
        file.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("data"), Path::to_owned)
    }
}

/// Parses a section. A key that cannot be parsed is a fault and takes its default, so that the others are seen too.
#[expect(clippy::expect_used, reason = "with a default in every key the section parses, which a test shows")]
fn section<T: DeserializeOwned>(layers: &mut Layers, name: &str) -> T {
    let default = layers.default.get(name).and_then(Value::as_table).expect("every section stands in the default");
    let mut section = layers.table.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    for _ in 0..=default.len() {
        let error = match serde_path_to_error::deserialize(Held(Value::Table(section.clone()))) {
            Ok(parsed) => return parsed,
            Err(error) => error,
        };
        let path = error.path().to_string();
        let key = path.split(['.', '[']).next().unwrap_or_default();
        // The keys of an open table are the operator's own, and no names of ours.
        let open = default.get(key).and_then(Value::as_table).is_some();
        let shown = if open { key } else { &path };
        layers.faults.push(Fault(format!("`{name}.{shown}`: {}", error.inner())));
        section.insert(key.to_owned(), default.get(key).expect("a key that was parsed is in the default").clone());
    }
    panic!("the default of {name} does not parse");
}
