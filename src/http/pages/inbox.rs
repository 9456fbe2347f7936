//! The messages that were "sent" in development: `/dev/inbox` and `/dev/inbox.json`. Registered only if there is an inbox.

use crate::http::extract::Call;
use crate::http::route::{self, Answer};
use crate::http::state::AppState;
use actix_web::http::StatusCode;
use askama::Template;
use portcullis_actors::transports::{Inbox, InboxMessage};
use serde::Serialize;

/// A message on the page.
#[derive(Serialize)]
struct Item {
    id: u64,
    time: String,
    channel: &'static str,
    kind: &'static str,
    to: String,
    subject: Option<String>,
    text: String,
    html: Option<String>,
}

impl From<InboxMessage> for Item {
    fn from(message: InboxMessage) -> Self {
        let InboxMessage { id, received, channel, kind, to, subject, text, html } = message;
        Self { id, time: received.to_string(), channel, kind, to, subject, text, html }
    }
}

impl Item {
    /// The URLs in the text, as links.
    fn links(&self) -> impl Iterator<Item = &str> {
        self.text.split_whitespace().filter(|word| word.starts_with("http://") || word.starts_with("https://"))
    }
}

/// Mails have inline styles. They are shown in sandboxed frames that can only open links in a new tab.
const WITH_STYLES: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                       frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "inbox.html", config = "src/http/pages/askama.toml")]
struct Page {
    frame: super::Frame<'static>,
    side: super::Side<'static>,
    items: Vec<Item>,
}

/// `GET /dev/inbox`
pub async fn html(state: &AppState, _: Call<'_>) -> Answer {
    Ok(super::with_policy(
        WITH_STYLES,
        StatusCode::OK,
        &Page {
            frame: super::Frame::own(Default::default(), "Inbox"),
            side: super::Side {
                home: "/",
                place: "Development",
                groups: vec![super::Group {
                    title: "",
                    items: vec![super::Item { href: "/dev/inbox", label: "Inbox", icon: "inbox", current: true }],
                }],
                who: None,
                sign_out: "/signout",
                words: super::Words::of(Default::default()),
            },
            items: items(state),
        },
    ))
}

/// `GET /dev/inbox.json`
pub async fn json(state: &AppState, _: Call<'_>) -> Answer {
    route::json(&items(state))
}

fn items(state: &AppState) -> Vec<Item> {
    state.inbox.iter().flat_map(Inbox::newest_first).map(Item::from).collect()
}
