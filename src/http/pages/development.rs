//! The start page of development, `/`: what runs, where everything is, and lines to try it. No other profile has it.

use super::visitor::see_other;
use super::{Frame, Group, Item, Side, Words, private};
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::state::{AppState, Development, Listener, Settings};
use actix_web::http::StatusCode;
use askama::Template;
use portcullis_actors::domain::Locale;

#[derive(Template)]
#[template(path = "start.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    development: &'a Development,
    url: &'a str,
    has_inbox: bool,
    settings: bool,
    lines: Vec<Line>,
}

struct Line {
    id: &'static str,
    title: &'static str,
    text: String,
}

/// `GET /`. On the listener for operators it leads to the console.
pub async fn start(state: &AppState, call: Call<'_>) -> Answer {
    let settings = &state.settings;
    if settings.listener == Listener::Operators {
        return Ok(see_other("/admin"));
    }
    let Some(development) = settings.development.as_deref() else {
        return Ok(super::missing::page(state, call.headers()));
    };
    let Development { email, password, key, .. } = development;
    let url = settings.public_url.trim_end_matches('/');
    let lines = vec![
        Line {
            id: "sign-in",
            title: "Sign in as a phone",
            text: format!(
                "curl -X POST -d email={email} -d password={password} -d device_token=327 -d mobile_os=ios \
                 {url}/api/v1/tokens.json"
            ),
        },
        Line { id: "reset", title: "Ask for a reset link; the mail is in the inbox", text: reset_line(settings) },
        Line {
            id: "code",
            title: "Send a code to a phone with a server key; the SMS is in the inbox",
            text: format!(
                "curl -X POST -d auth_token={key} -d phone=\"(123)456-7890\" \
                 {url}/api/v1/settings/send_phone_verification.json"
            ),
        },
    ];
    let page = Page {
        frame: Frame::own(Locale::En, "Start"),
        side: side(settings, "/"),
        development,
        url,
        has_inbox: state.inbox.is_some(),
        settings: settings.settings_pages,
        lines,
    };
    Ok(private(StatusCode::OK, &page))
}

/// The navigation of the pages for developers.
pub(super) fn side<'a>(settings: &'a Settings, current: &'static str) -> Side<'a> {
    let item = |href: &'a str, label, icon| Item { href, label, icon, current: href == current };
    let console = settings.development.as_ref().and_then(|development| development.console.as_deref());
    let items = [
        settings.development.as_ref().map(|_| item("/", "Start", "home")),
        Some(item("/dev/inbox", "Inbox", "inbox")),
        Some(item("/docs", "Documentation", "book")),
        settings.settings_pages.then(|| item("/settings", "Settings", "key")),
        console.map(|url| item(url, "Console", "chart")),
    ];
    Side {
        home: if settings.development.is_some() { "/" } else { "/dev/inbox" },
        place: "Development",
        groups: vec![Group { title: "", items: items.into_iter().flatten().collect() }],
        who: None,
        sign_out: "",
        words: Words::of(Locale::En),
    }
}

/// Sends a mail to the demo account, or to one that has to be filled in.
pub(super) fn reset_line(settings: &Settings) -> String {
    let email = settings.development.as_ref().map_or("ADDRESS", |development| development.email);
    format!("curl -X POST -d email={email} {}/api/v1/tokens/reset.json", settings.public_url.trim_end_matches('/'))
}
