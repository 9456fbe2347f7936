//! Rules for the URLs of databases, Redis, SMTP servers and HTTP APIs. Nothing is connected. No text contains the URL,
//! which may have a password.

use percent_encoding::percent_decode_str;
use portcullis_actors::stores::each_server;
use portcullis_actors::transports;
use std::net::Ipv4Addr;
use url::{ParseError, Url};

/// A parameter of a URL and its valid values. An empty list accepts any value.
type Parameter = (&'static str, &'static [&'static str]);

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The PostgreSQL parameters of sqlx. It ignores all others and logs their values.
const POSTGRES: [Parameter; 19] = [
    ("sslmode", &SSL_MODES),
    ("ssl-mode", &SSL_MODES),
    ("sslrootcert", &[]),
    ("ssl-root-cert", &[]),
    ("ssl-ca", &[]),
    ("sslcert", &[]),
    ("ssl-cert", &[]),
    ("sslkey", &[]),
    ("ssl-key", &[]),
    ("host", &[]),
    ("hostaddr", &[]),
    ("port", &[]),
    ("dbname", &[]),
    ("user", &[]),
    ("password", &[]),
    ("application_name", &[]),
    ("options", &[]),
    ("statement-cache-capacity", &[]),
    ("options[…]", &[]),
];
const REDIS: [Parameter; 1] = [("protocol", &["2", "3", "resp2", "resp3"])];
const SMTP: [Parameter; 1] = [("tls", &["required", "opportunistic"])];

/// Why this is not a valid URL of a database: a sentence whose subject is the key.
pub(super) fn database_fault(text: &str) -> Option<String> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let file = path.split('?').next().unwrap_or_default();
        let memory = file.is_empty() || file.contains(":memory:") || path.contains("mode=memory");
        return memory.then(|| "must name a file: a database in memory loses all accounts".to_owned());
    }
    let servers = each_server(text);
    servers.iter().find_map(|server| server_fault(server, servers.len() > 1))
}

/// The same for one server of PostgreSQL, which may be one of several.
fn server_fault(text: &str, several: bool) -> Option<String> {
    let example = "postgres://user:password@host:5432/name, or sqlite://path/to/file.db";
    let url = match parsed(text, &["postgres", "postgresql"], example) {
        Ok(url) => url,
        Err(says) => return Some(says),
    };
    // A single host may be empty. Each may be the folder of a socket.
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let socket = host.starts_with("%2f") || (host.is_empty() && !several);
    host_fault(&url, socket).or_else(|| parameter_fault(&url, &POSTGRES)).or_else(|| {
        let values = |key: &'static str| url.query_pairs().filter(move |(name, _)| name == key).map(|(_, value)| value);
        if !values("port").all(|value| is_port(&value)) {
            Some("must have a port from 1 to 65535".to_owned())
        } else if several && ["host", "hostaddr", "port"].iter().any(|key| values(key).next().is_some()) {
            Some("must not have host, hostaddr or port as a parameter beside several hosts".to_owned())
        } else if url.path().contains("://") {
            Some("must be one URL: several hosts are written postgres://user:password@one,two/name".to_owned())
        } else {
            None
        }
    })
}

/// Why this is not a valid URL of Redis.
pub(super) fn redis_fault(text: &str) -> Option<String> {
    let url = match parsed(text, &["redis", "rediss"], "redis://user:password@host:6379/0, or rediss:// for TLS") {
        Ok(url) => url,
        Err(says) => return Some(says),
    };
    host_fault(&url, false).or_else(|| parameter_fault(&url, &REDIS)).or_else(|| {
        let number = url.path().trim_start_matches('/');
        let is_number = number.is_empty() || number.parse::<u16>().is_ok();
        let says = "must have a path that is empty or the number of a database: redis://host:6379/0";
        (!is_number).then(|| says.to_owned())
    })
}

