//! A change of the password by a user who proves the current one.

use super::messages::ChangePassword;
use super::{AccountActor, AccountPorts};
use crate::domain::Password;
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::hashing::{Reservation, Verified};
use crate::session::{Principal, Target};
use crate::stores::User;
use tokio_util::sync::CancellationToken;

answers!(AccountActor: ChangePassword => change);

/// A stolen token gives no more guesses at the password than a sign-in does, and costs few hashes.
pub(super) async fn change(ports: &AccountPorts, request: ChangePassword) -> Result<(), ErrorKind> {
    // Before any store is asked: a full queue refuses without a query.
    let place = ports.passwords.hashing.reserve(&request.caller)?;
    let principal = ports.auth.user(&request.credential).await?;
    let user = ports.auth.accounts.user(principal.user()).await?.filter(|user| user.disabled.is_none());
    let user = user.ok_or(ErrorKind::InvalidToken)?;
    let limits = &ports.guard.limits;
    let charges = limits.charge(&[limits.password_changes(user.id)]).await?;
    let charges = charges.map_err(ErrorKind::too_many_attempts)?;
    limits.settle(charges, replace(ports, request, place, &principal, &user).await).await
}

async fn replace(
    ports: &AccountPorts,
    request: ChangePassword,
    place: Reservation,
    principal: &Principal,
    user: &User,
) -> Result<(), ErrorKind> {
    proves(ports, user, &request.current, place).await?;
    let place = ports.passwords.hashing.reserve(&request.caller)?;
    let hash = ports.passwords.hash(&user.email, &request.new, place).await?;
    // False if another change came first: the given password is not the current one any more.
    if !ports.passwords.set(user, &hash, principal.app(), principal.session()).await? {
        return Err(wrong());
    }
    ports.counters.borrow_mut().passwords_changed += 1;
    Ok(())
}

/// Whether this is the current password of the user. Wrong ones count as at a sign-in.
///
/// # Errors
/// `InvalidParameters` for `current_password`, `TooManyAttempts`, `Overloaded`, or a store does not answer.
pub(super) async fn proves(
    ports: &AccountPorts,
    user: &User,
    password: &Password,
    place: Reservation,
) -> Result<(), ErrorKind> {
    let attempt = ports.guard.admit(Target::from(user), None, None).await?;
    match place.verify(password, Some(&user.password_hash)).await.map(|compared| compared.verified) {
        Ok(Verified::Yes | Verified::Outdated) => {}
        Ok(Verified::No) => {
            ports.guard.failed(attempt).await?;
            return Err(wrong());
        }
        Err(overloaded) => {
            ports.guard.withdraw(attempt).await;
            return Err(overloaded.into());
        }
    }
    let forgiven = ports.guard.succeeded(&attempt).await?;
    Ok(ports.guard.limits.store.forgive(&forgiven).await?)
}

/// What the flow of a page asks for before a change with consequences: the password again.
///
/// # Errors
/// Those of [`proves`], also if there is no password.
pub(super) async fn confirms(
    ports: &AccountPorts,
    user: &User,
    password: Option<&Password>,
    caller: &CancellationToken,
) -> Result<(), ErrorKind> {
    let password = password.ok_or_else(|| ErrorKind::invalid("current_password", "is missing"))?;
    proves(ports, user, password, ports.passwords.hashing.reserve(caller)?).await
}

fn wrong() -> ErrorKind {
    ErrorKind::invalid("current_password", "is not the current password")
}
