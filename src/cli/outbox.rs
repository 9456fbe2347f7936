//! `outbox list|show|retry`: what is on its way, what did not arrive and why, and another try.

use super::output::table;
use super::{Access, Refused, Shell};
use clap::{Args, Subcommand};
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::domain::MessageId;
use portcullis_actors::stores::{Attempt, Channel, ListedMessage, MessageState, OutboxFilter, OutboxStore as _};
use serde_json::{Value, json};
use std::slice;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    /// List messages, newest first, with their age and the last error.
    #[command(after_help = "Example:\n  portcullis outbox list --state dead --most 20")]
    List {
        /// Only these: queued, leased, retry, delivered, dead or expired.
        #[arg(long)]
        state: Option<MessageState>,
        /// Only these: mail or sms.
        #[arg(long, value_parser = channel)]
        channel: Option<Channel>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        most: u32,
    },
    /// Show one message and every try that was made with it.
    #[command(after_help = "Example:\n  portcullis outbox show 17")]
    Show {
        /// Its number.
        id: i64,
    },
    /// Send dead messages again.
    #[command(after_help = "Example:\n  portcullis outbox retry 17\n  portcullis outbox retry --dead")]
    Retry(RetryArguments),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RetryArguments {
    /// The message with this number.
    id: Option<i64>,
    /// All that are dead and not past their life.
    #[arg(long)]
    dead: bool,
}

pub(super) async fn run(shell: &Shell, command: OutboxCommand) -> Result<(), Refused> {
    let access = if matches!(command, OutboxCommand::Retry(_)) { Access::Change } else { Access::Read };
    let outbox = shell.database(&shell.config(&["database"])?, access).await?;
    match command {
        OutboxCommand::List { state, channel, most } => {
            list(shell, &outbox.list(&OutboxFilter { id: None, state, channel, limit: most }).await?);
        }
        OutboxCommand::Show { id } => {
            let filter = OutboxFilter { id: Some(MessageId(id)), limit: 1, ..OutboxFilter::default() };
            let message = outbox.list(&filter).await?.pop();
            let message = message.ok_or_else(|| Refused(format!("there is no message {id}, or not any more")))?;
            show(shell, &message, &outbox.attempts(message.id).await?);
        }
        OutboxCommand::Retry(RetryArguments { id: Some(id), .. }) => {
            if !outbox.retry(MessageId(id)).await? {
                return Err(Refused(format!("message {id} is not dead, past its life, or not there")));
            }
            shell.output.answer(&json!({"retried": 1}), || format!("Message {id} is queued again."));
        }
        OutboxCommand::Retry(_) => {
            let retried = outbox.retry_dead().await?;
            shell.output.answer(&json!({"retried": retried}), || format!("{retried} messages are queued again."));
        }
    }
    Ok(())
}

fn channel(text: &str) -> Result<Channel, &'static str> {
    Channel::ALL.into_iter().find(|channel| channel.as_str() == text).ok_or("is neither mail nor sms")
}

fn list(shell: &Shell, messages: &[ListedMessage]) {
    let objects: Vec<_> = messages.iter().map(object).collect();
    shell.output.answer(&json!({"messages": objects}), || lines(messages));
}

fn show(shell: &Shell, message: &ListedMessage, attempts: &[Attempt]) {
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
    shell.output.answer(&shown, || {
        let rows: Vec<_> = attempts
            .iter()
            .map(|attempt| {
                vec![
                    attempt.at.to_string(),
                    attempt.provider.clone(),
                    attempt.outcome.clone(),
                    format!("{} ms", attempt.millis),
                    attempt.detail.clone().unwrap_or_default(),
                    attempt.reference.clone().unwrap_or_default(),
                ]
            })
            .collect();
        let tries = table(&["TRIED", "PROVIDER", "OUTCOME", "TOOK", "DETAIL", "REFERENCE"], &rows);
        format!("{}\n\n{tries}", lines(slice::from_ref(message)))
    });
}

/// Addresses are masked: the list is looked at over shoulders and pasted into tickets.
fn object(message: &ListedMessage) -> Value {
    json!({
        "id": message.id, "state": message.state.as_str(), "kind": message.kind,
        "channel": message.to.channel().as_str(), "to": message.to.masked(),
        "created_at": message.created.to_string(), "age_secs": SystemClock.now().since(message.created).as_secs(),
        "due_at": message.due.map(|at| at.to_string()), "expires_at": message.expires.to_string(),
        "attempts": message.attempts, "last_error": message.last_error,
    })
}

fn lines(messages: &[ListedMessage]) -> String {
    let now = SystemClock.now();
    let rows: Vec<_> = messages
        .iter()
        .map(|message| {
            vec![
                message.id.to_string(),
                message.state.as_str().to_owned(),
                message.kind.clone(),
                message.to.masked(),
                age(now.since(message.created)),
                message.attempts.to_string(),
                message.last_error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["ID", "STATE", "KIND", "TO", "AGE", "TRIES", "LAST ERROR"], &rows)
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} d", secs / 86_400),
    }
}
