//! `/admin/configuration`: the effective configuration, as `config dump` prints it.

use super::{Section, Visit, enter, frame};
use crate::http::About;
use crate::http::extract::Call;
use crate::http::pages::visitor::inside;
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;

#[derive(Template)]
#[template(path = "console/configuration.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    about: &'a About,
}

/// `GET /admin/configuration`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, _| {
        let (frame, side) = (frame("Configuration"), visit.side(Section::Configuration));
        Ok(inside(&Page { frame, side, about: state.instruments.about() }))
    })
    .await
}
