//! `/admin/users/{user_id}`: everything about one account, and what an administrator may do with it.

use super::rows::{KeyRow, MessageRow, readable};
use super::{Section, Visit, enter, frame};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::{Code, Problem};
use crate::http::extract::Call;
use crate::http::pages::visitor::{again, inside, see_other};
use crate::http::pages::{Frame, Side, times};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;
use portcullis_actors::account::{DeleteUser, EndSessions, ListedDevice, Person, UpdateUser};
use portcullis_actors::administration::{ShowUser, UserDetails};
use portcullis_actors::domain::{Locale, Password, UserId};
use portcullis_actors::session::ListedSession;
use portcullis_actors::stores::UserChange;
use portcullis_actors::verification::SendReset;
use std::net::IpAddr;

/// What can be done with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Enable,
    Disable,
    EndSessions,
    SendReset,
    Appoint,
    Dismiss,
    Delete,
}

impl Action {
    const ALL: [Self; 7] =
        [Self::Enable, Self::Disable, Self::EndSessions, Self::SendReset, Self::Appoint, Self::Dismiss, Self::Delete];

    /// In forms and links.
    const fn name(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::EndSessions => "end-sessions",
            Self::SendReset => "send-reset",
            Self::Appoint => "appoint",
            Self::Dismiss => "dismiss",
            Self::Delete => "delete",
        }
    }

    fn named(name: Option<&str>) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|action| name == Some(action.name()));
        found.ok_or_else(|| Problem::malformed("There is no such action."))
    }

    /// On its button and as the title of its confirmation.
    const fn title(self) -> &'static str {
        match self {
            Self::Enable => "Enable",
            Self::Disable => "Disable",
            Self::EndSessions => "End all sessions",
            Self::SendReset => "Send a reset mail",
            Self::Appoint => "Make an administrator",
            Self::Dismiss => "Remove as administrator",
            Self::Delete => "Delete",
        }
    }

    /// What it does, before it is done.
    const fn means(self) -> &'static str {
        match self {
            Self::Enable => "The user can sign in again. Keys work again, too.",
            Self::Disable => "Sessions end at once, server keys stop working, and the user cannot sign in.",
            Self::EndSessions => "The user is signed out everywhere. Codes and reset links end as well.",
            Self::SendReset => "The user gets a link that sets a new password.",
            Self::Appoint => "The user can see and change everything in this console, and delete every account.",
            Self::Dismiss => {
                "The user can no longer open this console. Their keys that may do more than act for them are revoked. Sessions stay."
            }
            Self::Delete => {
                "The account is deleted with its sessions, devices, keys and messages. This cannot be undone."
            }
        }
    }

    /// What was done.
    const fn done(self) -> &'static str {
        match self {
            Self::Enable => "The account is enabled.",
            Self::Disable => "The account is disabled, and its sessions have ended.",
            Self::EndSessions => "All sessions of the user have ended.",
            Self::SendReset => "The reset mail is on its way.",
            Self::Appoint => "The user is an administrator now.",
            Self::Dismiss => "The user is no administrator any more.",
            Self::Delete => "The account is deleted.",
        }
    }

    /// Whether the administrator's password is asked for.
    const fn needs_password(self) -> bool {
        matches!(self, Self::Disable | Self::Appoint | Self::Dismiss | Self::Delete)
    }
}

#[derive(Template)]
#[template(path = "console/user.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    id: i64,
    person: &'a Person,
    done: Option<&'static str>,
    /// Of the person.
    facts: Facts,
    own: bool,
    actions: Vec<Action>,
    sessions: Vec<SessionRow>,
    devices: Vec<DeviceRow>,
    keys: Vec<KeyRow>,
    messages: Vec<MessageRow>,
}

struct Facts {
    name: String,
    phone: String,
    language: &'static str,
    created: String,
    disabled: String,
    passwords: String,
}

struct SessionRow {
    app: String,
    device: String,
    since: String,
    seen: String,
}

struct DeviceRow {
    app: String,
    device: String,
    system: &'static str,
    seen: String,
    push: bool,
}

/// `GET /admin/users/:user_id`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        let user = call.user()?;
        let done = incoming.form(&["done"])?.text("done").map(str::to_owned);
        let ask = ShowUser { credential: visit.credential.clone(), user };
        let details = state.dispatcher.ask(Weight::Ordinary, &state.ports.show_user, ask).await?;
        let UserDetails { person, sessions, devices, keys, messages, .. } = &details;
        Ok(inside(&Page {
            frame: frame(person.email.as_str()),
            side: visit.side(Section::Users),
            id: person.id.0,
            done: Action::named(done.as_deref()).ok().map(Action::done),
            facts: facts(&details),
            own: person.id == visit.administrator.id,
            actions: possible(person),
            sessions: sessions.iter().map(session).collect(),
            devices: devices.iter().map(device).collect(),
            keys: keys.iter().map(|key| KeyRow::new(key, visit.now())).collect(),
            messages: messages.messages.iter().map(MessageRow::from).collect(),
            person,
        }))
    })
    .await
}

fn facts(UserDetails { person, passwords, .. }: &UserDetails) -> Facts {
    let phone = match (&person.phone, person.phone_verified) {
        (None, _) => "not verified".to_owned(),
        (Some(phone), None) => phone.as_str().to_owned(),
        (Some(phone), Some(at)) => format!("{}, verified {}", phone.as_str(), readable(at)),
    };
    let wait = passwords.wait.map(|wait| times::wait(Locale::En, wait.as_secs()));
    let passwords = match (passwords.failures, passwords.exhausted, wait) {
        (count, true, _) => format!("{count} in a row: only a reset helps, except on known devices"),
        (0, false, None) => "none".to_owned(),
        (count, false, None) => format!("{count} in a row"),
        (count, false, Some(wait)) => format!("{count} in a row; the next try is refused for {wait}"),
    };
    Facts {
        name: format!("{} {}", person.first_name.as_str(), person.last_name.as_str()),
        phone,
        language: match person.locale {
            None => "not known",
            Some(Locale::En) => "English",
            Some(Locale::Es) => "Spanish",
        },
        created: readable(person.created),
        disabled: person.disabled.map(readable).unwrap_or_default(),
        passwords,
    }
}

