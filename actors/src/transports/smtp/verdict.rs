//! What a reply, a broken connection or silence means, by the step at which it came. Pure.

use crate::transports::SendError;
use lettre::transport::smtp::Error;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far a transaction got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Finding the host, connecting (with TLS, where it begins at once), greeting, EHLO.
    Greeting,
    /// STARTTLS.
    Tls,
    /// AUTH.
    Login,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, before the final dot went out.
    Data,
    /// The final dot may have gone out.
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

/// The step that is being taken; outlives the attempt that a time-out cuts off.
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

/// Broken, or announced as closing (421, RFC 5321 §3.8): nothing more comes over it.
pub(super) fn is_dead_connection(error: &Error) -> bool {
    code(error).is_none_or(|code| code == 421)
}

/// Whose fault it was. `own_sender`: the sender is that of one application, and says nothing of the others.
pub(super) fn of(error: &Error, step: Step, own_sender: bool) -> SendError {
    let Some(code) = code(error) else { return of_breakage(error, step) };
    let enhanced = enhanced(error);
    let text = match &enhanced {
        Some(enhanced) => format!("{} refused: {code} {enhanced}", step.name()),
        None => format!("{} refused: {code}", step.name()),
    };
    // Most relays judge the client and the sender as late as at RCPT; security and policy (RFC 3463 §3.8) is about us
    // as often as about the recipient, so nothing dies of it before its time.
    let policy = enhanced.is_some_and(|enhanced| enhanced.starts_with("5.7."));
    match (step, code) {
        // Closing, or refused for lack of a login (RFC 4954 §4, §6): about us, at whatever step it is said.
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

/// The name of the server leads nowhere.
pub(super) fn of_no_host() -> SendError {
    SendError::ProviderFault("no such host".to_owned())
}

/// The connection broke, or there was none. The library's own words are not kept: they repeat what the server said.
fn of_breakage(error: &Error, step: Step) -> SendError {
    let text = match (step, cause(error)) {
        (Step::Content, _) => return SendError::Unconfirmed("the connection broke after the final dot".to_owned()),
        (Step::Greeting | Step::Tls, Cause::Certificate) => {
            "TLS failed: the server's certificate is not valid".to_owned()
        }
        (Step::Greeting | Step::Tls, Cause::Tls) => "TLS failed".to_owned(),
        (Step::Greeting, Cause::Refused) => "connection refused".to_owned(),
        (Step::Greeting, Cause::NoWay) => "no way to this host".to_owned(),
        (Step::Tls, Cause::Client) => "TLS failed: the server does not offer STARTTLS".to_owned(),
        (Step::Login, Cause::Client) => "login refused: the server offers none that we know".to_owned(),
        _ => format!("the connection broke at {}", step.name()),
    };
    SendError::ProviderFault(text)
}

/// What is behind an error without a reply.
enum Cause {
    Refused,
    NoWay,
    Certificate,
    Tls,
    /// The library had nothing to go on with.
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
                (None, io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Cause::NoWay,
                _ => Cause::Broken,
            };
        }
        next = source.source();
    }
    Cause::Broken
}

/// Nothing came until the time was up. From `RCPT` on it may be this recipient that the server is slow with; before, it
/// has not been told who that is.
pub(super) fn of_silence(step: Step) -> SendError {
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

/// The enhanced status code (RFC 3463), if there is one. The server's own words are not kept: they repeat addresses.
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
    fn silence_is_the_recipients_only_after_the_sender_was_taken() {
        for step in [Step::Greeting, Step::Tls, Step::Login, Step::Sender] {
            assert!(matches!(of_silence(step), SendError::ProviderFault(_)), "{step:?}");
        }
        assert!(matches!(of_silence(Step::Recipient), SendError::Transient { .. }));
        assert!(matches!(of_silence(Step::Content), SendError::Unconfirmed(_)));
    }

    #[test]
    fn progress_is_read_back() {
        let progress = Phase::default();
        for step in Step::ALL {
            progress.reach(step);
            assert_eq!(progress.step(), step);
        }
    }
}
