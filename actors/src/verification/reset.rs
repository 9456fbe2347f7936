//! Password resets: mail a link, look at one, set a new password by one.

use super::VerificationPorts;
use super::messages::{FinishReset, InspectReset, IssueReset};
use crate::derive::random_bytes;
use crate::domain::{AppId, Email, UserId};
use crate::error::{Dependency, ErrorKind};
use crate::limits::{Budget, Charged, hourly, network_of};
use crate::notifier::Wake;
use crate::stores::{
    Destination, MessageKind, NewMessage, PasswordChange, Rate, ResetAsk, ResetChallenge, Revocation, User,
};
use std::net::IpAddr;
use std::time::Duration;

/// How long the notice of a change is worth sending.
const NOTICE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A change that meets another change of the same account is decided again this often.
const TRIES: usize = 5;

/// Over the limits nothing is sent, and nothing is said about it.
pub(super) async fn issue(ports: &VerificationPorts, ask: IssueReset) -> Result<(), ErrorKind> {
    let Some(app) = ports.auth.accounts.application(ask.app.as_ref()).await? else {
        return Err(ErrorKind::invalid("app_id", "is not a known application"));
    };
    let budgets = budgets_of(ports, &ask.email, ask.peer);
    ports.limits.spend(&budgets, send(ports, ask, app.id), |_| Ok(())).await
}

/// An address nobody has walks the same path under a decoy's number: the same questions, the same writes, and a row
/// in the outbox that is dead from the start. OWASP Forgot Password: a uniform answer in a uniform time.
async fn send(ports: &VerificationPorts, ask: IssueReset, app: AppId) -> Result<(), ErrorKind> {
    let known = ports.auth.accounts.user_by_email(&ask.email).await?.filter(|user| user.disabled.is_none());
    let keyring = &ports.auth.keyring;
    let user = known.as_ref().map_or_else(|| ports.limits.subjects.decoy(&ask.email), |user| user.id);
    let epoch = known.as_ref().map_or(0, |user| user.epoch);
    let (fresh_id, fresh_key) = (random_bytes(), keyring.current());
    let token = keyring.reset_token(fresh_key, &fresh_id, user, &ask.email).ok_or(ErrorKind::ResetTokenInvalid)?;
    let fresh_digest = token.digest();
    let fresh = ResetAsk { user, epoch, app, fresh_id, fresh_key, fresh_digest, life: ports.resets.life() };
    let challenge = ports.challenges.issue_reset(fresh).await?;
    let message = NewMessage {
        kind: MessageKind::ResetLink { challenge: challenge.id, key: challenge.key },
        user,
        app,
        to: Destination::Mail(ask.email),
        locale: known.as_ref().and_then(|user| user.locale).or(ask.locale).unwrap_or_default(),
        expires: challenge.expires,
    };
    ports.outbox.enqueue(message).await?;
    ports.notifier.do_send(Wake);
    if known.is_some() {
        ports.counters.resets_issued.add();
    }
    Ok(())
}

/// Keyed on what was asked for, so that known and unknown addresses behave alike.
fn budgets_of(ports: &VerificationPorts, email: &Email, peer: IpAddr) -> [Budget; 4] {
    let policy = &ports.resets;
    let apart = Rate { limit: 1, window: Duration::from_secs(policy.apart_secs) };
    let budget = |scope, subject: &str, rate| ports.limits.budget(scope, subject, rate);
    [
        budget("reset-apart", email.as_str(), apart),
        budget("reset-email-hour", email.as_str(), hourly(policy.per_email_hour)),
        budget("reset-address-hour", &network_of(peer), hourly(policy.per_address_hour)),
        budget("reset-total-hour", "all", hourly(policy.total_hour)),
    ]
}

pub(super) async fn inspect(ports: &VerificationPorts, InspectReset(token): InspectReset) -> Result<(), ErrorKind> {
    let found = ports.challenges.find_reset(token.user(), token.digest()).await?;
    found.map(|_| ()).ok_or(ErrorKind::ResetTokenInvalid)
}

