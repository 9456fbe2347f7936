//! Where a configuration comes from: the profile, environment variables, credentials of systemd and a file.

use super::keys::Key;
use super::{ConfigError, Fault, secret_files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// The prefix of variables that set a key.
const PREFIX: &str = "PORTCULLIS__";
/// The prefix of credentials that set a key, so that `ImportCredential=portcullis.*` selects them.
const CREDENTIAL: &str = "portcullis.";
/// The variable with the folder of credentials (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

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

/// The sources of a configuration, in addition to the built-in files. It has no `Debug`: values are secrets.
#[derive(Clone)]
pub struct Sources {
    /// `PORTCULLIS_PROFILE`.
    pub profile: Profile,
    /// Name and text of the file of `--config`.
    pub file: Option<(String, String)>,
    /// What variables and credentials set, those of the environment first.
    pub(super) settings: Vec<Setting>,
    /// Faults of the sources. They are reported together with all others.
    pub(super) faults: Vec<Fault>,
}

/// One key that is set.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) key: Key,
    /// `environment NAME` or `credential NAME`.
    pub(super) origin: String,
    /// Whether the value is in a file of its own.
    pub(super) from_file: bool,
    /// The value, or what is wrong with its file.
    pub(super) text: Result<String, String>,
}

impl Sources {
    /// Only a profile.
    pub fn of(profile: Profile) -> Self {
        Self { profile, file: None, settings: Vec::new(), faults: Vec::new() }
    }

    /// Adds an environment variable for a key: `("server.bind", "127.0.0.1:0")`, or for a file:
    /// `("redis.url_file", "/run/secrets/redis")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.add_variable(&format!("{PREFIX}{}", key.to_uppercase().replace('.', "__")), value.as_ref());
        self
    }

    /// `PORTCULLIS__SERVER__BIND` is `server.bind`. With `_FILE` behind the name of a key, the value is the path of a file
    /// with the value.
    fn add_variable(&mut self, name: &str, value: &str) {
        let dotted = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase().replace("__", ".");
        let direct = || Some((Key::parse(&dotted)?, false, Ok(value.to_owned())));
        let by_file = || Some((Key::parse(dotted.strip_suffix("_file")?)?, true, secret_files::read(value.as_ref())));
        let origin = format!("environment {name}");
        match direct().or_else(by_file) {
            Some((key, from_file, text)) => self.settings.push(Setting { key, origin, from_file, text }),
            None => self.faults.push(Fault(format!("`{dotted}` ({origin}): unknown key"))),
        }
    }

    /// Adds every credential `portcullis.section.key`. Other files of the folder are not settings; one may be the file of
    /// `--config`, `portcullis.toml`.
    fn add_credentials(&mut self, folder: &Path) {
        let files = match secret_files::list(folder) {
            Ok(files) => files,
            Err(error) => {
                let says = format!("environment {CREDENTIALS}: {folder:?} cannot be read ({})", error.kind());
                return self.faults.push(Fault(says));
            }
        };
        for (name, path) in files {
            let Some(dotted) = name.strip_prefix(CREDENTIAL).filter(|rest| rest.contains('.')) else { continue };
            let origin = format!("credential {}", name.escape_debug());
            match Key::parse(dotted) {
                Some(key) => {
                    let text = secret_files::read(&path);
                    self.settings.push(Setting { key, origin, from_file: true, text });
                }
                None => self.faults.push(Fault(format!("`{}` ({origin}): unknown key", dotted.escape_debug()))),
            }
        }
    }

    /// Reads the environment of a process, the files and credentials that it names, and the file of `--config`.
    ///
    /// # Errors
    /// An unknown profile, because all other rules depend on it. [`Config::load`](super::Config::load) reports unknown
    /// variables and a file that cannot be read.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Self::of(Profile::Development);
        let mut credentials = None;
        // Sorted, so that the same environment has the same faults.
        let variables: BTreeMap<OsString, OsString> = variables.into_iter().collect();
        for (name, value) in &variables {
            let Some(name) = name.to_str() else { continue };
            match classify(name, value.to_str()) {
                Variable::Profile => sources.profile = Profile::parse(value.to_str())?,
                Variable::Credentials => credentials = Some(Path::new(value)),
                Variable::Foreign => {}
                Variable::Key(value) => sources.add_variable(name, value),
                Variable::Invalid(fault) => sources.faults.push(fault),
            }
        }
        if let Some(folder) = credentials {
            sources.add_credentials(folder);
        }
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
    /// The folder of credentials.
    Credentials,
    /// The value of a configuration key.
    Key(&'a str),
    /// It belongs to another program.
    Foreign,
    /// It begins with our prefix but has no meaning.
    Invalid(Fault),
}

/// Classifies a variable. Its value is `None` if it is not UTF-8.
fn classify<'a>(name: &str, value: Option<&'a str>) -> Variable<'a> {
    if name == CREDENTIALS && value != Some("") {
        return Variable::Credentials;
    }
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
