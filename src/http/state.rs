//! What handlers work with: the actors, the dispatcher and the settings of this layer.

use super::body::BodyLimits;
use super::dispatch::Dispatcher;
use super::instruments::Instruments;
use super::metrics::HttpMetrics;
use super::traces::RequestTraces;
use actix::{Actor, Addr, Context, Handler, Recipient};
use async_trait::async_trait;
use ipnet::IpNet;
use portcullis_actors::Traced;
use portcullis_actors::account::{
    ChangePassword, ChangeProfile, CreateKey, CreateUser, DeleteUser, DropDevice, EndSessions, FindUser, ListDevices,
    ListKeys, Profile, RegisterDevice, RevokeKey, RotateKey, UpdateUser, UserDevices,
};
use portcullis_actors::administration::{
    AddApplication, ChangeApplication, ChooseDefaultApplication, Enter, ListAllKeys, ListApplications, ListMessages,
    RetryMessage, SearchUsers, ShowKey, ShowMessage, ShowUser, TakeSurvey,
};
use portcullis_actors::error::Dependency;
use portcullis_actors::notifier::RecordReport;
use portcullis_actors::session::{
    Admit, Check, CloseSession, CloseSessions, Introspect, LeavePages, ListSessions, SignIn, SignOut,
};
use portcullis_actors::transports::Inbox;
use portcullis_actors::verification::{
    DescribeApplication, FinishReset, InspectReset, IssueCode, IssueReset, SendReset, VerifyCode,
};
use std::sync::Arc;

macro_rules! ports {
    ($($actor:ident: $type:ident { $($port:ident: $message:ty,)+ })+) => {
        /// The recipient of each message: the actors of this worker, or a probe in tests.
        #[derive(Clone)]
        pub struct Ports {
            $($(pub $port: Recipient<Traced<$message>>,)+)+
        }

        impl Ports {
            /// Connects the ports to the actors that handle these messages.
            pub fn new<$($type),+>($($actor: &Addr<$type>),+) -> Self
            where
                $($type: Actor<Context = Context<$type>> $(+ Handler<Traced<$message>>)+,)+
            {
                Self { $($($port: $actor.clone().recipient(),)+)+ }
            }
        }
    };
}

ports! {
    session: Session {
        sign_in: SignIn,
        sign_out: SignOut,
        leave_pages: LeavePages,
        check: Check,
        admit: Admit,
        list_sessions: ListSessions,
        close_session: CloseSession,
        close_sessions: CloseSessions,
        introspect: Introspect,
    }
    verification: Verification {
        issue_code: IssueCode,
        verify_code: VerifyCode,
        issue_reset: IssueReset,
        inspect_reset: InspectReset,
        describe_application: DescribeApplication,
        finish_reset: FinishReset,
        send_reset: SendReset,
    }
    account: Account {
        change_password: ChangePassword,
        register_device: RegisterDevice,
        list_devices: ListDevices,
        drop_device: DropDevice,
        user_devices: UserDevices,
        profile: Profile,
        change_profile: ChangeProfile,
        list_keys: ListKeys,
        create_key: CreateKey,
        rotate_key: RotateKey,
        revoke_key: RevokeKey,
        find_user: FindUser,
        create_user: CreateUser,
        update_user: UpdateUser,
        delete_user: DeleteUser,
        end_sessions: EndSessions,
    }
    notifier: Notifier {
        record_report: RecordReport,
    }
    administration: Administration {
        enter: Enter,
        search_users: SearchUsers,
        show_user: ShowUser,
        list_all_keys: ListAllKeys,
        show_key: ShowKey,
        list_messages: ListMessages,
        show_message: ShowMessage,
        retry_message: RetryMessage,
        list_applications: ListApplications,
        add_application: AddApplication,
        change_application: ChangeApplication,
        choose_default_application: ChooseDefaultApplication,
        take_survey: TakeSurvey,
    }
}

/// Which of the server's addresses a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// `server.bind`, for clients.
    Public,
    /// `admin.bind`, for operators: the console.
    Operators,
}

/// The settings of this layer.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listener: Listener,
    /// The address of this server for clients. Forms are accepted from pages of this origin only.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// `compat.auth_token_in_query`: old clients may send their token in the URL.
    pub token_in_query: bool,
    /// Origins whose pages may call the API from a browser.
    pub cors_origins: Vec<String>,
    /// Whether there are pages for signing in and for the settings of users.
    pub settings_pages: bool,
    /// The least length of a new password, in characters.
    pub shortest_password: usize,
    /// Of phone numbers without a calling code, ISO 3166 alpha-2.
    pub default_region: String,
    /// What the start page tells; `None` in other profiles than development.
    pub development: Option<Arc<Development>>,
    pub body: BodyLimits,
}

/// What the start page tells of this process.
#[derive(Debug, Clone)]
pub struct Development {
    pub version: &'static str,
    /// Names and values: which stores and transports are used.
    pub parts: Vec<(&'static str, String)>,
    /// The URL of the console; `None` if it is off.
    pub console: Option<String>,
    /// The demo account.
    pub email: &'static str,
    pub password: &'static str,
    /// The server key of the demo account.
    pub key: &'static str,
}

#[cfg(test)]
impl Settings {
    /// Those of a server with TLS and without proxies.
    pub(super) fn example(listener: Listener) -> Self {
        Self {
            listener,
            public_url: "https://id.example.com".to_owned(),
            trusted_proxies: Vec::new(),
            token_in_query: false,
            cors_origins: Vec::new(),
            settings_pages: true,
            shortest_password: 8,
            default_region: "US".to_owned(),
            development: None,
            body: BodyLimits { bytes: 0, time: std::time::Duration::ZERO },
        }
    }
}

/// Whether this node should get requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    Yes,
    /// It stops soon. Until then it serves all requests.
    Draining,
    /// This store, which every request needs, does not answer in time.
    Without(Dependency),
}

/// Says whether this node should get requests. Without SQL it should, since checks go on. SMTP and SMS providers do not
/// count: messages for them wait in the outbox.
#[async_trait]
pub trait Readiness: Send + Sync {
    async fn now(&self) -> Ready;
}

/// Everything that a handler can use. There is one per worker.
pub struct AppState {
    pub ports: Ports,
    pub dispatcher: Arc<Dispatcher>,
    pub settings: Settings,
    pub readiness: Arc<dyn Readiness>,
    /// For the console.
    pub instruments: Arc<dyn Instruments>,
    /// What is counted of the requests of this worker.
    pub metrics: Arc<HttpMetrics>,
    /// `None` if no collector is configured.
    pub traces: Option<Arc<RequestTraces>>,
    /// The messages that were "sent", for the development page; `None` if a real transport is configured.
    pub inbox: Option<Inbox>,
}