/// A link is tried as often in an hour as a password may be changed: each try costs a hash.
pub(super) async fn finish(ports: &VerificationPorts, ask: FinishReset) -> Result<(), ErrorKind> {
    let (user, digest) = (ask.token.user(), ask.token.digest());
    if ports.challenges.find_reset(user, digest).await?.is_none() {
        return Err(ErrorKind::ResetTokenInvalid);
    }
    let tries = ports.limits.policy.password_changes();
    let budget = ports.limits.budget("reset-finish-hour", &format!("{user}/{}", digest.to_text()), tries);
    let charged = match ports.limits.charge(&[budget]).await {
        Ok(Ok(charged)) => charged,
        Ok(Err(wait)) => return Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
        // A store that is full takes no counter, and must keep nobody from ending a reset.
        Err(error) => {
            tracing::info!(%error, "the end of a reset is not counted");
            Charged::default()
        }
    };
    let finished = replace(ports, ask).await;
    if finished.as_ref().is_err_and(ErrorKind::is_not_done) {
        ports.limits.give_back(charged).await;
    }
    finished
}

/// The password is checked and hashed before the link is used up, so that a refused password costs no link.
async fn replace(ports: &VerificationPorts, ask: FinishReset) -> Result<(), ErrorKind> {
    let (user, digest) = (ask.token.user(), ask.token.digest());
    let account = enabled(ports, user).await?;
    ports.passwords.accept(&ask.password, &account.email).map_err(ErrorKind::PasswordUnacceptable)?;
    let hash = ports.hashing.for_caller(&ask.caller).hash(&ask.password).await?;
    let challenge = ports.challenges.consume_reset(user, digest).await?.ok_or(ErrorKind::ResetTokenInvalid)?;
    let revocation = match commit(ports, account, &hash, &challenge).await {
        Ok(revocation) => revocation,
        Err(error) => {
            if error.is_not_done() {
                ports.challenges.restore_reset(user, &challenge).await?;
            }
            return Err(error);
        }
    };
    ports.notifier.do_send(Wake);
    // From here on the password is changed, whatever else fails: the revocation stands in SQL until it is applied.
    ports.revoker.apply(&revocation).await;
    if let Err(error) = ports.guard.forget(user).await {
        tracing::info!(%error, "the waits of this account stay");
    }
    ports.counters.resets_finished.add();
    Ok(())
}

async fn enabled(ports: &VerificationPorts, user: UserId) -> Result<User, ErrorKind> {
    let account = ports.auth.accounts.user(user).await?;
    account.filter(|account| account.disabled.is_none()).ok_or(ErrorKind::ResetTokenInvalid)
}

/// A reset wins over whatever else happened to the hash meanwhile (an upgrade at sign-in, say): it is decided anew.
async fn commit(
    ports: &VerificationPorts,
    mut account: User,
    hash: &str,
    challenge: &ResetChallenge,
) -> Result<Revocation, ErrorKind> {
    // The notice speaks for the application that the reset was asked for.
    let app = match challenge.app {
        Some(app) => app,
        None => {
            let default = ports.auth.accounts.application(None).await?;
            default.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))?.id
        }
    };
    for _ in 0..TRIES {
        let change = PasswordChange {
            user: account.id,
            old_hash: account.password_hash.clone(),
            new_hash: hash.to_owned(),
            keep: None,
            notice: NewMessage {
                kind: MessageKind::PasswordNotice,
                user: account.id,
                app,
                to: Destination::Mail(account.email.clone()),
                locale: account.locale.unwrap_or_default(),
                expires: ports.auth.clock.now().plus(NOTICE_LIFE),
            },
        };
        if let Some(revocation) = ports.auth.accounts.change_password(change).await? {
            return Ok(revocation);
        }
        account = enabled(ports, account.id).await?;
    }
    tracing::warn!(user = account.id.0, challenge_ends = %challenge.expires, "a reset met too many other changes");
    Err(ErrorKind::DependencyUnavailable(Dependency::Database))
}
