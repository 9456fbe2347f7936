//! Sign in: a few calls to the stores and one hash.

use super::guard::{PasswordAttempt, Target};
use super::messages::{IssuedToken, Opens, SignIn, SignedIn};
use super::{SessionActor, SessionPorts};
use crate::derive::random_bytes;
use crate::domain::{AppId, PagePlace, Password};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::hashing::Verified;
use crate::stores::{Candidate, CandidateQuery, FoundDevice, NewSession, Opening, Registration, User};
use tokio_util::sync::CancellationToken;

answers!(SessionActor: SignIn => run);

pub(super) async fn run(ports: &SessionPorts, request: SignIn) -> Result<SignedIn, ErrorKind> {
    // Before any store is asked: a full queue refuses without a query.
    let reservation = ports.hashing.reserve(&request.caller)?;
    let Some(app) = ports.auth.applications.find(request.app.as_ref()).await? else {
        return Err(ErrorKind::invalid("app_id", "is not a known application"));
    };
    let decoy = ports.guard.limits.subjects.decoy(&request.email);
    let device = request.device.as_ref().map(|(device, _)| device);
    let query = CandidateQuery { email: &request.email, decoy, app: app.id, device };
    let Candidate { user, failures, last_sign_in, device: found } = ports.auth.accounts.candidate(query).await?;
    let (id, epoch) = user.as_ref().map_or((decoy, 0), |user| (user.id, user.epoch));
    let target = Target { user: id, epoch, failures, last_sign_in };
    let attempt = ports.guard.admit(target, device, Some(request.peer)).await?;

    // Unknown accounts hash, too. A disabled account gets the same answer as a wrong password.
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let comparison = match reservation.verify(&request.password, stored).await {
        Ok(comparison) => comparison,
        Err(overloaded) => {
            ports.guard.withdraw(attempt).await;
            return Err(overloaded.into());
        }
    };
    let user = match (user, comparison.verified) {
        (Some(user), Verified::Yes | Verified::Outdated) if user.disabled.is_none() => user,
        _ => {
            ports.counters.borrow_mut().refused += 1;
            ports.guard.failed(attempt).await?;
            comparison.wait_before_refusal().await;
            return Err(ErrorKind::InvalidCredentials);
        }
    };
    let (first_name, last_name, id) = (user.first_name.clone(), user.last_name.clone(), user.id);
    let upgrade = comparison.verified == Verified::Outdated;
    match finish(ports, request, &user, upgrade, Client { app: app.id, device: found }, &attempt).await {
        Ok(token) => {
            ports.counters.borrow_mut().signed_in += 1;
            Ok(SignedIn { token, user: id, first_name, last_name })
        }
        Err(error) => {
            ports.counters.borrow_mut().failed += 1;
            // A 503 costs nobody anything. If only the answer of the store was lost, this gives back too much, once.
            if error.is_not_done() {
                ports.guard.withdraw(attempt).await;
            }
            Err(error)
        }
    }
}

/// The password was changed, or the account disabled, while this password was being checked.
const STALE: ErrorKind = ErrorKind::InvalidCredentials;

/// The application that the user signs in to, and the device as it was found before the password was compared.
struct Client {
    app: AppId,
    device: Option<FoundDevice>,
}

/// The password was right. Opening the session is the last step, and settles the charges of the attempt.
async fn finish(
    ports: &SessionPorts,
    request: SignIn,
    user: &User,
    outdated: bool,
    client: Client,
    attempt: &PasswordAttempt,
) -> Result<IssuedToken, ErrorKind> {
    let forgiven = ports.guard.succeeded(attempt).await?;
    if request.opens == Opens::Pages(PagePlace::Console) && !user.admin {
        ports.guard.limits.store.forgive(&forgiven).await?;
        return Err(ErrorKind::Forbidden);
    }
    if outdated {
        upgrade(ports, user, &request.password, &request.caller).await;
    }
    if let Some(locale) = request.locale.filter(|locale| user.locale != Some(*locale)) {
        ports.auth.accounts.set_locale(user.id, locale).await?;
    }
    let policy = &ports.auth.policy;
    let device = match (request.device, client.device) {
        (None, _) => None,
        (Some((_, mobile_os)), Some(found))
            if !found.differs(mobile_os, request.push.as_ref())
                && !policy.wants_sign_in(&found, ports.auth.clock.now()) =>
        {
            Some(found.id)
        }
        (Some((device_token, mobile_os)), _) => {
            let registration = Registration {
                user: user.id,
                app: client.app,
                device_token,
                mobile_os,
                push: request.push,
                signed_in: Some(user.epoch),
                max_devices: policy.most_devices,
            };
            let Some(device) = ports.auth.register(&*ports.devices, registration).await? else {
                ports.guard.limits.store.forgive(&forgiven).await?;
                return Err(STALE);
            };
            Some(device)
        }
    };
    let (token, app) = match request.opens {
        Opens::Api => (IssuedToken::Api(ports.auth.keyring.issue_token(user.id, random_bytes())), client.app),
        Opens::Pages(place) => {
            (IssuedToken::Page(ports.auth.keyring.issue_page_token(place, user.id, random_bytes())), AppId::PAGES)
        }
    };
    let opening = ports.auth.sessions.open(NewSession {
        user: user.id,
        id: token.digest(),
        app,
        device,
        epoch: user.epoch,
        idle: policy.idle(app),
        absolute: policy.absolute(app),
        max_sessions: policy.most,
        forgiven,
    });
    match opening.await? {
        Opening::Opened(_) => Ok(token),
        Opening::StaleEpoch => Err(STALE),
    }
}

/// Replaces an outdated hash by a new one. The sign-in succeeds even if this fails.
async fn upgrade(ports: &SessionPorts, user: &User, password: &Password, caller: &CancellationToken) {
    let hashed = async { ports.hashing.reserve(caller)?.hash(password).await };
    let upgraded = match hashed.await {
        Ok(new) => ports.auth.accounts.upgrade_hash(user.id, &user.password_hash, &new).await.map_err(ErrorKind::from),
        Err(overloaded) => Err(overloaded.into()),
    };
    match upgraded {
        Ok(true) => tracing::info!(user = user.id.0, "password hash upgraded"),
        Ok(false) => {
            tracing::debug!(user = user.id.0, "password hash not upgraded: the password was changed meanwhile")
        }
        Err(error) => tracing::info!(user = user.id.0, %error, "password hash not upgraded this time"),
    }
}
