//! The pages for a forgotten password: one requests a reset link, the other one sets a new password. The token is in the
//! path and nowhere else. Both speak for an application: its name, its colour, and a link that opens it.

use super::translations::{self, Choice, Request, Texts};
use super::{Frame, html, origin, refused};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::{Code, Problem};
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT_LANGUAGE;
use askama::Template;
use portcullis_actors::domain::{Locale, Password, ResetToken};
use portcullis_actors::verification::{Appearance, DescribeApplication, FinishReset, InspectReset, IssueReset};

#[derive(Template)]
#[template(path = "reset_form.html", config = "src/http/pages/askama.toml")]
struct PasswordForm<'a> {
    frame: Frame<'a>,
    texts: &'a Texts,
    choice: &'a Choice,
    rules: String,
    fault: Option<&'a str>,
    /// The second password differs from the first one.
    differs: bool,
}

#[derive(Template)]
#[template(path = "request_form.html", config = "src/http/pages/askama.toml")]
struct RequestForm<'a> {
    frame: Frame<'a>,
    texts: &'a Texts,
    request: &'a Request,
    app: &'a str,
    email: &'a str,
    fault: Option<&'a str>,
    /// The label of the link to the sign-in page, if there is one.
    back: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "note.html", config = "src/http/pages/askama.toml")]
struct Note<'a> {
    frame: Frame<'a>,
    /// Of `macros.html`; empty for none.
    icon: &'a str,
    text: &'a str,
    /// The label and the address of a button.
    link: Option<(String, &'a str)>,
    /// The label of the link to the sign-in page, if there is one.
    back: Option<&'a str>,
}

/// `GET /password/reset/:token`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    let texts = texts_for(&call);
    Ok(match inspect(state, texts, &call).await {
        Ok((_, app)) => html(StatusCode::OK, &password_form(state, texts, &app, None)),
        Err(refusal) => refusal,
    })
}

/// `POST /password/reset/:token` with `password`, and with `repeat` from browsers without JavaScript, which cannot show what
/// was typed.
///
/// # Errors
/// When the body cannot be parsed.
pub async fn submit(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let texts = texts_for(&call);
    if !origin::is_own(call.headers(), &state.settings.public_url) {
        return Ok(foreign(texts));
    }
    let fields = incoming.form(&["password", "repeat"])?;
    let (token, app) = match inspect(state, texts, &call).await {
        Ok(found) => found,
        Err(refusal) => return Ok(refusal),
    };
    let again = |code: Code, fault: Fault| {
        let form = password_form(state, texts, &app, Some(fault));
        Ok(refused(code, StatusCode::UNPROCESSABLE_ENTITY, None, &form))
    };
    let password = match new_password(texts, fields.text("password"), fields.text("repeat")) {
        Ok(password) => password,
        Err(fault) => return again(Code::InvalidParameters, fault),
    };
    let (caller, _guard) = caller();
    let ask = FinishReset { token, password, caller };
    match state.dispatcher.ask(Weight::Costly, &state.ports.finish_reset, ask).await {
        Ok(()) => Ok(html(StatusCode::OK, &done(state, texts, &app))),
        Err(problem) => match problem.rule {
            Some(rule) => again(problem.code, Fault::Password(texts.rule(rule))),
            None => Ok(failed(state, texts, &problem).await),
        },
    }
}

/// `GET /password/reset`, with `app_id` for another application than the default one.
///
/// # Errors
/// When the query cannot be parsed.
pub async fn forgotten(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let texts = texts_for(&call);
    let name = incoming.form(&["app_id"])?.text("app_id").map(str::to_owned);
    let app = application(state, name.as_deref()).await;
    Ok(html(StatusCode::OK, &request_form(state, texts, app.as_ref(), &texts.forgotten)))
}

/// `POST /password/reset` with `email` and `app_id`: the same request as `POST /api/v1/tokens/reset`, with the same limits.
/// Its answer does not say either whether there is an account.
///
/// # Errors
/// When the body cannot be parsed.
pub async fn request_link(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let texts = texts_for(&call);
    if !origin::is_own(call.headers(), &state.settings.public_url) {
        return Ok(foreign(texts));
    }
    let fields = incoming.form(&["email", "app_id"])?;
    let typed = fields.text("email").unwrap_or_default().trim();
    let name = fields.text("app_id");
    let app = application(state, name).await;
    let Ok(email) = typed.parse() else {
        let form = request_form(state, texts, app.as_ref(), &texts.forgotten);
        let form = RequestForm { email: typed, fault: Some(texts.invalid_email), ..form };
        return Ok(refused(Code::InvalidParameters, StatusCode::UNPROCESSABLE_ENTITY, None, &form));
    };
    let named = app.as_ref().map(|app| app.app.clone()).filter(|_| name.is_some());
    let ask = IssueReset { email, app: named, locale: incoming.language, peer: incoming.peer };
    Ok(match state.dispatcher.ask(Weight::Costly, &state.ports.issue_reset, ask).await {
        Ok(()) => {
            let note = note(texts, app.as_ref(), (texts.sent_title, texts.sent));
            html(StatusCode::OK, &Note { icon: "mail", back: back(state, texts), ..note })
        }
        Err(problem) => failed(state, texts, &problem).await,
    })
}

