//! Messages for the outbox, and settings of the transports that deliver them.

use portcullis_actors::clock::Timestamp;
use portcullis_actors::derive::{KeyId, random_bytes};
use portcullis_actors::domain::{AppId, Locale, UserId};
use portcullis_actors::stores::{Destination, MessageKind, NewMessage};
use portcullis_actors::transports::{SmtpSettings, TwilioSettings};
use std::time::Duration;

/// A message with a fresh challenge: a reset link to an address, a code to a number.
pub fn challenge_message(key: KeyId, user: UserId, app: AppId, to: Destination, expires: Timestamp) -> NewMessage {
    let challenge = random_bytes();
    let kind = match &to {
        Destination::Mail(_) => MessageKind::ResetLink { challenge, key },
        Destination::Sms(_) => MessageKind::PhoneCode { challenge, key },
    };
    NewMessage { kind, user, app, to, locale: Locale::En, expires }
}

/// For a relay at this URL.
pub fn smtp_settings(url: &str) -> SmtpSettings {
    SmtpSettings {
        url: url.to_owned(),
        from: "Portcullis <no-reply@example.org>".to_owned(),
        allow_plaintext: false,
        extra_root: None,
        timeout: Duration::from_secs(60),
        connections: 32,
    }
}

/// For an SMS provider at this URL. Its account is `AC0123`, and its secret is `secret of {name}`.
pub fn twilio_settings(name: &str, url: &str) -> TwilioSettings {
    TwilioSettings {
        name: name.to_owned(),
        base_url: url.to_owned(),
        account_sid: "AC0123".to_owned(),
        auth_token: format!("secret of {name}"),
        from: "+15005550006".to_owned(),
        own_senders: true,
        callback_url: None,
        allow_plaintext: false,
        timeout: Duration::from_secs(60),
    }
}
