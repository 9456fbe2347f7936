//! Sign in: a few calls to the stores and one hash.

use super::guard::Target;
use super::messages::{SignIn, SignedIn};
use super::{SessionActor, SessionPorts};
use crate::derive::random_bytes;
use crate::domain::Password;
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::hashing::Verified;
use crate::stores::{Candidate, CandidateQuery, NewSession, Opening, Registration, User};
use tokio_util::sync::CancellationToken;

answers!(SessionActor: SignIn => run);

pub(super) async fn run(ports: &SessionPorts, request: SignIn) -> Result<SignedIn, ErrorKind> {
    // Before any store is asked: a full queue refuses without a query.
    let place = ports.hashing.reserve(&request.caller)?;
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
    let comparison = match place.verify(&request.password, stored).await {
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
    ports.guard.succeeded(attempt).await?;
    if comparison.verified == Verified::Outdated {
        upgrade(ports, &user, &request.password, &request.caller).await;
    }
    if let Some(locale) = request.locale.filter(|locale| user.locale != Some(*locale)) {
        ports.auth.accounts.set_locale(user.id, locale).await?;
    }
    let device = match (request.device, found) {
        (None, _) => None,
        (Some((_, mobile_os)), Some(found))
            if !found.differs(mobile_os, request.push.as_ref())
                && !ports.auth.policy.wants_sign_in(&found, ports.auth.clock.now()) =>
        {
            Some(found.id)
        }
        (Some((device_token, mobile_os)), _) => {
            let (user, app, push) = (user.id, app.id, request.push);
            let max_devices = ports.auth.policy.most_devices;
            let registration = Registration { user, app, device_token, mobile_os, push, signed_in: true, max_devices };
            Some(ports.devices.register(registration).await?)
        }
    };

    let token = ports.auth.keyring.issue_token(user.id, random_bytes());
    let opening = ports.auth.sessions.open(NewSession {
        user: user.id,
        id: token.digest(),
        app: app.id,
        device,
        epoch: user.epoch,
        idle: ports.auth.policy.idle(),
        absolute: ports.auth.policy.absolute(),
        max_sessions: ports.auth.policy.most,
    });
    match opening.await? {
        Opening::Opened(_) => {
            ports.counters.borrow_mut().signed_in += 1;
            Ok(SignedIn { token, user: user.id, first_name: user.first_name, last_name: user.last_name })
        }
        // The password was changed, or the account disabled, while this password was being checked.
        Opening::StaleEpoch => Err(ErrorKind::InvalidCredentials),
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
