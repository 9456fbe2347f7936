//! The account: names and language, the password, and the phone number with its verification.

use super::words::Words;
use super::{ACCOUNT, Fault, Faults, Member, done, form_again, visit};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::{Code, Problem};
use crate::http::extract::{Call, Incoming, ShortText};
use crate::http::pages::times::Moment;
use crate::http::pages::visitor::{inside, see_other};
use crate::http::pages::{Frame, Side, translations};
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::HttpResponse;
use askama::Template;
use portcullis_actors::account::{ChangePassword, ChangeProfile, Person};
use portcullis_actors::derive::Code as TypedCode;
use portcullis_actors::domain::Locale;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::verification::{IssueCode, VerifyCode};

/// The forms of the page. One is sent at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Profile,
    Password,
    Phone,
    Code,
}

#[derive(Template)]
#[template(path = "settings/account.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    words: &'static Words,
    person: &'a Person,
    first_name: &'a str,
    last_name: &'a str,
    phone: &'a str,
    /// What a new password must be.
    rules: String,
    verified: Option<Moment>,
    /// Whether the form for a code is open: one is probably on its way.
    code_open: bool,
    /// What was done, beside the form that did it.
    notice: Option<(Form, String)>,
    /// What is wrong in this form.
    faults: Faults,
    faulty: Option<Form>,
}

impl<'a> Page<'a> {
    fn new(member: &'a Member) -> Self {
        let person = &member.person;
        Self {
            frame: member.frame(member.words.account),
            side: member.side(ACCOUNT),
            words: member.words,
            person,
            first_name: person.first_name.as_str(),
            last_name: person.last_name.as_str(),
            phone: "",
            rules: translations::in_language(member.locale).rules(member.shortest_password),
            verified: person.phone_verified.map(|time| Moment::new(member.locale, time)),
            code_open: false,
            notice: None,
            faults: Faults(None),
            faulty: None,
        }
    }

    /// What was done by this form.
    fn done(&self, form: &Form) -> Option<&str> {
        self.notice.as_ref().filter(|(of, _)| of == form).map(|(_, text)| text.as_str())
    }

    /// Why this form was refused, if it is not the fault of a field.
    fn refused(&self, form: &Form) -> Option<&str> {
        self.faults.other().filter(|_| self.faulty.as_ref() == Some(form))
    }
}

/// `GET /settings/account`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let (words, incoming) = (member.words, call.read(state).await?);
        let notice = match done(&incoming)?.as_deref() {
            Some("saved") => Some((Form::Profile, words.saved.to_owned())),
            Some("password") => Some((Form::Password, words.password_changed.to_owned())),
            Some("sent") => Some((Form::Code, code_sent(words, incoming.typed("to")?.unwrap_or_default()))),
            Some("verified") => Some((Form::Phone, words.phone_verified.to_owned())),
            _ => None,
        };
        let code_open = notice.as_ref().is_some_and(|(form, _)| *form == Form::Code);
        Ok(inside(&Page { notice, code_open, ..Page::new(&member) }))
    })
    .await
}

/// Where the code went: `digits` are the last ones of the number.
fn code_sent(words: &Words, digits: &str) -> String {
    match digits.len() {
        1..=SHOWN_DIGITS if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{} {digits}.", words.code_sent_to)
        }
        _ => words.code_sent.to_owned(),
    }
}

/// So many digits of a number are in the address of the page. The whole number stays out of the browser's history.
const SHOWN_DIGITS: usize = 4;

/// `POST /settings/account` with `first_name`, `last_name` and `locale`.
pub async fn save(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let incoming = call.read(state).await?;
        let mut fields = incoming.form(&["first_name", "last_name", "locale"])?;
        let names = (fields.required("first_name"), fields.required("last_name"));
        let locale = fields.required::<Locale>("locale");
        let ask = fields.build(|| {
            let (first_name, last_name) = names;
            Some(ChangeProfile { credential: member.credential.clone(), first_name, last_name, locale })
        });
        let saved = match ask {
            Ok(ask) => state.dispatcher.ask(Weight::Ordinary, &state.ports.change_profile, ask).await,
            Err(problem) => Err(problem),
        };
        match saved {
            Ok(_) => Ok(see_other("/settings/account?done=saved")),
            Err(problem) => again(&member, Form::Profile, &incoming, problem),
        }
    })
    .await
}

