//! SMS through an HTTP API of Twilio's shape. Sends once; which provider is tried when is the notifier's affair.

use super::{Callback, CallbackStatus, Receipt, SendError, Sms, Transport, TransportFault, is_loopback, signature};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use async_trait::async_trait;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, Url, redirect};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// What an account at a provider is reached by.
#[derive(Clone)]
pub struct TwilioSettings {
    /// What this provider is called here: 1–32 of `[a-z0-9-]`.
    pub name: String,
    /// Where the API is: `https://api.twilio.com`.
    pub base_url: String,
    /// The account.
    pub account_sid: String,
    /// The account's secret.
    pub auth_token: String,
    /// A number in E.164, a name, or a messaging service (`MG…`).
    pub from: String,
    /// Whether applications' own senders are known to this account; if not, all is sent as `from`.
    pub own_senders: bool,
    /// Where the provider reports what became of a message; none if nobody outside can reach this server.
    pub callback_url: Option<String>,
    /// Plain HTTP is allowed beyond this machine.
    pub allow_plaintext: bool,
    /// The longest a request may take.
    pub timeout: Duration,
}

impl fmt::Debug for TwilioSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioSettings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One SMS provider.
pub struct TwilioTransport {
    settings: TwilioSettings,
    messages_url: Url,
    client: Client,
}

impl fmt::Debug for TwilioTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioTransport").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

/// What the API answers; its texts repeat the number, so only its numbers are kept.
#[derive(Deserialize, Default)]
struct Answer {
    sid: Option<String>,
    code: Option<u32>,
}

/// Error numbers that are about the recipient or the text, and would be the same with any try: no such number, not a
/// mobile, unsubscribed, too long (twilio.com/docs/api/errors). Other requests that are refused as bad may be so for
/// the sender, the region or the account: they are tried again, with the next provider if there is one, and age.
const ABOUT_THE_MESSAGE: [u32; 8] = [21211, 21214, 21217, 21219, 21610, 21614, 21617, 21635];

impl TwilioTransport {
    /// Checks the settings; asks nobody.
    ///
    /// # Errors
    /// One clear line that names the setting.
    pub fn new(settings: TwilioSettings) -> Result<Self, TransportFault> {
        let fault = |text: &str| TransportFault(format!("SMS provider {:?}: {text}", settings.name));
        let named = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=32).contains(&settings.name.len()) || !settings.name.bytes().all(named) {
            return Err(fault("a provider's name is 1 to 32 of a-z, 0-9 and -"));
        }
        let base = Url::parse(&settings.base_url).map_err(|_| fault("base_url is not an address"))?;
        let private =
            base.scheme() == "https" || settings.allow_plaintext || is_loopback(base.host_str().unwrap_or(""));
        if !matches!(base.scheme(), "http" | "https") || !private {
            return Err(fault("base_url must be https (or set allow_plaintext)"));
        }
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
        if !plain(&settings.account_sid) {
            return Err(fault("account_sid must be letters and digits"));
        }
        if settings.auth_token.is_empty() || settings.from.is_empty() {
            return Err(fault("auth_token and from are required"));
        }
        let mut messages_url = base;
        let account = settings.account_sid.as_str();
        messages_url.path_segments_mut().map_err(|()| fault("base_url is not an address"))?.pop_if_empty().extend([
            "2010-04-01",
            "Accounts",
            account,
            "Messages.json",
        ]);
        // Somebody may have installed a provider before; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent("portcullis")
            .build()
            .map_err(|_| fault("no TLS roots were found on this machine"))?;
        Ok(Self { settings, messages_url, client })
    }

    fn form<'a>(&'a self, sms: &'a Sms) -> Vec<(&'static str, &'a str)> {
        let own = sms.from.as_ref().filter(|_| self.settings.own_senders);
        let from = own.map_or(self.settings.from.as_str(), |from| from.as_str());
        let sender = if is_messaging_service(from) { "MessagingServiceSid" } else { "From" };
        let mut form = vec![("To", sms.to.as_str()), (sender, from), ("Body", sms.text.as_str())];
        form.extend(self.settings.callback_url.as_deref().map(|url| ("StatusCallback", url)));
        form
    }
}

/// What a provider may call a message; anything else is no name, and perhaps not even a text that can be stored.
fn is_name(sid: &str) -> bool {
    (1..=64).contains(&sid.len()) && sid.bytes().all(|c| c.is_ascii_graphic())
}

