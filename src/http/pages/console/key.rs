//! `/admin/keys/{key_id}`: one server key, its end, and new ones, which are shown once.

use super::rows::KeyRow;
use super::{Section, Visit, enter, frame, number};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::{Code, Problem};
use crate::http::extract::{Call, Incoming};
use crate::http::pages::settings::Words as SettingsWords;
use crate::http::pages::visitor::{again, inside, see_other};
use crate::http::pages::{Frame, Side, times};
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::HttpResponse;
use askama::Template;
use portcullis_actors::account::{CreateKey, KeyList, ListKeys, MadeKey, RevokeKey, RotateKey};
use portcullis_actors::administration::ShowKey;
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{AppName, KeyName, KeyRowId, KeyScope, Locale, UserId};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::stores::KeyRecord;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Template)]
#[template(path = "console/key_form.html", config = "src/http/pages/askama.toml")]
struct Form<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    wrong: Wrong,
    form: String,
    typed: Typed,
    apps: Vec<AppChoice>,
    scopes: Vec<ScopeChoice>,
}

struct AppChoice {
    name: String,
    brand: String,
    chosen: bool,
}

struct ScopeChoice {
    name: &'static str,
    means: &'static str,
    chosen: bool,
}

/// What stands in the fields.
#[derive(Default)]
struct Typed {
    owner: String,
    app: String,
    name: String,
    days: String,
    scopes: Vec<KeyScope>,
}

/// `GET /admin/keys/new` with `owner`; `GET /admin/keys/:key_id`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        if matches!(call.parameter(), Ok(text) if text == "new") {
            let owner = incoming.form(&["owner"])?.text("owner").unwrap_or_default().to_owned();
            let typed = Typed { owner, scopes: vec![KeyScope::TokensIntrospect], ..Typed::default() };
            let list = choices(state, &visit).await?;
            return Ok(inside(&form(&visit, typed, fresh_form(), &list, Wrong::default())));
        }
        let key = one(state, &visit, KeyRowId(number(call)?)).await?;
        Ok(inside(&page(&visit, &key, "7", Wrong::default())))
    })
    .await
}

/// Names a form, so that one that is sent twice makes one key.
fn fresh_form() -> String {
    format!("{:032x}", u128::from_be_bytes(random_bytes()))
}

fn form_id(text: Option<&str>) -> Result<[u8; 16], Problem> {
    let number = text.filter(|text| text.len() == 32).and_then(|text| u128::from_str_radix(text, 16).ok());
    number.map(u128::to_be_bytes).ok_or_else(|| Problem::malformed("The form is not complete."))
}

async fn choices(state: &AppState, visit: &Visit) -> Result<KeyList, Problem> {
    let ask = ListKeys { credential: visit.credential.clone() };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.list_keys, ask).await
}

async fn one(state: &AppState, visit: &Visit, id: KeyRowId) -> Result<KeyRecord, Problem> {
    let ask = ShowKey { credential: visit.credential.clone(), id };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.show_key, ask).await
}

fn form<'a>(visit: &'a Visit, typed: Typed, form: String, list: &KeyList, wrong: Wrong) -> Form<'a> {
    let app = |(name, brand): &(AppName, String)| AppChoice {
        name: name.to_string(),
        brand: brand.clone(),
        chosen: typed.app == name.as_str(),
    };
    let scope = |scope: &KeyScope| ScopeChoice {
        name: scope.as_str(),
        means: SettingsWords::of(Locale::En).scope(scope),
        chosen: typed.scopes.contains(scope),
    };
    Form {
        frame: frame("Make a server key"),
        side: visit.side(Section::Keys),
        wrong,
        form,
        apps: list.applications.iter().map(app).collect(),
        scopes: list.scopes.iter().map(scope).collect(),
        typed,
    }
}

/// `POST /admin/keys` with `owner`, `app`, `name`, `days`, the scopes as fields of their own, `current_password` and `form`.
/// The key is in the answer and nowhere else.
pub async fn make(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, incoming| {
        let fields = incoming.form(&["owner", "app", "name", "days", "current_password", "form"])?;
        let text = |name| fields.text(name).unwrap_or_default().trim().to_owned();
        let typed = Typed {
            owner: text("owner"),
            app: text("app"),
            name: text("name"),
            days: text("days"),
            scopes: chosen(&incoming)?,
        };
        let id = form_id(fields.text("form"))?;
        let made = match ask(&visit, &typed, fields.text("current_password"), id) {
            Ok(ask) => {
                let (caller, _guard) = caller();
                let ask = CreateKey { caller, ..ask };
                state.dispatcher.ask(Weight::Costly, &state.ports.create_key, ask).await
            }
            Err((field, reason)) => Err(ErrorKind::invalid(field, reason).into()),
        };
        match made {
            Ok(made) => Ok(shown(state, &visit, &made)),
            Err(problem) => {
                let wrong = told(&problem)?;
                let list = choices(state, &visit).await?;
                let page = form(&visit, typed, fresh_form(), &list, wrong);
                Ok(again(problem.code, problem.code.status(), problem.retry_after_secs(), &page))
            }
        }
    })
    .await
}

fn chosen(incoming: &Incoming) -> Result<Vec<KeyScope>, Problem> {
    let fields = incoming.form(&KeyScope::ALL.map(KeyScope::as_str))?;
    Ok(KeyScope::ALL.into_iter().filter(|scope| fields.text(scope.as_str()).is_some()).collect())
}

