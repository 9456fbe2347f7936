//! Keys: list them, make one, rotate and revoke one. A key is shown in the answer to the form that made it and nowhere else.
//! That form makes the same key if it is sent again, so a reload makes no second one.

use super::words::Words;
use super::{Faults, KEYS, Member, done, form_again, visit};
use crate::http::dispatch::{Weight, caller};
use crate::http::error::Problem;
use crate::http::extract::{Call, Incoming};
use crate::http::pages::times::{self, Moment};
use crate::http::pages::visitor::{inside, see_other};
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_actors::account::{CreateKey, KeyList, KeyState, ListKeys, MadeKey, RevokeKey, RotateKey};
use portcullis_actors::domain::{AppName, Invalid, KeyRowId, KeyScope};
use portcullis_actors::stores::KeyRecord;
use rand::Rng as _;
use std::str::FromStr;
use std::time::Duration;

/// Where `portcullis-contacts` of this repository listens.
const DEMO_NEIGHBOUR: &str = "http://127.0.0.1:8091";

/// A key on a page.
struct Row<'a> {
    key: &'a KeyRecord,
    name: &'a str,
    state: KeyState,
    label: &'static str,
    badge: &'static str,
    created: Moment,
    last_used: Option<Moment>,
    expires: Option<Moment>,
}

impl<'a> Row<'a> {
    fn new(member: &Member, (key, state): &'a (KeyRecord, KeyState)) -> Self {
        let (label, badge) = member.words.key_state(*state);
        let moment = |time| Moment::new(member.locale, time);
        Self {
            key,
            name: if key.name.is_empty() { member.words.unnamed } else { &key.name },
            state: *state,
            label,
            badge,
            created: moment(key.created),
            last_used: key.last_used.map(moment),
            expires: key.expires.map(moment),
        }
    }

    /// Whether it can be used, and ended.
    fn is_valid(&self) -> bool {
        matches!(self.state, KeyState::Live | KeyState::Replaced)
    }

    /// Whether it can be rotated.
    fn is_live(&self) -> bool {
        self.state == KeyState::Live
    }
}

#[derive(Template)]
#[template(path = "settings/keys.html", config = "src/http/pages/askama.toml")]
struct ListPage<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    words: &'static Words,
    notice: Option<&'static str>,
    valid: Vec<Row<'a>>,
    ended: Vec<Row<'a>>,
}

/// `GET /settings/keys`
pub async fn list(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let notice = match done(&call.read(state).await?)?.as_deref() {
            Some("revoked") => Some(member.words.key_revoked),
            _ => None,
        };
        let list = ask_list(state, &member).await?;
        let rows = list.keys.iter().map(|entry| Row::new(&member, entry));
        let (valid, ended) = rows.partition(Row::is_valid);
        let (frame, side) = (member.frame(member.words.keys), member.side(KEYS));
        Ok(inside(&ListPage { frame, side, words: member.words, notice, valid, ended }))
    })
    .await
}

async fn ask_list(state: &AppState, member: &Member) -> Result<KeyList, Problem> {
    let ask = ListKeys { credential: member.credential.clone() };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.list_keys, ask).await
}

#[derive(Template)]
#[template(path = "settings/key_form.html", config = "src/http/pages/askama.toml")]
struct FormPage<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    words: &'static Words,
    faults: Faults,
    list: &'a KeyList,
    form: FormId,
    typed_name: &'a str,
    app: &'a str,
    life: &'a str,
    chosen: Vec<KeyScope>,
}

impl<'a> FormPage<'a> {
    /// The form, with what was typed into it.
    fn new(member: &'a Member, list: &'a KeyList, incoming: Option<&'a Incoming>) -> Result<Self, Problem> {
        let typed = |name| incoming.map_or(Ok(None), |incoming| incoming.typed(name));
        let mut chosen = Vec::new();
        for scope in &list.scopes {
            // A form that was not filled in yet proposes what everybody may choose.
            let ticked = incoming.is_none() && *scope == KeyScope::OwnerAct;
            if ticked || typed(scope.as_str())?.is_some() {
                chosen.push(*scope);
            }
        }
        Ok(Self {
            frame: member.frame(member.words.make_key),
            side: member.side(KEYS),
            words: member.words,
            faults: Faults(None),
            list,
            form: FormId::new(),
            typed_name: typed("name")?.unwrap_or_default(),
            app: typed("app_id")?.unwrap_or_default(),
            life: typed("life")?.unwrap_or_default(),
            chosen,
        })
    }
}

