//! What the routes stand on: the actors' recipients, the dispatcher, and the few settings this layer has.

use super::body::BodyLimits;
use super::dispatch::Dispatcher;
use super::health::Readiness;
use actix::Recipient;
use ipnet::IpNet;
use portcullis_actors::account::{ChangePassword, DropDevice, ListDevices, RegisterDevice, UserDevices};
use portcullis_actors::notifier::RecordReport;
use portcullis_actors::session::{Check, CloseSession, CloseSessions, Introspect, ListSessions, SignIn, SignOut};
use portcullis_actors::transports::Inbox;
use portcullis_actors::verification::{FinishReset, InspectReset, IssueCode, IssueReset, VerifyCode};
use std::sync::Arc;

/// Whom each message goes to: the actors of this worker, or a test's probes.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the snake case of its message, where the sentence stands")]
pub struct Ports {
    pub sign_in: Recipient<SignIn>,
    pub sign_out: Recipient<SignOut>,
    pub check: Recipient<Check>,
    pub list_sessions: Recipient<ListSessions>,
    pub close_session: Recipient<CloseSession>,
    pub close_sessions: Recipient<CloseSessions>,
    pub introspect: Recipient<Introspect>,
    pub issue_code: Recipient<IssueCode>,
    pub verify_code: Recipient<VerifyCode>,
    pub issue_reset: Recipient<IssueReset>,
    pub inspect_reset: Recipient<InspectReset>,
    pub finish_reset: Recipient<FinishReset>,
    pub change_password: Recipient<ChangePassword>,
    pub register_device: Recipient<RegisterDevice>,
    pub list_devices: Recipient<ListDevices>,
    pub drop_device: Recipient<DropDevice>,
    pub user_devices: Recipient<UserDevices>,
    pub record_report: Recipient<RecordReport>,
}

/// The settings of this layer.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where clients reach the server; its origin is the one that forms may come from.
    pub public_url: String,
    /// From whom `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `compat.auth_token_in_query`: old clients may put their token into the URL.
    pub token_in_query: bool,
    /// Origins whose pages may read the API in a browser.
    pub cors_origins: Vec<String>,
    /// What a body may take.
    pub body: BodyLimits,
}

/// Everything a handler may reach; one a worker.
pub struct AppState {
    /// The actors.
    pub ports: Ports,
    /// The permits, shared by the workers.
    pub dispatcher: Arc<Dispatcher>,
    /// The settings.
    pub settings: Settings,
    /// Which stores answer.
    pub readiness: Arc<dyn Readiness>,
    /// What was sent, where that may be looked at.
    pub inbox: Option<Inbox>,
}