/// Why this is not a valid URL of a sentinel. It names the port, because a URL without one means that of Redis.
pub(super) fn sentinel_fault(text: &str) -> Option<String> {
    let has_port = Url::parse(text).is_ok_and(|url| url.port().is_some());
    let port = (!has_port).then(|| "must have a port, usually 26379".to_owned());
    redis_fault(text).or(port).or_else(|| number_fault(text))
}

/// Why this is not a valid URL of a node of a cluster.
pub(super) fn cluster_fault(text: &str) -> Option<String> {
    redis_fault(text).or_else(|| number_fault(text))
}

/// Sentinels have no numbered databases, and a cluster has only the first one.
fn number_fault(text: &str) -> Option<String> {
    let numbered = Url::parse(text).is_ok_and(|url| !matches!(url.path(), "" | "/" | "/0"));
    numbered.then(|| "must have no number of a database: redis://user:password@host:port".to_owned())
}

/// Why this is not a valid URL of an SMTP server.
pub(super) fn smtp_fault(text: &str) -> Option<String> {
    let example = "smtps://user:password@host, or smtp://user:password@host:587?tls=required";
    let url = match parsed(text, &["smtp", "smtps"], example) {
        Ok(url) => url,
        Err(says) => return Some(says),
    };
    host_fault(&url, false).or_else(|| parameter_fault(&url, &SMTP)).or_else(|| {
        let name = url.path().trim_matches('/');
        let (user, password) = (url.username(), url.password());
        if user.is_empty() != password.is_none_or(str::is_empty) {
            Some("must have both user and password, or neither".to_owned())
        } else if ![user, password.unwrap_or_default()].iter().all(|part| is_encoded(part)) {
            Some("must have a percent-encoded user and password in UTF-8 (% is %25)".to_owned())
        } else if !name.is_empty() && !is_host(name) {
            Some("must have a path that is empty or a host name, which is sent as EHLO name".to_owned())
        } else {
            None
        }
    })
}

/// Why this is not a valid URL of an HTTP API.
pub(super) fn api_fault(text: &str) -> Option<String> {
    http_fault(text, "https://api.example.com", "account_sid and auth_token")
}

/// Why this is not a valid URL of an OpenTelemetry collector.
pub(super) fn collector_fault(text: &str) -> Option<String> {
    let appended = text.trim_end_matches('/').ends_with("/v1/traces");
    let says = || "must not end with /v1/traces, which is appended".to_owned();
    http_fault(text, "http://localhost:4318", "otlp.headers").or_else(|| appended.then(says))
}

fn http_fault(text: &str, example: &str, instead_of_login: &str) -> Option<String> {
    let url = match parsed(text, &["http", "https"], example) {
        Ok(url) => url,
        Err(says) => return Some(says),
    };
    let plain = url.username().is_empty() && url.password().is_none();
    let login = (!plain).then(|| format!("must not have a user or password: use {instead_of_login}"));
    host_fault(&url, false).or(login).or_else(|| parameter_fault(&url, &[]))
}

/// Why this URL needs permission to be used without TLS.
pub(super) fn plaintext_fault(text: &str, allowed: bool) -> Option<String> {
    Url::parse(text).ok().and_then(|url| transports::plaintext_fault(&url, allowed)).map(str::to_owned)
}

fn parsed(text: &str, schemes: &[&str], example: &str) -> Result<Url, String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not have spaces or line breaks".to_owned());
    }
    match Url::parse(text) {
        Ok(url) if schemes.contains(&url.scheme()) && text.contains("://") => Ok(url),
        Err(ParseError::InvalidPort) => Err("must have a port from 1 to 65535".to_owned()),
        _ => Err(format!("must be a URL like {example}")),
    }
}

/// Why the host or the port is invalid.
pub(super) fn host_fault(url: &Url, may_be_empty: bool) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    let bracketed = host.starts_with('[');
    if !may_be_empty && !bracketed && !is_host(host) {
        return Some("must have a host: a name like db.example.com or an address".to_owned());
    }
    (url.port() == Some(0)).then(|| "must have a port from 1 to 65535".to_owned())
}

