//! `migrate [--check|--wait]`: brings the schema of the database up to date, or looks whether it is.

use super::{Context, Failure};
use crate::app;
use crate::telemetry;
use clap::Args;
use portcullis_actors::error::StartError;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long `--wait` waits, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[group(multiple = false)]
#[command(after_help = "Example:\n  portcullis migrate --check || portcullis migrate")]
pub(super) struct MigrateArguments {
    /// Change nothing, and fail if a step of the schema is missing.
    #[arg(long)]
    check: bool,
    /// Change nothing, and wait until another process has brought the schema up to date, also for a server that does not
    /// answer yet: 5 minutes at most.
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(context: &Context, arguments: &MigrateArguments) -> Result<(), Failure> {
    let config = context.config(&["database"])?;
    // Nobody may be watching it: what holds it up is then said in the log of a job.
    telemetry::init("portcullis=warn,portcullis_actors=warn", config.log.format).map_err(Failure)?;
    if arguments.check || arguments.wait {
        let (began, progress) = (Instant::now(), context.output.progress(PATIENCE.as_secs(), "{elapsed} of 5m: {msg}"));
        while let Some(lacks) = match app::schema_lacks(&config).await {
            // It may be starting.
            Err(StartError(fault)) if arguments.wait => Some(fault),
            looked => looked?,
        } {
            if arguments.check || began.elapsed() > PATIENCE {
                return Err(Failure(lacks));
            }
            if progress.message() != lacks {
                tracing::warn!(reason = lacks, "waiting for the schema");
            }
            progress.set_message(lacks);
            sleep(PAUSE).await;
        }
        progress.finish_and_clear();
        context.output.answer(&json!({"up_to_date": true}), || "The schema is up to date.".to_owned());
        return Ok(());
    }
    let applied = app::migrate(&config).await?;
    context.output.answer(&json!({"up_to_date": true, "applied": applied}), || match &applied[..] {
        [] => "The schema is up to date; there was nothing to do.".to_owned(),
        applied => format!("The schema is up to date: applied {}.", applied.join(", ")),
    });
    Ok(())
}
