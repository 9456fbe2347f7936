//! A mail as it is sent. Every header value has a type that cannot hold a line break.

use super::{address, sender};
use crate::clock::Timestamp;
use crate::transports::{Mail, SendError};
use lettre::Address;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use std::time::{Duration, SystemTime};

pub(super) struct EncodedMail {
    pub(super) sender: Address,
    pub(super) recipient: Address,
    pub(super) content: String,
    /// The sender is that of one application.
    pub(super) own_sender: bool,
}

impl EncodedMail {
    /// Formats a mail. If the application's own sender is no address, the configured one is used.
    pub(super) fn write(mail: &Mail, from: &Mailbox, now: Timestamp) -> Result<Self, SendError> {
        let own = mail.from.as_ref().and_then(|text| sender(text.as_str()));
        let from = own.as_ref().unwrap_or(from);
        let recipient = address(&mail.to).ok_or_else(|| SendError::Permanent("the address is not one".to_owned()))?;
        let message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, recipient.clone()))
            .subject(mail.subject.as_str())
            .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.secs()).unwrap_or_default()))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|_| unwritable())?;
        let content = String::from_utf8(message.formatted()).map_err(|_| unwritable())?;
        Ok(Self { sender: from.email.clone(), recipient, content, own_sender: own.is_some() })
    }

    /// The content as it follows DATA: dots at the start of a line doubled, and the final one (RFC 5321 §4.5.2).
    ///
    /// In one piece, because the library would send the final dot in a second write. That write would wait until the
    /// server has acknowledged the first one, which Linux delays by 40 ms.
    pub(super) fn data(&self) -> String {
        let mut data = format!("\r\n{}", self.content).replace("\r\n.", "\r\n..").split_off(2);
        data.push_str(if data.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" });
        data
    }
}

fn unwritable() -> SendError {
    SendError::Permanent("the mail cannot be written down".to_owned())
}

/// `Auto-Submitted: auto-generated` (RFC 3834 §5): prevents out-of-office replies.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::SingleLine;

    fn mail() -> Mail {
        Mail {
            id: "AbC".to_owned(),
            kind: "reset_link",
            to: "ada@example.com".parse().expect("well formed"),
            from: None,
            subject: SingleLine::new("Contraseña\r\nBcc: eve@example.net"),
            text: "Hola\r\n.\r\nFin".to_owned(),
            html: "<p>Hola</p>".to_owned(),
        }
    }

    fn headers(letter: &EncodedMail) -> String {
        letter.content.split("\r\n\r\n").next().expect("headers").to_owned()
    }

    #[test]
    fn the_headers_are_there_and_no_other() {
        let from: Mailbox = "Portcullis <no-reply@example.org>".parse().expect("a sender");
        let letter = EncodedMail::write(&mail(), &from, Timestamp::from_secs(1_400_319_000)).expect("a letter");
        let headers = headers(&letter);
        let names: Vec<_> = headers
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        let mut sorted = names.clone();
        sorted.sort();
        let expected =
            ["auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"];
        assert_eq!(sorted, expected);
        assert!(headers.contains("Message-ID: <AbC@example.org>"), "{headers}");
        assert!(headers.contains("Auto-Submitted: auto-generated"));
        assert!(headers.contains("To: ada@example.com"));
        assert!(headers.contains("Date: Sat, 17 May 2014 09:30:00 +0000"), "{headers}");
    }

    #[test]
    fn no_line_of_the_content_ends_it() {
        let letter = |content: &str| EncodedMail {
            sender: Address::new("a", "example.org").expect("an address"),
            recipient: Address::new("b", "example.org").expect("an address"),
            content: content.to_owned(),
            own_sender: false,
        };
        assert_eq!(letter(".a\r\n.\r\n..b\r\nc.\r\n").data(), "..a\r\n..\r\n...b\r\nc.\r\n.\r\n");
        assert_eq!(letter("a").data(), "a\r\n.\r\n");
        assert_eq!(letter("\r\n").data(), "\r\n.\r\n");
    }

    #[test]
    fn an_applications_own_sender_is_used_if_it_is_one() {
        let from: Mailbox = "no-reply@example.org".parse().expect("a sender");
        let with = |text| Mail { from: Some(SingleLine::new(text)), ..mail() };
        let letter =
            EncodedMail::write(&with("Beyond <hello@beyond.example>"), &from, Timestamp::from_secs(1_400_319_000))
                .expect("a letter");
        assert_eq!(letter.sender.to_string(), "hello@beyond.example");
        let letter =
            EncodedMail::write(&with("a@b.example\r\nBcc: x@y.zz"), &from, Timestamp::from_secs(1_400_319_000))
                .expect("a letter");
        assert_eq!(letter.sender.to_string(), "no-reply@example.org");
    }
}
