//! The pages for a forgotten password: one requests a reset link, the other one sets a new password. The token is in the
//! path and nowhere else.

use super::translations::{self, Texts};
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
use portcullis_actors::verification::{FinishReset, InspectReset, IssueReset};

#[derive(Template)]
#[template(path = "reset_form.html", config = "src/http/pages/askama.toml")]
struct Form<'a> {
    frame: Frame<'a>,
    texts: &'a Texts,
    fault: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "request_form.html", config = "src/http/pages/askama.toml")]
struct RequestForm<'a> {
    frame: Frame<'a>,
    texts: &'a Texts,
    text: &'a str,
    fault: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "note.html", config = "src/http/pages/askama.toml")]
struct Note<'a> {
    frame: Frame<'a>,
    text: &'a str,
}

/// `GET /password/reset/:token`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    let texts = texts_for(&call);
    let Some(token) = token(&call) else { return Ok(expired(texts)) };
    Ok(match state.dispatcher.ask(Weight::Ordinary, &state.ports.inspect_reset, InspectReset(token)).await {
        Ok(()) => html(StatusCode::OK, &Form { frame: frame(texts, texts.title), texts, fault: None }),
        Err(problem) => failed(texts, &problem),
    })
}

/// `POST /password/reset/:token` with `password` and `repeat`.
///
/// # Errors
/// When the body cannot be parsed.
pub async fn submit(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let texts = texts_for(&call);
    if !origin::is_own(call.headers(), &state.settings.public_url) {
        return Ok(foreign(texts));
    }
    let fields = incoming.fields(&["password", "repeat"])?;
    let Some(token) = token(&call) else { return Ok(expired(texts)) };
    let password = match new_password(texts, fields.text("password"), fields.text("repeat")) {
        Ok(password) => password,
        Err(fault) => return Ok(form_again(texts, Code::InvalidParameters, fault)),
    };
    let (caller, _guard) = caller();
    let ask = FinishReset { token, password, caller };
    Ok(match state.dispatcher.ask(Weight::Costly, &state.ports.finish_reset, ask).await {
        Ok(()) => html(StatusCode::OK, &Note { frame: frame(texts, texts.done_title), text: texts.done }),
        Err(problem) => match problem.rule {
            Some(rule) => form_again(texts, problem.code, texts.rule(rule)),
            None => failed(texts, &problem),
        },
    })
}

/// `GET /password/reset`
pub async fn forgotten(_: &AppState, call: Call<'_>) -> Answer {
    let texts = texts_for(&call);
    let form = RequestForm { frame: frame(texts, texts.forgotten_title), texts, text: texts.forgotten, fault: None };
    Ok(html(StatusCode::OK, &form))
}

/// `POST /password/reset` with `email`: the same request as `POST /api/v1/tokens/reset`, with the same limits. Its answer
/// does not say either whether there is an account.
///
/// # Errors
/// When the body cannot be parsed.
pub async fn request_link(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let texts = texts_for(&call);
    if !origin::is_own(call.headers(), &state.settings.public_url) {
        return Ok(foreign(texts));
    }
    let email = incoming.fields(&["email"])?.text("email").and_then(|text| text.trim().parse().ok());
    let Some(email) = email else {
        let form = RequestForm {
            frame: frame(texts, texts.forgotten_title),
            texts,
            text: texts.forgotten,
            fault: Some(texts.invalid_email),
        };
        return Ok(refused(Code::InvalidParameters, StatusCode::UNPROCESSABLE_ENTITY, None, &form));
    };
    let ask = IssueReset { email, app: None, locale: incoming.language, peer: incoming.peer };
    Ok(match state.dispatcher.ask(Weight::Costly, &state.ports.issue_reset, ask).await {
        Ok(()) => html(StatusCode::OK, &Note { frame: frame(texts, texts.sent_title), text: texts.sent }),
        Err(problem) => failed(texts, &problem),
    })
}

fn frame<'a>(texts: &Texts, title: &'a str) -> Frame<'a> {
    Frame::own(texts.locale, title)
}

fn foreign(texts: &Texts) -> HttpResponse {
    let note = Note { frame: frame(texts, texts.foreign_title), text: texts.foreign };
    refused(Code::Forbidden, StatusCode::FORBIDDEN, None, &note)
}

fn new_password(texts: &Texts, password: Option<&str>, repeat: Option<&str>) -> Result<Password, &'static str> {
    let password = password.filter(|text| !text.is_empty()).ok_or(texts.empty)?;
    if repeat != Some(password) {
        return Err(texts.differ);
    }
    password.parse().map_err(|_| texts.too_long)
}

fn form_again(texts: &Texts, code: Code, fault: &str) -> HttpResponse {
    refused(
        code,
        StatusCode::UNPROCESSABLE_ENTITY,
        None,
        &Form { frame: frame(texts, texts.title), texts, fault: Some(fault) },
    )
}

fn expired(texts: &Texts) -> HttpResponse {
    let form = RequestForm { frame: frame(texts, texts.expired_title), texts, text: texts.expired, fault: None };
    refused(Code::ResetTokenInvalid, StatusCode::GONE, None, &form)
}

fn failed(texts: &Texts, problem: &Problem) -> HttpResponse {
    if problem.code == Code::ResetTokenInvalid {
        return expired(texts);
    }
    let note = Note { frame: frame(texts, texts.failed_title), text: texts.failed };
    refused(problem.code, problem.code.status(), problem.retry_after_secs(), &note)
}

fn token(call: &Call<'_>) -> Option<ResetToken> {
    call.parameter().ok()?.parse().ok()
}

fn texts_for(call: &Call<'_>) -> &'static Texts {
    let header = call.headers().get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
    translations::in_language(header.and_then(Locale::from_accept_language).unwrap_or_default())
}
