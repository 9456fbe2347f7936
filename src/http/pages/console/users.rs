//! `/admin/users`: accounts by the beginning of their address, by number, or the newest.

use super::rows::readable;
use super::{Section, Visit, enter, frame};
use crate::http::dispatch::Weight;
use crate::http::extract::Call;
use crate::http::pages::visitor::inside;
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_actors::account::Person;
use portcullis_actors::administration::SearchUsers;
use portcullis_actors::domain::UserId;
use portcullis_actors::stores::UserSearch;

#[derive(Template)]
#[template(path = "console/users.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    query: &'a str,
    fault: Option<&'static str>,
    done: Option<&'static str>,
    users: Vec<UserRow>,
    first: String,
    next: String,
}

struct UserRow {
    id: i64,
    email: String,
    name: String,
    phone: String,
    created: String,
    admin: bool,
    disabled: bool,
    invited: bool,
}

impl From<&Person> for UserRow {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.0,
            email: person.email.as_str().to_owned(),
            name: format!("{} {}", person.first_name.as_str(), person.last_name.as_str()),
            phone: person.phone.as_ref().map(|phone| phone.as_str().to_owned()).unwrap_or_default(),
            created: readable(person.created),
            admin: person.admin,
            disabled: person.disabled.is_some(),
            invited: person.invited,
        }
    }
}

/// `GET /admin/users` with `q`, what is looked for, and `after`, what the page before this one ended with: an address, or
/// the id of the newest ones.
pub async fn list(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, incoming| {
        let fields = incoming.form(&["q", "after", "done"])?;
        let (query, after) = (fields.text("q").unwrap_or_default().trim(), fields.text("after"));
        let search = search(query, &state.settings.default_region, after);
        let users = match &search {
            Ok(search) => {
                let ask = SearchUsers { credential: visit.credential.clone(), search: search.clone() };
                state.dispatcher.ask(Weight::Ordinary, &state.ports.search_users, ask).await?
            }
            Err(_) => portcullis_actors::administration::Page { items: Vec::new(), more: false },
        };
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let last = users.items.last().filter(|_| users.more);
        let next = match (&search, last) {
            (Ok(UserSearch::Newest(_)), Some(last)) => format!("/admin/users?after={}", last.id),
            (Ok(UserSearch::Address(..)), Some(last)) => {
                format!("/admin/users?q={}&after={}", encoded(query), encoded(last.email.as_str()))
            }
            _ => String::new(),
        };
        let first = match (after, query) {
            (None, _) => String::new(),
            (Some(_), "") => "/admin/users".to_owned(),
            (Some(_), query) => format!("/admin/users?q={}", encoded(query)),
        };
        Ok(inside(&Page {
            frame: frame("Users"),
            side: visit.side(Section::Users),
            query,
            fault: search.err(),
            done: fields
                .text("done")
                .filter(|done| *done == "delete")
                .map(|_| "The account and everything about it is deleted."),
            users: users.items.iter().map(UserRow::from).collect(),
            first,
            next,
        }))
    })
    .await
}

/// The newest ones if nothing is looked for.
fn search(query: &str, region: &str, after: Option<&str>) -> Result<UserSearch, &'static str> {
    if query.is_empty() {
        return Ok(UserSearch::Newest(after.and_then(|text| text.parse().ok()).map(UserId)));
    }
    let fault = "Type the beginning of an e-mail address, or a whole phone number.";
    UserSearch::typed(query, region, after.and_then(|text| text.parse().ok())).map_err(|_| fault)
}
