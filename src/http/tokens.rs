//! Sign-in, sign-out, reset mails and introspection under `/tokens`, in the form that deployed clients use.

use super::dispatch::{Weight, caller};
use super::error::Problem;
use super::extract::{Call, Incoming, Language, ShortText};
use super::route::{Answer, json, message};
use super::state::AppState;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{AppName, Credential, Email, KeyScope, MobileOs, UserId};
use portcullis_actors::session::{Introspect, Introspection, Opens, SignIn, SignOut};
use portcullis_actors::verification::IssueReset;
use serde::Serialize;

#[derive(Serialize)]
struct SignedInAnswer<'a> {
    token: String,
    user_info: UserInfo<'a>,
}

#[derive(Serialize)]
struct UserInfo<'a> {
    id: UserId,
    first_name: &'a str,
    last_name: &'a str,
}

/// `POST /tokens`
pub async fn sign_in(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields =
        incoming.fields(&["email", "password", "device_token", "mobile_os", "app_id", "apn_token", "locale"])?;
    let email = fields.required("email");
    let password = fields.required("password");
    let device_token = fields.optional("device_token");
    let mobile_os =
        if device_token.is_some() { fields.required_mobile_os() } else { fields.optional::<MobileOs>("mobile_os") };
    let app = fields.optional("app_id");
    let push = fields.optional("apn_token");
    let locale = fields.optional("locale").map_or(incoming.language, |Language(known)| known.or(incoming.language));
    let (caller, _guard) = caller();
    let ask = fields.build(|| {
        let device = device_token.zip(mobile_os);
        Some(SignIn {
            email: email?,
            password: password?,
            device,
            push,
            app,
            locale,
            opens: Opens::Api,
            peer: incoming.peer,
            caller,
        })
    })?;
    let signed_in = state.dispatcher.ask(Weight::Costly, &state.ports.sign_in, ask).await?;
    json(&SignedInAnswer {
        token: signed_in.token.expose(),
        user_info: UserInfo {
            id: signed_in.user,
            first_name: signed_in.first_name.as_str(),
            last_name: signed_in.last_name.as_str(),
        },
    })
}

/// `DELETE /tokens/:user_id`
pub async fn sign_out(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&["apn_token"])?;
    let credential = incoming.credential()?;
    let push = fields.optional("apn_token");
    let ask = fields.build(|| Some(SignOut { credential, user, push }))?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.sign_out, ask).await?;
    message("User signed out.")
}

/// `POST /tokens/reset`
pub async fn send_reset(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&["email", "app_id"])?;
    let email: Option<Email> = fields.required("email");
    let app: Option<AppName> = fields.optional("app_id");
    let ask =
        fields.build(|| Some(IssueReset { email: email?, app, locale: incoming.language, peer: incoming.peer }))?;
    state.dispatcher.ask(Weight::Costly, &state.ports.issue_reset, ask).await?;
    // Clients compare this text byte for byte, so its mistake stays.
    message("Please check the email associated with this account for instructions on how to reset you password")
}

/// The answer of RFC 7662 §2.2, with the members that this server has.
#[derive(Serialize)]
#[serde(untagged)]
enum IntrospectionAnswer<'a> {
    Inactive {
        active: bool,
    },
    Active {
        active: bool,
        sub: String,
        client_id: &'a str,
        /// Those of a server key, separated by spaces. A user's token has none: that tells the two apart.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        iat: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        exp: Option<i64>,
        /// How it is sent (RFC 6749 §7.1), which is the same for both.
        token_type: &'static str,
    },
}

/// `POST /tokens/introspect`
pub async fn introspect(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    introspection(state, &incoming).await.map_err(Problem::for_oauth_clients)
}

async fn introspection(state: &AppState, incoming: &Incoming) -> Answer {
    let mut fields = incoming.fields(&["token"])?;
    let (credential, app) = incoming.client()?;
    let token = fields.required("token").map(|ShortText(text)| text.parse::<Credential>().ok());
    let ask = fields.build(|| Some(Introspect { credential, app, token: token? }))?;
    let answer = state.dispatcher.ask(Weight::Ordinary, &state.ports.introspect, ask).await?;
    json(&match &answer {
        Introspection::Inactive => IntrospectionAnswer::Inactive { active: false },
        Introspection::Session(session) => IntrospectionAnswer::Active {
            active: true,
            sub: session.user.to_string(),
            client_id: session.app.as_str(),
            scope: None,
            iat: session.created.secs(),
            exp: Some(session.expires.secs()),
            token_type: "Bearer",
        },
        Introspection::Key(key) => IntrospectionAnswer::Active {
            active: true,
            sub: key.owner.to_string(),
            client_id: key.app_name.as_str(),
            scope: Some(KeyScope::join(&key.scopes)),
            iat: key.created.secs(),
            exp: key.expires.map(Timestamp::secs),
            token_type: "Bearer",
        },
    })
}
