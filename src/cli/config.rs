//! `config check|dump`: the configuration as the server would see it. Starts nothing, writes nothing.

use super::{Refused, Shell};
use crate::app;
use clap::Subcommand;
use portcullis_actors::clock::SystemClock;
use serde_json::json;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the server would start with this configuration, or all that is wrong with it.
    #[command(
        after_help = "Example:\n  PORTCULLIS_PROFILE=production portcullis config check --connect --config portcullis.toml"
    )]
    Check {
        /// Ask everything that it depends on, too: database, Redis, mail and SMS. Creates and sends nothing.
        #[arg(long)]
        connect: bool,
    },
    /// Print the configuration as it results from all sources; secrets are shown as ….
    #[command(after_help = "Example:\n  portcullis config dump | grep -A3 '^.sessions'")]
    Dump,
}

pub(super) async fn run(shell: &Shell, command: ConfigCommand) -> Result<(), Refused> {
    let config = shell.whole_config()?;
    match command {
        ConfigCommand::Check { connect } => {
            let asked =
                if connect { app::probe_dependencies(&config, Arc::new(SystemClock)).await } else { Vec::new() };
            let wrong = asked.iter().filter_map(|(key, answer)| Some(format!("`{key}`: {}", answer.as_ref().err()?)));
            let wrong: Vec<_> = wrong.collect();
            if !wrong.is_empty() {
                return Err(Refused(wrong.join("\n")));
            }
            let profile = config.profile;
            let keys: Vec<_> = asked.into_iter().map(|(key, _)| key).collect();
            let object = match connect {
                true => json!({"ok": true, "profile": profile, "connected": keys}),
                false => json!({"ok": true, "profile": profile}),
            };
            shell.output.answer(&object, || {
                let serve: String = keys.iter().map(|key| format!("\n`{key}`: would serve.")).collect();
                format!("The configuration is in order ({profile} profile).{serve}")
            });
        }
        ConfigCommand::Dump => {
            let text = toml::to_string_pretty(&config).map_err(Refused::because)?;
            shell.output.answer(&config, || text.trim_end().to_owned());
        }
    }
    Ok(())
}
