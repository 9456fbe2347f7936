//! `/admin/apps`: the applications, a new one, and how one looks.

use super::rows::readable;
use super::{Section, Visit, enter, frame, number};
use crate::http::dispatch::Weight;
use crate::http::error::{Code, Problem};
use crate::http::extract::{Call, Incoming};
use crate::http::pages::visitor::{again, inside, see_other};
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::http::StatusCode;
use askama::Template;
use portcullis_actors::administration::{
    AddApplication, ChangeApplication, ChooseDefaultApplication, ListApplications,
};
use portcullis_actors::domain::{AppId, AppName, Colour, Invalid, OpenUrl, is_brand};
use portcullis_actors::stores::{Application, ApplicationChange, Created, NewApplication};
use portcullis_actors::transports::{is_mail_sender, is_sms_sender};

#[derive(Template)]
#[template(path = "console/apps.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    done: Option<&'static str>,
    apps: Vec<AppRow>,
}

struct AppRow {
    id: i64,
    name: String,
    brand: String,
    colour: String,
    is_default: bool,
    created: String,
}

/// `GET /admin/apps`
pub async fn list(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, incoming| {
        let done = incoming.form(&["done"])?.text("done").and_then(done);
        let apps = all(state, &visit).await?;
        let row = |app: &Application| AppRow {
            id: app.id.0,
            name: app.name.to_string(),
            brand: app.brand.clone(),
            colour: app.colour.as_ref().map(|colour| colour.as_str().to_owned()).unwrap_or_default(),
            is_default: app.is_default,
            created: readable(app.created),
        };
        let (frame, side) = (frame("Applications"), visit.side(Section::Applications));
        Ok(inside(&Page { frame, side, done, apps: apps.iter().map(row).collect() }))
    })
    .await
}

fn done(name: &str) -> Option<&'static str> {
    match name {
        "add" => Some("The application can be used now."),
        "change" => Some("The application is changed. Every node knows within a second."),
        "default" => Some("Requests without a name are for this application now."),
        _ => None,
    }
}

async fn all(state: &AppState, visit: &Visit) -> Result<Vec<Application>, Problem> {
    let ask = ListApplications(visit.credential.clone());
    state.dispatcher.ask(Weight::Ordinary, &state.ports.list_applications, ask).await
}

async fn one(state: &AppState, visit: &Visit, id: AppId) -> Result<Application, Problem> {
    let found = all(state, visit).await?.into_iter().find(|app| app.id == id);
    found.ok_or_else(Problem::not_found)
}

#[derive(Template)]
#[template(path = "console/app_form.html", config = "src/http/pages/askama.toml")]
struct Form<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    /// `None` for a new one.
    app: Option<&'a Application>,
    typed: Typed,
    faults: Faults,
}

/// What stands in the fields.
#[derive(Default)]
struct Typed {
    name: String,
    brand: String,
    colour: String,
    open_url: String,
    mail_from: String,
    sms_from: String,
}

/// What they mean.
struct Meaning {
    brand: String,
    mail_from: Option<String>,
    sms_from: Option<String>,
    colour: Option<Colour>,
    open_url: Option<OpenUrl>,
}

/// What is wrong with them.
#[derive(Default)]
struct Faults {
    name: Option<&'static str>,
    brand: Option<&'static str>,
    colour: Option<&'static str>,
    open_url: Option<&'static str>,
    mail_from: Option<&'static str>,
    sms_from: Option<&'static str>,
}

impl Faults {
    fn any(&self) -> bool {
        let Self { name, brand, colour, open_url, mail_from, sms_from } = self;
        [name, brand, colour, open_url, mail_from, sms_from].into_iter().any(Option::is_some)
    }
}

impl Typed {
    fn of(app: &Application) -> Self {
        Self {
            name: app.name.to_string(),
            brand: app.brand.clone(),
            colour: app.colour.as_ref().map(|colour| colour.as_str().to_owned()).unwrap_or_default(),
            open_url: app.open_url.as_ref().map(|url| url.as_str().to_owned()).unwrap_or_default(),
            mail_from: app.mail_from.clone().unwrap_or_default(),
            sms_from: app.sms_from.clone().unwrap_or_default(),
        }
    }

    fn read(incoming: &Incoming) -> Result<Self, Problem> {
        let fields = incoming.form(&["name", "brand", "colour", "open_url", "mail_from", "sms_from"])?;
        let text = |name| fields.text(name).unwrap_or_default().trim().to_owned();
        Ok(Self {
            name: text("name"),
            brand: text("brand"),
            colour: text("colour"),
            open_url: text("open_url"),
            mail_from: text("mail_from"),
            sms_from: text("sms_from"),
        })
    }

