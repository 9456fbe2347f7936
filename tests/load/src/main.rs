//! The load kit: sends the load of a scenario to a server, and says what users would have noticed. README has the results.
//!
//! ```text
//! cargo build --release --workspace && target/release/portcullis-load check --rate 20000 --threshold 'p99<25ms'
//! ```
//!
//! `engine` sends and counts, `scenarios` has one file per scenario, `baselines` is the same work without the server,
//! `kit.rs` is one run from its options to its results, `turns.rs` compares two sides, `results.rs` has the results, and
//! `report` shows them.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod baselines;
mod engine;
mod figures;
mod interrupt;
mod kit;
mod measure;
mod metrics;
mod options;
mod pinning;
mod proc;
mod progress;
mod report;
mod results;
mod scenarios;
mod sources;
mod summary;
mod target;
mod thresholds;
mod turns;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use measure::Outcome;
use options::Options;
use std::path::PathBuf;
use std::process::ExitCode;

/// The server's allocator, so that the static answer differs from it in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load tests of Portcullis.
///
/// Without --url the kit starts a release server, its stores and sinks, and pins the server to other cores than the rest.
/// With --rate requests are sent when they are due, however slow the answers are. The exit code is 1 if a threshold failed,
/// or nothing was answered as it should be. Ctrl-C ends the measured part.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum What {
    #[command(flatten)]
    Scenario(scenarios::Scenario),
    /// Compare the results of two runs, as `--json` wrote them.
    #[command(after_help = "Example:\n  portcullis-load compare before.json after.json")]
    Compare { before: PathBuf, after: PathBuf },
    /// Write the report of a run that `--json` kept.
    #[command(after_help = "Example:\n  portcullis-load report run.json run.html")]
    Report { run: PathBuf, html_file: PathBuf },
    /// Print the figures of several runs as a Markdown table.
    #[command(after_help = "Example:\n  portcullis-load table check.json sign-in.json")]
    Table { runs: Vec<PathBuf> },
    /// Serves the static answer (scenarios start this by themselves).
    #[command(hide = true)]
    StaticAnswer {
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
}

fn main() -> ExitCode {
    let mut matches = Arguments::command().get_matches();
    let given = options::given(&matches);
    // What is wrong ends the program here, with a line about it.
    let arguments = Arguments::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit());
    match run(arguments, &given) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all thresholds were met.
fn run(arguments: Arguments, given: &[String]) -> Outcome<bool> {
    match arguments.what {
        What::Scenario(scenario) => return scenarios::run(scenario, arguments.options, given),
        What::Compare { before, after } => {
            print!("{}", report::compare::compare(&report::json::read(&before)?, &report::json::read(&after)?));
        }
        What::Report { run, html_file } => report::write_html(&report::json::read(&run)?, &html_file)?,
        What::Table { runs } => {
            let runs = runs.iter().map(|file| report::json::read(file)).collect::<Outcome<Vec<_>>>()?;
            print!("{}", summary::table(&runs));
        }
        What::StaticAnswer { workers } => baselines::static_answer::serve(workers)?,
    }
    Ok(true)
}
