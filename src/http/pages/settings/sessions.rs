//! Sessions and devices: where somebody is signed in, and what gets their push notifications.

use super::words::Words;
use super::{Member, SESSIONS, done, visit};
use crate::http::dispatch::Weight;
use crate::http::error::Problem;
use crate::http::extract::Call;
use crate::http::pages::times::Moment;
use crate::http::pages::visitor::{inside, see_other};
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;
use portcullis_actors::account::{DropDevice, ListDevices, ListedDevice};
use portcullis_actors::domain::{Digest, MobileOs};
use portcullis_actors::session::{CloseSession, CloseSessions, ListSessions, ListedSession};

struct SessionRow<'a> {
    session: &'a ListedSession,
    /// The application, or our own pages.
    place: &'a str,
    /// Its system, and the name that the client gave it.
    device: Option<(&'static str, &'a str)>,
    since: Moment,
    last_seen: Moment,
}

impl<'a> SessionRow<'a> {
    fn new(member: &Member, session: &'a ListedSession) -> Self {
        Self {
            session,
            place: session.app.as_ref().map_or(member.words.pages, |app| app.as_str()),
            device: session.device.as_ref().map(|(device, os)| (system(*os), device.as_str())),
            since: Moment::new(member.locale, session.created),
            last_seen: Moment::new(member.locale, session.last_seen),
        }
    }
}

struct DeviceRow<'a> {
    registered: &'a ListedDevice,
    system: &'static str,
    seen: Moment,
}

fn system(os: MobileOs) -> &'static str {
    match os {
        MobileOs::Ios => "iOS",
        MobileOs::Android => "Android",
    }
}

#[derive(Template)]
#[template(path = "settings/sessions.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    words: &'static Words,
    notice: Option<&'static str>,
    sessions: Vec<SessionRow<'a>>,
    devices: Vec<DeviceRow<'a>>,
}

/// `GET /settings/sessions`
pub async fn list(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let words = member.words;
        let notice = match done(&call.read(state).await?)?.as_deref() {
            Some("ended") => Some(words.session_ended),
            Some("others") => Some(words.others_ended),
            Some("dropped") => Some(words.device_dropped),
            _ => None,
        };
        let ask = ListSessions(member.credential.clone());
        let mut sessions = state.dispatcher.ask(Weight::Ordinary, &state.ports.list_sessions, ask).await?;
        sessions.sort_by_key(|session| !session.current);
        let ask = ListDevices(member.credential.clone());
        let devices = state.dispatcher.ask(Weight::Ordinary, &state.ports.list_devices, ask).await?;
        let device = |registered| row_of(&member, registered);
        Ok(inside(&Page {
            frame: member.frame(words.sessions),
            side: member.side(SESSIONS),
            words,
            notice,
            sessions: sessions.iter().map(|session| SessionRow::new(&member, session)).collect(),
            devices: devices.iter().map(device).collect(),
        }))
    })
    .await
}

fn row_of<'a>(member: &Member, registered: &'a ListedDevice) -> DeviceRow<'a> {
    let device = &registered.device;
    DeviceRow { registered, system: system(device.mobile_os), seen: Moment::new(member.locale, device.seen) }
}

/// `POST /settings/sessions/:id/end`
pub async fn close(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let id = Digest::from_text(&call.parameter()?).ok_or_else(Problem::not_found)?;
        call.read(state).await?;
        let ask = CloseSession { credential: member.credential, id };
        state.dispatcher.ask(Weight::Ordinary, &state.ports.close_session, ask).await?;
        Ok(see_other("/settings/sessions?done=ended"))
    })
    .await
}

/// `POST /settings/sessions/others`: ends all but this one.
pub async fn close_others(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        call.read(state).await?;
        let ask = CloseSessions { credential: member.credential, keep_own: true };
        state.dispatcher.ask(Weight::Ordinary, &state.ports.close_sessions, ask).await?;
        Ok(see_other("/settings/sessions?done=others"))
    })
    .await
}

/// `POST /settings/sessions/devices` with `app_id` and `device_token`: drops a push registration.
pub async fn drop_device(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let incoming = call.read(state).await?;
        let mut fields = incoming.form(&["app_id", "device_token"])?;
        let (app, device_token) = (fields.required("app_id"), fields.required("device_token"));
        let ask = fields.build(|| {
            Some(DropDevice { credential: member.credential, app: Some(app?), device_token: device_token? })
        })?;
        state.dispatcher.ask(Weight::Ordinary, &state.ports.drop_device, ask).await?;
        Ok(see_other("/settings/sessions?done=dropped"))
    })
    .await
}
