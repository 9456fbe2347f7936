//! SMS through an HTTP API like Twilio's.

mod answers;

use super::{Accepted, DeliveryReport, ReportStatus, SendError, Sms, Transport, plaintext_fault, signature};
use crate::clock::Clock;
use crate::domain::redacted_debug;
use crate::error::StartError;
use answers::{is_reference, no_answer, read_answer, refusal, retry_after};
use async_trait::async_trait;
use reqwest::{Client, RequestBuilder, Url, redirect};
use std::sync::Arc;
use std::time::Duration;

/// An account at a provider.
#[derive(Clone)]
pub struct TwilioSettings {
    /// This server's name for the provider: 1–32 of `[a-z0-9-]`.
    pub name: String,
    /// The base of the API: `https://api.twilio.com`.
    pub base_url: String,
    pub account_sid: String,
    pub auth_token: String,
    /// A number in E.164, a name, or a messaging service (`MG…`).
    pub from: String,
    /// The account may send as the applications' own senders. If not, `from` is always used.
    pub own_senders: bool,
    /// The URL for delivery reports; `None` if the provider cannot reach this server.
    pub callback_url: Option<String>,
    /// Allows plain HTTP to other machines.
    pub allow_plaintext: bool,
    pub timeout: Duration,
}

/// One SMS provider.
pub struct TwilioTransport {
    settings: TwilioSettings,
    account_url: Url,
    messages_url: Url,
    client: Client,
    clock: Arc<dyn Clock>,
}

redacted_debug!(TwilioSettings, TwilioTransport);

impl TwilioTransport {
    /// Checks the settings; does not connect.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn new(settings: TwilioSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let fault = |text: &str| StartError(format!("SMS provider {:?}: {text}", settings.name));
        let named = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=32).contains(&settings.name.len()) || !settings.name.bytes().all(named) {
            return Err(fault("a provider's name is 1 to 32 of a-z, 0-9 and -"));
        }
        let base = Url::parse(&settings.base_url).map_err(|_| fault("base_url is not an address"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(fault("base_url must begin with https://"));
        }
        if let Some(text) = plaintext_fault(&base, settings.allow_plaintext) {
            return Err(fault(&format!("base_url {text}")));
        }
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
        if !plain(&settings.account_sid) {
            return Err(fault("account_sid must be letters and digits"));
        }
        if settings.auth_token.is_empty() || settings.from.is_empty() {
            return Err(fault("auth_token and from are required"));
        }
        let of_account = |ends: &[&str]| {
            let mut url = base.clone();
            url.path_segments_mut()?.pop_if_empty().extend(["2010-04-01", "Accounts"]).extend(ends);
            Ok(url)
        };
        let account = settings.account_sid.as_str();
        let urls = [of_account(&[&format!("{account}.json")]), of_account(&[account, "Messages.json"])];
        let [Ok(account_url), Ok(messages_url)] = urls.map(|url: Result<Url, ()>| url) else {
            return Err(fault("base_url is not an address"));
        };
        // Another provider may be installed already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent("portcullis")
            .build()
            .map_err(|_| fault("no TLS roots were found on this machine"))?;
        Ok(Self { settings, account_url, messages_url, client, clock })
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(&self.settings.account_sid, Some(&self.settings.auth_token))
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

/// Whether a text is valid as the sender of an SMS: a number in E.164, a name (Twilio's alphanumeric sender: at most 11
/// characters with at least one letter), or a messaging service.
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

    async fn send(&self, sms: &Sms) -> Result<Accepted, SendError> {
        let request = self.signed(self.client.post(self.messages_url.clone())).form(&self.form(sms));
        let response = request.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response, self.clock.now());
        let answer = read_answer(response).await;
        if (200..300).contains(&status) {
            return Ok(Accepted { reference: answer.sid.filter(|sid| is_reference(sid)) });
        }
        Err(refusal(status, answer.code, retry_after))
    }

    /// Reads the account. If the API does not offer that, any answer is enough.
    async fn probe(&self) -> Result<(), SendError> {
        let request = self.signed(self.client.get(self.account_url.clone()));
        let response = request.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let answer = read_answer(response).await;
        match (status, answer.status.as_deref()) {
            (200..300, None | Some("active")) | (404 | 405 | 501, _) => Ok(()),
            (200..300, Some(_)) => Err(SendError::ProviderFault("the account is not active".to_owned())),
            (401 | 403, _) => Err(SendError::ProviderFault(format!("login refused: HTTP {status}"))),
            _ => Err(refusal(status, answer.code, None)),
        }
    }

    fn read_report(&self, signature: &str, params: &[(String, String)]) -> Option<DeliveryReport> {
        let url = self.settings.callback_url.as_deref()?;
        if !signature::verify(self.settings.auth_token.as_bytes(), url, params, signature) {
            return None;
        }
        let value = |name: &str| params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let status = match value("MessageStatus")? {
            "delivered" | "read" => ReportStatus::Delivered,
            "undelivered" => ReportStatus::Undelivered,
            "failed" | "canceled" => ReportStatus::Failed,
            _ => ReportStatus::Underway,
        };
        let code = value("ErrorCode").and_then(|code| code.parse().ok());
        Some(DeliveryReport { reference: value("MessageSid")?.to_owned(), status, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

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
        let transport = TwilioTransport::new(settings(), Arc::new(SystemClock)).expect("good settings");
        let url = "https://api.twilio.com/2010-04-01/Accounts/AC0123/Messages.json";
        assert_eq!(transport.messages_url.as_str(), url);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |change: fn(&mut TwilioSettings)| {
            let mut settings = settings();
            change(&mut settings);
            TwilioTransport::new(settings, Arc::new(SystemClock)).expect_err("refused").to_string()
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
}