/// The token of the path and the application that its link was requested for, or the page that refuses it.
async fn inspect(
    state: &AppState,
    texts: &'static Texts,
    call: &Call<'_>,
) -> Result<(ResetToken, Appearance), HttpResponse> {
    let token: Option<ResetToken> = call.parameter().ok().and_then(|text| text.parse().ok());
    let Some(token) = token else { return Err(expired(state, texts).await) };
    let ask = InspectReset(token.clone());
    match state.dispatcher.ask(Weight::Ordinary, &state.ports.inspect_reset, ask).await {
        Ok(app) => Ok((token, app)),
        Err(problem) => Err(failed(state, texts, &problem).await),
    }
}

/// `None` if the stores do not answer: such a page has our own name.
async fn application(state: &AppState, name: Option<&str>) -> Option<Appearance> {
    let ask = DescribeApplication(name.and_then(|name| name.parse().ok()));
    state.dispatcher.ask(Weight::Ordinary, &state.ports.describe_application, ask).await.ok()
}

/// What is wrong with the form.
enum Fault {
    Password(&'static str),
    Differs,
}

fn new_password(texts: &Texts, password: Option<&str>, repeat: Option<&str>) -> Result<Password, Fault> {
    let password = password.filter(|text| !text.is_empty()).ok_or(Fault::Password(texts.empty))?;
    if repeat.is_some_and(|repeat| repeat != password) {
        return Err(Fault::Differs);
    }
    password.parse().map_err(|_| Fault::Password(texts.too_long))
}

fn password_form<'a>(
    state: &AppState,
    texts: &'static Texts,
    app: &'a Appearance,
    fault: Option<Fault>,
) -> PasswordForm<'a> {
    let rules = texts.rules(state.settings.shortest_password);
    let (fault, differs) = match fault {
        None => (None, false),
        Some(Fault::Password(text)) => (Some(text), false),
        Some(Fault::Differs) => (None, true),
    };
    let choice = texts.choice(app.invited);
    PasswordForm { frame: frame(texts, Some(app), choice.title), texts, choice, rules, fault, differs }
}

fn request_form<'a>(
    state: &AppState,
    texts: &'static Texts,
    app: Option<&'a Appearance>,
    request: &'static Request,
) -> RequestForm<'a> {
    let name = app.map_or("", |app| app.app.as_str());
    let (frame, back) = (frame(texts, app, request.title), back(state, texts));
    RequestForm { frame, texts, request, app: name, email: "", fault: None, back }
}

fn back(state: &AppState, texts: &'static Texts) -> Option<&'static str> {
    state.settings.settings_pages.then_some(texts.back)
}

fn note<'a>(texts: &Texts, app: Option<&'a Appearance>, (title, text): (&'static str, &'static str)) -> Note<'a> {
    Note { frame: frame(texts, app, title), icon: "", text, link: None, back: None }
}

fn done<'a>(state: &AppState, texts: &'static Texts, app: &'a Appearance) -> Note<'a> {
    let open = app.open_url.as_ref().map(|url| (texts.open.replace("{}", &app.brand), url.as_str()));
    let sign_in = || state.settings.settings_pages.then(|| (texts.sign_in.to_owned(), "/signin"));
    let note = note(texts, Some(app), (texts.done_title, texts.choice(app.invited).done));
    Note { link: open.or_else(sign_in), icon: "check", ..note }
}

fn foreign(texts: &Texts) -> HttpResponse {
    let note = note(texts, None, (texts.foreign_title, texts.foreign));
    refused(Code::Forbidden, StatusCode::FORBIDDEN, None, &note)
}

async fn expired(state: &AppState, texts: &'static Texts) -> HttpResponse {
    let app = application(state, None).await;
    let form = request_form(state, texts, app.as_ref(), &texts.expired);
    refused(Code::ResetTokenInvalid, StatusCode::GONE, None, &form)
}

async fn failed(state: &AppState, texts: &'static Texts, problem: &Problem) -> HttpResponse {
    if problem.code == Code::ResetTokenInvalid {
        return expired(state, texts).await;
    }
    let note = note(texts, None, (texts.failed_title, texts.failed));
    refused(problem.code, problem.code.status(), problem.retry_after_secs(), &note)
}

fn frame<'a>(texts: &Texts, app: Option<&'a Appearance>, title: &'a str) -> Frame<'a> {
    let own = Frame::own(texts.locale, title);
    match app {
        Some(app) => Frame { brand: &app.brand, colour: app.colour.as_ref(), ..own },
        None => own,
    }
}

fn texts_for(call: &Call<'_>) -> &'static Texts {
    let header = call.headers().get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
    translations::in_language(header.and_then(Locale::from_accept_language).unwrap_or_default())
}