/// The message, or the field that is wrong and why.
fn ask(
    visit: &Visit,
    typed: &Typed,
    password: Option<&str>,
    form: [u8; 16],
) -> Result<CreateKey, (&'static str, &'static str)> {
    let days = match typed.days.as_str() {
        "" => None,
        days => Some(days.parse().ok().filter(|days| (1..=3650).contains(days)).ok_or(("days", "must be 1 to 3650"))?),
    };
    let owner = match typed.owner.as_str() {
        "" => None,
        id => Some(UserId(id.parse().map_err(|_| ("owner", "must be the ID of a user"))?)),
    };
    Ok(CreateKey {
        credential: visit.credential.clone(),
        owner,
        app: typed.app.parse().map_err(|_| ("app_id", "is not a known application"))?,
        name: typed.name.parse::<KeyName>().map_err(|_| ("name", "must have 1 to 64 characters"))?,
        scopes: typed.scopes.clone(),
        life: days.map(|days: u32| DAY * days),
        password: password
            .unwrap_or_default()
            .parse()
            .map_err(|_| ("current_password", "is not the current password"))?,
        form,
        caller: Default::default(),
    })
}

/// What was refused: a field, or empty for what is no field, and a sentence.
#[derive(Default)]
struct Wrong(Option<(&'static str, String)>);

impl Wrong {
    /// The sentence if it is about this field.
    fn at(&self, name: &str) -> Option<&str> {
        self.0.as_ref().filter(|(field, _)| *field == name).map(|(_, text)| text.as_str())
    }
}

fn told(problem: &Problem) -> Result<Wrong, Problem> {
    let (field, text) = match (problem.code, problem.errors.first()) {
        (Code::InvalidParameters, Some(of)) => {
            let (field, subject) = match of.field {
                field @ ("current_password" | "owner" | "name" | "days") => (field, "It"),
                "app_id" => ("", "The application"),
                "scopes" => ("", "What it may do"),
                "form" => ("", "The form"),
                "keys" => ("", "The keys of the owner"),
                other => ("", other),
            };
            (field, format!("{subject} {}.", of.reason))
        }
        (Code::TooManyAttempts, _) => {
            let wait = times::wait(Locale::En, problem.retry_after_secs().unwrap_or(1));
            ("current_password", format!("There were too many wrong passwords. Try again in {wait}."))
        }
        _ => return Err(problem.clone()),
    };
    Ok(Wrong(Some((field, text))))
}

#[derive(Template)]
#[template(path = "console/key_made.html", config = "src/http/pages/askama.toml")]
struct Made<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    id: i64,
    secret: String,
    line: String,
}

/// The key, once.
fn shown(state: &AppState, visit: &Visit, made: &MadeKey) -> HttpResponse {
    let secret = made.secret.expose();
    let line = format!("curl -H \"Authorization: Bearer {secret}\" {}/api/v1/…", state.settings.public_url);
    let (frame, side) = (frame("The key is made"), visit.side(Section::Keys));
    inside(&Made { frame, side, id: made.key.id.0, secret, line })
}

#[derive(Template)]
#[template(path = "console/key.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    key: KeyRow,
    form: String,
    /// That the key stays valid, as typed.
    days: &'a str,
    wrong: Wrong,
}

fn page<'a>(visit: &'a Visit, key: &'a KeyRecord, days: &'a str, wrong: Wrong) -> Page<'a> {
    let title = if key.name.is_empty() { "Server key" } else { &key.name };
    let (frame, side, key) = (frame(title), visit.side(Section::Keys), KeyRow::new(key, visit.now()));
    Page { frame, side, key, form: fresh_form(), days, wrong }
}

/// `POST /admin/keys/:key_id` with `action`: `revoke`, or `rotate` with `days`, `current_password` and `form`.
pub async fn end(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        let id = KeyRowId(number(call)?);
        let fields = incoming.form(&["action", "days", "current_password", "form"])?;
        if fields.text("action") == Some("revoke") {
            let ask = RevokeKey { credential: visit.credential.clone(), id };
            state.dispatcher.ask(Weight::Ordinary, &state.ports.revoke_key, ask).await?;
            return Ok(see_other(&format!("/admin/keys/{id}")));
        }
        let form = form_id(fields.text("form"))?;
        let typed = fields.text("days").unwrap_or_default().trim();
        let days = typed.parse().ok().filter(|days| *days <= 365_u32);
        let password = fields.text("current_password").unwrap_or_default().parse();
        let (caller, _guard) = caller();
        let rotated = match (days, password) {
            (None, _) => Err(ErrorKind::invalid("days", "must be 0 to 365").into()),
            (_, Err(_)) => Err(ErrorKind::invalid("current_password", "is not the current password").into()),
            (Some(days), Ok(password)) => {
                let (credential, overlap) = (visit.credential.clone(), DAY * days);
                let ask = RotateKey { credential, id, overlap, password, form, caller };
                state.dispatcher.ask(Weight::Costly, &state.ports.rotate_key, ask).await
            }
        };
        match rotated {
            Ok(made) => Ok(shown(state, &visit, &made)),
            Err(problem) => {
                let wrong = told(&problem)?;
                let key = one(state, &visit, id).await?;
                let page = page(&visit, &key, typed, wrong);
                Ok(again(problem.code, problem.code.status(), problem.retry_after_secs(), &page))
            }
        }
    })
    .await
}
