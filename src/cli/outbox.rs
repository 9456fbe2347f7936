//! `outbox list|waiting|show|retry`: queued and failed messages with their attempts, and another attempt.

use super::output::table;
use super::{Access, Context, Failure};
use clap::{Args, Subcommand};
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::domain::MessageId;
use portcullis_actors::stores::{
    Attempt, Channel, ListedMessage, MessageState, OutboxFilter, OutboxStore as _, OutboxView,
};
use serde_json::{Value, json};
use std::slice;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    /// List messages, newest first, with their age and their last error.
    #[command(after_help = "Example:\n  portcullis outbox list --state dead --most 20")]
    List {
        /// Only messages in this state: queued, leased, retry, delivered, dead or expired.
        #[arg(long)]
        state: Option<MessageState>,
        /// Only messages of this channel: mail or sms.
        #[arg(long)]
        channel: Option<Channel>,
        /// The largest number of messages.
        #[arg(long, default_value_t = 50)]
        most: u32,
    },
    /// List messages that wait, those that are due first.
    #[command(after_help = "Example:\n  portcullis outbox waiting --channel sms")]
    Waiting {
        /// Only messages of this channel: mail or sms.
        #[arg(long)]
        channel: Option<Channel>,
        /// The largest number of messages.
        #[arg(long, default_value_t = 50)]
        most: u32,
    },
    /// Show one message and all its attempts.
    #[command(after_help = "Example:\n  portcullis outbox show 17")]
    Show {
        /// The ID of the message.
        id: i64,
    },
    /// Send dead messages again.
    #[command(after_help = "Example:\n  portcullis outbox retry 17\n  portcullis outbox retry --dead")]
    Retry(RetryArguments),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RetryArguments {
    /// The ID of the message.
    id: Option<i64>,
    /// All dead messages that have not expired.
    #[arg(long)]
    dead: bool,
}

pub(super) async fn run(context: &Context, command: OutboxCommand) -> Result<(), Failure> {
    let access = if matches!(command, OutboxCommand::Retry(_)) { Access::Change } else { Access::Read };
    let outbox = context.database(&context.config(&["database"])?, access).await?;
    match command {
        OutboxCommand::List { state, channel, most } => {
            let messages = outbox.list(&OutboxFilter { id: None, state, channel, limit: most }).await?;
            context.output.list("messages", &messages, object, &TITLES, row);
        }
        OutboxCommand::Waiting { channel, most } => {
            let page = outbox.browse(OutboxView::Waiting, channel, None, most).await?;
            context.output.list("messages", &page.messages, object, &TITLES, row);
        }
        OutboxCommand::Show { id } => {
            let filter = OutboxFilter { id: Some(MessageId(id)), limit: 1, ..OutboxFilter::default() };
            let message = outbox.list(&filter).await?.pop();
            let message = message.ok_or_else(|| Failure(format!("there is no message {id}")))?;
            show(context, &message, &outbox.attempts(message.id).await?);
        }
        OutboxCommand::Retry(RetryArguments { id: Some(id), .. }) => {
            if !outbox.retry(MessageId(id)).await? {
                return Err(Failure(format!("message {id} is not dead, has expired, or does not exist")));
            }
            context.output.answer(&json!({"retried": 1}), || format!("Message {id} is queued again."));
        }
        OutboxCommand::Retry(_) => {
            let retried = outbox.retry_dead().await?;
            context.output.answer(&json!({"retried": retried}), || format!("{retried} messages are queued again."));
        }
    }
    Ok(())
}

fn show(context: &Context, message: &ListedMessage, attempts: &[Attempt]) {
    let mut shown = object(message);
    shown["attempts"] = attempts
        .iter()
        .map(|attempt| {
            json!({
                "at": attempt.at.to_string(), "provider": attempt.provider, "outcome": attempt.outcome,
                "millis": attempt.millis, "detail": attempt.detail, "reference": attempt.reference,
            })
        })
        .collect();
    context.output.answer(&shown, || {
        let titles = ["TRIED", "PROVIDER", "OUTCOME", "TOOK", "DETAIL", "REFERENCE"];
        let attempts = table(&titles, attempts, |attempt| {
            vec![
                attempt.at.to_string(),
                attempt.provider.clone(),
                attempt.outcome.clone(),
                format!("{} ms", attempt.millis),
                attempt.detail.clone().unwrap_or_default(),
                attempt.reference.clone().unwrap_or_default(),
            ]
        });
        format!("{}\n\n{attempts}", table(&TITLES, slice::from_ref(message), row))
    });
}

/// Addresses are masked, because lists are pasted into tickets.
fn object(message: &ListedMessage) -> Value {
    json!({
        "id": message.id, "state": message.state.as_str(), "kind": message.kind,
        "channel": message.to.channel().as_str(), "to": message.to.masked(),
        "created_at": message.created.to_string(), "age_secs": SystemClock.now().since(message.created).as_secs(),
        "due_at": message.due.map(|at| at.to_string()), "expires_at": message.expires.to_string(),
        "attempts": message.attempts, "last_error": message.last_error,
    })
}

const TITLES: [&str; 7] = ["ID", "STATE", "KIND", "TO", "AGE", "TRIES", "LAST ERROR"];

fn row(message: &ListedMessage) -> Vec<String> {
    vec![
        message.id.to_string(),
        message.state.as_str().to_owned(),
        message.kind.clone(),
        message.to.masked(),
        age(SystemClock.now().since(message.created)),
        message.attempts.to_string(),
        message.last_error.clone().unwrap_or_default(),
    ]
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} d", secs / 86_400),
    }
}
