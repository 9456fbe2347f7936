//! The scenarios, one file each: who sends what, and what it is compared with.

mod check;
mod codes;
mod deliveries;
mod flood;
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

use crate::kit::Kit;
use crate::measure::Outcome;
use crate::options::Options;
use crate::results::Run;
use clap::Subcommand;

/// What is measured.
#[derive(Clone, Copy, Subcommand)]
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
    &["rate", "warm-up", "users", "connections", "arrivals", "url", "database", "sessions", "binary"];

/// Each message counts, not a time.
const DELIVERIES: &[&str] =
    &["duration", "rate", "warm-up", "users", "connections", "arrivals", "url", "database", "sessions", "binary"];

fn entry(scenario: Scenario) -> Entry {
    let entry = |name, run: fn(&Kit) -> Outcome<Run>, operations, refused| Entry { name, run, operations, refused };
    match scenario {
        Scenario::Check => entry("check", check::run, &["check"], &[]),
        Scenario::SignIn => entry("sign-in", sign_in::run, &["sign-in"], &[]),
        Scenario::Storm => entry("storm", storm::run, &["check", "sign-in"], &[]),
        Scenario::Flood => entry("flood", flood::run, &["check", "sign-in"], &[]),
        Scenario::Morning => entry("morning", morning::run, morning::OPERATIONS, &["rounds"]),
        Scenario::Codes => entry("codes", codes::run, &["send-code", "verify-code"], &["rounds"]),
        Scenario::Pumping => entry("pumping", pumping::run, &["send-code"], &["rounds", "url"]),
        Scenario::Push => entry("push", push::run, &["push-registration"], &[]),
        Scenario::Deliveries => entry("deliveries", deliveries::run, &[], DELIVERIES),
        Scenario::Outage => entry("outage", outage::run, &["request"], &["rounds", "url"]),
        Scenario::Refusals => entry("refusals", refusals::run, &["sign-in"], &["url"]),
        Scenario::Scale => entry("scale", scale::run, &["check"], &["rate", "arrivals", "sessions", "url"]),
        Scenario::Idle => entry("idle", idle::run, &[], &["rate", "duration", "warm-up", "arrivals", "rounds", "url"]),
        Scenario::Start => {
            entry("start", start::run, &[], &["rate", "duration", "warm-up", "connections", "arrivals", "url"])
        }
        Scenario::Hash => entry("hash", hash::run, &[], NO_SERVER),
        Scenario::Wrk => entry("wrk", wrk::run, &["check"], &["rate", "arrivals", "connections", "url"]),
    }
}

/// Runs one, with the options that were `given` on the command line. Returns whether all thresholds were met.
///
/// # Errors
/// When it cannot be told one of the options, and when something does not start, or ends.
pub fn run(scenario: Scenario, options: Options, given: &[String]) -> Outcome<bool> {
    let entry = entry(scenario);
    if let Some(option) = given.iter().find(|option| entry.refused.contains(&option.as_str())) {
        return Err(format!("--{option} has no meaning for {}", entry.name).into());
    }
    for condition in &options.thresholds {
        condition.known_to(entry.operations)?;
    }
    // A check is compared core by core.
    let server_cores = if matches!(scenario, Scenario::Check) { 1 } else { usize::MAX };
    let kit = Kit::new(entry.name, options, server_cores)?;
    let results = (entry.run)(&kit)?;
    kit.finish(results)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _};

    #[test]
    fn what_a_scenario_refuses_exists() {
        let scenarios = Scenario::augment_subcommands(clap::Command::new("x"));
        let options = crate::Arguments::command();
        let known: Vec<&str> = options.get_arguments().filter_map(clap::Arg::get_long).collect();
        for name in scenarios.get_subcommands().map(clap::Command::get_name) {
            let matches = scenarios.clone().get_matches_from(["x", name]);
            let entry = entry(Scenario::from_arg_matches(&matches).unwrap());
            assert_eq!(entry.name, name);
            for refused in entry.refused {
                assert!(known.contains(refused), "{name}: --{refused}");
            }
        }
    }

    #[test]
    fn an_option_without_a_meaning_is_refused() {
        let matches = crate::Arguments::command().get_matches_from(["x", "hash", "--rate", "5"]);
        let given = crate::options::given(&matches);
        let arguments = crate::Arguments::from_arg_matches(&matches).unwrap();
        let refused = run(Scenario::Hash, arguments.options, &given).unwrap_err();
        assert_eq!(refused.to_string(), "--rate has no meaning for hash");
    }
}
