//! Password resets: mail a link, inspect one, set a new password by one. The link of an invitation is used in the same way.

use super::messages::{Appearance, DescribeApplication, FinishReset, InspectReset, IssueReset, SendReset};
use super::{VerificationActor, VerificationPorts};
use crate::derive::random_bytes;
use crate::domain::{AppId, ResetToken, UserId};
use crate::error::{Dependency, ErrorKind};
use crate::flows::answers;
use crate::hashing::Reservation;
use crate::limits::Charges;
use crate::stores::{
    Application, Destination, Invitation, MessageKind, NewMessage, ResetChallenge, ResetRequest, User,
};

answers!(VerificationActor:
    IssueReset => issue,
    SendReset => send_for,
    InspectReset => inspect,
    DescribeApplication => describe,
    FinishReset => finish,
);

/// How often a reset is retried when other changes of the same account come first.
const TRIES: usize = 5;

/// Over the limits nothing is sent, and the answer is the same.
pub(super) async fn issue(ports: &VerificationPorts, request: IssueReset) -> Result<(), ErrorKind> {
    let Some(app) = ports.auth.applications.find(request.app.as_ref()).await? else {
        return Err(ErrorKind::invalid("app_id", "is not a known application"));
    };
    let limits = &ports.guard.limits;
    let budgets = limits.reset_requests(&request.email, request.peer);
    limits.spend(&budgets, send(ports, request, app.id), |_| Ok(())).await
}

/// The same mail within the same limits, for an administrator, who is told if there were too many.
pub(super) async fn send_for(ports: &VerificationPorts, request: SendReset) -> Result<(), ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    let user = enabled(ports, request.user).await.map_err(|error| match error {
        ErrorKind::ResetTokenInvalid => ErrorKind::NotFound,
        error => error,
    })?;
    let default = ports.auth.applications.find(None).await?;
    let app = default.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))?.id;
    let limits = &ports.guard.limits;
    let budgets = limits.reset_requests(&user.email, request.peer);
    let ask = IssueReset { email: user.email, app: None, locale: user.locale, peer: request.peer };
    let refused = |wait| Err(ErrorKind::TooManyMessages { retry_after: wait });
    limits.spend(&budgets, send(ports, ask, app), refused).await
}

/// An address without an account takes the same path under a decoy's number: the same calls, the same writes, and a
/// message in the outbox that is dead from the start. OWASP Forgot Password: a uniform answer in a uniform time.
async fn send(ports: &VerificationPorts, request: IssueReset, app: AppId) -> Result<(), ErrorKind> {
    let (limits, keyring) = (&ports.guard.limits, &ports.auth.keyring);
    let known = ports.auth.accounts.user_by_email(&request.email).await?.filter(|user| user.disabled.is_none());
    let user = known.as_ref().map_or_else(|| limits.subjects.decoy(&request.email), |user| user.id);
    let epoch = known.as_ref().map_or(0, |user| user.epoch);
    let (fresh_id, fresh_key) = (random_bytes(), keyring.current());
    let token = keyring.reset_token(fresh_key, &fresh_id, user, &request.email).ok_or(ErrorKind::ResetTokenInvalid)?;
    let fresh_digest = token.digest();
    let fresh = ResetRequest { user, epoch, app, fresh_id, fresh_key, fresh_digest, life: limits.policy.resets.life() };
    let challenge = ports.challenges.issue_reset(fresh).await?;
    let message = NewMessage {
        kind: MessageKind::ResetLink { challenge: challenge.id, key: challenge.key },
        user,
        app,
        to: Destination::Mail(request.email),
        locale: known.as_ref().and_then(|user| user.locale).or(request.locale).unwrap_or_default(),
        expires: challenge.expires,
    };
    ports.enqueue(message).await?;
    if known.is_some() {
        ports.counters.borrow_mut().resets_issued += 1;
    }
    Ok(())
}

pub(super) async fn inspect(
    ports: &VerificationPorts,
    InspectReset(token): InspectReset,
) -> Result<Appearance, ErrorKind> {
    let known = match live(ports, &token).await? {
        Some(app) => ports.auth.accounts.application_by_id(app).await?,
        None => None,
    };
    let application = match known {
        Some(application) => application,
        None => default_application(ports).await?,
    };
    // A reset link of somebody who was invited meanwhile sets their first password as well.
    let invited = enabled(ports, token.user()).await?.invitation().is_some();
    Ok(Appearance { invited, ..application.into() })
}

/// The application that a live link speaks for, if it is known.
///
/// # Errors
/// `ResetTokenInvalid` if the token is that of no live reset and of no live invitation, or a store does not answer.
async fn live(ports: &VerificationPorts, token: &ResetToken) -> Result<Option<AppId>, ErrorKind> {
    if let Some(challenge) = ports.challenges.find_reset(token.user(), token.digest()).await? {
        return Ok(challenge.app);
    }
    let account = enabled(ports, token.user()).await?;
    let invitation = invitation(ports, &account, token).ok_or(ErrorKind::ResetTokenInvalid)?;
    Ok(Some(invitation.app))
}

