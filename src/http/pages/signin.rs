//! Signing in to the pages of a listener, and out. It is the sign-in of phones: the same message, guard and budgets.

use super::texts::texts;
use super::visitor::{self, Place, accepted, again, foreign, inside, is_ours, problem_page, see_other};
use super::{Frame, times};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::{Code, Problem};
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use askama::Template;
use portcullis_actors::domain::{Email, Locale, Password};
use portcullis_actors::session::{LeavePages, Opens, SignIn};

#[derive(Template)]
#[template(path = "signin.html", config = "src/http/pages/askama.toml")]
struct Form<'a> {
    frame: Frame<'a>,
    texts: &'a Texts,
    place: Place,
    fault: Option<&'a str>,
    /// As it was typed.
    email: &'a str,
    /// The page that a sign-in leads to.
    next: Option<&'a str>,
    forgotten: String,
}

impl<'a> Form<'a> {
    fn new(state: &AppState, locale: Locale, next: Option<&'a str>) -> Self {
        let place = Place::of(&state.settings);
        Self {
            frame: Frame::own(locale, Texts::of(locale).title),
            texts: Texts::of(locale),
            place,
            fault: None,
            email: "",
            next: next.and_then(|next| place.own(next)),
            forgotten: format!("{}/password/reset", state.settings.public_url),
        }
    }
}

/// `GET /signin`, `GET /admin/signin`: with `next`, the page to go to.
pub async fn form(state: &AppState, mut call: Call<'_>) -> Answer {
    let locale = accepted(call.headers());
    let page = async {
        let incoming = call.read(state).await?;
        let fields = incoming.form(&["next"])?;
        Ok(inside(&Form::new(state, locale, fields.text("next"))))
    };
    Ok(page.await.unwrap_or_else(|problem: Problem| problem_page(locale, &Place::of(&state.settings), &problem)))
}

/// `POST /signin`, `POST /admin/signin` with `email`, `password` and `next`. Each sign-in opens a new session and ends the
/// one that the browser had.
pub async fn submit(state: &AppState, mut call: Call<'_>) -> Answer {
    let (locale, place) = (accepted(call.headers()), Place::of(&state.settings));
    if !is_ours(state, &call) {
        return Ok(foreign(locale, &place));
    }
    let incoming = match call.read(state).await {
        Ok(incoming) => incoming,
        Err(problem) => return Ok(problem_page(locale, &place, &problem)),
    };
    let fields = match incoming.form(&["email", "password", "next"]) {
        Ok(fields) => fields,
        Err(problem) => return Ok(problem_page(locale, &place, &problem)),
    };
    let typed = fields.text("email").unwrap_or_default();
    let form = Form { email: typed, ..Form::new(state, locale, fields.text("next")) };
    let email = typed.trim().parse::<Email>();
    let password = fields.text("password").unwrap_or_default().parse::<Password>();
    let (Ok(email), Ok(password)) = (email, password) else {
        return Ok(refused(form, locale, &Problem::new(Code::InvalidCredentials, "")));
    };
    let (caller, _guard) = caller();
    let ask = SignIn {
        email,
        password,
        device: None,
        push: None,
        app: None,
        // The language of the browser must not replace the one that was chosen in the settings.
        locale: None,
        opens: Opens::Pages(place.cookie.place),
        peer: incoming.peer,
        caller,
    };
    let signed_in = match state.dispatcher.ask(Weight::Costly, &state.ports.sign_in, ask).await {
        Ok(signed_in) => signed_in,
        Err(problem) => return Ok(refused(form, locale, &problem)),
    };
    if let Some(before) = place.cookie.read(call.headers()) {
        let left = state.dispatcher.ask(Weight::Ordinary, &state.ports.leave_pages, LeavePages(before)).await;
        if let Err(problem) = left {
            tracing::debug!(%problem, "the session that the browser had before was not ended");
        }
    }
    let mut answer = see_other(form.next.unwrap_or(place.home));
    answer.headers_mut().append(SET_COOKIE, place.cookie.set(&signed_in.token));
    Ok(answer)
}

/// `POST /signout`, `POST /admin/signout`
pub async fn sign_out(state: &AppState, call: Call<'_>) -> Answer {
    let place = Place::of(&state.settings);
    visitor::visit(state, call, async |credential, _| {
        state.dispatcher.ask(Weight::Ordinary, &state.ports.leave_pages, LeavePages(credential)).await?;
        let mut answer = see_other(place.sign_in);
        answer.headers_mut().append(SET_COOKIE, place.cookie.clear());
        Ok(answer)
    })
    .await
}

/// The form again. A wrong password is 422 here: 401 would demand a challenge of HTTP (RFC 9110 §15.5.2).
fn refused(form: Form<'_>, locale: Locale, problem: &Problem) -> actix_web::HttpResponse {
    let (texts, wait) = (form.texts, problem.retry_after_secs());
    let fault = match problem.code {
        Code::InvalidCredentials | Code::InvalidParameters => texts.wrong.to_owned(),
        Code::Forbidden => texts.no_administrator.to_owned(),
        Code::TooManyAttempts if problem.only_a_reset_helps() => texts.locked.to_owned(),
        Code::TooManyAttempts => format!("{} {}.", texts.often, times::wait(locale, wait.unwrap_or(1))),
        _ => texts.busy.to_owned(),
    };
    let status = match problem.code.status() {
        StatusCode::UNAUTHORIZED => StatusCode::UNPROCESSABLE_ENTITY,
        status => status,
    };
    again(problem.code, status, wait, &Form { fault: Some(&fault), ..form })
}

texts! {
    Texts {
        title: "Sign in", "Iniciar sesión";
        email: "E-mail address", "Dirección de correo";
        password: "Password", "Contraseña";
        show: "Show", "Mostrar";
        hide: "Hide", "Ocultar";
        submit: "Sign in", "Iniciar sesión";
        forgotten: "Forgot your password?", "¿Ha olvidado su contraseña?";
        wrong: "The e-mail address or the password is wrong.", "La dirección de correo o la contraseña no es correcta.";
        no_administrator: "This account is not an administrator.", "Esta cuenta no es de administrador.";
        often: "Too many attempts. Try again in", "Demasiados intentos. Inténtelo de nuevo dentro de";
        locked:
            "There were too many wrong passwords. Choose a new password to sign in again.",
            "Ha habido demasiadas contraseñas incorrectas. Elija una contraseña nueva para volver a entrar.";
        busy:
            "The server is busy. Try again in a moment.",
            "El servidor está ocupado. Inténtelo de nuevo en un momento.";
    }
}
