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
    /// Checks of tokens; without --rate as many as the server can, beside a static answer.
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
    /// Checks with a million signed-in users (--users), and the memory of Redis.
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

/// Runs one. Returns whether all thresholds were met.
///
/// # Errors
/// When something does not start, or ends.
pub fn run(scenario: Scenario, options: Options) -> Outcome<bool> {
    let (name, run): (_, fn(&Kit) -> Outcome<Run>) = match scenario {
        Scenario::Check => ("check", check::run),
        Scenario::SignIn => ("sign-in", sign_in::run),
        Scenario::Storm => ("storm", storm::run),
        Scenario::Flood => ("flood", flood::run),
        Scenario::Morning => ("morning", morning::run),
        Scenario::Codes => ("codes", codes::run),
        Scenario::Pumping => ("pumping", pumping::run),
        Scenario::Push => ("push", push::run),
        Scenario::Deliveries => ("deliveries", deliveries::run),
        Scenario::Outage => ("outage", outage::run),
        Scenario::Refusals => ("refusals", refusals::run),
        Scenario::Scale => ("scale", scale::run),
        Scenario::Idle => ("idle", idle::run),
        Scenario::Start => ("start", start::run),
        Scenario::Hash => ("hash", hash::run),
        Scenario::Wrk => ("wrk", wrk::run),
    };
    let kit = Kit::new(name, options)?;
    let results = run(&kit)?;
    kit.finish(results)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
