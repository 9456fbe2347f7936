//! The scenarios, one file each: who sends what, and what it is compared with.

mod check;
mod codes;
mod deliveries;
mod flood;
mod gateway;
mod hash;
mod idle;
mod morning;
mod outage;
mod pumping;
mod push;
mod refusals;
mod scale;
mod sign_in;
mod sinks;
mod start;
mod storm;
mod wrk;

use crate::interrupt;
use crate::kit::Kit;
use crate::measure::Outcome;
use crate::options::{self, Options};
use crate::results::Run;
use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches as _, Subcommand, ValueEnum};

/// What is measured.
#[derive(Clone, Copy, Subcommand, ValueEnum)]
pub enum Scenario {
    /// Checks of tokens; without --rate as many as the server can on one core, beside a static answer.
    Check,
    /// Sign-ins; without --rate beside a bare argon2 loop, also at ten times what can be hashed.
    SignIn,
    /// Three times as many sign-ins as can be hashed, and the checks of other users (--rate: of the sign-ins).
    Storm,
    /// A flood of checks, and the sign-ins beside it.
    Flood,
    /// The mix of a mobile fleet: checks, push registrations, sign-ins, sign-outs and resets.
    Morning,
    /// A wave of phone verifications.
    Codes,
    /// An attack for SMS money, with the limits on: how many SMS get out.
    Pumping,
    /// The push registration that an app repeats at each launch, beside the check.
    Push,
    /// The question of a proxy at the gateway, beside the check.
    Gateway,
    /// Mail and SMS through the outbox, beside the bare client libraries.
    Deliveries,
    /// Answers to requests for a mail or an SMS while its provider fails.
    Outage,
    /// Refused sign-ins: CPU time and latency at ten times what can be hashed.
    Refusals,
    /// Checks and sign-ins with a million signed-in users (--users), and the memory of Redis.
    Scale,
    /// Memory of 10,000 idle connections (--connections), beside the static answer's.
    Idle,
    /// Start to listening, and memory then.
    Start,
    /// The hashing pool beside a bare argon2 loop.
    Hash,
    /// The rate that this kit counts beside that of wrk, which must be installed.
    Wrk,
}

impl Scenario {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }
}

/// A scenario, and what it can be told.
struct Entry {
    name: &'static str,
    run: fn(&Kit) -> Outcome<Run>,
    /// The names of its requests, for thresholds.
    operations: &'static [&'static str],
    /// Options without a meaning for it.
    refused: &'static [&'static str],
}

/// What belongs to a server, for scenarios that measure none.
const NO_SERVER: &[&str] =
    &["rate", "warm-up", "users", "connections", "arrivals", "url", "tokens", "database", "sessions", "binary"];

/// Each message counts, not a time.
const DELIVERIES: &[&str] = &[
    "duration",
    "rate",
    "warm-up",
    "users",
    "connections",
    "arrivals",
    "url",
    "tokens",
    "database",
    "sessions",
    "binary",
];

fn entry(scenario: Scenario) -> Entry {
    let entry = |name, run: fn(&Kit) -> Outcome<Run>, operations, refused| Entry { name, run, operations, refused };
    match scenario {
        Scenario::Check => entry("check", check::run, &["check"], &[]),
        Scenario::SignIn => entry("sign-in", sign_in::run, &["sign-in"], &[]),
        Scenario::Storm => entry("storm", storm::run, &["check", "sign-in"], &[]),
        Scenario::Flood => entry("flood", flood::run, &["check", "sign-in"], &[]),
        Scenario::Morning => entry("morning", morning::run, morning::OPERATIONS, &["rounds"]),
        Scenario::Codes => entry("codes", codes::run, &["send-code", "verify-code"], &["rounds"]),
        Scenario::Pumping => entry("pumping", pumping::run, &["send-code"], &["rounds", "url", "tokens"]),
        Scenario::Push => entry("push", push::run, &["push-registration"], &[]),
        Scenario::Gateway => entry("gateway", gateway::run, &["gateway-check"], &[]),
        Scenario::Deliveries => entry("deliveries", deliveries::run, &[], DELIVERIES),
        Scenario::Outage => entry("outage", outage::run, &["request"], &["rounds", "url", "tokens"]),
        Scenario::Refusals => entry("refusals", refusals::run, &["sign-in"], &["url", "tokens"]),
        Scenario::Scale => entry("scale", scale::run, &["check"], &["rate", "arrivals", "sessions", "url", "tokens"]),
        Scenario::Idle => {
            entry("idle", idle::run, &[], &["rate", "duration", "warm-up", "arrivals", "rounds", "url", "tokens"])
        }
        Scenario::Start => entry(
            "start",
            start::run,
            &[],
            &["rate", "duration", "warm-up", "connections", "arrivals", "url", "tokens"],
        ),
        Scenario::Hash => entry("hash", hash::run, &[], NO_SERVER),
        Scenario::Wrk => entry("wrk", wrk::run, &["check"], &["rate", "arrivals", "connections", "url", "tokens"]),
    }
}

