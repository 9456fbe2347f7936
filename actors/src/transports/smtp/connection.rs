//! One connection to the relay: opens it, and sends one mail over it step by step.

use super::letter::EncodedMail;
use super::reply::{self, Phase, Step};
use super::{Accepted, SmtpSettings};
use crate::transports::{SendError, plaintext_fault};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use reqwest::Url;
use std::time::Duration;

/// When TLS begins.
enum Encryption {
    None,
    Opportunistic(TlsParameters),
    Required(TlsParameters),
    Implicit(TlsParameters),
}

/// The address of the relay and the login: all that is needed to open a connection.
pub(super) struct Relay {
    host: String,
    port: u16,
    encryption: Encryption,
    hello: ClientId,
    credentials: Option<Credentials>,
    timeout: Duration,
}

impl Relay {
    /// Reads the URL in the form that lettre documents.
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, String> {
        let url = Url::parse(&settings.url).map_err(|_| "smtp_url is not an address".to_owned())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("smtp_url names no host")?.to_owned();
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let parameters = || tls_parameters(&host, settings.extra_root.as_deref());
        let (encryption, usual_port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => (Encryption::Implicit(parameters()?), 465),
            ("smtp", Some("required")) => (Encryption::Required(parameters()?), 587),
            ("smtp", Some("opportunistic")) => (Encryption::Opportunistic(parameters()?), 587),
            ("smtp", None) => (Encryption::None, 25),
            _ => return Err("smtp_url begins with smtp:// or smtps://, tls is required or opportunistic".to_owned()),
        };
        if let Some(text) = plaintext_fault(&url, settings.allow_plaintext) {
            return Err(format!("smtp_url {text}"));
        }
        let name = url.path().trim_matches('/');
        let hello = if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) };
        let decoded = |text: &str| percent_decoded(text).ok_or("smtp_url has a user or password that is not UTF-8");
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        let port = url.port().unwrap_or(usual_port);
        Ok(Self { host, port, encryption, hello, credentials, timeout: settings.timeout })
    }

    /// Connects, greets, encrypts and logs in. `phase` shows the current step.
    pub(super) async fn connect(&self, phase: &Phase) -> Result<Connection, SendError> {
        let refused = |error: Error| reply::classify(&error, phase.step(), false);
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        phase.reach(Step::Greeting);
        let found = tokio::net::lookup_host((host, self.port)).await;
        let addresses: Vec<_> = found.map_err(|_| reply::no_such_host())?.collect();
        let implicit = match &self.encryption {
            Encryption::Implicit(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let timeout = Some(self.timeout);
        let connected = AsyncSmtpConnection::connect_tokio1(&*addresses, timeout, &self.hello, implicit, None).await;
        let mut connection = connected.map_err(refused)?;
        phase.reach(Step::Tls);
        match &self.encryption {
            Encryption::Required(parameters) => {
                connection.starttls(parameters.clone(), &self.hello).await.map_err(refused)?;
            }
            Encryption::Opportunistic(parameters) if connection.can_starttls() => {
                connection.starttls(parameters.clone(), &self.hello).await.map_err(refused)?;
            }
            _ => {}
        }
        phase.reach(Step::Login);
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(refused)?;
        }
        Ok(Connection(connection))
    }
}

/// An open connection, between two mails.
pub(super) struct Connection(AsyncSmtpConnection);

impl Connection {
    /// Sends one mail. `phase` shows the current step.
    pub(super) async fn transact(&mut self, letter: &EncodedMail, phase: &Phase) -> Result<Accepted, Error> {
        phase.reach(Step::Sender);
        self.0.command(Mail::new(Some(letter.sender.clone()), vec![])).await?;
        phase.reach(Step::Recipient);
        self.0.command(Rcpt::new(letter.recipient.clone(), vec![])).await?;
        phase.reach(Step::Data);
        self.0.command(Data).await?;
        phase.reach(Step::Content);
        let response = self.0.command(letter.data()).await?;
        Ok(Accepted { reference: queue_name(&response.message().collect::<Vec<_>>().join(" ")) })
    }

    /// Resets the connection after a refused mail. False if it cannot be used again.
    pub(super) async fn reset(&mut self) -> bool {
        matches!(tokio::time::timeout(Duration::from_secs(2), self.0.command(Rset)).await, Ok(Ok(_)))
    }

    /// Sends QUIT; waits a second at most.
    pub(super) async fn quit(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.command(Quit)).await;
    }
}

fn tls_parameters(host: &str, extra_root: Option<&[u8]>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = extra_root {
        let root = Certificate::from_pem(pem).map_err(|_| "the extra root is not a certificate in PEM")?;
        builder = builder.add_root_certificate(root);
    }
    builder.build().map_err(|_| "no TLS roots were found on this machine".to_owned())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The mail's name in the relay's queue, as most relays tell it (`queued as …`). Other text is not kept.
fn queue_name(words: &str) -> Option<String> {
    let (_, after) = words.split_once("queued as ")?;
    let name: String =
        after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')).collect();
    (1..=64).contains(&name.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(url: &str) -> Result<Relay, String> {
        Relay::new(&SmtpSettings {
            url: url.to_owned(),
            from: "a@example.com".to_owned(),
            allow_plaintext: false,
            extra_root: None,
            timeout: Duration::from_secs(60),
            connections: 1,
        })
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        assert!(relay("smtp://127.0.0.1:1025").is_ok());
        assert!(relay("smtp://[::1]:1025").is_ok());
        for url in ["smtp://mail.example.com", "smtp://mail.example.com?tls=opportunistic"] {
            assert!(relay(url).is_err_and(|text| text.contains("allow_plaintext")), "{url}");
        }
        assert!(relay("smtps://mail.example.com").is_ok_and(|relay| relay.port == 465));
        assert!(relay("smtp://mail.example.com?tls=required").is_ok_and(|relay| relay.port == 587));
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_without_showing_it() {
        for url in ["", "mail.example.com", "http://mail.example.com", "smtp://u:hunter2@m.example?tls=maybe"] {
            assert!(relay(url).is_err_and(|text| !text.contains("hunter2")), "{url}");
        }
    }

    #[test]
    fn credentials_are_percent_decoded() {
        assert_eq!(percent_decoded("p%40ss%2Fword").as_deref(), Some("p@ss/word"));
        assert_eq!(percent_decoded("100%"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }

    #[test]
    fn only_a_queues_name_is_kept_of_a_reply() {
        assert_eq!(queue_name("2.0.0 Ok: queued as 4BxY2z1 for bob@example.com").as_deref(), Some("4BxY2z1"));
        assert_eq!(queue_name("OK bob@example.com"), None);
    }
}
