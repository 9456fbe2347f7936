//! The page of a path that does not exist, for browsers. Every other client gets the problem document.

use super::{Frame, refused};
use crate::http::error::Code;
use crate::http::state::{AppState, Listener};
use actix_web::HttpResponse;
use actix_web::http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap};
use actix_web::http::{Method, StatusCode};
use askama::Template;
use portcullis_actors::domain::Locale;

#[derive(Template)]
#[template(path = "missing.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    text: &'static str,
    /// Where to go instead: label and address.
    link: Option<(&'static str, &'static str)>,
}

/// Whether a request for a path that does not exist comes from somebody who looks at a page: a GET that prefers HTML,
/// outside the API.
pub fn is_for_people(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let mut accept = headers.get_all(ACCEPT).filter_map(|line| line.to_str().ok());
    reads && path != "/api" && !path.starts_with("/api/") && accept.any(prefers_html)
}

/// `Accept` (RFC 9110 §12.5.1) names HTML, and no kind of JSON with a higher weight.
fn prefers_html(accept: &str) -> bool {
    let weight = |wanted: fn(&str) -> bool| {
        let ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
        let weights = ranges.filter_map(|mut parts| {
            let named = parts.next().is_some_and(|name| wanted(&name.to_ascii_lowercase()));
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            named.then_some(weight)
        });
        weights.fold(0.0, f32::max)
    };
    let html = weight(|name| name == "text/html");
    html > 0.0 && html >= weight(|name| name.ends_with("json"))
}

/// 404 as a page.
pub fn page(state: &AppState, headers: &HeaderMap) -> HttpResponse {
    let settings = &state.settings;
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
    let locale = accepted.and_then(Locale::from_accept_language).unwrap_or_default();
    let (title, text, start, sign_in) = match locale {
        Locale::En => ("Page not found", "There is nothing at this address.", "Go to the start page", "Sign in"),
        Locale::Es => ("Página no encontrada", "No hay nada en esta dirección.", "Ir a la página de inicio", "Entrar"),
    };
    let link = match settings.listener {
        Listener::Operators => Some((start, "/admin")),
        Listener::Public if settings.development.is_some() => Some((start, "/")),
        Listener::Public => settings.settings_pages.then_some((sign_in, "/signin")),
    };
    let page = Page { frame: Frame::own(locale, title), text, link };
    refused(Code::NotFound, StatusCode::NOT_FOUND, None, &page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn browsers_prefer_html_and_programs_do_not() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for (accept, prefers) in [
            (browser, true),
            ("Text/HTML", true),
            ("application/json;q=0.5, text/html;q=0.5", true),
            ("*/*", false),
            ("", false),
            ("text/html;q=0", false),
            ("application/json, text/plain, */*", false),
            ("application/json, text/html;q=0.9", false),
            ("application/problem+json, text/html; q=0.9", false),
        ] {
            assert_eq!(prefers_html(accept), prefers, "{accept}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(browser));
        let asks = |method, path| is_for_people(&method, path, &headers);
        assert!(asks(Method::GET, "/nowhere") && asks(Method::HEAD, "/") && asks(Method::GET, "/apiary"));
        assert!(!asks(Method::POST, "/nowhere") && !asks(Method::GET, "/api/v1/nowhere") && !asks(Method::GET, "/api"));
    }
}
