//! What every scenario can be told.

use crate::results::Arrivals;
use crate::thresholds::{self, Condition};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Options of a run; each scenario has defaults of its own.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Requests per second, sent when they are due, however slow the answers are.
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// The measured part, for example 30s or 2m. With a baseline this is the time of each side over all rounds.
    #[arg(long, value_parser = length)]
    pub duration: Option<Duration>,
    /// Load before the measured part, which is not counted.
    #[arg(long, value_parser = duration, default_value = "1s")]
    pub warm_up: Duration,
    /// Accounts that take part.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub users: Option<u64>,
    /// Connections: the most at a time with --rate, and without it all of a closed loop (each waits for its answers).
    #[arg(long, value_parser = some)]
    pub connections: Option<usize>,
    /// How the start times are spaced: poisson (independent users) or constant.
    #[arg(long, value_enum, default_value_t = Spacing::Poisson)]
    pub arrivals: Spacing,
    /// Rounds of each side of a ratio. The sides take turns, and the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    #[arg(long = "threshold", value_name = "CONDITION", help = thresholds::HELP)]
    pub thresholds: Vec<Condition>,
    /// Measure the server at this address instead of one that the kit starts. Needs --tokens.
    #[arg(long, value_parser = server, requires = "tokens", conflicts_with_all = ["database", "sessions", "binary"])]
    pub url: Option<Url>,
    /// The accounts of --url: a file of `portcullis users generate --tokens FILE`. Sign-ins and sign-outs end sessions of it:
    /// generate it again with --force before the next run.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub tokens: Option<PathBuf>,
    /// Where the kit's own server keeps its accounts.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    pub database: Database,
    /// Where the kit's own server keeps its sessions.
    #[arg(long, value_enum, default_value_t = Sessions::Redis)]
    pub sessions: Sessions,
    /// The program of the kit's own server. Without this option, `portcullis` in the folder of `portcullis-load`.
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Write the results to this file as JSON, for `compare`, `report` and `table`; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report with charts to this file, as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spacing {
    Poisson,
    Constant,
}

impl From<Spacing> for Arrivals {
    fn from(spacing: Spacing) -> Self {
        match spacing {
            Spacing::Poisson => Self::Poisson,
            Spacing::Constant => Self::Constant,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sessions {
    /// With a replica, as a fleet has it.
    Redis,
    /// Without one, so that each session which is closed is also a row in SQL.
    RedisAlone,
    Embedded,
}

/// The options that a scenario has on the command line, by their names without dashes.
pub fn given(scenario: &ArgMatches) -> Vec<String> {
    let by_hand = |id: &&str| scenario.value_source(id) == Some(ValueSource::CommandLine);
    let ids: Vec<&str> = scenario.ids().map(clap::Id::as_str).collect();
    // The groups that clap derives have no source.
    ids.iter()
        .filter(|id| scenario.try_contains_id(id).is_ok())
        .filter(|id| by_hand(id))
        .map(|id| id.replace('_', "-"))
        .collect()
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "a rate is a number above 0".to_owned())
}

fn some(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "this is a whole number above 0".to_owned())
}

fn server(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| "a URL begins with http:// or https://, for example http://127.0.0.1:8080".to_owned())
}

/// Of what is measured.
fn length(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if length.is_zero() { Err("the measured part is longer than 0 s".to_owned()) } else { Ok(length) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = digits.parse::<f64>().ok().map(|number| number * unit);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a duration is a number of seconds, for example 10s, or minutes, for example 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(arguments: &[&str]) -> Result<ArgMatches, clap::Error> {
        crate::command().try_get_matches_from([&["portcullis-load"], arguments].concat())
    }

    #[test]
    fn only_options_of_the_command_line_are_given() {
        let matches = matches(&["check", "--rate", "5", "--warm-up", "2s"]).unwrap();
        let mut given = given(matches.subcommand().unwrap().1);
        given.sort();
        assert_eq!(given, ["rate", "warm-up"]);
    }

    #[test]
    fn a_server_elsewhere_and_its_accounts_belong_together() {
        assert!(matches(&["check", "--url", "http://localhost", "--tokens", "x"]).is_ok());
        for wrong in [
            &["check", "--tokens", "x"][..],
            &["check", "--url", "http://localhost"],
            &["check", "--url", "http://localhost", "--tokens", "x", "--database", "postgres"],
        ] {
            assert!(matches(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_run_of_nothing_is_refused() {
        for wrong in [
            &["check", "--duration", "0s"][..],
            &["check", "--connections", "0"],
            &["check", "--url", "localhost:80", "--tokens", "x"],
            &["check", "--url", "127.0.0.1:80", "--tokens", "x"],
            &["check", "--url", "ftp://127.0.0.1", "--tokens", "x"],
            &["compare", "a.json", "b.json", "--json", "x"],
            &["table"],
        ] {
            assert!(matches(wrong).is_err(), "{wrong:?}");
        }
        assert!(matches(&["check", "--warm-up", "0s"]).is_ok());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(duration("1.5").unwrap(), Duration::from_millis(1_500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert!(duration("-1s").is_err() && duration("soon").is_err() && positive("0").is_err());
    }
}
