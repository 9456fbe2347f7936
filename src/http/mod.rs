//! The HTTP layer. This file is the route table; each handler is in the file of its resource.
//!
//! ```text
//!  request ──▶ exchange (id, log line, problem document) ──▶ route (path without .json, method) ──▶ a handler
//!  handler: extract (parameters, credential) ──▶ dispatcher (permit, deadline) ──message──▶ an actor
//! ```
//!
//! Requests come here from actix-http as it reads them. The router of actix-web is not used: it costs more than the check
//! of a session.
//!
//! This layer uses the messages of `portcullis_actors` and its parsed values. It uses no store, transport or actor.
//! A handler turns a request into a message, and an answer into JSON. It makes no decisions.

mod body;
mod callbacks;
mod cors;
mod devices;
pub mod dispatch;
pub mod endpoint;
pub mod error;
mod exchange;
mod extract;
mod gateway;
mod health;
mod instruments;
pub mod metrics;
pub mod openapi;
pub mod pages;
mod params;
mod password;
mod peer;
mod people;
mod route;
mod sessions;
mod settings;
pub mod shape;
mod state;
mod tokens;
mod traces;

pub use body::BodyLimits;
pub use exchange::RequestHandler;
pub(crate) use exchange::without_request;
pub use instruments::{About, Instruments, Minute, Pulse, StoreState};
pub use route::Verb;
pub use state::{AppState, Development, Listener, Ports, Readiness, Ready, Settings};
pub use traces::{RequestTraces, TracePolicy};

use actix_http::Request;
use endpoint::{Endpoint, Parameter, Place};
use extract::Call;
use std::ops::Range;

route::routes! {
    Check "/api/v1/sessions/current" { GET sessions::check = sessions::CHECK }
    Tokens "/api/v1/tokens" { POST tokens::sign_in = tokens::SIGN_IN }
    TokensReset "/api/v1/tokens/reset" { POST tokens::send_reset = tokens::SEND_RESET }
    TokensIntrospect "/api/v1/tokens/introspect" { POST tokens::introspect = tokens::INTROSPECT }
    TokensOfUser "/api/v1/tokens/{user_id}" { DELETE tokens::sign_out = tokens::SIGN_OUT }
    SendPhoneVerification "/api/v1/settings/send_phone_verification" { POST settings::send_code = settings::SEND_CODE }
    VerifyPhone "/api/v1/settings/verify_phone" { POST settings::verify_code = settings::VERIFY_CODE }
    Sessions "/api/v1/sessions" {
        GET sessions::list = sessions::LIST,
        DELETE sessions::close_all = sessions::CLOSE_ALL,
    }
    Session "/api/v1/sessions/{id}" { DELETE sessions::close = sessions::CLOSE }
    Devices "/api/v1/devices" { GET devices::list = devices::LIST }
    Device "/api/v1/devices/{device_token}" {
        PUT devices::register = devices::REGISTER,
        DELETE devices::drop = devices::DROP,
    }
    DevicesOfUser "/api/v1/users/{user_id}/devices" { GET devices::of_user = devices::OF_USER }
    Me "/api/v1/me" { GET people::me = people::ME }
    Users "/api/v1/users" { GET people::find = people::FIND, POST people::create = people::CREATE }
    User "/api/v1/users/{user_id}" {
        GET people::show = people::SHOW,
        PATCH people::update = people::UPDATE,
        DELETE people::delete = people::DELETE,
    }
    SessionsOfUser "/api/v1/users/{user_id}/sessions" { DELETE people::end_sessions = people::END_SESSIONS }
    Password "/api/v1/password" { PUT password::set = password::SET }
    GatewayNginx "/gateway/nginx" { ANY gateway::nginx }
    GatewayForward "/gateway/forward" { ANY gateway::forward }
    GatewayEnvoy "/gateway/envoy/{request...}" { ANY gateway::forward }
    Live "/health/live" { GET health::live = health::LIVE }
    Ready "/health/ready" { GET health::ready = health::READY }
    Stores "/health/stores" { GET health::stores }
    ForgottenPassword "/password/reset" { GET pages::reset::forgotten, POST pages::reset::request_link }
    ResetPage "/password/reset/{token}" { GET pages::reset::show, POST pages::reset::submit }
    SignIn "/signin" { GET pages::signin::form, POST pages::signin::submit }
    SignOut "/signout" { POST pages::signin::sign_out }
    Settings "/settings" { GET pages::settings::home }
    SettingsKeys "/settings/keys" { GET pages::settings::keys }
    SettingsNewKey "/settings/keys/new" { GET pages::settings::key_form, POST pages::settings::create }
    SettingsKey "/settings/keys/{id}" { GET pages::settings::key }
    SettingsRotateKey "/settings/keys/{id}/rotate" { POST pages::settings::rotate }
    SettingsRevokeKey "/settings/keys/{id}/revoke" { POST pages::settings::revoke }
    SettingsSessions "/settings/sessions" { GET pages::settings::sessions }
    SettingsEndOthers "/settings/sessions/others" { POST pages::settings::close_others }
    SettingsDropDevice "/settings/sessions/devices" { POST pages::settings::drop_device }
    SettingsEndSession "/settings/sessions/{id}/end" { POST pages::settings::close }
    SettingsAccount "/settings/account" { GET pages::settings::account, POST pages::settings::save }
    SettingsPassword "/settings/account/password" { POST pages::settings::change_password }
    SettingsPhone "/settings/account/phone" { POST pages::settings::send_code }
    SettingsCode "/settings/account/code" { POST pages::settings::answer_code }
    ConsoleSignIn "/admin/signin" { GET pages::signin::form, POST pages::signin::submit }
    ConsoleSignOut "/admin/signout" { POST pages::signin::sign_out }
    Console "/admin" { GET pages::console::overview }
    ConsoleUsers "/admin/users" { GET pages::console::users }
    ConsoleUser "/admin/users/{user_id}" { GET pages::console::user, POST pages::console::act }
    ConsoleConfirm "/admin/users/{user_id}/confirm" { GET pages::console::confirm }
    ConsoleApps "/admin/apps" { GET pages::console::apps, POST pages::console::add_app }
    ConsoleApp "/admin/apps/{app_id}" { GET pages::console::app, POST pages::console::change_app }
    ConsoleDefaultApp "/admin/apps/{app_id}/default" { POST pages::console::choose_app }
    ConsoleKeys "/admin/keys" { GET pages::console::keys, POST pages::console::make_key }
    ConsoleKey "/admin/keys/{key_id}" { GET pages::console::key, POST pages::console::end_key }
    ConsoleOutbox "/admin/outbox" { GET pages::console::outbox }
    ConsoleMessage "/admin/outbox/{message_id}" { GET pages::console::message }
    ConsoleRetry "/admin/outbox/{message_id}/retry" { POST pages::console::retry }
    ConsoleConfiguration "/admin/configuration" { GET pages::console::configuration }
    SmsCallback "/callbacks/sms/{provider}" { POST callbacks::sms }
    OpenApi "/openapi.json" { GET openapi::show }
    Docs "/docs" { GET pages::docs::index }
    DocsConcepts "/docs/concepts" { GET pages::docs::concepts }
    DocsGroup "/docs/{group}" { GET pages::docs::group }
    Style "/pages/style.css" { GET pages::assets::style }
    Script "/pages/script.js" { GET pages::assets::script }
    Mark "/pages/mark.svg" { GET pages::assets::mark }
    Accent "/pages/accent/{colour}" { GET pages::assets::accent }
    Start "/" { GET pages::development::start }
    Inbox "/dev/inbox" { GET pages::inbox::html, POST pages::inbox::clear }
    InboxJson "/dev/inbox.json" { GET pages::inbox::json }
    InboxMail "/dev/inbox/{id}" { GET pages::inbox::mail }
}

