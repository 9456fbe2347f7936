//! Sign out: ends the session, and drops the push registration so that the phone gets no more pushes for this user.

use super::messages::{LeavePages, SignOut};
use super::{SessionActor, SessionPorts};
use crate::domain::{Credential, KeyScope, UserToken};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::stores::{Close, KeyRecord, PushDrop};

answers!(SessionActor: SignOut => run, LeavePages => leave_pages);

pub(super) async fn run(ports: &SessionPorts, request: SignOut) -> Result<(), ErrorKind> {
    match &request.credential {
        Credential::User(token) => by_token(ports, &request, token).await,
        Credential::Key(key) => {
            let key = ports.auth.live_key(key.digest()).await?;
            by_key(ports, &request, &key).await
        }
        Credential::Page(_) => Err(ErrorKind::InvalidToken),
    }
}

/// The registration is dropped before the session is closed: if closing fails, the phone still has a token to retry
/// with.
async fn by_token(ports: &SessionPorts, request: &SignOut, token: &UserToken) -> Result<(), ErrorKind> {
    if !ports.auth.keyring.vouches_for(token) {
        return Err(ErrorKind::InvalidToken);
    }
    let session = ports.auth.sessions.find(token.user(), token.digest()).await?;
    if token.user() != request.user {
        return Err(if session.is_some() { ErrorKind::Forbidden } else { ErrorKind::InvalidToken });
    }
    // A genuine token whose session has ended may still drop its user's registration. A phone that missed its own
    // sign-out must not go on showing pushes for somebody who has left.
    let is_done = session.is_some() || request.push.is_some();
    if let Some(name) = request.push.clone() {
        let which = match &session {
            Some(session) => PushDrop::Named { name, app: session.app },
            // A device token is not secret. An old token and a device token together must not stop the owner's pushes.
            None => PushDrop::Token(name),
        };
        ports.auth.drop_push(&*ports.devices, request.user, which).await?;
    }
    // Also of a session that has ended: an earlier try may have ended it and failed to make that final.
    ports.auth.sessions.close(request.user, Close::One(token.digest())).await?;
    if is_done { Ok(()) } else { Err(ErrorKind::InvalidToken) }
}

/// With `sessions:revoke`, ends every session of the user in the key's application. The key itself stays valid.
async fn by_key(ports: &SessionPorts, request: &SignOut, key: &KeyRecord) -> Result<(), ErrorKind> {
    let revokes = key.scopes.contains(&KeyScope::SessionsRevoke);
    let acts = key.scopes.contains(&KeyScope::OwnerAct);
    match (revokes, acts) {
        (false, false) => return Err(ErrorKind::InsufficientScope(KeyScope::SessionsRevoke.as_str())),
        (false, true) if key.owner != request.user => return Err(ErrorKind::Forbidden),
        _ => {}
    }
    if ports.auth.accounts.user(request.user).await?.is_none() {
        return Err(ErrorKind::NotFound);
    }
    if let Some(name) = request.push.clone() {
        ports.auth.drop_push(&*ports.devices, request.user, PushDrop::Named { name, app: key.app }).await?;
    }
    if revokes {
        ports.auth.sessions.close(request.user, Close::InApp(key.app)).await?;
    }
    Ok(())
}

/// The session is known by its token alone, so this also ends one of an account that was disabled meanwhile.
pub(super) async fn leave_pages(ports: &SessionPorts, LeavePages(credential): LeavePages) -> Result<(), ErrorKind> {
    let Credential::Page(token) = &credential else { return Err(ErrorKind::InvalidToken) };
    if !ports.auth.keyring.vouches_for_page(token) {
        return Err(ErrorKind::InvalidToken);
    }
    ports.auth.sessions.close(token.user(), Close::One(token.digest())).await?;
    Ok(())
}
