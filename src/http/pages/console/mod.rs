//! The console of administrators at `admin.bind`: what runs, who uses it, what was sent. Each page asks first who is
//! there, and then for what it shows; the actor checks the administrator again with every message.
//!
//! The command line can do all of it as well.

mod apps;
mod attention;
mod chart;
mod configuration;
mod key;
mod keys;
mod outbox;
mod overview;
mod rows;
mod user;
mod users;

pub use apps::{add as add_app, change as change_app, choose as choose_app, list as apps, show as app};
pub use configuration::show as configuration;
pub use key::{end as end_key, make as make_key, show as key};
pub use keys::list as keys;
pub use outbox::{list as outbox, retry, show as message};
pub use overview::show as overview;
pub use user::{act, confirm, show as user};
pub use users::list as users;

use super::visitor::{self, Place};
use super::{Frame, Group, Item, Side, Words};
use crate::http::dispatch::Weight;
use crate::http::error::{Code, Problem};
use crate::http::extract::{Call, Incoming};
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::http::header::SET_COOKIE;
use portcullis_actors::administration::{Administrator, Enter};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{Credential, Locale};
use std::cell::Cell;

/// The entries of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Overview,
    Users,
    Applications,
    Keys,
    Outbox,
    Configuration,
}

const SECTIONS: [(Section, &str, &str, &str); 6] = [
    (Section::Overview, "/admin", "Overview", "chart"),
    (Section::Users, "/admin/users", "Users", "people"),
    (Section::Applications, "/admin/apps", "Applications", "app"),
    (Section::Keys, "/admin/keys", "Server keys", "key"),
    (Section::Outbox, "/admin/outbox", "Outbox", "mail"),
    (Section::Configuration, "/admin/configuration", "Configuration", "sliders"),
];

/// An administrator on a page of the console.
struct Visit {
    credential: Credential,
    administrator: Administrator,
}

impl Visit {
    /// Header and navigation.
    fn side(&self, current: Section) -> Side<'_> {
        let item =
            |(section, href, label, icon): (Section, _, _, _)| Item { href, label, icon, current: section == current };
        Side {
            home: "/admin",
            place: "Console",
            groups: vec![Group { title: "", items: SECTIONS.into_iter().map(item).collect() }],
            who: Some(self.administrator.email.as_str()),
            sign_out: "/admin/signout",
            words: Words::of(Locale::En),
        }
    }

    fn now(&self) -> Timestamp {
        self.administrator.now
    }
}

/// The head of a page.
const fn frame(title: &str) -> Frame<'_> {
    Frame::own(Locale::En, title)
}

/// Answers a call by `work`, with what was sent, if an administrator is there.
///
/// # Errors
/// None: refusals are pages.
async fn enter(
    state: &AppState,
    call: Call<'_>,
    work: impl AsyncFnOnce(Visit, &Call<'_>, Incoming) -> Answer,
) -> Answer {
    let refused = Cell::new(false);
    let mut answer = visitor::visit(state, call, async |credential, mut call| {
        let ask = Enter(credential.clone());
        let entered = state.dispatcher.ask(Weight::Ordinary, &state.ports.enter, ask).await;
        refused.set(entered.as_ref().is_err_and(|problem| problem.code == Code::Forbidden));
        let visit = Visit { credential, administrator: entered? };
        let incoming = call.read(state).await?;
        work(visit, &call, incoming).await
    })
    .await?;
    // Somebody who is no administrator any more can sign in as another one.
    if refused.get() {
        answer.headers_mut().append(SET_COOKIE, Place::of(&state.settings).cookie.clear());
    }
    Ok(answer)
}

/// The number in the path.
fn number(call: &Call<'_>) -> Result<i64, Problem> {
    call.user().map(|id| id.0)
}
