//! What was "sent" in development, to look at: `/dev/inbox` and `/dev/inbox.json`. There only when there is an inbox.

use crate::http::Front;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use serde::Serialize;

/// A message as it would have gone out.
#[derive(Debug, Clone, Serialize)]
pub struct InboxItem {
    /// Its number in the inbox.
    pub id: u64,
    /// What it is about, in one word.
    pub kind: String,
    /// `mail` or `sms`.
    pub channel: String,
    /// To whom.
    pub to: String,
    /// The subject, of a mail.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// The HTML, of a mail.
    pub html: Option<String>,
    /// When, in RFC 3339.
    pub time: String,
}

impl InboxItem {
    /// The addresses in the text, so that they can be followed.
    fn links(&self) -> impl Iterator<Item = &str> {
        self.text.split_whitespace().filter(|word| word.starts_with("http://") || word.starts_with("https://"))
    }
}

/// An inbox that can be looked into.
pub trait InboxView: Send + Sync {
    /// What is in it, newest first.
    fn newest_first(&self) -> Vec<InboxItem>;
}

/// Mails bring styles of their own; they are shown in frames that may do nothing.
const LENIENT: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; \
                       frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "inbox.html", config = "src/pages/askama.toml")]
struct Page {
    items: Vec<InboxItem>,
}

/// `GET /dev/inbox`: refreshes itself.
pub async fn html(front: Data<Front>) -> HttpResponse {
    super::html(StatusCode::OK, LENIENT, &Page { items: items(&front) })
}

/// `GET /dev/inbox.json`
pub async fn json(front: Data<Front>) -> HttpResponse {
    HttpResponse::Ok().json(items(&front))
}

fn items(front: &Front) -> Vec<InboxItem> {
    front.inbox.as_ref().map(|inbox| inbox.newest_first()).unwrap_or_default()
}
