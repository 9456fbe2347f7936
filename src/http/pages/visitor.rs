//! Pages behind a sign-in. [`visit`] is around each of them: it sends visitors without a session to the sign-in page, acts
//! on forms of our own pages only, and turns every refusal into a page.

use super::cookie::SessionCookie;
use super::texts::texts;
use super::{Frame, origin, private, refused, times};
use crate::http::error::{Code, Problem};
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::state::{AppState, Listener, Settings};
use actix_web::HttpResponse;
use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE};
use actix_web::http::{Method, StatusCode};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_actors::domain::{Credential, Locale};

/// The pages of one listener that need a sign-in.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub cookie: SessionCookie,
    /// All of them begin with this.
    root: &'static str,
    /// Where a sign-in leads.
    pub home: &'static str,
    pub sign_in: &'static str,
    pub sign_out: &'static str,
}

impl Place {
    /// The pages of this listener.
    pub fn of(settings: &Settings) -> Self {
        let cookie = SessionCookie::of(settings);
        match settings.listener {
            Listener::Public => {
                Self { cookie, root: "/settings", home: "/settings/keys", sign_in: "/signin", sign_out: "/signout" }
            }
            Listener::Operators => {
                Self { cookie, root: "/admin", home: "/admin", sign_in: "/admin/signin", sign_out: "/admin/signout" }
            }
        }
    }

    /// The page of ours that `text` names. Nothing else is followed after a sign-in: no other host (`//host`, `\`), and no
    /// path that a browser would shorten.
    pub fn own<'t>(&self, text: &'t str) -> Option<&'t str> {
        let rest = text.strip_prefix(self.root)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/?=&%+-_.~@:,".contains(&byte);
        let safe = text.len() <= 512
            && text.bytes().all(plain)
            && (rest.is_empty() || rest.starts_with(['/', '?']))
            && !["//", "/.", "%2f", "%2F", "%5c", "%5C"].iter().any(|part| text.contains(part));
        safe.then_some(text)
    }

    /// The sign-in page, which leads back to the page of this call. A form cannot be sent again: it leads to its page.
    fn to_sign_in(self, call: &Call<'_>) -> HttpResponse {
        let back = match *call.method() {
            Method::GET | Method::HEAD => call.path_and_query(),
            _ => call
                .path_and_query()
                .match_indices(['/', '?'])
                .nth(2)
                .map_or(call.path_and_query(), |(end, _)| &call.path_and_query()[..end]),
        };
        match self.own(back).filter(|back| *back != self.home) {
            Some(back) => see_other(&format!("{}?next={}", self.sign_in, utf8_percent_encode(back, NON_ALPHANUMERIC))),
            None => see_other(self.sign_in),
        }
    }
}

/// Answers a call of somebody who may be signed in, by `work` with their credential. Whether it is valid is up to the actor
/// that gets it; then `work` fails with `invalid_token`.
///
/// # Errors
/// None: refusals are pages.
pub async fn visit<'a>(
    state: &AppState,
    call: Call<'a>,
    work: impl AsyncFnOnce(Credential, Call<'a>) -> Answer,
) -> Answer {
    let place = Place::of(&state.settings);
    let locale = accepted(call.headers());
    if !is_ours(state, &call) {
        return Ok(foreign(locale, &place));
    }
    let to_sign_in = place.to_sign_in(&call);
    let Some(credential) = place.cookie.read(call.headers()) else { return Ok(to_sign_in) };
    match work(credential, call).await {
        Ok(answer) => Ok(answer),
        Err(problem) if problem.code == Code::InvalidToken => {
            let mut answer = to_sign_in;
            answer.headers_mut().append(SET_COOKIE, place.cookie.clear());
            answer.extensions_mut().insert(problem.code);
            Ok(answer)
        }
        Err(problem) => Ok(problem_page(locale, &place, &problem)),
    }
}

/// Whether an unsafe request comes from a page of this listener. Safe ones change nothing and may come from anywhere.
pub fn is_ours(state: &AppState, call: &Call<'_>) -> bool {
    matches!(*call.method(), Method::GET | Method::HEAD) || origin::is_same(call.headers(), &state.settings)
}

/// The language that the browser asks for.
pub fn accepted(headers: &HeaderMap) -> Locale {
    let header = headers.get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
    header.and_then(Locale::from_accept_language).unwrap_or_default()
}