/// Whether a text can be the sender of an SMS: a number in E.164, a name (Twilio's alphanumeric sender: at most 11, a
/// letter among them), or a messaging service.
pub fn is_sms_sender(text: &str) -> bool {
    let number = |digits: &str| (7..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    let in_names = |c: u8| c.is_ascii_alphanumeric() || b" +-_&".contains(&c);
    let name = text.len() <= 11 && text.bytes().all(in_names) && text.bytes().any(|c| c.is_ascii_alphabetic());
    text.strip_prefix('+').is_some_and(number) || name || is_messaging_service(text)
}

fn is_messaging_service(from: &str) -> bool {
    from.len() == 34 && from.starts_with("MG") && from.bytes().all(|c| c.is_ascii_alphanumeric())
}

#[async_trait]
impl Transport<Sms> for TwilioTransport {
    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn send(&self, sms: &Sms) -> Result<Receipt, SendError> {
        let request = self
            .client
            .post(self.messages_url.clone())
            .basic_auth(&self.settings.account_sid, Some(&self.settings.auth_token))
            .form(&self.form(sms));
        let response = request.send().await.map_err(|error| unreachable_api(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let answer = read_answer(response).await;
        if (200..300).contains(&status) {
            return Ok(Receipt { reference: answer.sid.filter(|sid| is_name(sid)) });
        }
        Err(refusal(status, answer.code, retry_after))
    }

    fn read_callback(&self, signature: &str, params: &[(String, String)]) -> Option<Callback> {
        let url = self.settings.callback_url.as_deref()?;
        if !signature::verify(self.settings.auth_token.as_bytes(), url, params, signature) {
            return None;
        }
        let value = |name: &str| params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let status = match value("MessageStatus")? {
            "delivered" | "read" => CallbackStatus::Delivered,
            "undelivered" => CallbackStatus::Undelivered,
            "failed" | "canceled" => CallbackStatus::Failed,
            _ => CallbackStatus::Underway,
        };
        let code = value("ErrorCode").and_then(|code| code.parse().ok());
        Some(Callback { reference: value("MessageSid")?.to_owned(), status, code })
    }
}

/// The texts of the HTTP library name the address with the account in it, so only the kind of failure is told.
fn unreachable_api(error: &reqwest::Error) -> SendError {
    if error.is_connect() {
        SendError::ProviderFault("connection refused or not possible".to_owned())
    } else if error.is_timeout() {
        SendError::Unanswered("no answer in time".to_owned())
    } else {
        SendError::Unanswered("the connection broke".to_owned())
    }
}

/// At most 16 KiB are read; an answer that cannot be read has no numbers.
async fn read_answer(mut response: Response) -> Answer {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > 16 * 1024 {
            return Answer::default();
        }
    }
    serde_json::from_slice(&body).unwrap_or_default()
}

fn refusal(status: u16, code: Option<u32>, retry_after: Option<Duration>) -> SendError {
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
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = Timestamp::from_secs(jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp().as_second());
    Some(at.since(SystemClock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TwilioSettings {
        TwilioSettings {
            name: "primary".to_owned(),
            base_url: "https://api.twilio.com".to_owned(),
            account_sid: "AC0123".to_owned(),
            auth_token: "secret".to_owned(),
            from: "+15005550006".to_owned(),
            own_senders: true,
            callback_url: None,
            allow_plaintext: false,
            timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn the_address_is_built_from_base_and_account() {
        let transport = TwilioTransport::new(settings()).expect("good settings");
        let url = "https://api.twilio.com/2010-04-01/Accounts/AC0123/Messages.json";
        assert_eq!(transport.messages_url.as_str(), url);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |change: fn(&mut TwilioSettings)| {
            let mut settings = settings();
            change(&mut settings);
            TwilioTransport::new(settings).expect_err("refused").to_string()
        };
        assert!(refused(|s| s.base_url = "http://sms.example.com".to_owned()).contains("allow_plaintext"));
        assert!(refused(|s| s.base_url = "ftp://127.0.0.1".to_owned()).contains("https"));
        assert!(refused(|s| s.base_url = "here".to_owned()).contains("base_url"));
        assert!(refused(|s| s.account_sid = "../x".to_owned()).contains("account_sid"));
        assert!(refused(|s| s.name = "A b".to_owned()).contains("name"));
        assert!(refused(|s| s.from = String::new()).contains("from"));
        assert!(!refused(|s| s.from = String::new()).contains("secret"));
    }

    #[test]
    fn senders_are_numbers_names_and_services() {
        let service = format!("MG{}", "0a".repeat(16));
        for sender in ["+15005550006", "Beyond VIP", service.as_str()] {
            assert!(is_sms_sender(sender), "{sender}");
        }
        for text in ["", "15005550006", "+1", "a name that is too long", "\u{e9}t\u{e9}", "a\r\nb", "MG12345678901"] {
            assert!(!is_sms_sender(text), "{text:?}");
        }
    }

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