/// The options without a meaning for it.
pub fn refused(scenario: Scenario) -> &'static [&'static str] {
    entry(scenario).refused
}

/// What it was told on the command line.
///
/// # Errors
/// When one of the options, or a threshold, has no meaning for it.
pub fn options(scenario: Scenario, matches: &ArgMatches) -> Result<Options, clap::Error> {
    let entry = entry(scenario);
    let wrong = |text: String| crate::command().error(ErrorKind::ArgumentConflict, text);
    if let Some(option) = options::given(matches).iter().find(|option| entry.refused.contains(&option.as_str())) {
        return Err(wrong(format!("--{option} has no meaning for {}", entry.name)));
    }
    let options = Options::from_arg_matches(matches)?;
    for condition in &options.thresholds {
        condition.known_to(entry.operations).map_err(wrong)?;
    }
    Ok(options)
}

/// Runs one. Returns whether all thresholds were met.
///
/// # Errors
/// When something does not start, or ends.
pub fn run(scenario: Scenario, options: Options) -> Outcome<bool> {
    let entry = entry(scenario);
    // A check is compared core by core.
    let server_cores = if matches!(scenario, Scenario::Check) { 1 } else { usize::MAX };
    let kit = Kit::new(entry.name, options, server_cores)?;
    // A terminal sends Ctrl-C to what the kit has started, too: what that says of its end is not the reason.
    let ended = |error| if interrupt::interrupted() { "interrupted: there are no results".into() } else { error };
    let results = (entry.run)(&kit).map_err(ended)?;
    kit.finish(results)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str]) -> Result<Options, clap::Error> {
        let matches = crate::command().get_matches_from([&["x"], arguments].concat());
        let (name, matches) = matches.subcommand().unwrap();
        options(Scenario::named(name).unwrap(), matches)
    }

    #[test]
    fn what_a_scenario_refuses_exists_and_is_not_in_its_help() {
        for scenario in Scenario::value_variants() {
            let entry = entry(*scenario);
            let mut command = crate::command();
            let command = command.find_subcommand_mut(entry.name).unwrap();
            let hidden: Vec<_> = command.get_arguments().filter(|option| option.is_hide_set()).collect();
            let hidden: Vec<&str> = hidden.iter().filter_map(|option| option.get_long()).collect();
            assert_eq!(hidden.len(), entry.refused.len(), "{}: {hidden:?}", entry.name);
            // The help of a scenario begins with what it is, not with what its options are.
            let about = scenario.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            assert_eq!(command.get_about().map(ToString::to_string), about);
            assert!(told(&[entry.name]).is_ok(), "{}", entry.name);
        }
    }

    #[test]
    fn what_has_no_meaning_for_a_scenario_is_wrong_usage() {
        for (arguments, reason) in [
            (["hash", "--rate", "5"], "--rate has no meaning for hash"),
            (["check", "--threshold", "chek:p99<1s"], "chek is no request of this scenario; it has: check"),
        ] {
            let refused = told(&arguments).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
            assert_eq!(refused.exit_code(), 2);
        }
    }
}