impl FormPage<'_> {
    fn is_app(&self, name: &AppName) -> bool {
        name.as_str() == self.app
    }

    /// How long a key may be valid: days, text, and whether it is the choice.
    fn lives(&self) -> [(&'static str, &'static str, bool); 4] {
        let words = self.words;
        [("", words.until_revoked), ("30", words.days_30), ("90", words.days_90), ("365", words.days_365)]
            .map(|(days, text)| (days, text, days == self.life))
    }
}

/// `GET /settings/keys/new`
pub async fn form(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, _| {
        let list = ask_list(state, &member).await?;
        Ok(inside(&FormPage::new(&member, &list, None)?))
    })
    .await
}

/// `POST /settings/keys/new`
pub async fn create(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let incoming = call.read(state).await?;
        let made = match creation(&member, &incoming) {
            Ok((ask, _guard)) => state.dispatcher.ask(Weight::Costly, &state.ports.create_key, ask).await,
            Err(problem) => Err(problem),
        };
        match made {
            Ok(made) => Ok(shown(state, &member, &made, None)),
            Err(problem) => {
                let Some(fault) = member.fault(&problem) else { return Err(problem) };
                let list = ask_list(state, &member).await?;
                let page = FormPage::new(&member, &list, Some(&incoming))?;
                Ok(form_again(&problem, &FormPage { faults: Faults(Some(fault)), ..page }))
            }
        }
    })
    .await
}

fn creation(member: &Member, incoming: &Incoming) -> Result<(CreateKey, impl Sized + use<>), Problem> {
    let mut scopes = Vec::new();
    for scope in KeyScope::ALL {
        if incoming.typed(scope.as_str())?.is_some() {
            scopes.push(scope);
        }
    }
    let mut fields = incoming.form(&["name", "app_id", "life", "current_password", "form"])?;
    let (name, app, life) = (fields.required("name"), fields.required("app_id"), fields.optional::<Days>("life"));
    let (password, form) = (fields.required("current_password"), fields.required::<FormId>("form"));
    let (caller, guard) = caller();
    let ask = fields.build(|| {
        Some(CreateKey {
            credential: member.credential.clone(),
            owner: None,
            app: app?,
            name: name?,
            scopes,
            life: life.map(|Days(days)| days_long(days)),
            password: password?,
            form: form?.0,
            caller,
        })
    })?;
    Ok((ask, guard))
}

#[derive(Template)]
#[template(path = "settings/key_made.html", config = "src/http/pages/askama.toml")]
struct MadePage<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    words: &'static Words,
    secret: String,
    key: &'a KeyRecord,
    /// How long the old one stays valid, if it was rotated.
    old: Option<String>,
    /// Commands to try it with.
    examples: Option<[String; 2]>,
    /// What the second one does.
    try_neighbour: &'static str,
}

fn shown(state: &AppState, member: &Member, made: &MadeKey, overlap: Option<u32>) -> actix_web::HttpResponse {
    let secret = made.secret.expose();
    let curl = |server: &str, path| format!("curl -X GET -d auth_token={secret} {server}/api/v1/{path}");
    let server = state.settings.public_url.trim_end_matches('/');
    let neighbour = if state.settings.development.is_some() { DEMO_NEIGHBOUR } else { server };
    inside(&MadePage {
        frame: member.frame(member.words.made_title),
        side: member.side(KEYS),
        words: member.words,
        key: &made.key,
        old: overlap.map(|days| match days {
            0 => member.words.old_ended.to_owned(),
            _ => format!("{} {}.", member.words.old_for, times::wait(member.locale, days_long(days).as_secs())),
        }),
        try_neighbour: match state.settings.development {
            Some(_) => member.words.try_demo_neighbour,
            None => member.words.try_neighbour,
        },
        examples: made
            .key
            .scopes
            .contains(&KeyScope::OwnerAct)
            .then(|| [curl(server, "me.json"), curl(neighbour, "contacts.json")]),
        secret,
    })
}

