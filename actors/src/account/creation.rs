//! Creation of an account: with a password, or with an invitation to set one.

use super::messages::{CreateUser, Person};
use super::{AccountActor, AccountPorts};
use crate::derive::random_bytes;
use crate::domain::{AppId, AppName, KeyScope};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::limits::Inviter;
use crate::notifier::Wake;
use crate::session::Authority;
use crate::stores::{Created, Invitation, NewUser};

answers!(AccountActor: CreateUser => create);

pub(super) async fn create(ports: &AccountPorts, request: CreateUser) -> Result<Person, ErrorKind> {
    let CreateUser { credential, email, first_name, last_name, locale, password, app, caller } = request;
    // Before any store is asked: a full queue refuses without a query.
    let password = match password {
        Some(password) => Some((ports.passwords.hashing.reserve(&caller)?, password)),
        None => None,
    };
    let authority = ports.auth.may(&credential, KeyScope::UsersWrite).await?;
    // A repeated request costs no hash.
    if ports.auth.accounts.user_by_email(&email).await?.is_some() {
        return Err(taken());
    }
    let new =
        |password_hash| NewUser { email: email.clone(), first_name, last_name, password_hash, admin: false, locale };
    match password {
        Some((place, password)) => {
            let hash = ports.passwords.hash(&email, &password, place).await?;
            add(ports, new(hash), None).await
        }
        None => invite(ports, &authority, app.as_ref(), new).await,
    }
}

async fn invite(
    ports: &AccountPorts,
    authority: &Authority,
    app: Option<&AppName>,
    new: impl FnOnce(String) -> NewUser,
) -> Result<Person, ErrorKind> {
    let (app, inviter) = match authority {
        Authority::Key(key) => (key.app, Inviter::Key(key.id)),
        Authority::Administrator(user) => (named(ports, app).await?, Inviter::Administrator(user.id)),
    };
    let limits = &ports.guard.limits;
    let invitation = Invitation {
        challenge: random_bytes(),
        key: ports.auth.keyring.current(),
        app,
        expires: ports.auth.clock.now().plus(limits.policy.resets.invitation_life()),
    };
    let new = new(invitation.in_place_of_hash());
    let too_many = |retry_after| Err(ErrorKind::TooManyMessages { retry_after });
    limits.spend(&limits.invitations(inviter), add(ports, new, Some(invitation)), too_many).await
}

async fn add(ports: &AccountPorts, new: NewUser, invitation: Option<Invitation>) -> Result<Person, ErrorKind> {
    match ports.auth.accounts.add_user(new, invitation).await? {
        Created::New(user) => {
            if invitation.is_some() {
                ports.passwords.notifier.do_send(Wake);
            }
            Ok(user.into())
        }
        Created::Duplicate => Err(taken()),
    }
}

async fn named(ports: &AccountPorts, app: Option<&AppName>) -> Result<AppId, ErrorKind> {
    let found = ports.auth.applications.find(app).await?;
    found.map(|app| app.id).ok_or_else(|| ErrorKind::invalid("app_id", "is not a known application"))
}

fn taken() -> ErrorKind {
    ErrorKind::invalid("email", "belongs to another account")
}
