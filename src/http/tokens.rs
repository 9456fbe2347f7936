//! Sign-in, sign-out, reset mails and introspection under `/tokens`, in the form that deployed clients use.

use super::dispatch::{Weight, caller};
use super::endpoint::{A_TOKEN, Access, Endpoint, Group, Kind, Parameter, Reply};
use super::error::{Code, Problem};
use super::extract::{Call, Incoming, Language, ShortText};
use super::route::{Answer, json, message};
use super::shape::{Shaped as _, shapes};
use super::state::AppState;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{
    AppName, Credential, DeviceToken, Email, KeyScope, MobileOs, Password, PushToken, UserId,
};
use portcullis_actors::session::{Introspect, Introspection, Opens, SignIn, SignOut};
use portcullis_actors::verification::IssueReset;

shapes! {
    /// The token of a new session, and whose it is.
    struct SignedIn<'a> {
        /// The user token: send it with every call.
        token: String = "AAAAAAAAAAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxg",
        /// Who signed in.
        user_info: UserInfo<'a>,
    }

    /// A user, in short.
    struct UserInfo<'a> {
        /// The user's id.
        id: UserId = 1,
        /// The first name.
        first_name: &'a str = "Ada",
        /// The last name.
        last_name: &'a str = "Admin",
    }
}

const EMAIL: Parameter =
    Parameter::required("email", Kind::Email, "The address of the account, in any case.", "admin@beyondvip.com");
const APP_ID: Parameter = Parameter::optional(
    "app_id",
    Kind::Text(AppName::LONGEST),
    "The name of the application; the default one if it is absent.",
    "beyondvip",
);

pub static SIGN_IN: Endpoint = Endpoint {
    id: "signIn",
    group: Group::Tokens,
    summary: "Sign in with e-mail address and password.",
    description: "Signing in again on the same device replaces its token; other devices stay signed in. Without \
                  `device_token` each sign-in is a session of its own. A user has at most 20 valid tokens; a new one then \
                  replaces the oldest.",
    access: Access::OPEN,
    parameters: &[
        EMAIL,
        Parameter::required("password", Kind::Text(Password::LONGEST), "The password, as it was typed.", "password"),
        Parameter::optional(
            "device_token",
            Kind::Text(DeviceToken::LONGEST),
            "A stable identifier of the device that the app chooses.",
            "324628746283682634",
        ),
        Parameter::optional("mobile_os", Kind::OneOf(&MobileOs::NAMES), "The system of the device.", "ios")
            .with("device_token"),
        Parameter::optional(
            "apn_token",
            Kind::Text(PushToken::LONGEST),
            "The push token of the device, from APNs or FCM.",
            "push-1",
        ),
        APP_ID,
        Parameter::optional(
            "locale",
            Kind::Text(Language::LONGEST),
            "The language of the user (BCP 47), for mails and SMS; else that of `Accept-Language`.",
            "es-MX",
        ),
    ],
    answers: &[Reply::json("The user is signed in.", SignedIn::SHAPE)],
    errors: &[Code::InvalidCredentials, Code::TooManyAttempts],
};

/// `POST /tokens`
pub async fn sign_in(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&SIGN_IN)?;
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
    json(&SignedIn {
        token: signed_in.token.expose(),
        user_info: UserInfo {
            id: signed_in.user,
            first_name: signed_in.first_name.as_str(),
            last_name: signed_in.last_name.as_str(),
        },
    })
}

pub static SIGN_OUT: Endpoint = Endpoint {
    id: "signOut",
    group: Group::Tokens,
    summary: "Sign out: the token is invalid from then on.",
    description: "With `apn_token` the push registration of the device is dropped as well. An expired or revoked token that was \
                  issued to the user can still drop the registration of a push token, so that a phone does not show another \
                  user's push messages. A key with `sessions:revoke` ends all sessions of the user in its application.",
    access: Access::USER_TOKEN.or_key(&[KeyScope::SessionsRevoke, KeyScope::OwnerAct]),
    parameters: &[
        Parameter::path("user_id", Kind::Id, "The user of the token.", "1"),
        Parameter::optional(
            "apn_token",
            Kind::Text(PushToken::LONGEST),
            "The push registration to drop: its push token, or the device token.",
            "push-1",
        ),
    ],
    answers: &[Reply::message("The user is signed out.", "User signed out.")],
    errors: &[Code::Forbidden],
};

