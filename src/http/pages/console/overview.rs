//! `/admin`: what runs, what happened in the last hour, and what needs attention.

use super::attention::{self, Notice};
use super::chart::Chart;
use super::rows::readable;
use super::{Section, Visit, enter, frame};
use crate::http::dispatch::Weight;
use crate::http::extract::Call;
use crate::http::pages::visitor::inside;
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use crate::http::{About, StoreState};
use askama::Template;
use portcullis_actors::administration::TakeSurvey;

#[derive(Template)]
#[template(path = "console/overview.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    about: &'a About,
    notices: Vec<Notice>,
    charts: [Chart; 4],
    stores: Vec<StoreState>,
    nodes: Vec<NodeRow>,
    pending: u64,
    dead: u64,
    hashing_queued: usize,
}

struct NodeRow {
    id: String,
    version: String,
    started: String,
    seen: String,
    here: bool,
}

/// `GET /admin`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, _| {
        let ask = TakeSurvey(visit.credential.clone());
        let survey = state.dispatcher.ask(Weight::Ordinary, &state.ports.take_survey, ask).await?;
        let instruments = &state.instruments;
        let (stores, pulse, demo_data) =
            futures_util::join!(instruments.stores(), instruments.pulse(), instruments.has_demo_data());
        let about = instruments.about();
        let known = attention::Known { survey: &survey, pulse: &pulse, stores: &stores, demo_data, now: visit.now() };
        let notices = attention::notices(&known);
        let minutes = &pulse.minutes;
        let row = |node: &portcullis_actors::stores::Node| NodeRow {
            id: node.id.clone(),
            version: node.version.clone(),
            started: readable(node.started),
            seen: readable(node.seen),
            here: node.id == about.node,
        };
        Ok(inside(&Page {
            frame: frame("Overview"),
            side: visit.side(Section::Overview),
            about,
            notices,
            charts: [
                Chart::new("Sign-ins", minutes, |minute| minute.sign_ins),
                Chart::new("Refusals", minutes, |minute| minute.refusals),
                Chart::new("Checks", minutes, |minute| minute.checks),
                Chart::new("Deliveries", minutes, |minute| minute.deliveries),
            ],
            nodes: survey.nodes.iter().map(row).collect(),
            stores,
            pending: survey.outbox.pending,
            dead: survey.outbox.dead,
            hashing_queued: pulse.hashing_queued,
        }))
    })
    .await
}
