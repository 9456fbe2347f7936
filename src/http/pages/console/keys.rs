//! `/admin/keys`: the server keys of everybody.

use super::rows::KeyRow;
use super::{Section, Visit, enter, frame};
use crate::http::dispatch::Weight;
use crate::http::extract::Call;
use crate::http::pages::visitor::inside;
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;
use portcullis_actors::administration::ListAllKeys;
use portcullis_actors::domain::KeyRowId;

#[derive(Template)]
#[template(path = "console/keys.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    keys: Vec<KeyRow>,
    first: &'static str,
    next: String,
}

/// `GET /admin/keys` with `before`, the id that the page before this one ended with.
pub async fn list(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, incoming| {
        let fields = incoming.form(&["before"])?;
        let before = fields.text("before").and_then(|text| text.parse().ok()).map(KeyRowId);
        let ask = ListAllKeys { credential: visit.credential.clone(), before };
        let page = state.dispatcher.ask(Weight::Ordinary, &state.ports.list_all_keys, ask).await?;
        let last = page.items.last().filter(|_| page.more);
        Ok(inside(&Page {
            frame: frame("Server keys"),
            side: visit.side(Section::Keys),
            keys: page.items.iter().map(|key| KeyRow::new(key, visit.now())).collect(),
            first: if before.is_some() { "/admin/keys" } else { "" },
            next: last.map(|key| format!("/admin/keys?before={}", key.id)).unwrap_or_default(),
        }))
    })
    .await
}
