//! The load kit. Every figure is a ratio within one run (or CPU time), since absolute ones say more about the
//! machine than about the program. Loopback only; each run ends by itself.
//!
//! ```text
//! cargo build --release && cargo run --release -p portcullis-load -- check
//! ```
//!
//! Not here: pass or fail. A benchmark that fails a build on a busy machine teaches people to ignore it.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod check;
mod deliveries;
#[allow(dead_code, reason = "the engine does not fill it yet")]
mod figures;
mod hash;
mod http;
mod measure;
mod outage;
#[allow(dead_code, reason = "the engine does not fill it yet")]
mod progress;
#[allow(dead_code, reason = "the engine does not fill it yet")]
mod report;
#[allow(dead_code, reason = "the engine does not fill it yet")]
mod results;
mod sides;
mod sign_in;
mod sinks;
mod storm;

use clap::{Parser, Subcommand};
use measure::Outcome;
use std::path::PathBuf;
use std::process::ExitCode;

/// Load and benchmarks of Portcullis.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Rounds of each side; the sides take turns.
    #[arg(long, global = true, default_value_t = 8)]
    rounds: usize,
    /// Seconds of each round.
    #[arg(long, global = true, default_value_t = 1.0)]
    seconds: f64,
    /// The server to measure.
    #[arg(long, global = true, default_value = "target/release/portcullis")]
    binary: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// The hashing pool beside a bare argon2 loop on as many threads.
    Hash,
    /// The check of a token beside a static answer of the same framework.
    Check,
    /// Sign-ins beside a bare argon2 loop, and their own CPU time beside the hash.
    SignIn,
    /// Checks during a storm of sign-ins.
    Storm,
    /// Mail and SMS through the outbox beside the bare client libraries.
    Deliveries,
    /// Answers to requests for a mail or an SMS while its provider fails.
    Outage,
    /// Compare the results of two runs, as `--json` wrote them.
    #[command(after_help = "Example:\n  portcullis-load compare before.json after.json")]
    Compare { before: PathBuf, after: PathBuf },
    /// Write the report of a run that `--json` kept.
    #[command(after_help = "Example:\n  portcullis-load report run.json run.html")]
    Report { run: PathBuf, html: PathBuf },
    /// Serves the static answer (`check` starts this by itself).
    #[command(hide = true)]
    StaticAnswer,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &arguments.what {
        What::Hash => hash::run(arguments),
        What::Check => client.block_on(check::run(arguments)),
        What::SignIn => client.block_on(sign_in::run(arguments)),
        What::Storm => client.block_on(storm::run(arguments)),
        What::Deliveries => deliveries::run(arguments),
        What::Outage => client.block_on(outage::run(arguments)),
        What::Compare { before, after } => {
            print!("{}", report::compare::compare(&report::json::read(before)?, &report::json::read(after)?));
            Ok(())
        }
        What::Report { run, html } => report::write_html(&report::json::read(run)?, html),
        What::StaticAnswer => sides::static_answer(),
    }
}