/// The live invitation that the token belongs to. Whatever else ends sessions, and so raises the epoch, ends it as well.
fn invitation(ports: &VerificationPorts, account: &User, token: &ResetToken) -> Option<Invitation> {
    let invitation = account.invitation()?;
    let own = ports.auth.keyring.reset_token(invitation.key, &invitation.challenge, account.id, &account.email)?;
    let live = account.epoch == 0 && ports.auth.clock.now() < invitation.expires;
    (live && own.digest() == token.digest()).then_some(invitation)
}

pub(super) async fn describe(
    ports: &VerificationPorts,
    DescribeApplication(name): DescribeApplication,
) -> Result<Appearance, ErrorKind> {
    let named = match &name {
        Some(name) => ports.auth.applications.find(Some(name)).await?,
        None => None,
    };
    match named {
        Some(application) => Ok(application.into()),
        None => default_application(ports).await.map(Appearance::from),
    }
}

async fn default_application(ports: &VerificationPorts) -> Result<Application, ErrorKind> {
    let default = ports.auth.applications.find(None).await?;
    default.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))
}

pub(super) async fn finish(ports: &VerificationPorts, request: FinishReset) -> Result<(), ErrorKind> {
    // Before any store is asked: a full queue refuses without a query.
    let place = ports.passwords.hashing.reserve(&request.caller)?;
    let (user, digest) = (request.token.user(), request.token.digest());
    live(ports, &request.token).await?;
    let limits = &ports.guard.limits;
    let charges = match limits.charge(&[limits.reset_attempts(user, digest)]).await {
        Ok(charges) => charges.map_err(ErrorKind::too_many_attempts)?,
        // A full store cannot count, but a reset must still be possible.
        Err(error) => {
            tracing::info!(%error, "an attempt at a reset is not counted");
            Charges::default()
        }
    };
    limits.settle(charges, replace(ports, request, place).await).await
}

/// The password is checked and hashed before the link is used up, so that an unacceptable password costs no link.
async fn replace(ports: &VerificationPorts, request: FinishReset, place: Reservation) -> Result<(), ErrorKind> {
    let (user, digest) = (request.token.user(), request.token.digest());
    let account = enabled(ports, user).await?;
    let hash = ports.passwords.hash(&account.email, &request.password, place).await?;
    match invitation(ports, &account, &request.token) {
        Some(invitation) => accept(ports, &account, &hash, &invitation).await?,
        None => {
            let challenge = ports.challenges.consume_reset(user, digest).await?.ok_or(ErrorKind::ResetTokenInvalid)?;
            if let Err(error) = set(ports, account, &hash, &challenge).await {
                if error.is_not_done() {
                    ports.challenges.restore_reset(user, &challenge).await?;
                }
                return Err(error);
            }
        }
    }
    if let Err(error) = ports.guard.forget(user).await {
        tracing::info!(%error, "the waits for wrong passwords of this account stay");
    }
    ports.counters.borrow_mut().resets_finished += 1;
    Ok(())
}

async fn enabled(ports: &VerificationPorts, user: UserId) -> Result<User, ErrorKind> {
    let account = ports.auth.accounts.user(user).await?;
    account.filter(|account| account.disabled.is_none()).ok_or(ErrorKind::ResetTokenInvalid)
}

/// The new hash takes the place of the invitation, which is used up by that: another change came first, or none.
async fn accept(
    ports: &VerificationPorts,
    account: &User,
    hash: &str,
    invitation: &Invitation,
) -> Result<(), ErrorKind> {
    let first = ports.passwords.set(account, hash, invitation.app, None).await?;
    if first { Ok(()) } else { Err(ErrorKind::ResetTokenInvalid) }
}

/// A reset wins over other changes of the hash in the meantime, such as an upgrade at sign-in: it is tried again.
async fn set(
    ports: &VerificationPorts,
    mut account: User,
    hash: &str,
    challenge: &ResetChallenge,
) -> Result<(), ErrorKind> {
    // The notice speaks for the application that the reset was requested for.
    let app = match challenge.app {
        Some(app) => app,
        None => default_application(ports).await?.id,
    };
    for _ in 0..TRIES {
        if ports.passwords.set(&account, hash, app, None).await? {
            return Ok(());
        }
        account = enabled(ports, account.id).await?;
    }
    tracing::warn!(user = account.id.0, challenge_ends = %challenge.expires, "a reset met too many other changes");
    Err(ErrorKind::DependencyUnavailable(Dependency::Database))
}
