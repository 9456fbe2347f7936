//! Classifies answers of the API, and missing ones.

use crate::clock::Timestamp;
use crate::transports::SendError;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use std::time::Duration;

/// The body of an answer. Only numbers are kept: the API's texts repeat the phone number.
#[derive(Deserialize, Default)]
pub(super) struct Answer {
    pub(super) sid: Option<String>,
    pub(super) code: Option<u32>,
    /// The state of an account.
    pub(super) status: Option<String>,
}

/// Errors about the recipient or the text, the same at every try: no such number, no mobile, unsubscribed, too long
/// (twilio.com/docs/api/errors). Other bad requests may be about the sender, the region or the account: those are
/// temporary refusals, and the next provider may accept the message.
const PERMANENT_ERRORS: [u32; 8] = [21211, 21214, 21217, 21219, 21610, 21614, 21617, 21635];

/// Whether a provider's reference is valid. Other texts may be impossible to store.
pub(super) fn is_reference(sid: &str) -> bool {
    (1..=64).contains(&sid.len()) && sid.bytes().all(|c| c.is_ascii_graphic())
}

/// Classifies a request without an answer. The HTTP library's texts contain the URL with the account, so they are not kept.
pub(super) fn no_answer(error: &reqwest::Error) -> SendError {
    if error.is_connect() {
        SendError::ProviderFault("connection refused or not possible".to_owned())
    } else if error.is_timeout() {
        SendError::Unanswered("no answer in time".to_owned())
    } else {
        SendError::Unanswered("the connection broke".to_owned())
    }
}

/// Reads 16 KiB at most. An unreadable answer has no fields.
pub(super) async fn read_answer(mut response: Response) -> Answer {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > 16 * 1024 {
            return Answer::default();
        }
    }
    serde_json::from_slice(&body).unwrap_or_default()
}

pub(super) fn refusal(status: u16, code: Option<u32>, retry_after: Option<Duration>) -> SendError {
    let number = code.map(|code| format!(", error {code}")).unwrap_or_default();
    let text = format!("HTTP {status}{number}");
    match status {
        429 => SendError::Transient { retry_after, text },
        400 if code.is_some_and(|code| PERMANENT_ERRORS.contains(&code)) => SendError::Permanent(text),
        400 => SendError::Transient { retry_after, text },
        _ => SendError::ProviderFault(text),
    }
}

/// Seconds or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = Timestamp::from_secs(jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp().as_second());
    Some(at.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_could_not_be_stored_is_ignored() {
        assert!(is_reference("SM0123456789abcdef0123456789abcdef"));
        for name in ["", "SM\0", "SM 1", "é", &"S".repeat(65)] {
            assert!(!is_reference(name), "{name:?}");
        }
    }

    #[test]
    fn a_refusal_is_the_messages_fault_only_if_its_number_says_so() {
        assert!(matches!(refusal(400, Some(21211), None), SendError::Permanent(_)));
        assert!(matches!(refusal(400, Some(21606), None), SendError::Transient { .. }));
        assert!(matches!(refusal(401, Some(20003), None), SendError::ProviderFault(_)));
        assert!(matches!(refusal(429, None, None), SendError::Transient { .. }));
        assert!(matches!(refusal(502, None, None), SendError::ProviderFault(_)));
    }
}
