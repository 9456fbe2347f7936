//! Server keys in the settings and in the console: users make and end their own, administrators in the console those of
//! everybody.

use super::messages::{CreateKey, KeyList, KeyState, ListKeys, MadeKey, RevokeKey, RotateKey};
use super::{AccountActor, AccountPorts, password};
use crate::clock::Timestamp;
use crate::domain::{Credential, KeyRowId, KeyScope, PagePlace, ServerKey, UserId};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::stores::{KeyIssue, KeyMaker, KeyRecord, KeyTerms, NewKey, User};
use std::time::Duration;

answers!(AccountActor:
    ListKeys => list,
    CreateKey => create,
    RotateKey => rotate,
    RevokeKey => revoke,
);

/// Live keys that a user may have: far more than the back ends of one team, and few enough to read them all.
pub const MOST_LIVE_KEYS: u32 = 50;

/// Keys in one answer: all live ones, and the last ones that have ended.
const KEYS_LISTED: u32 = 100;

/// A form that is sent twice within this time, as by a double click, shows its key again.
const REPEATED: Duration = Duration::from_secs(60);

/// Who looks after keys.
struct Keeper {
    caller: User,
    /// Whether those of others, too.
    of_all: bool,
}

impl Keeper {
    async fn of(ports: &AccountPorts, credential: &Credential) -> Result<Self, ErrorKind> {
        match credential {
            Credential::Page(token) if token.is_for(PagePlace::Console) => {
                Ok(Self { caller: ports.auth.administrator(credential).await?, of_all: true })
            }
            Credential::Page(_) => {
                let user = ports.auth.user(credential).await?.user();
                let caller = enabled(ports, user).await?.ok_or(ErrorKind::InvalidToken)?;
                Ok(Self { caller, of_all: false })
            }
            Credential::User(_) | Credential::Key(_) => Err(ErrorKind::InvalidToken),
        }
    }

    /// What the caller may permit a key.
    fn scopes(&self) -> Vec<KeyScope> {
        if self.caller.admin { KeyScope::ALL.to_vec() } else { vec![KeyScope::OwnerAct] }
    }

    fn may_permit(&self, scopes: &[KeyScope]) -> Result<(), ErrorKind> {
        let permitted = self.scopes();
        if scopes.iter().all(|scope| permitted.contains(scope)) { Ok(()) } else { Err(ErrorKind::Forbidden) }
    }

    /// A key that the caller may see.
    async fn key(&self, ports: &AccountPorts, id: KeyRowId) -> Result<KeyRecord, ErrorKind> {
        let found = ports.keys.key(id).await?.filter(|key| self.of_all || key.owner == self.caller.id);
        found.ok_or(ErrorKind::NotFound)
    }
}

async fn enabled(ports: &AccountPorts, user: UserId) -> Result<Option<User>, ErrorKind> {
    Ok(ports.auth.accounts.user(user).await?.filter(|user| user.disabled.is_none()))
}

pub(super) async fn list(ports: &AccountPorts, request: ListKeys) -> Result<KeyList, ErrorKind> {
    let keeper = Keeper::of(ports, &request.credential).await?;
    let keys = ports.keys.user_keys(keeper.caller.id, KEYS_LISTED).await?;
    let mut applications = ports.auth.accounts.applications().await?;
    applications.sort_by_key(|app| !app.is_default);
    let now = ports.auth.clock.now();
    Ok(KeyList {
        keys: keys
            .into_iter()
            .map(|key| {
                let state = state(&key, now);
                (key, state)
            })
            .collect(),
        applications: applications.into_iter().map(|app| (app.name, app.brand)).collect(),
        scopes: keeper.scopes(),
    })
}

fn state(key: &KeyRecord, now: Timestamp) -> KeyState {
    if key.revoked.is_some() {
        KeyState::Revoked
    } else if key.expires.is_some_and(|end| end <= now) {
        KeyState::Expired
    } else if key.replaced.is_some() {
        KeyState::Replaced
    } else {
        KeyState::Live
    }
}

