//! What the session actor can be asked. Everything in a message is parsed; the credential is checked by the actor.

use crate::clock::Timestamp;
use crate::domain::{
    AppName, Credential, DeviceToken, Digest, Email, Locale, MobileOs, Password, PersonName, PushToken, UserId,
    UserToken,
};
use crate::error::ErrorKind;
use actix::Message;
use std::net::IpAddr;
use tokio_util::sync::CancellationToken;

/// Check a password and open a session.
#[derive(Debug, Message)]
#[rtype(result = "Result<SignedIn, ErrorKind>")]
pub struct SignIn {
    /// Who.
    pub email: Email,
    /// With what.
    pub password: Password,
    /// On which device; its former session is replaced.
    pub device: Option<(DeviceToken, MobileOs)>,
    /// Where to push to this device.
    pub push: Option<PushToken>,
    /// To which application; `None` is the default one.
    pub app: Option<AppName>,
    /// In which language to write to the user from now on.
    pub locale: Option<Locale>,
    /// From where.
    pub peer: IpAddr,
    /// Cancelled when nobody waits for the answer any more: a hash that was not begun is then not begun.
    pub caller: CancellationToken,
}

/// A session was opened.
#[derive(Debug)]
pub struct SignedIn {
    /// The token: this is the only time it is seen.
    pub token: UserToken,
    /// Whose.
    pub user: UserId,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
}

/// End the session of the token presented and drop a push registration; with a key that may, end all of `user`.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct SignOut {
    /// Who asks.
    pub credential: Credential,
    /// Whose session.
    pub user: UserId,
    /// The push token, or the device token, of the registration to drop.
    pub push: Option<PushToken>,
}

/// **The check**: does this token live, and whose is it? Reads the session alone.
#[derive(Debug, Message)]
#[rtype(result = "Result<CheckedSession, ErrorKind>")]
pub struct Check(pub Credential);

/// A session that lives.
#[derive(Debug, Clone)]
pub struct CheckedSession {
    /// Whose.
    pub user: UserId,
    /// For which application.
    pub app: AppName,
    /// Its name.
    pub id: Digest,
    /// When it was opened.
    pub created: Timestamp,
    /// When it ends as things stand.
    pub expires: Timestamp,
}

/// All sessions of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<ListedSession>, ErrorKind>")]
pub struct ListSessions(pub Credential);

/// One line of [`ListSessions`].
#[derive(Debug, Clone)]
pub struct ListedSession {
    /// Its name.
    pub id: Digest,
    /// For which application.
    pub app: AppName,
    /// On which device, if one was named.
    pub device: Option<(DeviceToken, MobileOs)>,
    /// When it was opened.
    pub created: Timestamp,
    /// When it was last used, to 1/20 of the idle life.
    pub last_seen: Timestamp,
    /// Whether it is the caller's own.
    pub current: bool,
}

/// End one session of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct CloseSession {
    /// Who asks.
    pub credential: Credential,
    /// Which.
    pub id: Digest,
}

/// End the sessions of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct CloseSessions {
    /// Who asks.
    pub credential: Credential,
    /// Keep the one that asks.
    pub keep_own: bool,
}

/// Does this token live in the key's application (RFC 7662)?
#[derive(Debug, Message)]
#[rtype(result = "Result<Introspection, ErrorKind>")]
pub struct Introspect {
    /// A server key with `tokens:introspect`.
    pub credential: Credential,
    /// The application that the key is said to be of; `None` if nothing is said.
    pub app: Option<AppName>,
    /// The token asked about; `None` if it cannot be one.
    pub token: Option<UserToken>,
}

/// The answer to [`Introspect`].
#[derive(Debug, Clone)]
pub enum Introspection {
    /// Dead, foreign or no token at all.
    Inactive,
    /// It lives.
    Active(CheckedSession),
}

/// A snapshot for metrics, readiness and tests.
#[derive(Debug, Message)]
#[rtype(result = "SessionSnapshot")]
pub struct Observe;

/// What one session actor has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct SessionSnapshot {
    /// Sign-ins that opened a session.
    pub signed_in: u64,
    /// Sign-ins refused for wrong credentials.
    pub refused: u64,
    /// Checks that found a session.
    pub checked: u64,
    /// Commands that run now.
    pub running: u64,
}
