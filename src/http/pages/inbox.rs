//! The messages that were "sent" in development: `/dev/inbox` and `/dev/inbox.json`. Registered only if there is an inbox.

use super::{Frame, Side, development, missing, origin, private, times};
use crate::http::error::{Code, Problem};
use crate::http::extract::Call;
use crate::http::route::{self, Answer};
use crate::http::state::AppState;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use askama::Template;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::Locale;
use portcullis_actors::transports::{Inbox, InboxMessage};
use serde::Serialize;
use std::collections::BTreeSet;

/// A message on the page.
#[derive(Serialize)]
struct Item {
    id: u64,
    time: String,
    #[serde(skip)]
    received: Timestamp,
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
        Self { id, time: received.to_string(), received, channel, kind, to, subject, text, html }
    }
}

impl Item {
    /// The subject, or the first line.
    fn title(&self) -> &str {
        self.subject.as_deref().unwrap_or_else(|| self.text.lines().next().unwrap_or_default())
    }

    fn icon(&self) -> &'static str {
        if self.html.is_some() { "mail" } else { "device" }
    }

    /// `24 Nov 2026, 02:52 UTC`.
    fn read_time(&self) -> String {
        times::readable(Locale::En, self.received)
    }

    /// The code of an SMS: its first word of digits.
    fn code(&self) -> Option<&str> {
        let words = self.text.split(|c: char| !c.is_ascii_alphanumeric());
        let mut codes = words.filter(|word| word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_digit()));
        codes.next().filter(|_| self.html.is_none())
    }

    /// The URLs in the text, each with a name for its element.
    fn links(&self) -> impl Iterator<Item = (String, &str)> {
        let urls = self.text.split_whitespace();
        let urls = urls.filter(|word| word.starts_with("http://") || word.starts_with("https://"));
        urls.enumerate().map(|(place, url)| (format!("link-{}-{place}", self.id), url))
    }
}

/// As other pages, with the frames that show mails.
const WITH_FRAMES: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src \
                           'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Mails have inline styles, so there is no rule about styles. Everything else is off; links open in a new tab.
const OF_A_MAIL: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; script-src 'none'; img-src data:; font-src \
                         'none'; connect-src 'none'; media-src 'none'; object-src 'none'; frame-src 'none'; worker-src \
                         'none'; manifest-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

#[derive(Template)]
#[template(path = "inbox.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    items: Vec<Item>,
    /// Everybody who got a message.
    recipients: BTreeSet<String>,
    /// Whose messages are shown; empty for all.
    to: &'a str,
    /// Sends a first message.
    line: String,
}

/// `GET /dev/inbox`, with `to` for the messages to one address.
///
/// # Errors
/// When the query cannot be parsed.
pub async fn html(state: &AppState, mut call: Call<'_>) -> Answer {
    let to = recipient(state, &mut call).await?;
    let mut recipients: BTreeSet<String> = items(state, "").into_iter().map(|item| item.to).collect();
    if !to.is_empty() {
        recipients.insert(to.clone());
    }
    let page = Page {
        frame: Frame::own(Locale::En, "Inbox"),
        side: development::side(&state.settings, "/dev/inbox"),
        items: items(state, &to),
        recipients,
        to: &to,
        line: development::reset_line(&state.settings),
    };
    let mut answer = private(StatusCode::OK, &page);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(WITH_FRAMES));
    Ok(answer)
}

/// `GET /dev/inbox.json`, with `to` for the messages to one address.
///
/// # Errors
/// When the query cannot be parsed.
pub async fn json(state: &AppState, mut call: Call<'_>) -> Answer {
    let to = recipient(state, &mut call).await?;
    route::json(&items(state, &to))
}

/// `GET /dev/inbox/:id`: a mail as HTML, for a frame.
pub async fn mail(state: &AppState, call: Call<'_>) -> Answer {
    let id = call.parameter().ok().and_then(|text| text.parse().ok());
    let message = id.and_then(|id| state.inbox.as_ref()?.message(id));
    let Some(html) = message.and_then(|message| message.html) else { return Ok(missing::page(state, call.headers())) };
    let in_new_tabs = html.replacen("<head>", "<head><base target=\"_blank\">", 1);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, OF_A_MAIL))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_FRAME_OPTIONS, "SAMEORIGIN"))
        .body(in_new_tabs))
}

/// `POST /dev/inbox`: forgets all messages.
///
/// # Errors
/// `forbidden` unless it comes from the page.
pub async fn clear(state: &AppState, call: Call<'_>) -> Answer {
    if !origin::is_same(call.headers(), &state.settings) {
        return Err(Problem::new(Code::Forbidden, "The form was not sent from the page of the inbox."));
    }
    if let Some(inbox) = &state.inbox {
        inbox.clear();
    }
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/dev/inbox")).finish())
}

async fn recipient(state: &AppState, call: &mut Call<'_>) -> Result<String, Problem> {
    let incoming = call.read(state).await?;
    Ok(incoming.form(&["to"])?.text("to").unwrap_or_default().trim().to_owned())
}

fn items(state: &AppState, to: &str) -> Vec<Item> {
    let items = state.inbox.iter().flat_map(Inbox::newest_first).map(Item::from);
    items.filter(|item| to.is_empty() || item.to.eq_ignore_ascii_case(to)).collect()
}
