//! Rows of tables that several pages have, as texts.

use crate::http::pages::times;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{KeyScope, Locale};
use portcullis_actors::stores::{KeyRecord, ListedMessage, MessageState};

pub(super) fn readable(time: Timestamp) -> String {
    times::readable(Locale::En, time)
}

/// `30 Nov 01:38`, for columns of recent times in UTC.
pub(super) fn short(time: Timestamp) -> String {
    let text = readable(time);
    let minute = text.split_once(", ").map_or("", |(_, minute)| minute.trim_end_matches(" UTC"));
    text.splitn(3, ' ').take(2).chain([minute]).collect::<Vec<_>>().join(" ")
}

/// A word with the class of its badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) kind: &'static str,
    pub(super) word: &'static str,
}

/// A message of the outbox.
pub(super) struct MessageRow {
    pub(super) id: i64,
    pub(super) user: i64,
    pub(super) state: Badge,
    pub(super) kind: String,
    pub(super) channel: &'static str,
    pub(super) to: String,
    pub(super) created: String,
    /// When something happens next; empty if it is settled.
    pub(super) due: String,
    pub(super) expires: String,
    pub(super) tries: u64,
    pub(super) error: String,
    pub(super) dead: bool,
}

impl From<&ListedMessage> for MessageRow {
    fn from(message: &ListedMessage) -> Self {
        Self {
            id: message.id.0,
            user: message.user.0,
            state: badge(message.state),
            kind: kind(&message.kind).to_owned(),
            channel: message.to.channel().as_str(),
            to: message.to.as_str().to_owned(),
            created: short(message.created),
            due: message.due.map(short).unwrap_or_default(),
            expires: short(message.expires),
            tries: message.attempts,
            error: message.last_error.clone().unwrap_or_default(),
            dead: message.state == MessageState::Dead,
        }
    }
}

fn badge(state: MessageState) -> Badge {
    let kind = match state {
        MessageState::Queued | MessageState::Leased => "quiet",
        MessageState::Retry | MessageState::Expired => "warn",
        MessageState::Delivered => "ok",
        MessageState::Dead => "bad",
    };
    Badge { kind, word: state.as_str() }
}

/// What a message says, in words.
fn kind(name: &str) -> &str {
    match name {
        "phone_code" => "Phone code",
        "reset_link" => "Reset link",
        "password_notice" => "Password notice",
        "invitation" => "Invitation",
        other => other,
    }
}

/// A server key.
pub(super) struct KeyRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) app: String,
    pub(super) owner: i64,
    pub(super) scopes: Vec<&'static str>,
    pub(super) created: String,
    pub(super) last_used: String,
    /// Empty if it does not expire.
    pub(super) expires: String,
    pub(super) state: Badge,
    /// It can be used, and revoked.
    pub(super) valid: bool,
    /// It can be rotated: no other one has replaced it.
    pub(super) live: bool,
}

impl KeyRow {
    pub(super) fn new(key: &KeyRecord, now: Timestamp) -> Self {
        let ended = key.expires.is_some_and(|end| end <= now);
        let valid = key.revoked.is_none() && !ended;
        let state = match (key.revoked, ended, key.replaced) {
            (Some(_), ..) => Badge { kind: "quiet", word: "revoked" },
            (None, true, _) => Badge { kind: "quiet", word: "expired" },
            (None, false, Some(_)) => Badge { kind: "warn", word: "replaced" },
            (None, false, None) => Badge { kind: "ok", word: "valid" },
        };
        Self {
            id: key.id.0,
            name: if key.name.is_empty() { format!("Key {}", key.id) } else { key.name.clone() },
            app: key.app_name.to_string(),
            owner: key.owner.0,
            scopes: key.scopes.iter().copied().map(KeyScope::as_str).collect(),
            created: readable(key.created),
            last_used: key.last_used.map_or_else(|| "never".to_owned(), readable),
            expires: key.expires.map(readable).unwrap_or_default(),
            valid,
            live: valid && key.replaced.is_none(),
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_time_has_no_year() {
        assert_eq!(short(Timestamp::from_secs(1_788_404_046)), "3 Sep 02:54");
    }
}
