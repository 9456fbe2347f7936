//! HTML pages: the password reset and the development inbox. They work without JavaScript. The templates are in
//! `templates/`.

pub mod cookie;
pub mod inbox;
pub mod origin;
pub mod reset;
mod translations;

use crate::http::error::Code;
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, X_FRAME_OPTIONS};
use askama::Template;

/// No scripts, no framing and nothing from other origins (OWASP Content Security Policy cheat sheet).
const STRICT: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An HTML answer with the content security policy `csp`. Its URL may hold a secret, so it sends no `Referer`.
fn html(status: StatusCode, csp: &'static str, page: &impl Template) -> HttpResponse {
    let text = page.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be rendered");
        String::new()
    });
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, csp))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .body(text)
}

/// An HTML refusal. Its code goes into the log line.
fn refused(code: Code, status: StatusCode, retry_after: Option<u64>, page: &impl Template) -> HttpResponse {
    let mut answer = html(status, STRICT, page);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer.extensions_mut().insert(code);
    answer
}

/// `GET /pages/style.css`
pub async fn style(_: &AppState, _: Call<'_>) -> Answer {
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/css; charset=utf-8"))
        .body(include_str!("templates/style.css")))
}
