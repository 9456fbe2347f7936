//! The command line: one file per sub-command. Exit code 0: done. 1: failed, with the reason on stderr. 2: wrong usage.
//!
//! Commands use the stores directly, through the same composition root as the server. A running server notices their
//! changes within a second.

mod apps;
mod config;
mod keys;
mod migrate;
mod nodes;
mod outbox;
mod output;
mod serve;
mod users;

use crate::app::{self, Access, Database};
use crate::config::{Config, ConfigError, Sources};
use clap::{CommandFactory as _, Parser, Subcommand};
use output::Output;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::error::{StartError, StoreError};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The time-out of an operation of a command in milliseconds.
const TIMEOUT_MS: u64 = 10_000;

/// The sign-in server of a mobile fleet. The default command is serve.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version = env!("BUILD_VERSION"), after_help = "Example:\n  portcullis serve\n  portcullis help users add")]
struct Arguments {
    /// A TOML file. It overrides the built-in configuration. PORTCULLIS__SECTION__KEY in the environment
    /// overrides it, and so does PORTCULLIS__SECTION__KEY_FILE, the path of a file with the value.
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
    /// Run the server until a signal stops it.
    Serve(serve::ServeArguments),
    /// Add, import, find, disable and delete users.
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Add, change and list applications, and choose the default one.
    #[command(subcommand)]
    Apps(apps::AppsCommand),
    /// Create, rotate, list and revoke the keys of applications' back ends.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show queued and failed messages, and retry dead ones.
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// List the running servers of this installation and when each was last seen.
    #[command(after_help = "Example:\n  portcullis nodes --json")]
    Nodes,
    /// Bring the schema of the database up to date, or look whether it is.
    Migrate(migrate::MigrateArguments),
    /// Check or print the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  portcullis completions bash > /etc/bash_completion.d/portcullis")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Why a command failed, one line per fault.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    fn because(reason: impl ToString) -> Self {
        Self(reason.to_string())
    }
}

macro_rules! failure_from {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )+};
}
failure_from!(ConfigError, StartError, StoreError);

/// What every command uses.
struct Context {
    config_file: Option<PathBuf>,
    output: Output,
}

impl Context {
    fn full_config(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.sources()?)?)
    }

    /// The configuration for a command that uses only these sections.
    fn config(&self, used: &[&str]) -> Result<Config, Failure> {
        Ok(Config::load_sections(&self.sources()?, |section| used.contains(&section))?)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where the configuration reads the environment")]
    fn sources(&self) -> Result<Sources, Failure> {
        Ok(Sources::read(std::env::vars_os(), self.config_file.as_deref())?)
    }

    /// The SQL database, with a longer time-out than that of requests, because lists and imports take longer.
    async fn database(&self, config: &Config, access: Access) -> Result<Database, Failure> {
        Ok(app::database(&self.patient(config), access, Arc::new(SystemClock)).await?)
    }

    /// With longer time-outs than those of requests.
    fn patient(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.database.timeout_ms = config.database.timeout_ms.max(TIMEOUT_MS);
        config.redis.timeout_ms = config.redis.timeout_ms.max(TIMEOUT_MS);
        config
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let context = Context { config_file: arguments.config, output: Output { json: arguments.json } };
    let done = actix_web::rt::System::new().block_on(run(&context, arguments.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.0.lines() {
                eprintln!("portcullis: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(context: &Context, command: Option<Command>) -> Result<(), Failure> {
    match command {
        Some(Command::Users(command)) => users::run(context, command).await,
        Some(Command::Apps(command)) => apps::run(context, command).await,
        Some(Command::Keys(command)) => keys::run(context, command).await,
        Some(Command::Outbox(command)) => outbox::run(context, command).await,
        Some(Command::Nodes) => nodes::run(context).await,
        Some(Command::Migrate(arguments)) => migrate::run(context, &arguments).await,
        Some(Command::Config(command)) => config::run(context, command).await,
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut script);
            context.output.line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Some(Command::Serve(arguments)) => serve::run(context, &arguments).await,
        None => serve::run(context, &serve::ServeArguments::default()).await,
    }
}
