//! `/settings`: what users do with their own account in a browser: keys, sessions and devices, names, password and phone.
//! Forms answer with 303 to the page that shows the change, so that a reload sends nothing again.

mod account;
mod keys;
mod sessions;
mod words;

pub use account::{answer_code, change_password, save, send_code, show as account};
pub use keys::{create, form as key_form, list as keys, manage as key, revoke, rotate};
pub use sessions::{close, close_others, drop_device, list as sessions};

use super::visitor::{self, accepted, again, see_other};
use super::{Frame, Group, Item, Side, Words as HeaderWords, times};
use crate::http::dispatch::Weight;
use crate::http::error::{Code, Problem};
use crate::http::extract::{Call, Incoming};
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use portcullis_actors::account::{Person, Profile};
use portcullis_actors::domain::{Credential, Locale};
pub use words::Words;

/// `GET /settings`
pub async fn home(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |_, _| Ok(see_other(KEYS))).await
}

const KEYS: &str = "/settings/keys";
const SESSIONS: &str = "/settings/sessions";
const ACCOUNT: &str = "/settings/account";

/// Somebody who is signed in, on their pages.
struct Member {
    credential: Credential,
    person: Person,
    locale: Locale,
    words: &'static Words,
    /// The least length of a new password, in characters.
    shortest_password: usize,
}

/// As [`visitor::visit`], with the visitor's account.
async fn visit<'a>(state: &AppState, call: Call<'a>, work: impl AsyncFnOnce(Member, Call<'a>) -> Answer) -> Answer {
    visitor::visit(state, call, async |credential, call| {
        let ask = Profile(credential.clone());
        let person = state.dispatcher.ask(Weight::Ordinary, &state.ports.profile, ask).await?;
        let locale = person.locale.unwrap_or_else(|| accepted(call.headers()));
        let shortest_password = state.settings.shortest_password;
        work(Member { credential, person, locale, words: Words::of(locale), shortest_password }, call).await
    })
    .await
}

impl Member {
    fn frame<'a>(&self, title: &'a str) -> Frame<'a> {
        Frame::own(self.locale, title)
    }

    /// The navigation, on the page of this path.
    fn side(&self, current: &str) -> Side<'_> {
        let words = self.words;
        let item = |href, label, icon| Item { href, label, icon, current: href == current };
        Side {
            home: KEYS,
            place: words.settings,
            groups: vec![Group {
                title: "",
                items: vec![
                    item(KEYS, words.keys, "key"),
                    item(SESSIONS, words.sessions_short, "device"),
                    item(ACCOUNT, words.account, "person"),
                ],
            }],
            who: Some(self.person.email.as_str()),
            sign_out: "/signout",
            words: HeaderWords::of(self.locale),
        }
    }

    /// Why a form is refused, in words: the field at fault, if it is one, and a sentence. `None` for what has a page of its
    /// own, or is no fault of the form.
    fn fault(&self, problem: &Problem) -> Option<Fault> {
        let words = self.words;
        let wait = || times::wait(self.locale, problem.retry_after_secs().unwrap_or(1));
        let (field, text) = match problem.code {
            Code::InvalidParameters => {
                let field = problem.errors.first().map_or("", |error| error.field);
                let text = words.fault(field)?.to_owned();
                (if matches!(field, "keys" | "form") { "" } else { field }, text)
            }
            Code::PasswordUnacceptable => {
                let rule = problem.rule?;
                ("password", super::translations::in_language(self.locale).rule(rule).to_owned())
            }
            Code::CodeInvalid => ("token", words.wrong_code.to_owned()),
            Code::RegionNotAllowed => ("phone", words.wrong_region.to_owned()),
            Code::TooManyAttempts if problem.only_a_reset_helps() => ("", words.locked.to_owned()),
            Code::TooManyAttempts | Code::TooManyMessages => ("", format!("{} {}.", words.often, wait())),
            Code::Overloaded | Code::DependencyUnavailable => ("", words.busy.to_owned()),
            _ => return None,
        };
        Some(Fault { field, text })
    }
}

/// What is wrong with a form.
struct Fault {
    /// Empty if it is no field.
    field: &'static str,
    text: String,
}

impl Fault {
    /// The text if it is about this field.
    fn at(&self, field: &str) -> Option<&str> {
        (self.field == field).then_some(&*self.text)
    }
}

/// The texts of the faults of a form, for its template: `faults.at("name")`, and `faults.other()` for those of no field.
struct Faults(Option<Fault>);

impl Faults {
    fn at(&self, field: &str) -> Option<&str> {
        self.0.as_ref().and_then(|fault| fault.at(field))
    }

    fn other(&self) -> Option<&str> {
        self.at("")
    }
}

/// The form again, with the status of the refusal.
fn form_again(problem: &Problem, page: &impl Template) -> HttpResponse {
    let status = match problem.code.status() {
        StatusCode::UNAUTHORIZED => StatusCode::UNPROCESSABLE_ENTITY,
        status => status,
    };
    again(problem.code, status, problem.retry_after_secs(), page)
}

/// Which notice a page shows after a form: `?done=…`, from a closed list.
fn done(incoming: &Incoming) -> Result<Option<String>, Problem> {
    Ok(incoming.form(&["done"])?.text("done").map(str::to_owned))
}