fn parameter_fault(url: &Url, known: &[Parameter]) -> Option<String> {
    for (name, value) in url.query_pairs() {
        let Some((name, values)) = known.iter().find(|(known, _)| is_called(&name, known)) else {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            return Some(match names.as_slice() {
                [] => "must have no parameters".to_owned(),
                names => format!("must have only these parameters: {}", names.join(", ")),
            });
        };
        if !values.is_empty() && !values.contains(&&*value) {
            return Some(format!("must have {name}={}", values.join(" or ")));
        }
    }
    let insecure = url.scheme() == "rediss" && url.fragment() == Some("insecure");
    (url.fragment().is_some() && !insecure).then(|| "must not contain # (write %23 in a password)".to_owned())
}

fn is_called(name: &str, known: &str) -> bool {
    name == known || known.strip_suffix("…]").is_some_and(|begins| name.starts_with(begins))
}

/// A host name of RFC 1123 or an address. Underscores are valid, because containers have them.
fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(label) && (!numeric || name.parse::<Ipv4Addr>().is_ok())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_encoded(text: &str) -> bool {
    let hex = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    text.split('%').skip(1).all(hex) && percent_decode_str(text).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_are_accepted() {
        for url in [
            "sqlite://data/portcullis.db",
            "sqlite:/var/lib/p.db?mode=rwc",
            "postgres://ada:s3c%2Fret@db/x",
            "postgresql://db:5433/x?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres:///x?host=/var/run/postgresql",
            "postgres://ada@%2Fvar%2Frun%2Fpostgresql/x",
            "postgres://[::1]:5432/x",
            "postgres://ada:s,3c@one:5432,two:5433,[::1]/x?sslmode=require",
            "postgres://%2Frun%2Fone,%2Frun%2Ftwo/x",
        ] {
            assert_eq!(database_fault(url), None, "{url}");
        }
        for url in
            ["redis://127.0.0.1", "rediss://u:p@redis.example.com:6380/3", "redis://:p@redis_1/", "redis://[::1]"]
        {
            assert_eq!(redis_fault(url), None, "{url}");
        }
        for url in ["smtp://127.0.0.1:1025", "smtps://u:p%25@m.example.com/mx.example.com", "smtp://m:587?tls=required"]
        {
            assert_eq!(smtp_fault(url), None, "{url}");
        }
        for url in ["https://api.twilio.com", "http://[::1]:8000/v1/", "https://xn--mller-kva.example"] {
            assert_eq!(api_fault(url), None, "{url}");
        }
    }

    #[test]
    fn a_list_of_hosts_is_of_one_database() {
        for (url, says) in [
            ("postgres://one,/x", "must have a host"),
            ("postgres://,/x", "must have a host"),
            ("postgres://u@one,,two/x", "must be a URL like"),
            ("postgres://one:5432,two:0/x", "must have a port from 1 to 65535"),
            ("postgres://one:5432,two:x/x", "must have a port from 1 to 65535"),
            ("postgres://one,two!/x", "must have a host"),
            ("postgres://one/x,postgres://two/y", "must be one URL"),
            ("postgres://one/x, postgres://two/x", "must not have spaces"),
            ("postgres://one,two/x?host=three", "beside several hosts"),
            ("postgres://one,two/x?port=5433", "beside several hosts"),
            ("redis://one,two/x", "must be a URL like"),
        ] {
            let fault = database_fault(url).unwrap_or_default();
            assert!(fault.contains(says), "{url}: {fault}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in ["db", "db.example.com.", "10.0.0.1", "a_b-c.d"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", ".", "-db", "db-", "a..b", "256.1.1.1", "1.2.3", "a,b", "*.example.com", &"a".repeat(64)] {
            assert!(!is_host(host), "{host}");
        }
    }
}
