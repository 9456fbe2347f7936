//! The load kit. Every figure is a ratio within one run (or CPU time), since absolute ones say more about the
//! machine than about the program. Loopback only; each run ends by itself.
//!
//! ```text
//! cargo build --release && cargo run --release -p portcullis-load -- hash
//! ```
//!
//! Not here: pass or fail. A benchmark that fails a build on a busy machine teaches people to ignore it.

mod hash;
mod measure;

use clap::{Parser, Subcommand};
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
}

#[derive(Subcommand)]
enum What {
    /// The hashing pool beside a bare argon2 loop on as many threads.
    Hash,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.what {
        What::Hash => hash::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
