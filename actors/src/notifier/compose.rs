//! Writes the message of a leased row. The secret in it is derived here and is stored nowhere.

use super::NotifierPorts;
use super::templates::{self, Colours, MailText, TextContext};
use crate::clock::Timestamp;
use crate::derive::{Keyring, PhoneCodes};
use crate::domain::{Digest, Email};
use crate::stores::{AccountState, Destination, Leased, MessageKind};
use crate::transports::{Mail, SingleLine, Sms};
use std::sync::Arc;

/// A message that is ready to be sent.
#[derive(Debug)]
pub(super) enum Composed {
    Mail(Mail),
    Sms(Sms),
}

/// Why a message cannot be sent.
#[derive(Debug)]
pub(super) enum Unsendable {
    /// It must never be sent.
    Dead(&'static str),
    /// This node lacks the secret. Another node may have it.
    KeyMissing,
}

impl From<askama::Error> for Unsendable {
    fn from(_: askama::Error) -> Self {
        Self::Dead("its text cannot be written")
    }
}

pub(super) struct Composer {
    keyring: Arc<Keyring>,
    codes: Arc<PhoneCodes>,
    public_url: String,
}

impl Composer {
    pub(super) fn new(ports: &NotifierPorts) -> Self {
        let (keyring, codes) = (Arc::clone(&ports.keyring), Arc::clone(&ports.codes));
        Self { keyring, codes, public_url: ports.public_url.trim_end_matches('/').to_owned() }
    }

    pub(super) fn compose(&self, leased: &Leased) -> Result<Composed, Unsendable> {
        let (message, branding) = (&leased.message, &leased.branding);
        let name = match &leased.account {
            AccountState::Active(name) => name,
            AccountState::Disabled => return Err(Unsendable::Dead("the account is disabled")),
            AccountState::Gone => return Err(Unsendable::Dead("the account is gone")),
        };
        let context = TextContext {
            locale: message.locale,
            brand: SingleLine::new(&branding.brand),
            colours: Colours::of(branding.colour.clone()),
            name: SingleLine::new(name.as_str()),
            public_url: self.public_url.clone(),
        };
        match (&message.kind, &message.to) {
            (MessageKind::PhoneCode { challenge, key }, Destination::Sms(phone)) => {
                let code = self.codes.code(*key, challenge, message.user, phone).ok_or(Unsendable::KeyMissing)?;
                let (kind, text) = (message.kind.as_str(), templates::phone_code(&context, &code)?);
                Ok(Composed::Sms(Sms { kind, to: phone.clone(), from: own_sender(branding.sms_from.as_deref()), text }))
            }
            (MessageKind::ResetLink { challenge, key }, Destination::Mail(email)) => {
                let token = self.keyring.reset_token(*key, challenge, message.user, email);
                let token = token.ok_or(Unsendable::KeyMissing)?;
                Ok(mail(leased, email, templates::reset_link(&context, &token, message.expires)?))
            }
            (MessageKind::Invitation { challenge, key }, Destination::Mail(email)) => {
                let token = self.keyring.reset_token(*key, challenge, message.user, email);
                let token = token.ok_or(Unsendable::KeyMissing)?;
                Ok(mail(leased, email, templates::invitation(&context, &token, message.expires)?))
            }
            (MessageKind::PasswordNotice, Destination::Mail(email)) => {
                Ok(mail(leased, email, templates::password_notice(&context, leased.created)?))
            }
            (MessageKind::PhoneCode { .. }, Destination::Mail(_)) => Err(Unsendable::Dead("a phone code is no mail")),
            (_, Destination::Sms(_)) => Err(Unsendable::Dead("a mail is no SMS")),
        }
    }
}

fn mail(leased: &Leased, to: &Email, text: MailText) -> Composed {
    Composed::Mail(Mail {
        id: stable_id(leased.id.0, leased.created, to),
        kind: leased.message.kind.as_str(),
        to: to.clone(),
        from: own_sender(leased.branding.mail_from.as_deref()),
        subject: text.subject,
        text: text.text,
        html: text.html,
    })
}

fn own_sender(configured: Option<&str>) -> Option<SingleLine> {
    configured.map(SingleLine::new).filter(|line| !line.as_str().is_empty())
}

/// The same for every try on every node, and different from that of every other message of any database.
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