/// `POST /settings/account/password` with `current_password`, `password` and `repeat`.
pub async fn change_password(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let incoming = call.read(state).await?;
        if incoming.typed("password")?.is_none_or(str::is_empty) {
            return Ok(refused(&member, Form::Password, "password", member.words.empty_password));
        }
        if incoming.typed("password")? != incoming.typed("repeat")? {
            return Ok(refused(&member, Form::Password, "repeat", member.words.differ));
        }
        let (caller, _guard) = caller();
        let mut fields = incoming.form(&["current_password", "password"])?;
        let (current, new) = (fields.required("current_password"), fields.required("password"));
        let credential = member.credential.clone();
        let ask = fields.build(|| Some(ChangePassword { credential, current: current?, new: new?, caller }));
        let changed = match ask {
            Ok(ask) => state.dispatcher.ask(Weight::Costly, &state.ports.change_password, ask).await,
            Err(problem) => Err(problem),
        };
        match changed {
            Ok(()) => Ok(see_other("/settings/account?done=password#password-form")),
            Err(problem) => again(&member, Form::Password, &incoming, problem),
        }
    })
    .await
}

/// `POST /settings/account/phone` with `phone`: sends a code.
pub async fn send_code(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let incoming = call.read(state).await?;
        let mut fields = incoming.form(&["phone"])?;
        let phone = fields.required("phone");
        let (credential, locale) = (member.credential.clone(), Some(member.locale));
        let ask = fields.build(|| {
            let ShortText(phone) = phone?;
            Some(IssueCode { credential, phone, locale, peer: incoming.peer })
        });
        let sent = match ask {
            Ok(ask) => state.dispatcher.ask(Weight::Costly, &state.ports.issue_code, ask).await,
            Err(problem) => Err(problem),
        };
        match sent {
            Ok(()) => {
                let digits = incoming.typed("phone")?.unwrap_or_default().replace(|c: char| !c.is_ascii_digit(), "");
                let last = &digits[digits.len().saturating_sub(SHOWN_DIGITS)..];
                Ok(see_other(&format!("/settings/account?done=sent&to={last}#phone-form")))
            }
            Err(problem) => again(&member, Form::Phone, &incoming, problem),
        }
    })
    .await
}

/// `POST /settings/account/code` with `token`: verifies the number that the code was sent to.
pub async fn answer_code(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let incoming = call.read(state).await?;
        let typed = incoming.typed("token")?.unwrap_or_default();
        let ask = VerifyCode { credential: member.credential.clone(), code: TypedCode::typed(typed) };
        match state.dispatcher.ask(Weight::Ordinary, &state.ports.verify_code, ask).await {
            Ok(()) => Ok(see_other("/settings/account?done=verified#phone-form")),
            Err(problem) => again(&member, Form::Code, &incoming, problem),
        }
    })
    .await
}

/// The page with what is wrong in one of its forms, and what was typed into it.
fn again(member: &Member, form: Form, incoming: &Incoming, problem: Problem) -> Answer {
    let Some(fault) = member.fault(&problem) else { return Err(problem) };
    let page = with_fault(member, form, fault);
    let typed = |name, before| Ok::<_, Problem>(incoming.typed(name)?.unwrap_or(before));
    let page = Page {
        first_name: typed("first_name", page.first_name)?,
        last_name: typed("last_name", page.last_name)?,
        phone: typed("phone", page.phone)?,
        // The last code may still be on its way when no other one is sent.
        code_open: page.code_open || problem.code == Code::TooManyMessages,
        ..page
    };
    Ok(form_again(&problem, &page))
}

/// The page with a fault that no actor has to find.
fn refused(member: &Member, form: Form, field: &'static str, text: &'static str) -> HttpResponse {
    let problem = Problem::from(ErrorKind::invalid(field, text));
    form_again(&problem, &with_fault(member, form, Fault { field, text: text.to_owned() }))
}

fn with_fault(member: &Member, form: Form, fault: Fault) -> Page<'_> {
    Page { faults: Faults(Some(fault)), faulty: Some(form), code_open: form == Form::Code, ..Page::new(member) }
}
