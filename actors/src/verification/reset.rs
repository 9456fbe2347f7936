//! Password resets: mail a link, look at one, set a new password by one.

use super::VerificationPorts;
use super::budgets::{self, hourly};
use super::messages::{FinishReset, InspectReset, IssueReset};
use crate::clock::random_bytes;
use crate::domain::Email;
use crate::error::{Dependency, ErrorKind, StoreError};
use crate::notifier::{Destination, MessageKind, NewMessage, Wake};
use crate::session::network_of;
use crate::stores::{PasswordChange, Rate, ResetAsk, ResetChallenge, Revocation, User, Verdict};
use std::net::IpAddr;
use std::time::Duration;

/// How long the notice of a change is worth sending.
const NOTICE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A change that meets another change of the same account is decided again this often.
const TRIES: usize = 5;

/// An address nobody has walks the same path under a decoy's number: the same questions, the same writes, and a row
/// in the outbox that is dead from the start. OWASP Forgot Password: a uniform answer in a uniform time.
pub(super) async fn issue(ports: &VerificationPorts, ask: IssueReset) -> Result<(), ErrorKind> {
    let Some(app) = ports.auth.accounts.application(ask.app.as_ref()).await? else {
        return Err(ErrorKind::invalid("app_id", "is not a known application"));
    };
    if ports.limits.enabled && !within_limits(ports, &ask.email, ask.peer).await? {
        return Ok(());
    }
    let known = ports.auth.accounts.user_by_email(&ask.email).await?.filter(|user| user.disabled.is_none());
    let keyring = &ports.auth.keyring;
    let user = known.as_ref().map_or_else(|| keyring.decoy(&ask.email), |user| user.id);
    let (fresh_id, fresh_key) = (random_bytes(&*ports.random), keyring.current());
    let token = keyring.reset_token(fresh_key, &fresh_id, user, &ask.email).ok_or(ErrorKind::ResetTokenInvalid)?;
    let fresh = ResetAsk { user, fresh_id, fresh_key, fresh_digest: token.digest(), life: ports.resets.life() };
    let challenge = ports.challenges.issue_reset(fresh).await?;
    let message = NewMessage {
        kind: MessageKind::ResetLink { challenge: challenge.id, key: challenge.key },
        user,
        app: app.id,
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

/// Keyed on what was asked for, so that known and unknown addresses behave alike; over the limits nothing is said.
async fn within_limits(ports: &VerificationPorts, email: &Email, peer: IpAddr) -> Result<bool, StoreError> {
    let policy = &ports.resets;
    let (email, peer) = (ports.auth.keyring.subject(email.as_str()), ports.auth.keyring.subject(&network_of(peer)));
    let apart = Rate { limit: 1, window: Duration::from_secs(policy.apart_secs) };
    let budgets = [
        ("reset-apart", email, apart),
        ("reset-email-hour", email, hourly(policy.per_email_hour)),
        ("reset-address-hour", peer, hourly(policy.per_address_hour)),
    ];
    Ok(budgets::charge(&*ports.counts, &budgets).await? == Verdict::Allowed)
}

pub(super) async fn inspect(ports: &VerificationPorts, InspectReset(token): InspectReset) -> Result<(), ErrorKind> {
    let found = ports.challenges.find_reset(token.user(), token.digest()).await?;
    found.map(|_| ()).ok_or(ErrorKind::ResetTokenInvalid)
}

/// The password is checked and hashed before the link is used up, so that a refused password costs no link.
pub(super) async fn finish(ports: &VerificationPorts, ask: FinishReset) -> Result<(), ErrorKind> {
    let (user, digest) = (ask.token.user(), ask.token.digest());
    if ports.challenges.find_reset(user, digest).await?.is_none() {
        return Err(ErrorKind::ResetTokenInvalid);
    }
    let account = enabled(ports, user).await?;
    ports.passwords.accept(&ask.password, &account.email).map_err(ErrorKind::PasswordUnacceptable)?;
    let hash = ports.hashing.hash(&ask.password).await?;
    let challenge = ports.challenges.consume_reset(user, digest).await?.ok_or(ErrorKind::ResetTokenInvalid)?;
    let revocation = match commit(ports, account, &hash, &challenge).await {
        Ok(revocation) => revocation,
        Err(error) => {
            if matches!(error, ErrorKind::DependencyUnavailable(_)) {
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

async fn enabled(ports: &VerificationPorts, user: crate::domain::UserId) -> Result<User, ErrorKind> {
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
    let app = ports.auth.accounts.application(None).await?;
    let app = app.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))?.id;
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
