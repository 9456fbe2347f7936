//! Live sessions: check one, list them, close them, tell a back end about one, or a proxy whose a request is.

use super::messages::{
    Admit, Admitted, Check, CheckedSession, CloseSession, CloseSessions, Introspect, Introspection, ListSessions,
    ListedSession,
};
use super::{Authenticator, SessionActor, SessionPorts};
use crate::domain::{AppId, Credential, DeviceId, Digest, KeyScope, ServerKey, UserId, UserToken};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::stores::{Close, Device, DeviceStore, Session};
use std::collections::HashMap;

answers!(SessionActor:
    Check => check,
    Admit => admit,
    ListSessions => list,
    CloseSession => close_one,
    CloseSessions => close_many,
    Introspect => introspect,
);

pub(super) async fn check(ports: &SessionPorts, Check(credential): Check) -> Result<CheckedSession, ErrorKind> {
    match &credential {
        Credential::User(token) => {
            let session = ports.auth.session(token).await?;
            describe(ports, token, &session).await
        }
        Credential::Key(key) => {
            ports.auth.live_key(key.digest()).await?;
            Err(ErrorKind::Forbidden)
        }
        Credential::Page(_) => Err(ErrorKind::InvalidToken),
    }
}

pub(super) async fn admit(ports: &SessionPorts, Admit(credential): Admit) -> Result<Admitted, ErrorKind> {
    match &credential {
        Credential::User(token) => {
            let session = ports.auth.session(token).await?;
            Ok(Admitted { user: token.user(), app: ports.auth.app_name(session.app).await?, scopes: Vec::new() })
        }
        Credential::Key(_) => {
            let key = ports.auth.recent_key(&credential, KeyScope::OwnerAct).await?;
            Ok(Admitted { user: key.owner, app: key.app_name, scopes: key.scopes })
        }
        Credential::Page(_) => Err(ErrorKind::InvalidToken),
    }
}

async fn describe(ports: &SessionPorts, token: &UserToken, session: &Session) -> Result<CheckedSession, ErrorKind> {
    Ok(CheckedSession {
        user: token.user(),
        app: ports.auth.app_name(session.app).await?,
        id: session.id,
        created: session.created,
        expires: session.expires(),
    })
}

pub(super) async fn list(
    ports: &SessionPorts,
    ListSessions(credential): ListSessions,
) -> Result<Vec<ListedSession>, ErrorKind> {
    let principal = ports.auth.user(&credential).await?;
    listed(&ports.auth, &*ports.devices, principal.user(), principal.session()).await
}

/// The sessions of a user with their devices.
///
/// # Errors
/// A store does not answer.
pub async fn listed(
    auth: &Authenticator,
    devices: &dyn DeviceStore,
    user: UserId,
    own: Option<Digest>,
) -> Result<Vec<ListedSession>, ErrorKind> {
    let sessions = auth.sessions.list(user).await?;
    let shown: Vec<DeviceId> = sessions.iter().filter_map(|session| session.device).collect();
    let devices = devices.devices_by_id(user, &shown).await?;
    let by_id: HashMap<DeviceId, &Device> = devices.iter().map(|device| (device.id, device)).collect();
    let mut listed = Vec::with_capacity(sessions.len());
    for session in sessions {
        let device = session.device.and_then(|id| by_id.get(&id));
        listed.push(ListedSession {
            id: session.id,
            app: match session.app {
                AppId::PAGES => None,
                app => Some(auth.app_name(app).await?),
            },
            device: device.map(|device| (device.device_token.clone(), device.mobile_os)),
            created: session.created,
            last_seen: auth.policy.last_seen(&session),
            current: own == Some(session.id),
        });
    }
    Ok(listed)
}

pub(super) async fn close_one(ports: &SessionPorts, request: CloseSession) -> Result<(), ErrorKind> {
    let principal = ports.auth.user(&request.credential).await?;
    match ports.auth.sessions.close(principal.user(), Close::One(request.id)).await? {
        0 => Err(ErrorKind::NotFound),
        _ => Ok(()),
    }
}

pub(super) async fn close_many(ports: &SessionPorts, request: CloseSessions) -> Result<(), ErrorKind> {
    let principal = ports.auth.user(&request.credential).await?;
    let own = principal.session().filter(|_| request.keep_own);
    ports.auth.sessions.close(principal.user(), own.map_or(Close::All, Close::Others)).await?;
    Ok(())
}

/// RFC 7662 §2.2: a token that is unknown, expired or of another application is inactive, without a reason.
/// A question about a token of the key's own application counts as a use of the token.
pub(super) async fn introspect(ports: &SessionPorts, request: Introspect) -> Result<Introspection, ErrorKind> {
    let key = ports.auth.recent_key(&request.credential, KeyScope::TokensIntrospect).await?;
    if let Some(named) = request.app
        && named != ports.auth.app_name(key.app).await?
    {
        return Err(ErrorKind::InvalidToken);
    }
    let found = match &request.token {
        None | Some(Credential::Page(_)) => return Ok(Introspection::Inactive),
        Some(Credential::User(token)) => session_of(ports, token, key.app).await,
        Some(Credential::Key(asked)) => key_of(ports, asked, key.app).await,
    };
    match found {
        Err(ErrorKind::InvalidToken) => Ok(Introspection::Inactive),
        other => other,
    }
}

async fn key_of(ports: &SessionPorts, asked: &ServerKey, app: AppId) -> Result<Introspection, ErrorKind> {
    let asked = ports.auth.recent(asked).await?;
    if asked.app != app {
        return Ok(Introspection::Inactive);
    }
    ports.auth.note_key_use(&asked);
    Ok(Introspection::Key(asked))
}

async fn session_of(ports: &SessionPorts, token: &UserToken, app: AppId) -> Result<Introspection, ErrorKind> {
    let now = ports.auth.clock.now();
    let session = ports.auth.find(token, now).await?;
    if session.app != app {
        return Ok(Introspection::Inactive);
    }
    ports.auth.note_use(token.user(), &session, now);
    Ok(Introspection::Session(describe(ports, token, &session).await?))
}