impl Route {
    /// The route of a path without suffix, and the place of its parameter in it. `None` if there is no such path.
    fn find(state: &AppState, path: &str) -> Option<(Self, Range<usize>)> {
        let found = route::find(PATTERNS, path).map(|(at, parameter)| (Self::ALL[at], parameter));
        found.filter(|(route, _)| route.is_served(state))
    }

    /// The console and the state of the stores are at the address for operators and nowhere else, and everything else at the
    /// public one; both have what pages load.
    fn is_served(self, state: &AppState) -> bool {
        let begins = |starts: &[&str]| starts.iter().any(|start| self.pattern().starts_with(start));
        let place = match state.settings.listener {
            Listener::Public => !begins(&["/admin"]) && self != Self::Stores,
            Listener::Operators => matches!(self, Self::Start | Self::Stores) || begins(&["/admin", "/pages/"]),
        };
        let settings = state.settings.settings_pages || !begins(&["/signin", "/signout", "/settings"]);
        let is_there = match self {
            Self::Start => state.settings.development.is_some() || state.settings.listener == Listener::Operators,
            Self::Inbox | Self::InboxJson | Self::InboxMail => state.inbox.is_some(),
            _ => true,
        };
        place && settings && is_there
    }

    /// Whether a request names this server. Asked of the console and the inbox, which are often on addresses that other
    /// sites can reach only from a browser.
    fn is_for(self, state: &AppState, request: &Request) -> bool {
        let asked = state.settings.listener == Listener::Operators || self.pattern().starts_with("/dev/");
        // A probe may use any name, and its answer tells a site nothing.
        !asked || self == Self::Stores || pages::origin::is_ours_by_name(request.head().headers(), &state.settings)
    }
}

/// A call of the API.
#[derive(Debug)]
pub struct Operation {
    pub route: Route,
    pub verb: Verb,
    pub endpoint: &'static Endpoint,
}

impl Operation {
    /// The path with valid values in it.
    pub fn example_path(&self) -> String {
        let in_path = |parameter: &&Parameter| parameter.place == Place::Path;
        self.endpoint.parameters.iter().filter(in_path).fold(self.route.pattern().to_owned(), |path, parameter| {
            path.replace(&format!("{{{}}}", parameter.name), parameter.example)
        })
    }
}