pub(super) async fn create(ports: &AccountPorts, request: CreateKey) -> Result<MadeKey, ErrorKind> {
    // Before any store is asked: a full queue refuses without a query.
    let place = ports.passwords.hashing.reserve(&request.caller)?;
    let keeper = Keeper::of(ports, &request.credential).await?;
    if request.scopes.is_empty() {
        return Err(ErrorKind::invalid("scopes", "must be at least one"));
    }
    keeper.may_permit(&request.scopes)?;
    let owner = match request.owner {
        Some(other) if keeper.of_all => {
            enabled(ports, other).await?.ok_or_else(|| ErrorKind::invalid("owner", "is not an enabled account"))?
        }
        Some(other) if other != keeper.caller.id => return Err(ErrorKind::Forbidden),
        _ => keeper.caller.clone(),
    };
    let app = ports.auth.applications.find(Some(&request.app)).await?;
    let app = app.ok_or_else(|| ErrorKind::invalid("app_id", "is not a known application"))?;
    password::proves(ports, &keeper.caller, &request.password, place).await?;
    let secret = ports.auth.keyring.server_key(keeper.caller.id, &request.form);
    let scopes = request.scopes.clone();
    let new = NewKey {
        digest: secret.digest(),
        app: app.id,
        owner: owner.id,
        scopes: request.scopes,
        name: request.name.as_str().to_owned(),
        expires: request.life.map(|life| ports.auth.clock.now().plus(life)),
    };
    let issue = ports.keys.issue_key(new, terms(&keeper, &owner, &scopes)).await?;
    made(ports, &keeper, &owner, secret, issue).await
}

pub(super) async fn rotate(ports: &AccountPorts, request: RotateKey) -> Result<MadeKey, ErrorKind> {
    let place = ports.passwords.hashing.reserve(&request.caller)?;
    let keeper = Keeper::of(ports, &request.credential).await?;
    let old = keeper.key(ports, request.id).await?;
    keeper.may_permit(&old.scopes)?;
    let owner = enabled(ports, old.owner).await?.ok_or(ErrorKind::NotFound)?;
    password::proves(ports, &keeper.caller, &request.password, place).await?;
    let secret = ports.auth.keyring.server_key(keeper.caller.id, &request.form);
    let now = ports.auth.clock.now();
    let (new, scopes) = (old.successor(secret.digest(), now), &old.scopes);
    let issue = ports.keys.rotate_key(old.id, now.plus(request.overlap), new, terms(&keeper, &owner, scopes)).await?;
    made(ports, &keeper, &owner, secret, issue).await
}

fn terms(keeper: &Keeper, owner: &User, scopes: &[KeyScope]) -> KeyTerms {
    let caller = &keeper.caller;
    let as_administrator = caller.id != owner.id || scopes.iter().any(|scope| *scope != KeyScope::OwnerAct);
    let maker = Some(KeyMaker { user: caller.id, epoch: caller.epoch, as_administrator });
    KeyTerms { epoch: owner.epoch, maker, most: MOST_LIVE_KEYS }
}

async fn made(
    ports: &AccountPorts,
    keeper: &Keeper,
    owner: &User,
    secret: ServerKey,
    issue: KeyIssue,
) -> Result<MadeKey, ErrorKind> {
    let again = || ErrorKind::invalid("form", "was sent already, or the key has changed meanwhile");
    match issue {
        KeyIssue::Made(id) => {
            tracing::info!(key = id.0, by = keeper.caller.id.0, "a server key was made");
            let key = ports.keys.key(id).await?.ok_or(ErrorKind::NotFound)?;
            Ok(MadeKey { secret, key })
        }
        KeyIssue::Obsolete => {
            let now = ports.auth.clock.now();
            let found = ports.keys.key_by_digest(secret.digest()).await?;
            let fresh = |key: &KeyRecord| state(key, now) == KeyState::Live && now.since(key.created) < REPEATED;
            found.filter(fresh).map(|key| MadeKey { secret, key }).ok_or_else(again)
        }
        KeyIssue::TooMany => Err(ErrorKind::invalid("keys", format!("are {MOST_LIVE_KEYS} already"))),
        KeyIssue::Stale if owner.id == keeper.caller.id => Err(ErrorKind::InvalidToken),
        KeyIssue::Stale => Err(ErrorKind::invalid("owner", "has changed meanwhile; try again")),
    }
}

pub(super) async fn revoke(ports: &AccountPorts, request: RevokeKey) -> Result<(), ErrorKind> {
    let keeper = Keeper::of(ports, &request.credential).await?;
    let id = keeper.key(ports, request.id).await?.id;
    if !ports.auth.accounts.revoke_key(id).await? {
        return Err(ErrorKind::NotFound);
    }
    tracing::info!(key = id.0, by = keeper.caller.id.0, "a server key was revoked");
    Ok(())
}
