//! Which variables of the environment are ours, which belong to somebody else, and which are a slip of the pen.

use super::layers::PREFIX;
use super::{ConfigError, Fault, Profile};

/// What a variable is to us.
pub(super) enum Kind<'a> {
    /// `PORTCULLIS_PROFILE`.
    Profile,
    /// A key of the configuration, and its value.
    Key(&'a str),
    /// Not ours.
    Foreign,
    /// Meant for us, and no key.
    Wrong(Fault),
}

/// What the variable is; its value is `None` if it is not UTF-8.
pub(super) fn kind<'a>(name: &str, value: Option<&'a str>) -> Kind<'a> {
    let ours = name.get(..10).is_some_and(|begins| begins.eq_ignore_ascii_case("PORTCULLIS"))
        && name.get(10..).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    if !ours || name.starts_with("PORTCULLIS_TEST_") || is_of_kubernetes(name, value.unwrap_or_default()) {
        return Kind::Foreign;
    }
    match value {
        _ if name == "PORTCULLIS_PROFILE" => Kind::Profile,
        None => Kind::Wrong(Fault(format!("environment {name}: is not UTF-8"))),
        Some(value) if name.starts_with(PREFIX) => Kind::Key(value),
        Some(_) => {
            let says = "is no variable of this program; a key is written PORTCULLIS__SECTION__KEY, in capitals";
            Kind::Wrong(Fault(format!("environment {name}: {says}")))
        }
    }
}

/// The profile that `PORTCULLIS_PROFILE` names.
pub(super) fn profile(value: Option<&str>) -> Result<Profile, ConfigError> {
    match value {
        Some("development" | "") => Ok(Profile::Development),
        Some("loadtest") => Ok(Profile::Loadtest),
        Some("production") => Ok(Profile::Production),
        _ => {
            let says = "environment PORTCULLIS_PROFILE: is none of development, loadtest, production";
            Err(ConfigError(vec![Fault(says.to_owned())]))
        }
    }
}

/// What Kubernetes tells every container about a Service whose name begins with ours
/// (kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
fn is_of_kubernetes(name: &str, value: &str) -> bool {
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
        && parts.next().is_none_or(|what| ["PROTO", "PORT", "ADDR"].contains(&what))
}
