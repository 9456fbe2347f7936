//! The caller's sessions: check the current one, list them, end them.

use super::dispatch::Weight;
use super::error::Problem;
use super::extract::Call;
use super::route::{Answer, json, message};
use super::state::AppState;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{Digest, Invalid, MobileOs, UserId};
use portcullis_actors::session::{Check, CloseSession, CloseSessions, ListSessions};
use serde::Serialize;
use std::str::FromStr;

#[derive(Serialize)]
struct CheckAnswer<'a> {
    user_id: UserId,
    app_id: &'a str,
    session_id: Digest,
    created_at: Timestamp,
    expires_at: Timestamp,
}

/// `GET /sessions/current`: the check, which back ends make on every call of a phone.
pub async fn check(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = Check(call.credential(state).await?);
    let session = state.dispatcher.ask(Weight::Ordinary, &state.ports.check, ask).await?;
    json(&CheckAnswer {
        user_id: session.user,
        app_id: session.app.as_str(),
        session_id: session.id,
        created_at: session.created,
        expires_at: session.expires,
    })
}

#[derive(Serialize)]
struct SessionItem<'a> {
    id: Digest,
    app_id: &'a str,
    device_token: Option<&'a str>,
    mobile_os: Option<&'a str>,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    current: bool,
}

/// `GET /sessions`. Those of the pages of this server belong to no application, and are listed there.
pub async fn list(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = ListSessions(call.credential(state).await?);
    let sessions = state.dispatcher.ask(Weight::Ordinary, &state.ports.list_sessions, ask).await?;
    let items: Vec<_> = sessions
        .iter()
        .filter_map(|session| {
            Some(SessionItem {
                id: session.id,
                app_id: session.app.as_ref()?.as_str(),
                device_token: session.device.as_ref().map(|(device, _)| device.as_str()),
                mobile_os: session.device.as_ref().map(|(_, os)| MobileOs::as_str(*os)),
                created_at: session.created,
                last_seen_at: session.last_seen,
                current: session.current,
            })
        })
        .collect();
    json(&items)
}

/// `DELETE /sessions/:id`
pub async fn close(state: &AppState, mut call: Call<'_>) -> Answer {
    let credential = call.credential(state).await?;
    let id = Digest::from_text(&call.parameter()?).ok_or_else(Problem::not_found)?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.close_session, CloseSession { credential, id }).await?;
    message("Session ended.")
}

/// `DELETE /sessions`
pub async fn close_all(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&["others"])?;
    let credential = incoming.credential()?;
    // Not `optional`: an empty text is an error here, or it would end a session that the client wants to keep.
    let others = if fields.text("others").is_some() { fields.required("others") } else { Some(Flag(false)) };
    let ask = fields.build(|| {
        let Flag(keep_own) = others?;
        Some(CloseSessions { credential, keep_own })
    })?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.close_sessions, ask).await?;
    message("Sessions ended.")
}

struct Flag(bool);

impl FromStr for Flag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| Invalid("must be true or false"))
    }
}
