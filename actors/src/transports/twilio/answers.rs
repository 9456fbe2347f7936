//! What an answer of the API means, or that there was none. Pure, but for the reading of the body.

use crate::clock::Timestamp;
use crate::transports::SendError;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use std::time::Duration;

/// What the API answers; its texts repeat the number, so only its numbers are kept.
#[derive(Deserialize, Default)]
pub(super) struct Answer {
    pub(super) sid: Option<String>,
    pub(super) code: Option<u32>,
    /// Of an account: whether it may be used.
    pub(super) status: Option<String>,
}

/// Error numbers that are about the recipient or the text, and would be the same with any try: no such number, not a
/// mobile, unsubscribed, too long (twilio.com/docs/api/errors). Other requests that are refused as bad may be so for
/// the sender, the region or the account: they are tried again, with the next provider if there is one, and age.
const ABOUT_THE_MESSAGE: [u32; 8] = [21211, 21214, 21217, 21219, 21610, 21614, 21617, 21635];

/// What a provider may call a message; anything else is no name, and perhaps not even a text that can be stored.
pub(super) fn is_name(sid: &str) -> bool {
    (1..=64).contains(&sid.len()) && sid.bytes().all(|c| c.is_ascii_graphic())
}

/// The texts of the HTTP library name the address with the account in it, so only the kind of failure is told.
pub(super) fn unreachable_api(error: &reqwest::Error) -> SendError {
    if error.is_connect() {
        SendError::ProviderFault("connection refused or not possible".to_owned())
    } else if error.is_timeout() {
        SendError::Unanswered("no answer in time".to_owned())
    } else {
        SendError::Unanswered("the connection broke".to_owned())
    }
}

/// At most 16 KiB are read; an answer that cannot be read has no numbers.
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
        400 if code.is_some_and(|code| ABOUT_THE_MESSAGE.contains(&code)) => SendError::Permanent(text),
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
    fn a_name_that_could_not_be_stored_is_none() {
        assert!(is_name("SM0123456789abcdef0123456789abcdef"));
        for name in ["", "SM\0", "SM 1", "é", &"S".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
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