#[derive(Template)]
#[template(path = "settings/key.html", config = "src/http/pages/askama.toml")]
struct KeyPage<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    words: &'static Words,
    row: Row<'a>,
    form: FormId,
    overlap: &'a str,
    faults: Faults,
}

impl<'a> KeyPage<'a> {
    fn new(member: &'a Member, entry: &'a (KeyRecord, KeyState)) -> Self {
        let row = Row::new(member, entry);
        Self {
            frame: member.frame(row.name),
            side: member.side(KEYS),
            words: member.words,
            row,
            form: FormId::new(),
            overlap: "7",
            faults: Faults(None),
        }
    }
}

/// `GET /settings/keys/:id`: one key, with the forms that rotate and revoke it.
pub async fn manage(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, call| {
        let (id, list) = (key_id(&call)?, ask_list(state, &member).await?);
        Ok(inside(&KeyPage::new(&member, find(&list, id)?)))
    })
    .await
}

/// `POST /settings/keys/:id/rotate`
pub async fn rotate(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let id = key_id(&call)?;
        let incoming = call.read(state).await?;
        let made = match rotation(&member, id, &incoming) {
            Ok((ask, days, _guard)) => {
                let made = state.dispatcher.ask(Weight::Costly, &state.ports.rotate_key, ask).await;
                made.map(|made| (made, days))
            }
            Err(problem) => Err(problem),
        };
        match made {
            Ok((made, days)) => Ok(shown(state, &member, &made, Some(days))),
            Err(problem) => {
                let Some(fault) = member.fault(&problem) else { return Err(problem) };
                let list = ask_list(state, &member).await?;
                let overlap = incoming.typed("overlap")?.unwrap_or_default();
                let page = KeyPage::new(&member, find(&list, id)?);
                Ok(form_again(&problem, &KeyPage { overlap, faults: Faults(Some(fault)), ..page }))
            }
        }
    })
    .await
}

fn rotation(
    member: &Member,
    id: KeyRowId,
    incoming: &Incoming,
) -> Result<(RotateKey, u32, impl Sized + use<>), Problem> {
    let mut fields = incoming.form(&["overlap", "current_password", "form"])?;
    let overlap = fields.required::<Overlap>("overlap");
    let (password, form) = (fields.required("current_password"), fields.required::<FormId>("form"));
    let (caller, guard) = caller();
    let (ask, days) = fields.build(|| {
        let Overlap(days) = overlap?;
        let credential = member.credential.clone();
        let ask = RotateKey { credential, id, overlap: days_long(days), password: password?, form: form?.0, caller };
        Some((ask, days))
    })?;
    Ok((ask, days, guard))
}

/// `POST /settings/keys/:id/revoke`
pub async fn revoke(state: &AppState, call: Call<'_>) -> Answer {
    visit(state, call, async |member, mut call| {
        let id = key_id(&call)?;
        call.read(state).await?;
        let ask = RevokeKey { credential: member.credential, id };
        state.dispatcher.ask(Weight::Ordinary, &state.ports.revoke_key, ask).await?;
        Ok(see_other("/settings/keys?done=revoked"))
    })
    .await
}

fn key_id(call: &Call<'_>) -> Result<KeyRowId, Problem> {
    call.parameter()?.parse().map(KeyRowId).map_err(|_| Problem::not_found())
}

fn find(list: &KeyList, id: KeyRowId) -> Result<&(KeyRecord, KeyState), Problem> {
    list.keys.iter().find(|(key, _)| key.id == id).ok_or_else(Problem::not_found)
}

fn days_long(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

/// Which form was sent: sixteen random bytes as 22 characters of base64url.
struct FormId([u8; 16]);

impl FormId {
    fn new() -> Self {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for FormId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(Invalid("is not one of ours"))
    }
}

/// How many days a key is valid.
struct Days(u32);

impl FromStr for Days {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let days = text.parse().ok().filter(|days| (1..=3650).contains(days));
        days.map(Self).ok_or(Invalid("must be a number of days from 1 to 3650"))
    }
}

/// How many days a key that is rotated stays valid.
struct Overlap(u32);

impl FromStr for Overlap {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let days = text.trim().parse().ok().filter(|days| *days <= 90);
        days.map(Self).ok_or(Invalid("must be a number of days from 0 to 90"))
    }
}
