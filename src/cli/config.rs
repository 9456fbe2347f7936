//! `config check|dump`: the configuration that the server would use. Starts nothing and writes nothing.

use super::{Context, Failure};
use crate::app::{Probed, probe_dependencies};
use clap::Subcommand;
use portcullis_actors::clock::SystemClock;
use serde_json::json;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check whether the server can start with this configuration, and print all faults.
    #[command(
        after_help = "Example:\n  PORTCULLIS_PROFILE=production portcullis config check --connect --config portcullis.toml"
    )]
    Check {
        /// Also test the database, Redis, the mail server and the SMS providers. Creates and sends nothing.
        #[arg(long)]
        connect: bool,
    },
    /// Print the configuration that results from all sources. Secrets are shown as ….
    #[command(after_help = "Example:\n  portcullis config dump | grep -A3 '^.sessions'")]
    Dump,
}

pub(super) async fn run(context: &Context, command: ConfigCommand) -> Result<(), Failure> {
    let config = context.full_config()?;
    match command {
        ConfigCommand::Check { connect } => {
            let probed = if connect { probe_dependencies(&config, Arc::new(SystemClock)).await } else { Vec::new() };
            let fault = |(key, result): &Probed| Some(format!("`{key}`: {}", result.as_ref().err()?));
            let faults: Vec<_> = probed.iter().filter_map(fault).collect();
            if !faults.is_empty() {
                return Err(Failure(faults.join("\n")));
            }
            let profile = config.profile;
            let keys: Vec<_> = probed.into_iter().map(|(key, _)| key).collect();
            let object = match connect {
                true => json!({"ok": true, "profile": profile, "connected": keys}),
                false => json!({"ok": true, "profile": profile}),
            };
            context.output.answer(&object, || {
                let usable: String = keys.iter().map(|key| format!("\n`{key}`: usable.")).collect();
                format!("The configuration is valid ({profile} profile).{usable}")
            });
        }
        ConfigCommand::Dump => {
            let text = toml::to_string_pretty(&config).map_err(Failure::because)?;
            context.output.answer(&config, || text.trim_end().to_owned());
        }
    }
    Ok(())
}
