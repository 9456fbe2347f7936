//! Accounts: a search, and everything about one of them.

use super::messages::{ListAllKeys, Page, SearchUsers, ShowKey, ShowUser, UserDetails, WrongPasswords};
use super::outbox::PAGE;
use super::{AdministrationActor, AdministrationPorts};
use crate::account::{ListedDevice, Person};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::session::listed_sessions;
use crate::stores::{KeyRecord, OutboxView, User};

answers!(AdministrationActor: SearchUsers => search, ShowUser => show, ListAllKeys => keys, ShowKey => key);

/// The newest messages and keys that are shown beside an account.
const BESIDE: u32 = 20;

pub(super) async fn search(ports: &AdministrationPorts, request: SearchUsers) -> Result<Page<Person>, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    let found = ports.store.search_users(&request.search, PAGE + 1).await?;
    Ok(page(found.into_iter().map(Person::from).collect()))
}

pub(super) async fn keys(ports: &AdministrationPorts, request: ListAllKeys) -> Result<Page<KeyRecord>, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    Ok(page(ports.store.newest_keys(request.before, PAGE + 1).await?))
}

pub(super) async fn key(ports: &AdministrationPorts, request: ShowKey) -> Result<KeyRecord, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    ports.keys.key(request.id).await?.ok_or(ErrorKind::NotFound)
}

fn page<T>(mut items: Vec<T>) -> Page<T> {
    let more = items.len() > PAGE as usize;
    items.truncate(PAGE as usize);
    Page { items, more }
}

pub(super) async fn show(ports: &AdministrationPorts, request: ShowUser) -> Result<UserDetails, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    let user = ports.auth.accounts.user(request.user).await?.ok_or(ErrorKind::NotFound)?;
    let sessions = listed_sessions(&ports.auth, &*ports.devices, user.id, None).await?;
    let mut devices = Vec::new();
    for device in ports.devices.devices(user.id, None).await? {
        devices.push(ListedDevice { app: ports.auth.app_name(device.app).await?, device });
    }
    Ok(UserDetails {
        passwords: wrong_passwords(ports, &user).await?,
        sessions,
        devices,
        keys: ports.keys.user_keys(user.id, BESIDE).await?,
        messages: ports.outbox.browse(OutboxView::OfUser(user.id), None, None, BESIDE).await?,
        person: user.into(),
    })
}

async fn wrong_passwords(ports: &AdministrationPorts, user: &User) -> Result<WrongPasswords, ErrorKind> {
    let limits = &ports.guard.limits;
    let wait = match limits.enabled() {
        true => limits.store.wait(&limits.account_waits(user.id)).await?,
        false => None,
    };
    let exhausted = limits.enabled() && user.failures >= limits.policy.passwords.password_ceiling;
    Ok(WrongPasswords { failures: user.failures, wait, exhausted })
}