/// `DELETE /tokens/:user_id`
pub async fn sign_out(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&SIGN_OUT)?;
    let credential = incoming.credential()?;
    let push = fields.optional("apn_token");
    let ask = fields.build(|| Some(SignOut { credential, user, push }))?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.sign_out, ask).await?;
    message(&SIGN_OUT)
}

pub static SEND_RESET: Endpoint = Endpoint {
    id: "sendReset",
    group: Group::Passwords,
    summary: "Mail a link that sets a new password.",
    description: "The answer is the same for every well-formed address, so that it does not tell who has an account. Over the \
                  limits it is the same as well, and nothing is sent. While a link is valid, the same one is sent again.",
    access: Access::OPEN,
    parameters: &[EMAIL, APP_ID],
    answers: &[Reply::message(
        "If there is an account, a mail is on its way.",
        // Clients compare this text byte for byte, so its mistake stays.
        "Please check the email associated with this account for instructions on how to reset you password",
    )],
    errors: &[],
};

/// `POST /tokens/reset`
pub async fn send_reset(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&SEND_RESET)?;
    let email: Option<Email> = fields.required("email");
    let app: Option<AppName> = fields.optional("app_id");
    let ask =
        fields.build(|| Some(IssueReset { email: email?, app, locale: incoming.language, peer: incoming.peer }))?;
    state.dispatcher.ask(Weight::Costly, &state.ports.issue_reset, ask).await?;
    message(&SEND_RESET)
}

shapes! {
    /// The answer of RFC 7662 §2.2. An inactive token has `active` alone.
    #[derive(Default)]
    struct TokenInfo<'a> {
        /// Whether the token is valid, in the application of the key.
        active: bool = true,
        #[serde(skip_serializing_if = "Option::is_none")]
        /// The id of the user, or of the owner of a server key.
        sub: Option<String> = "1",
        #[serde(skip_serializing_if = "Option::is_none")]
        /// The name of the application.
        client_id: Option<&'a str> = "beyondvip",
        #[serde(skip_serializing_if = "Option::is_none")]
        /// The scopes of a server key, separated by spaces. A user's token has none: that tells the two apart.
        scope: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        /// When the session began or the key was made, in seconds since 1970.
        iat: Option<i64> = 1764000000,
        #[serde(skip_serializing_if = "Option::is_none")]
        /// When the session or the key ends, in seconds since 1970. A key may have no end.
        exp: Option<i64> = 1765209600,
        #[serde(skip_serializing_if = "Option::is_none")]
        /// How the token is sent (RFC 6749 §7.1), which is the same for both.
        token_type: Option<&'static str> = "Bearer",
    }
}

pub static INTROSPECT: Endpoint = Endpoint {
    id: "introspectToken",
    group: Group::Tokens,
    summary: "Ask whose token it is (RFC 7662).",
    description: "For the back ends of an application. It takes user tokens and server keys. One that is unknown, expired, \
                  revoked or of another application is inactive, without a reason.",
    access: Access::key(&[KeyScope::TokensIntrospect]).or_basic(),
    parameters: &[Parameter::required(
        "token",
        Kind::Text(ShortText::LONGEST),
        "The user token or server key in question.",
        A_TOKEN,
    )],
    answers: &[Reply::json("What the token is.", TokenInfo::SHAPE)],
    errors: &[],
};

/// `POST /tokens/introspect`
pub async fn introspect(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    introspection(state, &incoming).await.map_err(Problem::for_oauth_clients)
}

async fn introspection(state: &AppState, incoming: &Incoming) -> Answer {
    let mut fields = incoming.fields(&INTROSPECT)?;
    let (credential, app) = incoming.client()?;
    let token = fields.required("token").map(|ShortText(text)| text.parse::<Credential>().ok());
    let ask = fields.build(|| Some(Introspect { credential, app, token: token? }))?;
    let answer = state.dispatcher.ask(Weight::Ordinary, &state.ports.introspect, ask).await?;
    json(&match &answer {
        Introspection::Inactive => TokenInfo::default(),
        Introspection::Session(session) => TokenInfo {
            active: true,
            sub: Some(session.user.to_string()),
            client_id: Some(session.app.as_str()),
            scope: None,
            iat: Some(session.created.secs()),
            exp: Some(session.expires.secs()),
            token_type: Some("Bearer"),
        },
        Introspection::Key(key) => TokenInfo {
            active: true,
            sub: Some(key.owner.to_string()),
            client_id: Some(key.app_name.as_str()),
            scope: Some(KeyScope::join(&key.scopes)),
            iat: Some(key.created.secs()),
            exp: key.expires.map(Timestamp::secs),
            token_type: Some("Bearer"),
        },
    })
}
