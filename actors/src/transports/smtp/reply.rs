//! Classifies a reply, a broken connection or a time-out by the step at which it happened. Pure.

use crate::transports::SendError;
use lettre::transport::smtp::Error;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// DNS, connection (with implicit TLS), greeting, EHLO.
    Greeting,
    Tls,
    Login,
    Sender,
    Recipient,
    /// `DATA`, before the final dot was sent.
    Data,
    /// The final dot may have been sent.
    Content,
}

impl Step {
    const ALL: [Self; 7] =
        [Self::Greeting, Self::Tls, Self::Login, Self::Sender, Self::Recipient, Self::Data, Self::Content];

    fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Tls => "STARTTLS",
            Self::Login => "login",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "content",
        }
    }
}

/// The current step of an attempt. It is still readable when a time-out has cancelled the attempt.
#[derive(Default)]
pub(super) struct Phase(AtomicU8);

impl Phase {
    pub(super) fn reach(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    pub(super) fn step(&self) -> Step {
        Step::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }
}

/// The connection is broken, or the server announced that it closes it (421, RFC 5321 §3.8).
pub(super) fn is_dead_connection(error: &Error) -> bool {
    code(error).is_none_or(|code| code == 421)
}

/// Decides whose fault an error is. `own_sender`: the sender is that of one application, so its refusal says nothing
/// about other messages.
pub(super) fn classify(error: &Error, step: Step, own_sender: bool) -> SendError {
    let Some(code) = code(error) else { return classify_breakage(error, step) };
    let enhanced = enhanced(error);
    let text = match &enhanced {
        Some(enhanced) => format!("{} refused: {code} {enhanced}", step.name()),
        None => format!("{} refused: {code}", step.name()),
    };
    // Most relays check the client and the sender as late as at RCPT. A code for security or policy (RFC 3463 §3.8) is
    // as often about us as about the recipient, so it is not permanent.
    let policy = enhanced.is_some_and(|enhanced| enhanced.starts_with("5.7."));
    match (step, code) {
        // Closing, or a login is missing or refused (RFC 4954 §4, §6): about us, at every step.
        (_, 421 | 432 | 454 | 530 | 534 | 535 | 538) | (Step::Greeting | Step::Tls | Step::Login, _) => {
            SendError::ProviderFault(text)
        }
        (_, 400..=499) => SendError::Transient { retry_after: None, text },
        (Step::Sender, _) if own_sender => SendError::Transient { retry_after: None, text },
        (Step::Recipient, _) if policy => SendError::Transient { retry_after: None, text },
        (Step::Sender, _) => SendError::ProviderFault(text),
        _ => SendError::Permanent(text),
    }
}

/// DNS does not find the server.
pub(super) fn no_such_host() -> SendError {
    SendError::ProviderFault("no such host".to_owned())
}

/// The connection broke, or there was none. The library's text is not kept: it repeats what the server said.
fn classify_breakage(error: &Error, step: Step) -> SendError {
    let text = match (step, cause(error)) {
        (Step::Content, _) => return SendError::Unconfirmed("the connection broke after the final dot".to_owned()),
        (Step::Greeting | Step::Tls, Cause::Certificate) => {
            "TLS failed: the server's certificate is not valid".to_owned()
        }
        (Step::Greeting | Step::Tls, Cause::Tls) => "TLS failed".to_owned(),
        (Step::Greeting, Cause::Refused) => "connection refused".to_owned(),
        (Step::Greeting, Cause::Unreachable) => "no way to this host".to_owned(),
        (Step::Tls, Cause::Client) => "TLS failed: the server does not offer STARTTLS".to_owned(),
        (Step::Login, Cause::Client) => "login refused: the server offers none that we know".to_owned(),
        _ => format!("the connection broke at {}", step.name()),
    };
    SendError::ProviderFault(text)
}

/// The cause of an error without a reply.
enum Cause {
    Refused,
    Unreachable,
    Certificate,
    Tls,
    /// The library gave up: the server lacks a capability.
    Client,
    Broken,
}

fn cause(error: &Error) -> Cause {
    if error.is_client() {
        return Cause::Client;
    }
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref::<io::Error>() {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            return match (inner, error.kind()) {
                (Some(rustls::Error::InvalidCertificate(_)), _) => Cause::Certificate,
                (Some(_), _) => Cause::Tls,
                (None, io::ErrorKind::ConnectionRefused) => Cause::Refused,
                (None, io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Cause::Unreachable,
                _ => Cause::Broken,
            };
        }
        next = source.source();
    }
    Cause::Broken
}

/// A time-out. From `RCPT` on, the server may be slow because of this recipient. Before that it does not know the
/// recipient.
pub(super) fn timed_out(step: Step) -> SendError {
    match step {
        Step::Content => SendError::Unconfirmed("no answer in time after the final dot".to_owned()),
        Step::Greeting | Step::Tls | Step::Login | Step::Sender => {
            SendError::ProviderFault(format!("no answer in time at {}", step.name()))
        }
        _ => SendError::Transient { retry_after: None, text: format!("no answer in time at {}", step.name()) },
    }
}

fn code(error: &Error) -> Option<u16> {
    error.status().and_then(|code| code.to_string().parse().ok())
}

/// The enhanced status code (RFC 3463), if there is one. The server's text is not kept: it repeats addresses.
fn enhanced(error: &Error) -> Option<String> {
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let first = words.split_whitespace().next().filter(|word| {
        let mut parts = word.split('.');
        let digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
        parts.clone().count() == 3 && parts.all(digits)
    });
    first.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_about_the_recipient_only_after_the_sender_was_accepted() {
        for step in [Step::Greeting, Step::Tls, Step::Login, Step::Sender] {
            assert!(matches!(timed_out(step), SendError::ProviderFault(_)), "{step:?}");
        }
        assert!(matches!(timed_out(Step::Recipient), SendError::Transient { .. }));
        assert!(matches!(timed_out(Step::Content), SendError::Unconfirmed(_)));
    }

    #[test]
    fn the_step_is_read_back() {
        let phase = Phase::default();
        for step in Step::ALL {
            phase.reach(step);
            assert_eq!(phase.step(), step);
        }
    }
}