/// 303 to this path of our own (RFC 9110 §15.4.4).
pub fn see_other(path: &str) -> HttpResponse {
    let mut answer = HttpResponse::SeeOther().finish();
    answer.headers_mut().insert(LOCATION, HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/")));
    answer
}

/// A page whose forms are accepted by [`is_ours`]: browsers without `Sec-Fetch-Site` send its origin with them.
pub fn inside(page: &impl Template) -> HttpResponse {
    private(StatusCode::OK, page)
}

/// The same for a form that is shown again with what is wrong in it.
pub fn again(code: Code, status: StatusCode, retry_after: Option<u64>, page: &impl Template) -> HttpResponse {
    let mut answer = refused(code, status, retry_after, page);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

#[derive(Template)]
#[template(path = "refusal.html", config = "src/http/pages/askama.toml")]
struct Refusal<'a> {
    frame: Frame<'a>,
    text: &'a str,
    home: &'a str,
    back: &'a str,
}

/// The answer to a form that another site may have sent.
pub fn foreign(locale: Locale, place: &Place) -> HttpResponse {
    let texts = Texts::of(locale);
    refusal(locale, place, Code::Forbidden, None, texts.foreign_title, texts.foreign)
}

/// What went wrong, as a page.
pub fn problem_page(locale: Locale, place: &Place, problem: &Problem) -> HttpResponse {
    let texts = Texts::of(locale);
    let wait = problem.retry_after_secs();
    let (title, text) = match problem.code.status() {
        StatusCode::FORBIDDEN => (texts.forbidden_title, texts.forbidden.to_owned()),
        StatusCode::NOT_FOUND => (texts.missing_title, texts.missing.to_owned()),
        StatusCode::TOO_MANY_REQUESTS => {
            (texts.often_title, format!("{} {}.", texts.often, times::wait(locale, wait.unwrap_or(1))))
        }
        StatusCode::SERVICE_UNAVAILABLE => (texts.busy_title, texts.busy.to_owned()),
        _ => (texts.unreadable_title, texts.unreadable.to_owned()),
    };
    refusal(locale, place, problem.code, wait, title, &text)
}

fn refusal(locale: Locale, place: &Place, code: Code, wait: Option<u64>, title: &str, text: &str) -> HttpResponse {
    let page = Refusal { frame: Frame::own(locale, title), text, home: place.home, back: Texts::of(locale).back };
    refused(code, code.status(), wait, &page)
}

texts! {
    /// The texts of refusals.
    Texts {
        back: "Go back", "Volver";
        foreign_title: "The form was not sent from this page", "El formulario no se ha enviado desde esta página";
        foreign:
            "Nothing was changed. Open the page again and send the form from there.",
            "No se ha cambiado nada. Abra la página de nuevo y envíe el formulario desde ella.";
        forbidden_title: "You may not do this", "No tiene permiso para esto";
        forbidden:
            "Your account does not have the right for this page.",
            "Su cuenta no tiene derecho a usar esta página.";
        missing_title: "This is not here any more", "Esto ya no está aquí";
        missing:
            "It may have been removed in the meantime. Nothing was changed.",
            "Puede que se haya eliminado entretanto. No se ha cambiado nada.";
        often_title: "Too many attempts", "Demasiados intentos";
        often: "Nothing was changed. Try again in", "No se ha cambiado nada. Inténtelo de nuevo dentro de";
        busy_title: "This did not work just now", "Ahora mismo no ha sido posible";
        busy:
            "The server is busy or a part of it does not answer. Try again in a moment.",
            "El servidor está ocupado o una parte no responde. Inténtelo de nuevo en un momento.";
        unreadable_title: "The form could not be read", "No se ha podido leer el formulario";
        unreadable:
            "Nothing was changed. Go back and try again.",
            "No se ha cambiado nada. Vuelva atrás e inténtelo de nuevo.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_actors::domain::PagePlace;

    #[test]
    fn a_sign_in_leads_to_our_own_pages_only() {
        let settings = Settings::example(Listener::Public);
        let place = Place::of(&settings);
        assert_eq!(place.cookie.place, PagePlace::Settings);
        for own in ["/settings", "/settings/keys", "/settings/keys?made=1&a=%C3%A9", "/settings?x=a@b.cd"] {
            assert_eq!(place.own(own), Some(own));
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "/settingsx",
            "/settings//evil.example",
            "/settings/../../x",
            "/settings/./x",
            "/settings\\evil",
            "/settings/%5c%5cevil.example",
            "/settings/%2F/evil",
            "/settings/\r\nset-cookie: x",
            "/settings/#x",
            "/admin",
            "javascript:1",
            " /settings",
        ] {
            assert_eq!(place.own(other), None, "{other}");
        }
        let console = Place::of(&Settings { listener: Listener::Operators, ..settings });
        assert_eq!((console.own("/admin/users?q=a"), console.own("/settings")), (Some("/admin/users?q=a"), None));
    }
}
