//! Ways out of the house: what a mail and an SMS are once they are written, and the trait of what carries them.
//!
//! | transport | carries | for |
//! | --- | --- | --- |
//! | [`SmtpTransport`] | mail | a relay that speaks SMTP |
//! | [`TwilioTransport`] | SMS | an HTTP API of Twilio's shape |
//! | [`Inbox`] | both | development and load tests: keeps them in memory |
//!
//! A transport sends one message once and says what came of it. When to try again, and with which provider, is
//! decided by the notifier; nothing here knows the outbox.

mod inbox;
mod plaintext;
mod signature;
mod smtp;
mod twilio;

pub use inbox::{Inbox, InboxMessage};
pub use plaintext::plaintext_fault;
pub use smtp::{SmtpSettings, SmtpTransport, is_mail_sender};
pub use twilio::{TwilioSettings, TwilioTransport, is_sms_sender};

use crate::domain::{Email, Phone, redacted_debug};
use async_trait::async_trait;
use std::time::Duration;

/// One line of text without control characters: the only text that gets into a header.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Line(String);

impl Line {
    /// Keeps what may stand on one line; control characters and line separators become spaces.
    pub fn new(text: &str) -> Self {
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}');
        let spaced: String = text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
        Self(spaced.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A mail that is ready to go.
#[derive(Clone)]
pub struct Mail {
    /// The same at every try: what receivers tell a repetition by. Characters of base64url.
    pub id: String,
    /// What it is about, in snake case; for the inbox.
    pub kind: &'static str,
    /// To whom.
    pub to: Email,
    /// The sender, if it is not the transport's own; `Name <address>` or an address.
    pub from: Option<Line>,
    /// The subject.
    pub subject: Line,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

/// An SMS that is ready to go.
#[derive(Clone)]
pub struct Sms {
    /// What it is about, in snake case; for the inbox.
    pub kind: &'static str,
    /// To which number.
    pub to: Phone,
    /// The sender, if it is not the transport's own.
    pub from: Option<Line>,
    /// The text; fits one segment.
    pub text: String,
}

redacted_debug!(Mail, Sms);

/// The provider took the message over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's own name for it, if it gave one.
    pub reference: Option<String>,
}

/// The provider did not take the message over. The texts are for operators: codes and stages, never an address, a
/// body or a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not now; about this message alone, so it says nothing of the provider.
    #[error("{text}")]
    Transient {
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
        /// What happened.
        text: String,
    },
    /// Never: this recipient or this content is refused.
    #[error("{0}")]
    Permanent(String),
    /// The provider, or our access to it, is out of order; says nothing of the message.
    #[error("{0}")]
    ProviderFault(String),
    /// All of the message was handed over and no answer came: it may or may not arrive. A relay that takes a message
    /// and loses the answer is rare, and twice is once too often.
    #[error("{0}")]
    Unconfirmed(String),
    /// A request went out and no answer came. Providers that are this slow rarely send the message; those that do send
    /// it each time.
    #[error("{0}")]
    Unanswered(String),
}

/// What carries messages of kind `M`.
#[async_trait]
pub trait Transport<M>: Send + Sync {
    /// Which provider this is: the name in logs, in the attempt log and in callback addresses.
    fn name(&self) -> &str;

    /// Sends once, within the transport's time-out.
    ///
    /// # Errors
    /// Says whose fault it was, and thereby whether another try makes sense.
    async fn send(&self, message: &M) -> Result<Accepted, SendError>;

    /// Asks whether a message would be taken, without sending one: whether the provider answers and knows us.
    ///
    /// # Errors
    /// As [`Transport::send`], of the provider.
    async fn probe(&self) -> Result<(), SendError> {
        Ok(())
    }

    /// Nothing more will be sent.
    async fn close(&self) {}

    /// Reads a callback of the provider; `None` unless its signature proves that the provider sent it.
    fn read_report(&self, _signature: &str, _params: &[(String, String)]) -> Option<DeliveryReport> {
        None
    }
}

/// What a provider says later about a message it took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Its own name for the message.
    pub reference: String,
    /// What became of it.
    pub status: ReportStatus,
    /// The provider's number for the reason, if there is one.
    pub code: Option<u32>,
}

/// The ends a message can come to at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStatus {
    /// It reached the phone.
    Delivered,
    /// The carrier did not deliver it.
    Undelivered,
    /// The provider could not send it.
    Failed,
    /// On its way; nothing to do.
    Underway,
}

impl ReportStatus {
    /// As the attempt log keeps it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Underway => "underway",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(Line::new("Beyond\r\nBcc: x@y.zz\0VIP\u{2028}!").as_str(), "Beyond Bcc: x@y.zz VIP !");
        assert_eq!(Line::new("  Beyond VIP ").as_str(), "Beyond VIP");
    }
}
