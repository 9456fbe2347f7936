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

use clap::{ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use measure::Outcome;
use options::Options;
use scenarios::Scenario;
use std::path::PathBuf;
use std::process::ExitCode;

/// The server's allocator, so that the static answer differs from it in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load tests of Portcullis.
///
/// Each scenario has options: `portcullis-load check --help` lists them. Without --url the kit starts the server beside this
/// program, its stores and sinks, and pins the server to other cores than the rest. With --rate requests are sent when they
/// are due, however slow the answers are. Ctrl-C ends the measured part, and what was measured until then is printed.
///
/// Exit codes: 0 success; 1 if a threshold failed, nothing was answered as it should be, the run did not last to its end, or
/// it could not begin; 2 wrong usage.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  portcullis-load check --rate 5000 --threshold 'p99<25ms'
  portcullis-load morning --url http://127.0.0.1:8080 --tokens users.ndjson --html morning.html"
)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    #[command(flatten)]
    Scenario(Scenario),
    /// Compare the results of two runs, as `--json` wrote them.
    #[command(after_help = "Example:\n  portcullis-load compare before.json after.json")]
    Compare { before: PathBuf, after: PathBuf },
    /// Write the report of a run that `--json` kept.
    #[command(after_help = "Example:\n  portcullis-load report run.json run.html")]
    Report { run: PathBuf, html_file: PathBuf },
    /// Print the figures of several runs as a Markdown table.
    #[command(after_help = "Example:\n  portcullis-load table check.json sign-in.json")]
    Table {
        #[arg(required = true)]
        runs: Vec<PathBuf>,
    },
    /// Serves the static answer (scenarios start this by themselves).
    #[command(hide = true)]
    StaticAnswer {
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
}

/// Only scenarios have options, and the help of each shows those that mean something to it.
fn command() -> Command {
    let options = Options::augment_args(Command::new("options"));
    Arguments::command().mut_subcommands(|command| match Scenario::named(command.get_name()) {
        Some(scenario) => command.args(options.get_arguments().map(|option| {
            let refused = option.get_long().is_some_and(|name| scenarios::refused(scenario).contains(&name));
            option.clone().hide(refused)
        })),
        None => command,
    })
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all thresholds were met.
fn run(matches: &ArgMatches) -> Outcome<bool> {
    // What is wrong on the command line ends the program, with a line about it.
    match Arguments::from_arg_matches(matches).unwrap_or_else(|error| error.exit()).what {
        What::Scenario(scenario) => {
            let (_, matches) = matches.subcommand().ok_or("no scenario was given")?;
            let options = scenarios::options(scenario, matches).unwrap_or_else(|error| error.exit());
            return scenarios::run(scenario, options);
        }
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
