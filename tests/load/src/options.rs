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
    #[arg(long, global = true, value_parser = positive)]
    pub rate: Option<f64>,
    /// The measured part, for example 30s or 2m. With a baseline this is the time of each side over all rounds.
    #[arg(long, global = true, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Load before the measured part, which is not counted.
    #[arg(long, global = true, value_parser = duration, default_value = "1s")]
    pub warm_up: Duration,
    /// Accounts that take part.
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub users: Option<u64>,
    /// Connections: the most at a time with --rate, and without it all of a closed loop (each waits for its answers).
    #[arg(long, global = true)]
    pub connections: Option<usize>,
    /// How the start times are spaced: poisson (independent users) or constant.
    #[arg(long, global = true, value_enum, default_value_t = Spacing::Poisson)]
    pub arrivals: Spacing,
    /// Rounds of each side of a ratio. The sides take turns, and the median counts.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    #[arg(long = "threshold", global = true, value_name = "CONDITION", help = thresholds::HELP)]
    pub thresholds: Vec<Condition>,
    /// Measure the server at this address instead of one that the kit starts. Needs --tokens.
    #[arg(long, global = true, requires = "tokens", conflicts_with_all = ["database", "sessions", "binary"])]
    pub url: Option<Url>,
    /// The accounts of --url: a file of `portcullis users generate --tokens FILE`.
    #[arg(long, global = true, value_name = "FILE", requires = "url")]
    pub tokens: Option<PathBuf>,
    /// Where the kit's own server keeps its accounts.
    #[arg(long, global = true, value_enum, default_value_t = Database::Sqlite)]
    pub database: Database,
    /// Where the kit's own server keeps its sessions.
    #[arg(long, global = true, value_enum, default_value_t = Sessions::Redis)]
    pub sessions: Sessions,
    /// The program of the kit's own server. Without it the one beside this program.
    #[arg(long, global = true)]
    pub binary: Option<PathBuf>,
    /// Write the results to this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report to this file.
    #[arg(long, global = true, value_name = "FILE")]
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
    Redis,
    Embedded,
}

/// The options on the command line, by their names without dashes.
pub fn given(matches: &ArgMatches) -> Vec<String> {
    let scenario = matches.subcommand().map_or(matches, |(_, matches)| matches);
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
    use clap::CommandFactory as _;

    fn matches(arguments: &[&str]) -> Result<ArgMatches, clap::Error> {
        crate::Arguments::command().try_get_matches_from([&["portcullis-load"], arguments].concat())
    }

    #[test]
    fn only_options_of_the_command_line_are_given() {
        let matches = matches(&["check", "--rate", "5", "--warm-up", "2s"]).unwrap();
        let mut given = given(&matches);
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
    fn durations_have_units() {
        assert_eq!(duration("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(duration("1.5").unwrap(), Duration::from_millis(1_500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert!(duration("-1s").is_err() && duration("soon").is_err() && positive("0").is_err());
    }
}