/// What can be done with an account of somebody else.
fn possible(person: &Person) -> Vec<Action> {
    let appoint = if person.admin { Action::Dismiss } else { Action::Appoint };
    match person.disabled {
        Some(_) => vec![Action::Enable, Action::Delete],
        None => vec![Action::EndSessions, Action::SendReset, appoint, Action::Disable, Action::Delete],
    }
}

fn session(session: &ListedSession) -> SessionRow {
    SessionRow {
        app: session.app.as_ref().map_or_else(|| "Pages of this server".to_owned(), ToString::to_string),
        device: session.device.as_ref().map(|(device, _)| device.as_str().to_owned()).unwrap_or_default(),
        since: readable(session.created),
        seen: readable(session.last_seen),
    }
}

fn device(ListedDevice { app, device }: &ListedDevice) -> DeviceRow {
    DeviceRow {
        app: app.to_string(),
        device: device.device_token.as_str().to_owned(),
        system: device.mobile_os.as_str(),
        seen: readable(device.seen),
        push: device.push.is_some(),
    }
}

#[derive(Template)]
#[template(path = "console/confirm.html", config = "src/http/pages/askama.toml")]
struct Confirm<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    id: i64,
    email: &'a str,
    action: Action,
    fault: Option<String>,
    /// Of the password.
    error: Option<String>,
}

/// `GET /admin/users/:user_id/confirm` with `action`: asks for the administrator's password.
pub async fn confirm(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        let (user, fields) = (call.user()?, incoming.form(&["action"])?);
        let action = Action::named(fields.text("action"))?;
        let email = email(state, &visit, user).await?;
        let page = Confirm {
            frame: frame(action.title()),
            side: visit.side(Section::Users),
            id: user.0,
            email: &email,
            action,
            fault: None,
            error: None,
        };
        Ok(inside(&page))
    })
    .await
}

async fn email(state: &AppState, visit: &Visit, user: UserId) -> Result<String, Problem> {
    let ask = ShowUser { credential: visit.credential.clone(), user };
    let details = state.dispatcher.ask(Weight::Ordinary, &state.ports.show_user, ask).await?;
    Ok(details.person.email.as_str().to_owned())
}

/// `POST /admin/users/:user_id` with `action` and, if it has consequences, `current_password`.
pub async fn act(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        let (user, fields) = (call.user()?, incoming.form(&["action", "current_password"])?);
        let action = Action::named(fields.text("action"))?;
        // What is no password cannot be the right one.
        let password = fields.text("current_password").and_then(|text| text.parse().ok());
        let problem = match perform(state, &visit, user, action, password, incoming.peer).await {
            Ok(()) if action == Action::Delete => return Ok(see_other("/admin/users?done=delete")),
            Ok(()) => return Ok(see_other(&format!("/admin/users/{user}?done={}", action.name()))),
            Err(problem) => problem,
        };
        let wait = problem.retry_after_secs();
        let (fault, error) = match problem.code {
            Code::InvalidParameters => match problem.errors.first() {
                Some(of) if of.field == "current_password" => (None, Some(format!("It {}.", of.reason))),
                Some(of) => (Some(format!("Nothing was changed: this {}.", of.reason)), None),
                None => return Err(problem),
            },
            Code::TooManyAttempts if action.needs_password() => {
                let wait = times::wait(Locale::En, wait.unwrap_or(1));
                (None, Some(format!("There were too many wrong passwords. Try again in {wait}.")))
            }
            _ => return Err(problem),
        };
        let email = email(state, &visit, user).await?;
        let (frame, side) = (frame(action.title()), visit.side(Section::Users));
        let page = Confirm { frame, side, id: user.0, email: &email, action, fault, error };
        Ok(again(problem.code, problem.code.status(), wait, &page))
    })
    .await
}

async fn perform(
    state: &AppState,
    visit: &Visit,
    user: UserId,
    action: Action,
    confirmation: Option<Password>,
    peer: IpAddr,
) -> Result<(), Problem> {
    let (credential, ports) = (visit.credential.clone(), &state.ports);
    let (caller, _guard) = caller();
    let change = match action {
        Action::EndSessions => {
            let ask = EndSessions { credential, user };
            return state.dispatcher.ask(Weight::Ordinary, &ports.end_sessions, ask).await;
        }
        Action::SendReset => {
            let ask = SendReset { credential, user, peer };
            return state.dispatcher.ask(Weight::Costly, &ports.send_reset, ask).await;
        }
        Action::Delete => {
            let ask = DeleteUser { credential, user, confirmation, caller };
            return state.dispatcher.ask(Weight::Costly, &ports.delete_user, ask).await;
        }
        Action::Enable => UserChange { disabled: Some(false), ..UserChange::default() },
        Action::Disable => UserChange { disabled: Some(true), ..UserChange::default() },
        Action::Appoint => UserChange { admin: Some(true), ..UserChange::default() },
        Action::Dismiss => UserChange { admin: Some(false), ..UserChange::default() },
    };
    let ask = UpdateUser { credential, user, change, confirmation, caller };
    state.dispatcher.ask(Weight::Costly, &ports.update_user, ask).await.map(drop)
}
