//! People: the caller's own account, and the accounts that back ends and administrators look after.
//!
//! A key touches no account of an administrator. Otherwise its scopes would decide who administers the server.

use super::messages::{ChangeProfile, DeleteUser, EndSessions, FindBy, FindUser, Person, Profile, UpdateUser};
use super::{AccountActor, AccountPorts, password};
use crate::domain::{Credential, KeyScope, Password, UserId};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::session::Authority;
use crate::stores::{ChangedBy, Close, Unchanged, User, UserChange};
use tokio_util::sync::CancellationToken;

answers!(AccountActor:
    Profile => profile,
    ChangeProfile => change_profile,
    FindUser => find,
    UpdateUser => update,
    DeleteUser => delete,
    EndSessions => end_sessions,
);

pub(super) async fn profile(ports: &AccountPorts, Profile(credential): Profile) -> Result<Person, ErrorKind> {
    let user = caller(ports, &credential).await?;
    let user = ports.auth.accounts.user(user).await?.filter(|user| user.disabled.is_none());
    user.map(Person::from).ok_or(ErrorKind::InvalidToken)
}

pub(super) async fn change_profile(ports: &AccountPorts, request: ChangeProfile) -> Result<Person, ErrorKind> {
    let user = caller(ports, &request.credential).await?;
    let ChangeProfile { credential: _, first_name, last_name, locale } = request;
    let change = UserChange { first_name, last_name, locale, ..UserChange::default() };
    let changed = ports.auth.accounts.change_user(user, &change, ChangedBy::Trusted).await?;
    changed.map(|(user, _)| user.into()).map_err(|_| ErrorKind::InvalidToken)
}

async fn caller(ports: &AccountPorts, credential: &Credential) -> Result<UserId, ErrorKind> {
    Ok(ports.auth.user(credential).await?.user())
}

pub(super) async fn find(ports: &AccountPorts, request: FindUser) -> Result<Person, ErrorKind> {
    ports.auth.may(&request.credential, KeyScope::UsersRead).await?;
    let found = match &request.by {
        FindBy::Id(user) => ports.auth.accounts.user(*user).await?,
        FindBy::Email(email) => ports.auth.accounts.user_by_email(email).await?,
    };
    found.map(Person::from).ok_or(ErrorKind::NotFound)
}

pub(super) async fn update(ports: &AccountPorts, request: UpdateUser) -> Result<Person, ErrorKind> {
    let authority = ports.auth.may(&request.credential, KeyScope::UsersWrite).await?;
    let UpdateUser { user, change, confirmation, caller, .. } = request;
    if let (Authority::Key(_), Some(_)) = (&authority, change.admin) {
        return Err(ErrorKind::Forbidden);
    }
    within_reach(ports, &authority, user).await?;
    if change.disabled == Some(true) || change.admin.is_some() {
        confirmed(ports, &authority, user, confirmation.as_ref(), &caller).await?;
    }
    let changed = ports.auth.accounts.change_user(user, &change, by(&authority)).await?;
    let (user, revocation) = changed.map_err(refusal)?;
    if let Some(revocation) = revocation {
        ports.passwords.revoker.apply(&revocation).await;
    }
    let (disabled, admin) = (change.disabled, change.admin);
    tracing::info!(user = user.id.0, by = %name(&authority), ?disabled, ?admin, "an account was changed");
    Ok(user.into())
}

pub(super) async fn delete(ports: &AccountPorts, request: DeleteUser) -> Result<(), ErrorKind> {
    let authority = ports.auth.may(&request.credential, KeyScope::UsersWrite).await?;
    let user = within_reach(ports, &authority, request.user).await?;
    confirmed(ports, &authority, user.id, request.confirmation.as_ref(), &request.caller).await?;
    let devices = ports.devices.devices(user.id, None).await?;
    let deletion = ports.auth.accounts.delete_user(user.id, by(&authority)).await?.map_err(refusal)?;
    tracing::info!(user = user.id.0, by = %name(&authority), "an account was deleted");
    ports.passwords.revoker.apply(&deletion.revocation).await;
    let devices: Vec<_> = devices.into_iter().map(|device| device.device_token).collect();
    if let Err(error) = ports.guard.forget_account(&user, &devices).await {
        tracing::info!(user = user.id.0, %error, "counters of a deleted account stay until they expire");
    }
    if let Some(inbox) = &ports.inbox {
        inbox.forget(&deletion.destinations);
    }
    Ok(())
}

pub(super) async fn end_sessions(ports: &AccountPorts, request: EndSessions) -> Result<(), ErrorKind> {
    let authority = ports.auth.may(&request.credential, KeyScope::SessionsRevoke).await?;
    match &authority {
        Authority::Key(key) => {
            ports.auth.accounts.user(request.user).await?.ok_or(ErrorKind::NotFound)?;
            ports.auth.sessions.close(request.user, Close::InApp(key.app)).await?;
        }
        Authority::Administrator(_) => {
            let revocation = ports.auth.accounts.sign_out_user(request.user).await?.ok_or(ErrorKind::NotFound)?;
            ports.passwords.revoker.apply(&revocation).await;
        }
    }
    tracing::info!(user = request.user.0, by = %name(&authority), "the sessions of a user were ended");
    Ok(())
}

fn by(authority: &Authority) -> ChangedBy {
    match authority {
        Authority::Key(_) => ChangedBy::BackEnd,
        Authority::Administrator(user) => ChangedBy::Administrator(user.id),
    }
}

fn refusal(unchanged: Unchanged) -> ErrorKind {
    match unchanged {
        Unchanged::NoSuchUser => ErrorKind::NotFound,
        Unchanged::NotPermitted => ErrorKind::Forbidden,
        Unchanged::LastAdministrator => ErrorKind::invalid("admin", "would leave no administrator"),
    }
}

/// For log lines.
fn name(authority: &Authority) -> String {
    match authority {
        Authority::Key(key) => format!("key {}", key.id),
        Authority::Administrator(user) => format!("user {}", user.id),
    }
}

/// The account, unless it is an administrator's and the caller is a key.
async fn within_reach(ports: &AccountPorts, authority: &Authority, user: UserId) -> Result<User, ErrorKind> {
    let user = ports.auth.accounts.user(user).await?.ok_or(ErrorKind::NotFound)?;
    match authority {
        Authority::Key(_) if user.admin => Err(ErrorKind::Forbidden),
        _ => Ok(user),
    }
}

/// An administrator gives their password again, and does not lock themselves out. A key is its own proof.
async fn confirmed(
    ports: &AccountPorts,
    authority: &Authority,
    user: UserId,
    password: Option<&Password>,
    caller: &CancellationToken,
) -> Result<(), ErrorKind> {
    let Authority::Administrator(administrator) = authority else { return Ok(()) };
    if administrator.id == user {
        return Err(ErrorKind::invalid("user_id", "is your own account"));
    }
    password::confirms(ports, administrator, password, caller).await
}
