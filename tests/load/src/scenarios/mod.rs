//! The scenarios, one file each: who sends what, and what it is compared with.

mod check;

use crate::kit::Kit;
use crate::measure::Outcome;
use crate::options::Options;
use clap::Subcommand;

/// What is measured.
#[derive(Clone, Copy, Subcommand)]
pub enum Scenario {
    /// Checks of tokens, beside a static answer.
    Check,
}

/// Runs one. Returns whether all thresholds were met.
///
/// # Errors
/// When something does not start, or ends.
pub fn run(scenario: Scenario, options: Options) -> Outcome<bool> {
    let (name, run): (_, fn(&Kit) -> Outcome<crate::results::Run>) = match scenario {
        Scenario::Check => ("check", check::run),
    };
    let kit = Kit::new(name, options)?;
    let results = run(&kit)?;
    kit.finish(results)
}
