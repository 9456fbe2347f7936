//! The caller's sessions: check the current one, list them, end them.

use super::dispatch::Weight;
use super::endpoint::{Access, Endpoint, Group, Kind, Parameter, Reply};
use super::error::{Code, Problem};
use super::extract::{Call, Flag};
use super::route::{Answer, json, message};
use super::shape::{Shaped as _, shapes};
use super::state::AppState;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{Digest, MobileOs, UserId};
use portcullis_actors::session::{Check, CloseSession, CloseSessions, ListSessions};

shapes! {
    /// The session of a valid token.
    struct CurrentSession<'a> {
        /// The user who signed in.
        user_id: UserId = 1,
        /// The application that the user signed in to.
        app_id: &'a str = "beyondvip",
        /// The id of the session. It is not secret.
        session_id: Digest = "BwcHBwcHBwcHBwcHBwcHBw",
        /// When the user signed in.
        created_at: Timestamp = "2025-11-24T16:00:00Z",
        /// When the session ends if it is not used again.
        expires_at: Timestamp = "2025-12-08T16:00:00Z",
    }
}

pub static CHECK: Endpoint = Endpoint {
    id: "checkSession",
    group: Group::Sessions,
    summary: "Check a user token.",
    description: "The call for back ends that get a token from a phone. It counts as a use of the session, and is answered from \
                  memory.",
    access: Access::USER_TOKEN,
    parameters: &[],
    answers: &[Reply::json("The token is valid.", CurrentSession::SHAPE)],
    errors: &[Code::Forbidden],
};

/// `GET /sessions/current`: the check, which back ends make on every call of a phone.
pub async fn check(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = Check(call.credential(state).await?);
    let session = state.dispatcher.ask(Weight::Ordinary, &state.ports.check, ask).await?;
    json(&CurrentSession {
        user_id: session.user,
        app_id: session.app.as_str(),
        session_id: session.id,
        created_at: session.created,
        expires_at: session.expires,
    })
}

shapes! {
    /// A session of a user.
    struct Session<'a> {
        /// The id, which is not secret.
        id: Digest = "BwcHBwcHBwcHBwcHBwcHBw",
        /// The application that the user signed in to.
        app_id: &'a str = "beyondvip",
        /// The device, if the sign-in named one.
        device_token: Option<&'a str> = "324628746283682634",
        /// Its system.
        mobile_os: Option<MobileOs> = "ios",
        /// When the user signed in.
        created_at: Timestamp = "2025-11-24T16:00:00Z",
        /// When the session was used last, to within minutes.
        last_seen_at: Timestamp = "2025-11-24T16:01:00Z",
        /// Whether it is the session of this call's token.
        current: bool = true,
    }
}

pub static LIST: Endpoint = Endpoint {
    id: "listSessions",
    group: Group::Sessions,
    summary: "List where the user is signed in.",
    description: "Sessions of this server's own pages (`/settings`, `/admin`) belong to no application and are not listed here. \
                  `DELETE /sessions` ends them, too.",
    access: Access::USER,
    parameters: &[],
    answers: &[Reply::json("The sessions of the user.", Vec::<Session<'_>>::SHAPE)],
    errors: &[],
};

/// `GET /sessions`. Those of the pages of this server are listed at `/settings/sessions`.
pub async fn list(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = ListSessions(call.credential(state).await?);
    let sessions = state.dispatcher.ask(Weight::Ordinary, &state.ports.list_sessions, ask).await?;
    let items: Vec<_> = sessions
        .iter()
        .filter_map(|session| {
            Some(Session {
                id: session.id,
                app_id: session.app.as_ref()?.as_str(),
                device_token: session.device.as_ref().map(|(device, _)| device.as_str()),
                mobile_os: session.device.as_ref().map(|(_, os)| *os),
                created_at: session.created,
                last_seen_at: session.last_seen,
                current: session.current,
            })
        })
        .collect();
    json(&items)
}

pub static CLOSE: Endpoint = Endpoint {
    id: "endSession",
    group: Group::Sessions,
    summary: "End one session of the user.",
    description: "",
    access: Access::USER,
    parameters: &[Parameter::path("id", Kind::SessionId, "The id of the session.", "BwcHBwcHBwcHBwcHBwcHBw")],
    answers: &[Reply::message("The session has ended.", "Session ended.")],
    errors: &[],
};

/// `DELETE /sessions/:id`
pub async fn close(state: &AppState, mut call: Call<'_>) -> Answer {
    let credential = call.credential(state).await?;
    let id = Digest::from_text(&call.parameter()?).ok_or_else(Problem::not_found)?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.close_session, CloseSession { credential, id }).await?;
    message(&CLOSE)
}

pub static CLOSE_ALL: Endpoint = Endpoint {
    id: "endSessions",
    group: Group::Sessions,
    summary: "Sign the user out everywhere.",
    description: "This includes the sessions of this server's own pages.",
    access: Access::USER,
    parameters: &[
        Parameter::optional("others", Kind::Flag, "Whether the session of this call's token stays.", "true").in_query()
    ],
    answers: &[Reply::message("The sessions have ended.", "Sessions ended.")],
    errors: &[],
};

/// `DELETE /sessions`
pub async fn close_all(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&CLOSE_ALL)?;
    let credential = incoming.credential()?;
    // Not `optional`: an empty text is an error here, or it would end a session that the client wants to keep.
    let keep_own = fields.given("others").is_some_and(|Flag(others)| others);
    let ask = fields.build(|| Some(CloseSessions { credential, keep_own }))?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.close_sessions, ask).await?;
    message(&CLOSE_ALL)
}
