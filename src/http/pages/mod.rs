//! HTML pages: plain forms, which work without JavaScript. The templates are in `templates/`, and the classes are listed
//! in `style.css`.
//!
//! A page is a template that extends `plain.html` (a card) or `app.html` (header, navigation and content), with a
//! [`Frame`] and for the latter a [`Side`].

pub mod assets;
pub mod console;
pub mod cookie;
pub mod development;
pub mod docs;
mod frame;
pub mod inbox;
pub mod missing;
pub mod origin;
pub mod reset;
pub mod settings;
pub mod signin;
mod texts;
mod times;
mod translations;
pub mod visitor;

pub use frame::{Frame, Group, Item, PRODUCT, Side, Words};

use crate::http::error::Code;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, RETRY_AFTER, X_FRAME_OPTIONS,
};
use askama::Template;

/// Nothing inline, no framing and nothing from other origins (OWASP Content Security Policy cheat sheet).
const STRICT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An HTML answer.
pub fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    with_policy(STRICT, status, page)
}

/// An HTML answer with the content security policy `csp`. Its URL may hold a secret, so it sends no `Referer`.
fn with_policy(csp: &'static str, status: StatusCode, page: &impl Template) -> HttpResponse {
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

/// The same for a page behind a sign-in. Browsers without `Sec-Fetch-Site` send the `Origin` of its forms.
pub fn private(status: StatusCode, page: &impl Template) -> HttpResponse {
    let mut answer = html(status, page);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// An HTML refusal. Its code goes into the log line.
pub fn refused(code: Code, status: StatusCode, retry_after: Option<u64>, page: &impl Template) -> HttpResponse {
    let mut answer = html(status, page);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer.extensions_mut().insert(code);
    answer
}
