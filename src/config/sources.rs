//! Where a configuration comes from: the profile, environment variables and a file.

use super::{ConfigError, Fault};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// The prefix of variables that set a key.
pub(super) const PREFIX: &str = "PORTCULLIS__";

/// The purpose of a server. It decides defaults and which settings are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// For trying out the program on one machine.
    Development,
    /// For load tests.
    Loadtest,
    /// For real users.
    Production,
}

impl Profile {
    /// The value of `PORTCULLIS_PROFILE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Loadtest => "loadtest",
            Self::Production => "production",
        }
    }

    fn parse(text: Option<&str>) -> Result<Self, ConfigError> {
        let all = [Self::Development, Self::Loadtest, Self::Production];
        match text {
            Some("") => Ok(Self::Development),
            text => all.into_iter().find(|profile| text == Some(profile.as_str())).ok_or_else(|| {
                let says = "environment PORTCULLIS_PROFILE: must be development, loadtest or production";
                ConfigError(vec![Fault(says.to_owned())])
            }),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sources of a configuration, in addition to the built-in files.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `PORTCULLIS_PROFILE`.
    pub profile: Profile,
    /// Name and text of the file of `--config`.
    pub file: Option<(String, String)>,
    /// Names `PORTCULLIS__SECTION__KEY` and values of variables.
    pub environment: Vec<(String, String)>,
    /// Faults of the sources. They are reported together with all others.
    pub(super) faults: Vec<Fault>,
}

impl Sources {
    /// Only a profile.
    pub fn of(profile: Profile) -> Self {
        Self { profile, file: None, environment: Vec::new(), faults: Vec::new() }
    }

    /// Adds an environment variable for a key: `("server.bind", "127.0.0.1:0")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        let name = format!("PORTCULLIS__{}", key.to_uppercase().replace('.', "__"));
        self.environment.push((name, value.into()));
        self
    }

    /// Reads the environment of a process and the file of `--config`.
    ///
    /// # Errors
    /// An unknown profile, because all other rules depend on it. [`Config::load`](super::Config::load) reports unknown
    /// variables and a file that cannot be read.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Self::of(Profile::Development);
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            match classify(name, value.to_str()) {
                Variable::Profile => sources.profile = Profile::parse(value.to_str())?,
                Variable::Foreign => {}
                Variable::Key(value) => sources.environment.push((name.to_owned(), value.to_owned())),
                Variable::Invalid(fault) => sources.faults.push(fault),
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

/// What an environment variable is to this program.
enum Variable<'a> {
    /// `PORTCULLIS_PROFILE`.
    Profile,
    /// The value of a configuration key.
    Key(&'a str),
    /// It belongs to another program.
    Foreign,
    /// It begins with our prefix but has no meaning.
    Invalid(Fault),
}

/// Classifies a variable. Its value is `None` if it is not UTF-8.
fn classify<'a>(name: &str, value: Option<&'a str>) -> Variable<'a> {
    let ours = name.get(..10).is_some_and(|begins| begins.eq_ignore_ascii_case("PORTCULLIS"))
        && name.get(10..).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    if !ours || name.starts_with("PORTCULLIS_TEST_") || is_from_kubernetes(name, value.unwrap_or_default()) {
        return Variable::Foreign;
    }
    match value {
        _ if name == "PORTCULLIS_PROFILE" => Variable::Profile,
        None => Variable::Invalid(Fault(format!("environment {name}: is not UTF-8"))),
        Some(value) if name.starts_with(PREFIX) => Variable::Key(value),
        Some(_) => {
            let says = "is not a variable of this program. Keys are written PORTCULLIS__SECTION__KEY, in capitals";
            Variable::Invalid(Fault(format!("environment {name}: {says}")))
        }
    }
}

/// Whether Kubernetes set the variable, for a Service whose name begins with `portcullis`
/// (kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
fn is_from_kubernetes(name: &str, value: &str) -> bool {
    if name.contains("_SERVICE_PORT") || name.ends_with("_SERVICE_HOST") {
        return true;
    }
    let Some((_, port)) = name.split_once("_PORT") else { return false };
    let address = |value: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if port.is_empty() {
        return address(value);
    }
    let mut parts = port.trim_start_matches('_').split('_');
    let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
    number
        && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
        && parts.next().is_none_or(|suffix| ["PROTO", "PORT", "ADDR"].contains(&suffix))
}
