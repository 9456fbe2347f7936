//! Transports: rendered mail and SMS, and the trait [`Transport`] that sends them.
//!
//! | transport | sends | for |
//! | --- | --- | --- |
//! | [`SmtpTransport`] | mail | a relay that speaks SMTP |
//! | [`TwilioTransport`] | SMS | a Twilio-compatible HTTP API |
//! | [`Inbox`] | both | development and load tests; keeps them in memory |
//!
//! A transport sends one message once and returns the result. The notifier decides when to try again, and with which
//! provider.

mod inbox;
mod plaintext;
mod signature;
mod smtp;
mod twilio;

pub use inbox::{Inbox, InboxMessage};
pub use plaintext::plaintext_fault;
pub use smtp::{SmtpSettings, SmtpTransport, is_mail_sender};
pub use twilio::{TwilioSettings, TwilioTransport, is_sms_sender};

use crate::domain::{Email, Phone, named_values, redacted_debug};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// One line of text without control characters. Headers take no other text.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SingleLine(String);

impl SingleLine {
    /// Replaces control characters and line separators by spaces.
    pub fn new(text: &str) -> Self {
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}');
        let spaced: String = text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
        Self(spaced.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A mail that is ready to be sent.
#[derive(Clone)]
pub struct Mail {
    /// The same at every try, so that receivers recognise a repetition. Characters of base64url.
    pub id: String,
    /// In snake case; for the inbox.
    pub kind: &'static str,
    pub to: Email,
    /// `Name <address>` or an address; `None` for the transport's default.
    pub from: Option<SingleLine>,
    pub subject: SingleLine,
    pub text: String,
    pub html: String,
}

/// An SMS that is ready to be sent.
#[derive(Clone)]
pub struct Sms {
    /// In snake case; for the inbox.
    pub kind: &'static str,
    pub to: Phone,
    /// `None` for the transport's default.
    pub from: Option<SingleLine>,
    /// One segment.
    pub text: String,
}

redacted_debug!(Mail, Sms);

/// The provider accepted the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's own name for the message, if there is one.
    pub reference: Option<String>,
}

/// The provider did not accept the message. The texts are for operators: codes and steps, never an address, a body or a
/// credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A temporary refusal of this message. It says nothing about the provider.
    #[error("{text}")]
    Transient { retry_after: Option<Duration>, text: String },
    /// This recipient or this content is refused for good.
    #[error("{0}")]
    Permanent(String),
    /// The provider, or our access to it, does not work. It says nothing about the message.
    #[error("{0}")]
    ProviderFault(String),
    /// All of the message was handed over, and no answer came. A relay that accepts a message and loses the answer is
    /// rare.
    #[error("{0}")]
    Unconfirmed(String),
    /// A request was sent, and no answer came. Most providers that are so slow do not send the message; the others send
    /// it at every try.
    #[error("{0}")]
    Unanswered(String),
}

impl SendError {
    /// As the attempt log keeps it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::Permanent(_) => "permanent",
            Self::ProviderFault(_) => "provider_fault",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Unanswered(_) => "unanswered",
        }
    }

    /// Whether the provider failed. A provider that rejects one message is still healthy.
    pub fn is_of_provider(&self) -> bool {
        match self {
            Self::Transient { .. } | Self::Permanent(_) => false,
            Self::ProviderFault(_) | Self::Unconfirmed(_) | Self::Unanswered(_) => true,
        }
    }
}

/// A provider of messages of type `M`.
#[async_trait]
pub trait Transport<M>: Send + Sync {
    /// The provider's name in logs, in the attempt log and in callback URLs.
    fn name(&self) -> &str;

    /// Sends once, within the transport's time-out.
    ///
    /// # Errors
    /// The error says whose fault it was, and so whether another try makes sense.
    async fn send(&self, message: &M) -> Result<Accepted, SendError>;

    /// Checks that the provider answers and accepts our login, without a message.
    ///
    /// # Errors
    /// As for [`Transport::send`].
    async fn probe(&self) -> Result<(), SendError> {
        Ok(())
    }

    /// Closes connections; nothing more will be sent.
    async fn close(&self) {}

    /// Reads a callback of the provider; `None` if its signature is not valid.
    fn read_report(&self, _signature: &str, _params: &[(String, String)]) -> Option<DeliveryReport> {
        None
    }
}

/// The providers of each channel, in the order in which they are tried.
#[derive(Clone)]
pub struct Transports {
    pub mail: Vec<Arc<dyn Transport<Mail>>>,
    pub sms: Vec<Arc<dyn Transport<Sms>>>,
}

/// What a provider reports later about a message that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The provider's own name for the message.
    pub reference: String,
    pub status: ReportStatus,
    /// The provider's error code, if there is one.
    pub code: Option<u32>,
}

named_values! {
    /// The state of a message at a provider, as the attempt log keeps it.
    pub enum ReportStatus {
        /// It reached the phone.
        Delivered = "delivered",
        /// The carrier did not deliver it.
        Undelivered = "undelivered",
        /// The provider could not send it.
        Failed = "failed",
        /// It is on its way; nothing to do.
        Underway = "underway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(SingleLine::new("Beyond\r\nBcc: x@y.zz\0VIP\u{2028}!").as_str(), "Beyond Bcc: x@y.zz VIP !");
        assert_eq!(SingleLine::new("  Beyond VIP ").as_str(), "Beyond VIP");
    }
}
