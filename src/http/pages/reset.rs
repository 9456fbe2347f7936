//! The page behind a reset link: a form, and what became of it; and the one that asks for a link. The token stands in
//! the path and nowhere else.

use super::translations::{self, Words};
use super::{STRICT, html, origin, refused};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::{Code, Problem};
use crate::http::{AppState, Incoming, last_segment};
use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use portcullis_actors::domain::{Locale, Password, ResetToken};
use portcullis_actors::verification::{FinishReset, InspectReset, IssueReset};

#[derive(Template)]
#[template(path = "reset_form.html", config = "src/http/pages/askama.toml")]
struct Form<'a> {
    words: &'a Words,
    fault: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "ask_form.html", config = "src/http/pages/askama.toml")]
struct AskForm<'a> {
    words: &'a Words,
    title: &'a str,
    text: &'a str,
    fault: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "note.html", config = "src/http/pages/askama.toml")]
struct Note<'a> {
    words: &'a Words,
    title: &'a str,
    text: &'a str,
}

/// `GET /password/reset/:token`
pub async fn show(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    let words = words_for(&request);
    let Some(token) = token(&request) else { return dead(words) };
    match state.dispatcher.ask(Weight::Ordinary, &state.ports.inspect_reset, InspectReset(token)).await {
        Ok(()) => html(StatusCode::OK, STRICT, &Form { words, fault: None }),
        Err(problem) => failed(words, &problem),
    }
}

/// `POST /password/reset/:token` with `password` and `repeat`.
///
/// # Errors
/// When the body cannot be read as parameters.
pub async fn submit(state: Data<AppState>, request: HttpRequest, incoming: Incoming) -> Result<HttpResponse, Problem> {
    let words = words_for(&request);
    if !origin::is_own(request.headers(), &state.settings.public_url) {
        return Ok(stranger(words));
    }
    let fields = incoming.fields(&["password", "repeat"])?;
    let Some(token) = token(&request) else { return Ok(dead(words)) };
    let password = match chosen(words, fields.text("password"), fields.text("repeat")) {
        Ok(password) => password,
        Err(fault) => return Ok(again(words, Code::InvalidParameters, fault)),
    };
    let (caller, _waits) = caller();
    let ask = FinishReset { token, password, caller };
    Ok(match state.dispatcher.ask(Weight::Costly, &state.ports.finish_reset, ask).await {
        Ok(()) => html(StatusCode::OK, STRICT, &Note { words, title: words.done_title, text: words.done }),
        Err(problem) => match problem.rule {
            Some(rule) => again(words, problem.code, words.rule(rule)),
            None => failed(words, &problem),
        },
    })
}

/// `GET /password/reset`
pub async fn forgotten(request: HttpRequest) -> HttpResponse {
    let words = words_for(&request);
    html(StatusCode::OK, STRICT, &AskForm { words, title: words.ask_title, text: words.ask, fault: None })
}

/// `POST /password/reset` with `email`: the same request as an app's, with the same limits and the same silence.
///
/// # Errors
/// When the body cannot be read as parameters.
pub async fn ask(state: Data<AppState>, request: HttpRequest, incoming: Incoming) -> Result<HttpResponse, Problem> {
    let words = words_for(&request);
    if !origin::is_own(request.headers(), &state.settings.public_url) {
        return Ok(stranger(words));
    }
    let email = incoming.fields(&["email"])?.text("email").and_then(|text| text.trim().parse().ok());
    let Some(email) = email else {
        let form = AskForm { words, title: words.ask_title, text: words.ask, fault: Some(words.no_email) };
        return Ok(refused(Code::InvalidParameters, StatusCode::UNPROCESSABLE_ENTITY, None, &form));
    };
    let ask = IssueReset { email, app: None, locale: incoming.language, peer: incoming.peer };
    Ok(match state.dispatcher.ask(Weight::Costly, &state.ports.issue_reset, ask).await {
        Ok(()) => html(StatusCode::OK, STRICT, &Note { words, title: words.sent_title, text: words.sent }),
        Err(problem) => failed(words, &problem),
    })
}

fn stranger(words: &Words) -> HttpResponse {
    let note = Note { words, title: words.stranger_title, text: words.stranger };
    refused(Code::Forbidden, StatusCode::FORBIDDEN, None, &note)
}

fn chosen(words: &Words, password: Option<&str>, repeat: Option<&str>) -> Result<Password, &'static str> {
    let password = password.filter(|text| !text.is_empty()).ok_or(words.empty)?;
    if repeat != Some(password) {
        return Err(words.differ);
    }
    password.parse().map_err(|_| words.too_long)
}

fn again(words: &Words, code: Code, fault: &str) -> HttpResponse {
    refused(code, StatusCode::UNPROCESSABLE_ENTITY, None, &Form { words, fault: Some(fault) })
}

fn dead(words: &Words) -> HttpResponse {
    let form = AskForm { words, title: words.dead_title, text: words.dead, fault: None };
    refused(Code::ResetTokenInvalid, StatusCode::GONE, None, &form)
}

fn failed(words: &Words, problem: &Problem) -> HttpResponse {
    if problem.code == Code::ResetTokenInvalid {
        return dead(words);
    }
    let note = Note { words, title: words.later_title, text: words.later };
    refused(problem.code, problem.code.status(), problem.retry_after_secs(), &note)
}

fn token(request: &HttpRequest) -> Option<ResetToken> {
    last_segment(request).ok()?.parse().ok()
}

fn words_for(request: &HttpRequest) -> &'static Words {
    let header = request.headers().get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
    translations::in_language(header.and_then(Locale::from_accept_language).unwrap_or_default())
}