    /// What they mean. An empty field stands for the default.
    fn meaning(&self) -> (Meaning, Faults) {
        let (colour, colour_fault) = parsed::<Colour>(&self.colour, "Six hexadecimal digits, for example 1f5fd6.");
        let (open_url, open_fault) =
            parsed::<OpenUrl>(&self.open_url, "An https URL, or one with the application's own scheme.");
        let sender = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let faults = Faults {
            name: None,
            brand: (!is_brand(&self.brand)).then_some("1 to 64 characters on one line."),
            colour: colour_fault,
            open_url: open_fault,
            mail_from: (!self.mail_from.is_empty() && !is_mail_sender(&self.mail_from))
                .then_some("name@example.com or Name <name@example.com>."),
            sms_from: (!self.sms_from.is_empty() && !is_sms_sender(&self.sms_from)).then_some(
                "A number that begins with +, a name of at most 11 letters and digits, or a messaging service.",
            ),
        };
        let (mail_from, sms_from) = (sender(&self.mail_from), sender(&self.sms_from));
        (Meaning { brand: self.brand.clone(), mail_from, sms_from, colour, open_url }, faults)
    }
}

fn parsed<T: std::str::FromStr<Err = Invalid>>(text: &str, fault: &'static str) -> (Option<T>, Option<&'static str>) {
    match (text, text.parse()) {
        ("", _) => (None, None),
        (_, Ok(value)) => (Some(value), None),
        (_, Err(Invalid(_))) => (None, Some(fault)),
    }
}

/// `GET /admin/apps/new`, `GET /admin/apps/:app_id`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, _| {
        let app = match call.parameter() {
            Ok(text) if text == "new" => None,
            _ => Some(one(state, &visit, AppId(number(call)?)).await?),
        };
        let typed = app.as_ref().map(Typed::of).unwrap_or_default();
        Ok(inside(&form(&visit, app.as_ref(), typed, Faults::default())))
    })
    .await
}

fn form<'a>(visit: &'a Visit, app: Option<&'a Application>, typed: Typed, faults: Faults) -> Form<'a> {
    let title = app.map_or("New application", |app| &app.brand);
    Form { frame: frame(title), side: visit.side(Section::Applications), app, typed, faults }
}

fn refused(page: &Form<'_>) -> actix_web::HttpResponse {
    again(Code::InvalidParameters, StatusCode::UNPROCESSABLE_ENTITY, None, page)
}

/// `POST /admin/apps` with `name` and the fields of [`change`].
pub async fn add(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, incoming| {
        let typed = Typed::read(&incoming)?;
        let (meaning, mut faults) = typed.meaning();
        let name = typed.name.parse::<AppName>();
        if name.is_err() {
            faults.name = Some("1 to 64 of a–z, 0–9, dot, underscore and hyphen.");
        }
        let (Ok(name), false) = (name, faults.any()) else { return Ok(refused(&form(&visit, None, typed, faults))) };
        let Meaning { brand, mail_from, sms_from, colour, open_url } = meaning;
        let new = NewApplication { name, brand, mail_from, sms_from, colour, open_url };
        let ask = AddApplication { credential: visit.credential.clone(), new };
        match state.dispatcher.ask(Weight::Ordinary, &state.ports.add_application, ask).await? {
            Created::New(_) => Ok(see_other("/admin/apps?done=add")),
            Created::Duplicate => {
                let faults =
                    Faults { name: Some("There is an application of this name already."), ..Faults::default() };
                Ok(refused(&form(&visit, None, typed, faults)))
            }
        }
    })
    .await
}

/// `POST /admin/apps/:app_id` with `brand`, `colour`, `open_url`, `mail_from` and `sms_from`.
pub async fn change(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        let (id, typed) = (AppId(number(call)?), Typed::read(&incoming)?);
        let (Meaning { brand, mail_from, sms_from, colour, open_url }, faults) = typed.meaning();
        let app = one(state, &visit, id).await?;
        if faults.any() {
            return Ok(refused(&form(&visit, Some(&app), typed, faults)));
        }
        let change = ApplicationChange {
            brand: Some(brand),
            mail_from: Some(mail_from),
            sms_from: Some(sms_from),
            colour: Some(colour),
            open_url: Some(open_url),
        };
        let ask = ChangeApplication { credential: visit.credential.clone(), app: app.name, change };
        state.dispatcher.ask(Weight::Ordinary, &state.ports.change_application, ask).await?;
        Ok(see_other("/admin/apps?done=change"))
    })
    .await
}

/// `POST /admin/apps/:app_id/default`
pub async fn choose(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, _| {
        let app = one(state, &visit, AppId(number(call)?)).await?.name;
        let ask = ChooseDefaultApplication { credential: visit.credential.clone(), app };
        state.dispatcher.ask(Weight::Ordinary, &state.ports.choose_default_application, ask).await?;
        Ok(see_other("/admin/apps?done=default"))
    })
    .await
}
