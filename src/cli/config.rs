//! `config check|dump`: the configuration as the server would see it. Starts nothing, writes nothing.

use super::{Refused, Shell};
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the server would start with this configuration, or all that is wrong with it.
    #[command(
        after_help = "Example:\n  PORTCULLIS_PROFILE=production portcullis config check --config portcullis.toml"
    )]
    Check,
    /// Print the configuration as it results from all sources; secrets are shown as ….
    #[command(after_help = "Example:\n  portcullis config dump | grep -A3 '^.sessions'")]
    Dump,
}

pub(super) fn run(shell: &Shell, command: ConfigCommand) -> Result<(), Refused> {
    let config = shell.config()?;
    match command {
        ConfigCommand::Check => {
            let profile = config.profile;
            shell.output.answer(&json!({"ok": true, "profile": profile}), || {
                format!("The configuration is in order ({profile} profile).")
            });
        }
        ConfigCommand::Dump => {
            let text = toml::to_string_pretty(&config).map_err(Refused::because)?;
            shell.output.answer(&config, || text.trim_end().to_owned());
        }
    }
    Ok(())
}
