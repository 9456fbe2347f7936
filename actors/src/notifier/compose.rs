//! From a leased row to a message that is ready to go: who it is for, in whose name, and the secret that it carries,
//! which is computed here and nowhere kept.

use super::NotifierPorts;
use super::templates::{self, Setting};
use crate::clock::Timestamp;
use crate::domain::{Digest, Email};
use crate::stores::{AccountState, Destination, Leased, MessageKind};
use crate::transports::{Line, Mail, Sms};

/// A message that is ready to go.
#[derive(Debug)]
pub(super) enum Composed {
    Mail(Mail),
    Sms(Sms),
}

/// Why there is nothing to send.
#[derive(Debug)]
pub(super) enum Unsendable {
    /// Nobody wants it any more.
    Dead(&'static str),
    /// This node lacks the secret; another one may have it.
    KeyMissing,
}

impl From<askama::Error> for Unsendable {
    fn from(_: askama::Error) -> Self {
        Self::Dead("its text cannot be written")
    }
}

/// Writes the message of a row.
pub(super) fn compose(ports: &NotifierPorts, row: &Leased) -> Result<Composed, Unsendable> {
    let (message, sender) = (&row.message, &row.sender);
    let name = match &row.recipient {
        AccountState::Active(name) => name,
        AccountState::Disabled => return Err(Unsendable::Dead("the account is disabled")),
        AccountState::Gone => return Err(Unsendable::Dead("the account is gone")),
    };
    let setting = Setting {
        locale: message.locale,
        brand: Line::new(&sender.brand),
        name: Line::new(name.as_str()),
        public_url: ports.public_url.trim_end_matches('/').to_owned(),
    };
    let kind = message.kind.as_str();
    match (&message.kind, &message.to) {
        (MessageKind::PhoneCode { challenge, key }, Destination::Sms(phone)) => {
            let code = ports.codes.code(*key, challenge, message.user, phone).ok_or(Unsendable::KeyMissing)?;
            let text = templates::phone_code(&setting, &code)?;
            Ok(Composed::Sms(Sms { kind, to: phone.clone(), from: own_sender(sender.sms_from.as_deref()), text }))
        }
        (MessageKind::ResetLink { challenge, key }, Destination::Mail(email)) => {
            let token = ports.keyring.reset_token(*key, challenge, message.user, email);
            let token = token.ok_or(Unsendable::KeyMissing)?;
            Ok(mail(row, email, templates::reset_link(&setting, &token, message.expires)?))
        }
        (MessageKind::PasswordNotice, Destination::Mail(email)) => {
            Ok(mail(row, email, templates::password_notice(&setting, row.created)?))
        }
        (MessageKind::PhoneCode { .. }, Destination::Mail(_)) => Err(Unsendable::Dead("a phone code is no mail")),
        (_, Destination::Sms(_)) => Err(Unsendable::Dead("a mail is no SMS")),
    }
}

fn mail(row: &Leased, to: &Email, text: templates::MailText) -> Composed {
    Composed::Mail(Mail {
        id: stable_id(row.id.0, row.created, to),
        kind: row.message.kind.as_str(),
        to: to.clone(),
        from: own_sender(row.sender.mail_from.as_deref()),
        subject: text.subject,
        text: text.text,
        html: text.html,
    })
}

fn own_sender(configured: Option<&str>) -> Option<Line> {
    configured.map(Line::new).filter(|line| !line.as_str().is_empty())
}

/// The same for every try on every node, and never that of another message of any database.
fn stable_id(id: i64, created: Timestamp, to: &Email) -> String {
    Digest::of(format!("{id}:{}:{}", created.millis(), to.as_str()).as_bytes()).to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messages_name_is_its_own_in_every_database() {
        let ada: Email = "ada@example.com".parse().expect("an address");
        let bob: Email = "bob@example.com".parse().expect("an address");
        let (now, later) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        let name = stable_id(1, now, &ada);
        assert_eq!(name, stable_id(1, now, &ada), "the same for every try");
        // Another database counts from one, too.
        for other in [stable_id(2, now, &ada), stable_id(1, later, &ada), stable_id(1, now, &bob)] {
            assert_ne!(name, other);
        }
    }
}
