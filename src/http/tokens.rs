//! Signing in and out, reset mails, introspection: `/tokens` as clients in the field know it.

use super::dispatch::{Weight, caller};
use super::error::Problem;
use super::extract::{Incoming, Language, UserInPath};
use super::{AppState, routes::Answer, routes::message};
use actix_web::HttpResponse;
use actix_web::web::Data;
use portcullis_actors::domain::{AppName, Email, MobileOs, UserId, UserToken};
use portcullis_actors::session::{Introspect, Introspection, SignIn, SignOut};
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
pub async fn sign_in(state: Data<AppState>, incoming: Incoming) -> Answer {
    let mut fields =
        incoming.fields(&["email", "password", "device_token", "mobile_os", "app_id", "apn_token", "locale"])?;
    let email = fields.need("email");
    let password = fields.need("password");
    let device_token = fields.may("device_token");
    let mobile_os = if device_token.is_some() { fields.need_mobile_os() } else { fields.may::<MobileOs>("mobile_os") };
    let app = fields.may("app_id");
    let push = fields.may("apn_token");
    let locale = fields.may("locale").map_or(incoming.language, |Language(known)| known.or(incoming.language));
    let (caller, _waits) = caller();
    let ask = fields.make(|| {
        let device = device_token.zip(mobile_os);
        Some(SignIn { email: email?, password: password?, device, push, app, locale, peer: incoming.peer, caller })
    })?;
    let signed_in = state.dispatcher.ask(Weight::Costly, &state.ports.sign_in, ask).await?;
    Ok(HttpResponse::Ok().json(SignedInAnswer {
        token: signed_in.token.expose(),
        user_info: UserInfo {
            id: signed_in.user,
            first_name: signed_in.first_name.as_str(),
            last_name: signed_in.last_name.as_str(),
        },
    }))
}

/// `DELETE /tokens/:user_id`
pub async fn sign_out(state: Data<AppState>, UserInPath(user): UserInPath, incoming: Incoming) -> Answer {
    let mut fields = incoming.fields(&["apn_token"])?;
    let credential = incoming.credential()?;
    let push = fields.may("apn_token");
    let ask = fields.make(|| Some(SignOut { credential, user, push }))?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.sign_out, ask).await?;
    message("User signed out.")
}

/// `POST /tokens/reset`
pub async fn send_reset(state: Data<AppState>, incoming: Incoming) -> Answer {
    let mut fields = incoming.fields(&["email", "app_id"])?;
    let email: Option<Email> = fields.need("email");
    let app: Option<AppName> = fields.may("app_id");
    let ask =
        fields.make(|| Some(IssueReset { email: email?, app, locale: incoming.language, peer: incoming.peer }))?;
    state.dispatcher.ask(Weight::Costly, &state.ports.issue_reset, ask).await?;
    // Byte for byte what clients compare with, its slip included.
    message("Please check the email associated with this account for instructions on how to reset you password")
}

/// The answer of RFC 7662 §2.2, as far as we know it.
#[derive(Serialize)]
#[serde(untagged)]
enum IntrospectionAnswer<'a> {
    Inactive { active: bool },
    Active { active: bool, sub: String, client_id: &'a str, iat: i64, exp: i64, token_type: &'static str },
}

/// `POST /tokens/introspect`
pub async fn introspect(state: Data<AppState>, incoming: Incoming) -> Answer {
    introspected(state, incoming).await.map_err(Problem::to_client)
}

async fn introspected(state: Data<AppState>, incoming: Incoming) -> Answer {
    let mut fields = incoming.fields(&["token"])?;
    let (credential, app) = incoming.client()?;
    let token = fields.need("token").map(|super::extract::ShortText(text)| text.parse::<UserToken>().ok());
    let ask = fields.make(|| Some(Introspect { credential, app, token: token? }))?;
    let answer = state.dispatcher.ask(Weight::Ordinary, &state.ports.introspect, ask).await?;
    Ok(HttpResponse::Ok().json(match &answer {
        Introspection::Inactive => IntrospectionAnswer::Inactive { active: false },
        Introspection::Active(session) => IntrospectionAnswer::Active {
            active: true,
            sub: session.user.to_string(),
            client_id: session.app.as_str(),
            iat: session.created.secs(),
            exp: session.expires.secs(),
            token_type: "Bearer",
        },
    }))
}
