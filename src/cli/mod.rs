//! The command line: one file a sub-command. Exit 0 done, 1 refused (with its reason on stderr), 2 wrong usage.
//!
//! Commands go to the stores directly, through the same composition root as the server; what they change, a running
//! server notices within a second.

mod config;
mod output;

use crate::config::{Config, ConfigError, Sources};
use clap::{Parser, Subcommand};
use output::Output;
use std::path::PathBuf;
use std::process::ExitCode;

/// The sign-in server of a mobile fleet. Without a command: serve.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = "Example:\n  portcullis serve\n  portcullis help users add")]
struct Arguments {
    /// A TOML file that goes over the built-in configuration, and under PORTCULLIS__SECTION__KEY in the environment.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Why a command was refused: what stands on stderr.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl Refused {
    fn because(reason: impl ToString) -> Self {
        Self(reason.to_string())
    }
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}

/// What every command is given.
struct Shell {
    arguments: Option<PathBuf>,
    output: Output,
}

impl Shell {
    fn config(&self) -> Result<Config, Refused> {
        let sources = Sources::read(std::env::vars_os(), self.arguments.as_deref())?;
        Ok(Config::load(&sources)?)
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shell = Shell { arguments: arguments.config, output: Output { json: arguments.json } };
    let done = actix_web::rt::System::new().block_on(run(&shell, arguments.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            for line in refused.0.lines() {
                eprintln!("portcullis: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(shell: &Shell, command: Option<Command>) -> Result<(), Refused> {
    match command {
        Some(Command::Config(command)) => config::run(shell, command),
        None => Err(Refused::because("nothing to serve yet")),
    }
}
