//! The command line: one file a sub-command. Exit 0 done, 1 refused (with its reason on stderr), 2 wrong usage.
//!
//! Commands go to the stores directly, through the same composition root as the server; what they change, a running
//! server notices within a second.

mod apps;
mod config;
mod keys;
mod outbox;
mod output;
mod passwords;
mod serve;
mod users;

use crate::app::{self, Access, Database};
use crate::config::{Config, ConfigError, Sources};
use clap::{CommandFactory as _, Parser, Subcommand};
use output::Output;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::error::StartError;
use portcullis_actors::error::StoreError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Milliseconds that an operation of a command may take.
const PATIENCE_MS: u64 = 10_000;

/// The sign-in server of a mobile fleet. Without a command: serve.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version = env!("BUILD_VERSION"), after_help = "Example:\n  portcullis serve\n  portcullis help users add")]
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
    /// Run the server until it is told to stop.
    Serve(serve::ServeArguments),
    /// Add, import, list, disable and delete users.
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Add and list applications, and choose the default one.
    #[command(subcommand)]
    Apps(apps::AppsCommand),
    /// Make, list and revoke the keys of applications' back ends.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look at what is on its way, and send again what is dead.
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print what makes a shell complete our commands.
    #[command(after_help = "Example:\n  portcullis completions bash > /etc/bash_completion.d/portcullis")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
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

macro_rules! refusing {
    ($($error:ty),+) => {$(
        impl From<$error> for Refused {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )+};
}
refusing!(ConfigError, StartError, StoreError);

/// What every command is given.
struct Shell {
    arguments: Option<PathBuf>,
    output: Output,
}

impl Shell {
    fn whole_config(&self) -> Result<Config, Refused> {
        Ok(Config::load(&self.sources()?)?)
    }

    /// For a command that uses these sections and no others.
    fn config(&self, used: &[&str]) -> Result<Config, Refused> {
        Ok(Config::load_sections(&self.sources()?, |section| used.contains(&section))?)
    }

    fn sources(&self) -> Result<Sources, Refused> {
        Ok(Sources::read(std::env::vars_os(), self.arguments.as_deref())?)
    }

    /// The SQL side, with more time than a request has: lists and imports are long, and nobody waits for them.
    async fn database(&self, config: &Config, access: Access) -> Result<Database, Refused> {
        let mut config = config.clone();
        config.database.timeout_ms = config.database.timeout_ms.max(PATIENCE_MS);
        Ok(app::database(&config, access, Arc::new(SystemClock)).await?)
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
        Some(Command::Users(command)) => users::run(shell, command).await,
        Some(Command::Apps(command)) => apps::run(shell, command).await,
        Some(Command::Keys(command)) => keys::run(shell, command).await,
        Some(Command::Outbox(command)) => outbox::run(shell, command).await,
        Some(Command::Config(command)) => config::run(shell, command).await,
        Some(Command::Completions { shell: which }) => {
            let mut script = Vec::new();
            clap_complete::generate(which, &mut Arguments::command(), "portcullis", &mut script);
            shell.output.line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Some(Command::Serve(arguments)) => serve::run(shell, &arguments).await,
        None => serve::run(shell, &serve::ServeArguments::default()).await,
    }
}
