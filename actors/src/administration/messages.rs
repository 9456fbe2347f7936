//! The messages of the administration actor. Each carries the cookie of the console; anybody else is refused.

use crate::account::{ListedDevice, Person};
use crate::clock::Timestamp;
use crate::domain::{AppId, AppName, Credential, Email, KeyRowId, MessageId, UserId};
use crate::error::ErrorKind;
use crate::session::ListedSession;
use crate::stores::{
    Application, ApplicationChange, Attempt, Channel, Created, KeyRecord, ListedMessage, NewApplication, Node,
    OutboxCursor, OutboxPage, OutboxStats, OutboxView, UserSearch,
};
use actix::Message;
use std::time::Duration;

/// Who is in the console?
#[derive(Debug, Message)]
#[rtype(result = "Result<Administrator, ErrorKind>")]
pub struct Enter(pub Credential);

/// The answer to [`Enter`].
#[derive(Debug, Clone)]
pub struct Administrator {
    pub id: UserId,
    pub email: Email,
    /// By the clock of the server.
    pub now: Timestamp,
}

/// A page of a list, and whether another one follows.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub more: bool,
}

/// Find accounts.
#[derive(Debug, Message)]
#[rtype(result = "Result<Page<Person>, ErrorKind>")]
pub struct SearchUsers {
    pub credential: Credential,
    pub search: UserSearch,
}

/// Everything about one account that an operator is asked about.
#[derive(Debug, Message)]
#[rtype(result = "Result<UserDetails, ErrorKind>")]
pub struct ShowUser {
    pub credential: Credential,
    pub user: UserId,
}

/// The answer to [`ShowUser`].
#[derive(Debug, Clone)]
pub struct UserDetails {
    pub person: Person,
    pub passwords: WrongPasswords,
    pub sessions: Vec<ListedSession>,
    /// With and without a push registration.
    pub devices: Vec<ListedDevice>,
    /// Valid ones first, then the newest first; at most twenty.
    pub keys: Vec<KeyRecord>,
    pub messages: OutboxPage,
}

/// How an account stands with the guard of passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongPasswords {
    /// In a row.
    pub failures: i64,
    /// How long the next try from an unknown device has to wait.
    pub wait: Option<Duration>,
    /// Whether there were so many that only a reset helps.
    pub exhausted: bool,
}

/// Server keys of everybody, the newest first.
#[derive(Debug, Message)]
#[rtype(result = "Result<Page<KeyRecord>, ErrorKind>")]
pub struct ListAllKeys {
    pub credential: Credential,
    /// Those with a smaller id.
    pub before: Option<KeyRowId>,
}

/// One server key.
#[derive(Debug, Message)]
#[rtype(result = "Result<KeyRecord, ErrorKind>")]
pub struct ShowKey {
    pub credential: Credential,
    pub id: KeyRowId,
}

/// A page of the outbox.
#[derive(Debug, Message)]
#[rtype(result = "Result<OutboxPage, ErrorKind>")]
pub struct ListMessages {
    pub credential: Credential,
    pub view: OutboxView,
    pub channel: Option<Channel>,
    pub after: Option<OutboxCursor>,
}

/// One message with every try.
#[derive(Debug, Message)]
#[rtype(result = "Result<MessageDetails, ErrorKind>")]
pub struct ShowMessage {
    pub credential: Credential,
    pub id: MessageId,
}

/// The answer to [`ShowMessage`].
#[derive(Debug, Clone)]
pub struct MessageDetails {
    pub message: ListedMessage,
    /// The oldest first.
    pub attempts: Vec<Attempt>,
}

/// Queue a dead message again. `NotFound` if it is not dead, or past its life.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct RetryMessage {
    pub credential: Credential,
    pub id: MessageId,
}

/// All applications, ordered by id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Application>, ErrorKind>")]
pub struct ListApplications(pub Credential);

/// Create an application.
#[derive(Debug, Message)]
#[rtype(result = "Result<Created<AppId>, ErrorKind>")]
pub struct AddApplication {
    pub credential: Credential,
    pub new: NewApplication,
}

/// Change how an application looks and who its messages are from.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct ChangeApplication {
    pub credential: Credential,
    pub app: AppName,
    pub change: ApplicationChange,
}

/// Make an application the one that serves requests without a name.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct ChooseDefaultApplication {
    pub credential: Credential,
    pub app: AppName,
}

/// What all nodes share and an overview shows.
#[derive(Debug, Message)]
#[rtype(result = "Result<Survey, ErrorKind>")]
pub struct TakeSurvey(pub Credential);

/// The answer to [`TakeSurvey`].
#[derive(Debug, Clone)]
pub struct Survey {
    pub nodes: Vec<Node>,
    pub outbox: OutboxStats,
    /// Keys that expire within two weeks, the first to expire first; at most ten.
    pub expiring: Vec<KeyRecord>,
}
