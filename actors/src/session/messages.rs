//! The messages of the session actor. Everything in a message is parsed. The actor checks the credential.

use crate::clock::Timestamp;
use crate::domain::{
    AppName, Credential, DeviceToken, Digest, Email, KeyScope, Locale, MobileOs, PagePlace, PageToken, Password,
    PersonName, PushToken, UserId, UserToken,
};
use crate::error::ErrorKind;
use crate::stores::KeyRecord;
use actix::Message;
use std::net::IpAddr;
use tokio_util::sync::CancellationToken;

/// Check a password and open a session.
#[derive(Debug, Message)]
#[rtype(result = "Result<SignedIn, ErrorKind>")]
pub struct SignIn {
    pub email: Email,
    pub password: Password,
    /// A session that lives on the same device is replaced.
    pub device: Option<(DeviceToken, MobileOs)>,
    /// Registered for this device, if there is one.
    pub push: Option<PushToken>,
    /// `None` means the default application.
    pub app: Option<AppName>,
    /// The language of messages to the user from now on.
    pub locale: Option<Locale>,
    pub opens: Opens,
    pub peer: IpAddr,
    /// Cancelled when the client has gone. A hash that has not begun is not computed then.
    pub caller: CancellationToken,
}

/// What a sign-in opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// The API, in the application of the request.
    Api,
    /// Pages of this server. The console is for administrators; others are refused with `Forbidden`.
    Pages(PagePlace),
}

/// The secret of a session that was opened. The server does not keep it: this is the only time that it is shown.
#[derive(Debug, Clone)]
pub enum IssuedToken {
    Api(UserToken),
    Page(PageToken),
}

impl IssuedToken {
    /// The digest, which is the id of the session.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Api(token) => token.digest(),
            Self::Page(token) => token.digest(),
        }
    }

    /// The secret itself.
    pub fn expose(&self) -> String {
        match self {
            Self::Api(token) => token.expose(),
            Self::Page(token) => token.expose(),
        }
    }
}

/// The answer to [`SignIn`].
#[derive(Debug)]
pub struct SignedIn {
    pub token: IssuedToken,
    pub user: UserId,
    pub first_name: PersonName,
    pub last_name: PersonName,
}

/// End the session of the presented token and drop a push registration. A server key with `sessions:revoke` ends all
/// sessions of the user in its application.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct SignOut {
    pub credential: Credential,
    pub user: UserId,
    /// The push token or the device token of the registration to drop.
    pub push: Option<PushToken>,
}

/// End the session of the cookie of a page. One that has ended already is no error.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct LeavePages(pub Credential);

/// **The check**: is this token valid, and whose is it? Reads the session and nothing else.
#[derive(Debug, Message)]
#[rtype(result = "Result<CheckedSession, ErrorKind>")]
pub struct Check(pub Credential);

/// A live session.
#[derive(Debug, Clone)]
pub struct CheckedSession {
    pub user: UserId,
    pub app: AppName,
    pub id: Digest,
    pub created: Timestamp,
    /// When it ends if it is not used again.
    pub expires: Timestamp,
}

/// All sessions of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<ListedSession>, ErrorKind>")]
pub struct ListSessions(pub Credential);

/// One entry of [`ListSessions`].
#[derive(Debug, Clone)]
pub struct ListedSession {
    pub id: Digest,
    /// `None`: a session of the pages of this server.
    pub app: Option<AppName>,
    pub device: Option<(DeviceToken, MobileOs)>,
    pub created: Timestamp,
    /// As exact as 1/20 of the idle life.
    pub last_seen: Timestamp,
    /// Whether it is the caller's own session.
    pub current: bool,
}

/// End one session of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct CloseSession {
    pub credential: Credential,
    pub id: Digest,
}

/// End all sessions of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct CloseSessions {
    pub credential: Credential,
    /// All but the caller's own session.
    pub keep_own: bool,
}

/// **The gateway's question**: may the request that carries this credential pass to a neighbour, and as whom? The owner of
/// a token may, and a server key with `owner:act` as its owner.
#[derive(Debug, Message)]
#[rtype(result = "Result<Admitted, ErrorKind>")]
pub struct Admit(pub Credential);

/// Whose request it is.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub user: UserId,
    pub app: AppName,
    /// Those of the key; empty for a user's own token.
    pub scopes: Vec<KeyScope>,
}

/// Is this token or server key valid in the asking key's application (RFC 7662)?
#[derive(Debug, Message)]
#[rtype(result = "Result<Introspection, ErrorKind>")]
pub struct Introspect {
    /// A server key with `tokens:introspect`.
    pub credential: Credential,
    /// The application that the request names. It must be the key's.
    pub app: Option<AppName>,
    /// `None` if the text cannot be one.
    pub token: Option<Credential>,
}

/// The answer to [`Introspect`].
#[derive(Debug, Clone)]
pub enum Introspection {
    /// No token, no live session or key, or one of another application.
    Inactive,
    Session(CheckedSession),
    Key(KeyRecord),
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
    /// Sign-ins with wrong credentials.
    pub refused: u64,
    /// Sign-ins with the right password that opened no session: a store failed, or the password was changed meanwhile.
    pub failed: u64,
    pub running: u64,
}
