//! A new password from one who knows the current one.

use super::AccountPorts;
use super::messages::ChangePassword;
use crate::error::ErrorKind;
use crate::hashing::Verified;
use crate::notifier::Wake;
use crate::session::{Acting, Tried};
use crate::stores::{Destination, MessageKind, NewMessage, PasswordChange, User};
use std::time::Duration;

/// How long the notice of a change is worth sending.
pub const NOTICE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Tries at changing a password of one account.
const CHANGES: &str = "password-changes-hour";

/// Whoever holds a stolen token gets no more guesses at the password than whoever holds none, and costs few hashes.
pub(super) async fn change(ports: &AccountPorts, ask: ChangePassword) -> Result<(), ErrorKind> {
    let acting = ports.auth.user(&ask.credential).await?;
    let user = ports.auth.accounts.user(acting.user).await?.filter(|user| user.disabled.is_none());
    let user = user.ok_or(ErrorKind::InvalidToken)?;
    let limits = &ports.guard.limits;
    let budget = limits.budget(CHANGES, &user.id.to_string(), limits.policy.password_changes());
    let charged = match limits.charge(&[budget]).await? {
        Ok(charged) => charged,
        Err(wait) => return Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
    };
    let changed = replace(ports, ask, acting, user).await;
    if changed.as_ref().is_err_and(ErrorKind::is_not_done) {
        limits.give_back(charged).await;
    }
    changed
}

async fn replace(ports: &AccountPorts, ask: ChangePassword, acting: Acting, user: User) -> Result<(), ErrorKind> {
    let wrong = || ErrorKind::invalid("current_password", "is not the current password");
    let admission = ports.guard.admit(Tried::from(&user), None, None).await?;
    let hashing = ports.hashing.for_caller(&ask.caller);
    match hashing.verify(&ask.current, Some(&user.password_hash)).await.map(|compared| compared.verified) {
        Ok(Verified::Yes | Verified::Outdated) => {}
        Ok(Verified::No) => {
            ports.guard.failed(admission).await?;
            return Err(wrong());
        }
        Err(overloaded) => {
            ports.guard.withdraw(admission).await;
            return Err(overloaded.into());
        }
    }
    ports.guard.succeeded(admission).await?;
    ports.passwords.accept(&ask.new, &user.email).map_err(ErrorKind::PasswordUnacceptable)?;
    let change = PasswordChange {
        user: user.id,
        new_hash: hashing.hash(&ask.new).await?,
        old_hash: user.password_hash,
        keep: acting.session.map(|session| session.id),
        notice: NewMessage {
            kind: MessageKind::PasswordNotice,
            user: user.id,
            app: acting.app,
            to: Destination::Mail(user.email),
            locale: user.locale.unwrap_or_default(),
            expires: ports.auth.clock.now().plus(NOTICE_LIFE),
        },
    };
    // Another change came first: the password that was given is not the current one any more.
    let revocation = ports.auth.accounts.change_password(change).await?.ok_or_else(wrong)?;
    ports.notifier.do_send(Wake);
    ports.revoker.apply(&revocation).await;
    ports.counters.passwords_changed.add();
    Ok(())
}
